"""What a decision rested on is kept whole, read by its own hospital alone, and judged again the same."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from sqlalchemy import bindparam, update

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import ask, proving, reasons, relied
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.ledger import PORTAL, Visit
from gateway.exchange.revoking import revoke
from gateway.portal.stories import Results
from gateway.recognition.decisions import Choice
from gateway.recognition.reasons import Declined, LocalReason
from gateway.records import query as queries
from gateway.services import Services
from gateway.services.register import Register
from gateway.store import decisions as rows
from gateway.store import tables
from gateway.store.statements import Statement
from mappings.r4 import check
from tests.gateway.exchange.portal_county import LI, REGISTRAR, WANG, Town, panel, town
from tests.gateway.exchange.test_portal_clinician import correct

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
ACCEPT = Verdict(Choice.ACCEPT)
ALT = "丙氨酸氨基转移酶"


@pytest.fixture
async def here(services: Services) -> Town:
    found = await town(services, "shen")
    await found.sign("shen")
    return found


async def alt(here: Town) -> tuple[Results, str, str]:
    shown = await here.results("shen", LI)
    [one] = [r for r in panel(shown, "肝功能").results if r.item == ALT]
    return shown, one.id, one.version


async def decided(here: Town, verdict: Verdict = ACCEPT, visit: Visit = PORTAL) -> str:
    shown, id, version = await alt(here)
    made = await decide_results(
        shown.resident.chart, [(id, version)], verdict, LI, here.services, visit
    )
    return made[0].task


async def test_the_evidence_holds_what_was_on_the_screen_and_why_it_might_be(here: Town) -> None:
    shown, id, _ = await alt(here)
    report = panel(shown, "肝功能")
    await here.portal.report(report.id, LI)
    task = await decided(here)

    found = await proving.proofs(task, LI, here.services)

    [proof] = found.found
    bundle = proof.bundle
    [seen] = [r for r in report.results if r.id == id]
    told = bundle.shown
    assert (told.item, told.value, told.unit, told.range, told.flag) == (
        seen.item, seen.value, seen.unit, seen.range, seen.flag.raw,
    )  # fmt: skip
    assert (told.hospital, told.report, told.mark) == ("云溪县人民医院", "肝功能", "全国HR")
    assert bundle.target.startswith(f"Observation/{id}/_history/")
    assert bundle.doctor.name == "李明轩"
    assert 0 < bundle.times.viewed < bundle.times.decided
    assert bundle.basis
    assert bundle.entitlement
    assert len(proof.fingerprint) == 64
    assert found.resident is not None
    assert proof.standing
    assert (await here.events())["recognition-evidence"] == 1


@ON_SQLITE
async def test_it_is_judged_again_the_same_and_says_when_it_is_not(here: Town) -> None:
    task = await decided(here)
    [again] = await proving.replayed(task, LI, here.services)
    assert (again.result, again.reason) == ("identical", "")
    [proof] = (await proving.proofs(task, LI, here.services)).found
    lied = replace(proof, bundle=type(proof.bundle)(**{**_fields(proof.bundle), "judgement": "{}"}))
    assert proving.again(lied, here.services.catalogue).result == "different"
    assert proving.again(proof, None).result == "no-catalogue"
    with pytest.raises(Problem) as told:
        await proving.replayed("0" * 32, LI, here.services)
    assert told.value.kind is Trouble.UNKNOWN


def _fields(bundle: object) -> dict[str, object]:
    return {name: getattr(bundle, name) for name in bundle.__struct_fields__}  # type: ignore[attr-defined]


@ON_SQLITE
async def test_where_consent_has_ended_the_decision_stays_and_the_result_does_not(
    services: Services,
) -> None:
    here = await town(services, "shen")
    consent = await here.sign("shen")
    task = await decided(here)

    await here.portal.withdraw_consent(consent, "周立", REGISTRAR)

    [proof] = (await proving.proofs(task, LI, here.services)).found
    assert proof.standing
    assert proof.now is None


@ON_SQLITE
async def test_another_hospital_and_a_stranger_learn_nothing(here: Town) -> None:
    task = await decided(here)
    for who in (WANG, REGISTRAR, replace(LI, organization="mch")):
        with pytest.raises(Problem) as told:
            await proving.proofs(task, who, here.services)
        assert told.value.kind is Trouble.UNKNOWN


async def filed(here: Town, who: object = LI) -> dict[str, list[dict]]:
    shown, _, _ = await alt(here)
    found: dict[str, list[dict]] = {}
    for kind in ("Task", "DetectedIssue", "DocumentReference", "ServiceRequest"):
        query = queries.parse(
            kind, [("patient", shown.resident.chart)], here.services.settings.zone, lenient=False
        )
        page = await ask.search(query, who, here.services)  # type: ignore[arg-type]
        found[kind] = [json.loads(one.text) for one in page.records]
    return found


async def test_task_duplicate_and_copy_are_filed_valid_and_are_nobody_elses(here: Town) -> None:
    order = Visit("V77", "心内科", "OP", "order-sign", "O-1")
    task = await decided(here, replace(ACCEPT, words="与本院检查目的一致"), order)

    mine = await filed(here)
    others = await filed(here, WANG)

    [found] = [one for one in mine["Task"] if one["id"] == task]
    assert found["basedOn"] == [
        {
            "type": "ServiceRequest",
            "identifier": {
                "system": f"{here.services.settings.canonical}/sid/tcm/servicerequest",
                "value": "O-1",
            },
        }
    ]
    [issue] = mine["DetectedIssue"]
    assert issue["implicated"][1]["reference"] == found["focus"]["reference"]
    assert issue["mitigation"][0]["action"]["coding"][0]["code"] == "accept"
    copies = [one for one in mine["DocumentReference"] if "related" in one.get("context", {})]
    [copy] = [one for one in copies if {"reference": f"Task/{task}"} in one["context"]["related"]]
    text = base64.b64decode(copy["content"][0]["attachment"]["data"]).decode()
    assert "62.4 U/L" in text
    assert "与本院检查目的一致" in text
    for kind in ("Task", "DetectedIssue", "DocumentReference"):
        ids = {one["id"] for one in others[kind]}
        assert not ids & {found["id"], issue["id"], copy["id"]}
    for one in (found, issue, copy):
        text = json.dumps(one, ensure_ascii=False).encode()
        assert check.text(text, one["resourceType"]) == []


@ON_SQLITE
async def test_a_hospitals_own_reason_is_offered_first_once_it_is_used(here: Town) -> None:
    own = LocalReason("tcm", "Z1", "中药治疗后需复查", "after herbs", Declined.FAST)
    register = Register({o.id: o for o in here.services.register}, reasons=[own])
    services = replace(here.services, register=register)
    codes = [one.code for one in await reasons.offered("tcm", services)]
    assert codes[0] == "Z1"
    assert codes[-3:] == ["08", "98", "99"]
    assert "Z1" not in [one.code for one in await reasons.offered("people", services)]
    with pytest.raises(Problem):
        reasons.named("Z1", "people", services)

    chosen = reasons.named("07", "tcm", services)
    await decided(here, Verdict(Choice.DECLINE, chosen.national))
    await decided(here, Verdict(Choice.DECLINE, own.national, local=own))
    uses = dict(await here.services.db.read(rows.USES, "tcm"))
    assert uses == {"07": 1, "Z1": 1}
    assert [one.code for one in await reasons.offered("tcm", services)][:2] == ["Z1", "07"]
    task = (await filed(here))["Task"][0]
    said = next(
        o
        for o in task["output"]
        if "valueCodeableConcept" in o and len(o["valueCodeableConcept"]["coding"]) > 1
    )
    assert [c["code"] for c in said["valueCodeableConcept"]["coding"]] == ["02", "Z1"]


# What was relied on changes


async def alerts(here: Town) -> list[rows.AlertRow]:
    found = await here.services.db.read(rows.ALERTS_OF, "tcm", "dr-li")
    return [rows.AlertRow(*row) for row in found]


async def test_a_correction_alerts_who_relied_on_it_in_the_filing_transaction(here: Town) -> None:
    _, id, _ = await alt(here)
    task = await decided(here)
    assert await alerts(here) == []

    [before] = (await proving.proofs(task, LI, here.services)).found
    assert before.now is not None
    assert (before.now.changed, before.now.value) == (False, before.bundle.shown.value)

    await correct(here)

    [proof] = (await proving.proofs(task, LI, here.services)).found
    assert proof.now is not None
    assert (proof.now.changed, proof.now.status) == (True, "corrected")
    assert proof.now.value != proof.bundle.shown.value == before.now.value
    [alert] = await alerts(here)
    assert (alert.target, alert.change, alert.seen, alert.login) == (id, "corrected", 0, "dr-li")
    await correct(here)
    assert len(await alerts(here)) == 1, "the same correction again alerts nobody"
    await revoke(task, "结果已更正", LI, here.services)
    assert await alerts(here) == []


@ON_SQLITE
async def test_who_decides_on_the_new_version_is_not_asked_about_the_old_one(here: Town) -> None:
    await decided(here)
    await correct(here)
    assert len(await alerts(here)) == 1
    await decided(here)
    assert await alerts(here) == []


@ON_SQLITE
@pytest.mark.parametrize("taken_back", [False, True])
async def test_a_declined_result_that_changes_is_told_of_too_and_a_revoked_one_is_not(
    here: Town, taken_back: bool
) -> None:
    task = await decided(here, Verdict(Choice.DECLINE, Declined.CHANGED))
    if taken_back:
        await revoke(task, "选错了", LI, here.services)
    await correct(here)
    assert len(await alerts(here)) == (0 if taken_back else 1)


@ON_SQLITE
async def test_folders_that_are_parted_put_their_decisions_in_question(here: Town) -> None:
    await decided(here)
    [row] = await here.services.db.read(rows.OF_CHARTS, [await _folder(here)])
    evidence = rows.EvidenceRow(*row)
    pair = [evidence.chart, evidence.source]
    assert await here.services.db.do(relied.parted, pair, 1, here.services) == 0
    await here.services.db.do(_part, evidence.source)
    assert await here.services.db.do(relied.parted, pair, 2, here.services) == 1
    [alert] = await alerts(here)
    assert alert.change == "identity"


def _part(tx: object, chart: str) -> None:
    table = tables.Chart.__table__  # type: ignore[attr-defined]
    move = Statement(
        update(table).where(table.c.id == bindparam("id_")).values(person="somebody else"), "id_"
    )
    tx.run(move, chart)  # type: ignore[attr-defined]


async def _folder(here: Town) -> str:
    shown = await here.results("shen", LI)
    grounds = await ask.meet(
        shown.resident.chart, LI, here.services, here.services.now(), action="read", named=False
    )
    return min(row.id for row in grounds.charts if row.organization == "tcm")


async def test_what_the_patient_signed_later_is_kept_and_never_taken_back_unsaid(
    here: Town,
) -> None:
    said = Verdict(Choice.DECLINE, Declined("08"), "标本运输时间过长", informed=True)
    signed = replace(said, acknowledged="已知悉，同意复查")
    task = await decided(here, said)
    for verdict in (signed, signed, said):
        assert await decided(here, verdict) == task
    found = await proving.proofs(task, LI, here.services)
    texts = [one.bundle.said.acknowledged for one in found.found]
    assert sorted(texts) == ["", "已知悉，同意复查"]  # one anew, none twice
