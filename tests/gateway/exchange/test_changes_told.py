"""What changed after it was relied on: resent in a new report, unlinked, told to the hospital's system."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import (
    alerts,
    ask,
    changes_told,
    county_desk,
    glance,
    proving,
    receive,
    write_back,
)
from gateway.exchange.decide import decide_results
from gateway.exchange.deciding import EVIDENCE
from gateway.exchange.ledger import PORTAL
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.revoking import revoke
from gateway.jobs.worker import Worker
from gateway.records import query as queries
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.services.register import Endpoint, Register
from gateway.store import recognition_tables as tables_of
from gateway.store.statements import Statement
from gateway.vault import ChartTier, Grant, RecordName, Tier
from mappings.r4 import check
from tests.gateway.exchange.portal_county import CHEN, LI, OFFICE, WANG, Town, caller, every, town
from tests.gateway.exchange.test_portal_clinician import _liver, correct
from tests.gateway.exchange.test_proving import ACCEPT, ALT, alt, decided
from tests.gateway.exchange.test_proving import alerts as rows_of
from tests.gateway.exchange.test_write_back import His, his, later
from tests.shell import Told, call

__all__ = ["his"]
EVIDENCE_TABLE = tables_of.DecisionEvidence.__table__  # type: ignore[attr-defined]
COMMISSION = caller("commission")
ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
async def here(services: Services, his: His) -> Town:
    known = [
        replace(o, write_back=Endpoint(his.url)) if o.id == "tcm" else o for o in services.register
    ]
    found = await town(replace(services, register=Register({o.id: o for o in known})), "shen")
    await found.sign("shen")
    return found


async def resend(
    here: Town, hours: int = 1, collected: int = 0, panel: bytes = b"", status: bytes = b"F"
) -> None:
    """The hospital sends ALT 26.40 in a report of its own, `collected` days after the first sample;
    with `panel` as part of another one that was ordered apart."""
    lines = []
    for line in _liver(here).split(b"\r"):
        fields = line.split(b"|")
        if fields[0] == b"OBX":
            if not fields[3].startswith(b"ALT"):
                continue
            fields[5], fields[8], fields[11] = b"26.40", b"", status
        if fields[0] == b"MSH":
            fields[6] = _plus(fields[6], hours * 10_000)
            fields[9] += b"N"
        if fields[0] in {b"OBR", b"ORC"}:
            fields[3] += b"N"
        if panel and fields[0] in {b"OBR", b"ORC"}:
            fields[2] += b"N"
        if panel and fields[0] == b"OBR":
            fields[4] = panel
        if fields[0] == b"OBR":
            fields[22] = _plus(fields[22], hours * 10_000)
            for place in (7, 14):
                if len(fields) > place and fields[place]:
                    fields[place] = _plus(fields[place], collected * 10_000)
        lines.append(b"|".join(fields))
    await receive.receive("people-his", [receive.Unit(b"\r".join(lines))], here.services)
    await Worker(here.services).drain()


def _plus(stamp: bytes, more: int) -> bytes:
    return str(int(stamp[:14]) + more).encode()


async def test_a_result_sent_again_in_a_new_report_alerts_and_is_not_recognised_any_more(
    here: Town,
) -> None:
    _, id, _ = await alt(here)
    task = await decided(here)
    await resend(here)

    [alert] = await rows_of(here)
    assert (alert.target, alert.change, alert.login) == (id, "replaced", "dr-li")
    both = [one for one in every(await here.results("shen", LI)) if one.item == ALT]
    found = {one.value: one for one in both}
    assert set(found) == {"62.4", "26.40"}
    assert found["26.40"].recognition.state == "eligible"
    assert (found["62.4"].recognition.state, found["62.4"].recognition.reason) == (
        "not-eligible",
        "E04",
    )
    assert [one.task for one in await alerts.look(LI, here.services)] == [task]
    await revoke(task, "出具机构已重发", LI, here.services)
    assert await rows_of(here) == []


@ON_SQLITE
async def test_an_ordinary_later_measurement_alerts_nobody(here: Town) -> None:
    await decided(here)
    await resend(here, hours=2, collected=1)
    assert await rows_of(here) == []
    states = {o.recognition.state for o in every(await here.results("shen", LI)) if o.item == ALT}
    assert states == {"eligible"}


async def test_the_same_item_in_another_panel_of_the_sample_alerts_nobody(here: Town) -> None:
    await decided(here)
    await resend(here, panel="BIO^生化全套".encode("gb18030"))
    assert await rows_of(here) == []
    both = [o for o in every(await here.results("shen", LI)) if o.item == ALT]
    assert {(o.value, o.recognition.state) for o in both} == {
        ("62.4", "eligible"),
        ("26.40", "eligible"),
    }
    assert {bool(o.decision) for o in both} == {True, False}


async def test_one_said_to_correct_alerts_also_under_another_order_and_in_another_panel(
    here: Town,
) -> None:
    _, id, _ = await alt(here)
    await decided(here)
    await resend(here, panel="BIO^生化全套".encode("gb18030"), status=b"C")
    [alert] = await rows_of(here)
    assert (alert.target, alert.change) == (id, "replaced")
    both = [o for o in every(await here.results("shen", LI)) if o.item == ALT]
    assert {(o.value, o.recognition.state) for o in both} == {
        ("62.4", "not-eligible"),
        ("26.40", "eligible"),
    }


@ON_SQLITE
async def test_what_another_result_names_as_replaced_is_not_recognised_any_more(
    services: Services,
) -> None:
    here = await town(services, "qi", rows=False)
    await here.sign("qi")
    first = next(one.raw for one in here.pretend.messages if one.source == "mch-fhir"
                 and here.resident("qi").number.encode() in one.raw)  # fmt: skip
    anew = json.loads(first)
    anew["id"] = "0" + anew["id"][1:]
    kept = [one for one in anew["entry"] if one["resource"]["resourceType"] in {
        "MessageHeader", "Patient", "Encounter"}]  # fmt: skip
    result = next(one for one in anew["entry"] if one["resource"]["id"].endswith("-1")
                  and one["resource"]["resourceType"] == "Observation")  # fmt: skip
    said = result["resource"]
    url = "http://hl7.org/fhir/StructureDefinition/observation-replaces"
    named = {"reference": f"Observation/{said['id']}"}
    old = str(said["valueQuantity"]["value"])
    said |= {"id": said["id"] + "R", "extension": [{"url": url, "valueReference": named}]}
    said["valueQuantity"]["value"] = 7.77
    said["issued"] = said["issued"].replace("T11:", "T12:")
    said["effectiveDateTime"] = said["effectiveDateTime"].replace("T09:10", "T09:40")
    del said["specimen"]
    result["fullUrl"] += "R"
    anew["entry"] = [*kept, result]
    await receive.receive("mch-fhir", [receive.Unit(json.dumps(anew).encode())], services)
    await Worker(services).drain()

    found = {one.value: one.recognition.reason for one in every(await here.results("qi", LI))}
    assert found[old] == "E04"
    assert found["7.77"] != "E04"


@ON_SQLITE
async def test_one_resent_is_not_decided_on_by_its_old_id(here: Town) -> None:
    shown, id, version = await alt(here)
    await resend(here)
    with pytest.raises(Exception, match="may not be recognised"):
        await decide_results(
            shown.resident.chart, [(id, version)], ACCEPT, LI, here.services, PORTAL
        )


async def communications(here: Town, who: object) -> list[dict]:
    shown, _, _ = await alt(here)
    query = queries.parse(
        "Communication",
        [("patient", shown.resident.chart)],
        here.services.settings.zone,
        lenient=False,
    )
    page = await ask.search(query, who, here.services)  # type: ignore[arg-type]
    return [json.loads(one.text) for one in page.records]


async def test_the_hospitals_own_system_is_told_once_and_reads_it_at_the_door(
    here: Town, his: His
) -> None:
    task = await decided(here)
    assert await write_back.send_due(here.services) == 1
    await correct(here)

    assert await changes_told.file_due(here.services) == 1
    assert await changes_told.file_due(here.services) == 0
    assert await write_back.send_due(later(here.services, 1)) == 1

    text = his.got[-1][1]
    assert check.text(text, "Bundle") == []
    header, told, _ = [one["resource"] for one in json.loads(text)["entry"]]
    assert header["eventCoding"]["code"] == "recognition-alert"
    assert told["resourceType"] == "Communication"
    assert told["about"][0] == {"reference": f"Task/{task}"}
    assert told["recipient"][0]["identifier"]["value"] == "dr-li"
    assert "云溪县人民医院" in told["payload"][0]["contentString"]
    [said] = told["payload"][0]["_contentString"]["extension"]
    lang, english = said["extension"]
    assert lang["valueCode"] == "en"
    assert english["valueString"].startswith(
        "Change after recognition: Its issuer corrected this result\n"
    )
    assert "62.4" not in text.decode()
    [mine] = await communications(here, LI)
    assert {k: v for k, v in mine.items() if k != "meta"} == told
    assert await communications(here, WANG) == []
    assert (await here.events())["recognition-alert"] == 1


@ON_SQLITE
async def test_an_alert_names_the_visit_as_the_order_did(here: Town, his: His) -> None:
    known = {o.id: o for o in here.services.register}
    known["tcm"] = replace(known["tcm"], write_back=Endpoint(his.url, "hl7v2"))
    there = replace(here, services=replace(here.services, register=Register(known)))
    await decided(there, visit=replace(PORTAL, encounter="f" * 32, number="M7"))
    await correct(there)
    assert await changes_told.file_due(there.services) == 1
    await write_back.send_due(later(there.services, 1))
    visits = [line for _, text in his.got for line in text.split(b"\r") if line[:3] == b"PV1"]
    assert [one.split(b"|")[19] for one in visits] == [b"M7", b"M7"]


@ON_SQLITE
async def test_what_is_settled_before_it_is_told_is_not_told(here: Town, his: His) -> None:
    task = await decided(here)
    await correct(here)
    await revoke(task, "结果已更正", LI, here.services)
    assert await changes_told.file_due(here.services) == 0


@ON_SQLITE
async def test_an_alert_whose_evidence_was_altered_is_passed_over_aloud_and_tried_again_when_asked(
    here: Town, his: His
) -> None:
    await decided(here)
    await correct(here)
    services, office = here.services, replace(OFFICE, organization="tcm")
    [evidence] = await services.db.read(Statement(select(EVIDENCE_TABLE.c.sealed)))
    await services.db.do(lambda tx: tx.run(put_evidence(b"x" * 80)))
    assert await changes_told.file_due(here.services) == 0
    assert await changes_told.file_due(here.services) == 0
    assert len(await rows_of(here)) == 1, "its doctor still sees it"
    [untold] = (await glance.glance(office, services)).untold
    assert untold.trouble == "SealBroken"
    assert (await county_desk.alert_counts(COMMISSION, services)).untold is None, "1 is withheld"
    with pytest.raises(Problem):
        await glance.tell_again(untold.id, OFFICE, services)

    await services.db.do(lambda tx: tx.run(put_evidence(evidence[0])))
    await glance.tell_again(untold.id, office, services)
    assert await changes_told.file_due(services) == 1
    seen = await glance.glance(office, services)
    assert (seen.untold, [(one.kind, one.waiting) for one in seen.sent]) == (
        (), [("alert", 1), ("decision", 1)],
    )  # fmt: skip
    with pytest.raises(Problem):
        await glance.tell_again(untold.id, office, services)


def put_evidence(sealed: bytes) -> Statement:
    return Statement(update(EVIDENCE_TABLE).values(sealed=sealed))


@ON_SQLITE
async def test_an_alert_that_cannot_be_told_now_does_not_hold_up_what_else_is_told(
    here: Town, his: His, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decided(here)
    await correct(here)

    async def busy(*_: object) -> int:
        raise Problem(Trouble.BUSY, "Changing right now.")

    with monkeypatch.context() as patch:
        patch.setattr(changes_told, "_file", busy)
        assert await Worker(here.services).write_back_some() == 1, "the decision itself"
    assert await changes_told.file_due(here.services) == 1, "told at the next round"


# What the doctor sees, and does


@ON_SQLITE
async def test_a_correction_is_seen_by_its_doctor_alone_and_the_decision_renewed(
    here: Town,
) -> None:
    task = await decided(here)
    await correct(here)
    assert await here.portal.relied_alerts(CHEN, looked=True) == ()
    [news] = await here.portal.relied_alerts(LI, looked=False)
    assert (news.task, news.change, news.new) == (task, "corrected", True)
    await here.portal.relied_alerts(LI, looked=True)
    [seen] = await here.portal.relied_alerts(LI, looked=True)
    assert not seen.new
    assert (await here.events())["recognition-alert"] == 1, "one look at what was new"
    evidence = await here.portal.decision_file(task, LI)
    assert evidence.stands

    anew = await decided(here)
    assert await here.portal.relied_alerts(LI, looked=False) == ()
    assert not (await here.portal.decision_file(task, LI)).found[0].standing
    await correct(here)
    assert await here.portal.relied_alerts(LI, looked=False) == (), "said already"
    await here.portal.revoke_decision(anew, "病情变化", LI)
    assert not (await here.portal.decision_file(anew, LI)).stands


# The command line, on a store that is in use


async def command(here: Town, *words: str) -> Told:
    settings = here.services.settings
    environment = {
        "GATEWAY_DATA": str(settings.data),
        "GATEWAY_COUNTY": settings.county,
        "GATEWAY_COUNTY_FILE": str(settings.county_file),
        "GATEWAY_CATALOGUE": str(settings.catalogue),
        "GATEWAY_DEMO": "true",
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(call, environment, "recognition", *words)


@ON_SQLITE
async def test_commands_judge_a_decision_again_and_notice_an_altered_case(here: Town) -> None:
    task = await decided(here)
    same = await command(here, "replay", task, "--json")
    assert same.code == 0, same.err
    assert [(one["result"], one["reason"]) for one in same.json] == [("identical", "eligible")]
    [listed] = (await command(here, "show", task, "--json")).json
    assert (listed["doctor"], listed["organization"], listed["state"]) == ("dr-li", "tcm", "stands")
    assert "62.4" not in str(listed)

    await alter_case(here, task)
    other = await command(here, "replay", task)
    assert other.code == 1
    assert "different" in other.out
    unknown = await command(here, "replay", "0" * 32)
    assert unknown.code == 1
    assert "No decision" in unknown.err
    assert (await command(here, "show", "0" * 32)).code == 1
    assert (await here.events())["recognition-evidence"] == 4

    await correct(here)
    told = (await command(here, "show", "--json")).json
    assert {"what": "alert-corrected", "of": "tcm", "count": 1, "open": 1} in told


async def alter_case(here: Town, task: str) -> None:
    """Somebody with the keys writes another specimen into the kept case."""
    [row] = await proving.kept(task, OPERATOR, here.services)
    want = ChartTier(row.chart, Tier.GENERAL)
    key = (await here.services.vault.records(Grant("job", "test", ALL_TIERS), [want]))[want]
    name = RecordName(EVIDENCE, row.id, 1)
    text = key.open(row.sealed, name)
    altered = text.replace(b'\\"specimen\\":\\"serum\\"', b'\\"specimen\\":\\"urine\\"')
    assert altered != text
    table = tables_of.DecisionEvidence.__table__  # type: ignore[attr-defined]
    statement = Statement(update(table).values(sealed=key.seal(altered, name, dictionary=False)))
    await here.services.db.do(lambda tx: tx.run(statement))
