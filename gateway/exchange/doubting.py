"""What is put in doubt when a folder's number is set right: consents signed there, and who was let in.

Whether the bearer of the old number or of the new one signed, or was meant, nobody knows. So what
opened opens no more, for either, and what refuses refuses for both: it stays on the folder, and the
bearer of the old number is given a copy. Both are told that it is to be signed anew. Emergency access
and doctors' own claims on the folder end, too. So it is with folders that go along with this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from consent import fhir as consent_fhir
from consent.model import Directive
from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import directives
from gateway.exchange.consent_versions import Work, newest, ready, write_version
from gateway.exchange.patients import controller, county_id
from gateway.exchange.person import manifests
from gateway.identity.systems import RESIDENT_ID
from gateway.records import facts as facts_
from gateway.records.facts import Facts
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store import charts as rows
from gateway.store import emergencies, inbox, links, notices
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, ManifestKey, SealBroken, Shredded, Tier
from mappings.engine import jsontext

NUMBER_CORRECTED = "StructureDefinition/number-corrected"  # extension of Consent, under our base
DOUBTED = "consent-doubted"
"""The notice to the resident and the alarm."""
_WHY = {"why": "number-corrected"}


@dataclass(frozen=True, slots=True)
class Heir:
    """The chart that keeps what the bearer of the old number refused; `facts` as sealed there, empty
    where the chart is to be made of `known`."""

    chart: str
    facts: bytes
    known: Facts


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is to be written when `number` is the folder's no more, prepared from what stood.

    `standing` are the active directives of each folder that may go along; of each consent in `found`
    the version that ends or doubts it, and the copy for the heir where it refuses.
    """

    number: str
    at: int
    standing: Mapping[str, Sequence[tuple[str, bytes]]]
    heir: Heir | None
    found: Sequence[tuple[Work, Work | None]] = ()
    ended: Mapping[str, Draft] = field(default_factory=dict)


async def prepared(chart: str, caller: Caller, grant: Grant, services: Services) -> Doubt | None:
    """What doubting the folder would write now; None while it carries no number."""
    known = await rows.grounds(services.db, chart, "")
    wants = [ChartTier(row.id, Tier.GENERAL) for row in known.charts]
    keys = {want.chart: key for want, key in (await manifests(services, grant, wants)).items()}
    facts = {
        row.id: facts_.unpack(keys[row.id].open(row.facts, f"facts/{row.id}".encode()))
        for row in known.charts
        if row.facts and row.id in keys
    }
    if chart not in facts or not facts[chart].number:
        return None
    bearers = {one for one in facts if facts[one].number == facts[chart].number} - {chart}
    standing = {
        one: sorted((id, sealed) for whose, id, sealed in known.directives if whose == one)
        for one in keys.keys() - bearers
    }
    sealed = {row.id: row.facts for row in known.charts}
    heir = await _heir(facts[chart], {one: sealed[one] for one in bearers}, services)
    at = services.now()
    found = [
        await _doubted(one, heir, at, caller, services)
        for one in _opened(standing, keys)
        if not one.in_doubt
    ]
    ended = await _ended(sorted(standing), at, caller, services)
    return Doubt(facts[chart].number, at, standing, heir, found, ended)


async def _heir(before: Facts, bearers: Mapping[str, bytes], services: Services) -> Heir | None:
    """The county's own chart of the old number, else another that carries it, else the county's that
    is to be made; None where that one is known to be somebody else's."""
    own = county_id(before.number, services)
    if bearers:
        chart = own if own in bearers else min(bearers)
        return Heir(chart, bearers[chart], before)
    if (await rows.grounds(services.db, own, "")).charts:
        return None
    return Heir(own, b"", Facts(before.name, before.sex, before.birth, number=before.number))


def _opened(
    standing: Mapping[str, Sequence[tuple[str, bytes]]], keys: Mapping[str, ManifestKey]
) -> list[Directive]:
    """The directives of these charts; what cannot be read refuses where it is, and stays there."""
    found = []
    for chart, active in sorted(standing.items()):
        for id, sealed in active:
            try:
                plain = keys[chart].open(sealed, directives.sealed_name(id))
                found.append(consent_fhir.decode(plain))
            except (SealBroken, msgspec.MsgspecError, ValueError):
                continue
    return found


async def _doubted(
    one: Directive, heir: Heir | None, at: int, caller: Caller, services: Services
) -> tuple[Work, Work | None]:
    """The consent's next version: inactive when all it did was permit; else with a copy."""
    row, text = await newest(one.id, services)
    refuses = one.refuses
    tag, doubted = services.vault.version_tag, max(at, one.at + 1)
    said = {"active": refuses, "doubted": doubted}
    text = _marked(text, refuses, at, services)
    new = msgspec.structs.replace(one, version=tag(one.id, row.version + 1), **said)
    work = await ready(text, new, row.version, caller, services, at, **_WHY)
    if heir is None or not refuses:
        return work, None
    county = controller(services)
    id = services.ids(county)("number-corrected", "Consent", (one.id, str(row.version)))
    own = one.performer == one.patient
    copy = msgspec.structs.replace(
        one, id=id, version=tag(id, 1), patient=heir.chart, **said,
        performer=heir.chart if own else one.performer,
    )  # fmt: skip
    text = _of(text, heir.chart, own)
    more = {"copy-of": f"Consent/{one.id}"}
    try:
        made = await ready(text, copy, 0, caller, services, at, **_WHY, **more)
    except Shredded:
        return work, None  # whose keys were destroyed is nobody
    return work, replace(made, source=county)


def _marked(text: bytes, active: bool, at: int, services: Services) -> bytes:
    """The text, saying since when it is in doubt."""
    root = jsontext.parse(text)
    url = f"{services.settings.canonical}/{NUMBER_CORRECTED}"
    since = instant_text(at, services.settings.zone)
    mark = b'{"url":%s,"valueDateTime":%s}' % (jsontext.quoted(url), jsontext.quoted(since))
    marks = root.get("extension")
    edits = [
        jsontext.appended(marks, mark)
        if marks is not None
        else jsontext.with_member(root, "extension", b"[%s]" % mark)
    ]
    if not active:
        edits.append(jsontext.with_member(root, "status", b'"inactive"'))
    return jsontext.apply(text, edits)


def _of(text: bytes, chart: str, own: bool) -> bytes:
    """The same Consent of another chart; signed by its person where it was signed by the patient."""
    root, reference = jsontext.parse(text), b'{"reference":"Patient/%s"}' % chart.encode()
    places = [root.get("patient"), root.get("performer", 0) if own else None]
    return jsontext.apply(text, [jsontext.replaced(one, reference) for one in places if one])


async def _ended(
    charts: Sequence[str], at: int, caller: Caller, services: Services
) -> dict[str, Draft]:
    """The event of ending each emergency access and each person's own claim that stands on these."""
    live = await services.db.read(emergencies.LIVE_ON, charts, at)
    claims = await services.db.read(rows.PERSONAL, charts)
    told = {
        **{id: (chart, Kind.BREAK_GLASS, {"grant": id}) for id, chart in live},
        **{id: (chart, Kind.UPDATE, {"relationship": id}) for chart, id in claims},
    }
    return {
        id: await services.log.draft(
            kind, Outcome.PERMIT, caller, at,
            Body(request=f"correcting.{at}", details={"act": "ended", **named, **_WHY}), (chart,),
        )
        for id, (chart, kind, named) in told.items()
    }  # fmt: skip


def write(
    tx: Tx, chart: str, number: str, doubt: Doubt | None, services: Services
) -> tuple[Draft, ...] | None:
    """Doubt the folder that carried `number`, once its links say where it belongs now; the events to
    log. None when something else stands than was prepared for: prepare again."""
    if doubt is None or doubt.number != number:
        return None
    here = {row[0] for row in tx.all(links.COMPANIONS, chart)}
    along = sorted(here & doubt.standing.keys())
    found = [(work, copy) for work, copy in doubt.found if work.chart in along]
    copies = [copy for _, copy in found if copy is not None]
    for one in along:
        own = [work for work, _ in found if work.chart == one]
        if not _written(tx, one, own, doubt.standing[one], services, doubt.at):
            return None
    if copies and not _inherited(tx, doubt, copies, services):
        return None
    ids = [row[0] for row in tx.all(emergencies.CLOSE_ON, along, doubt.at)]
    ids += [row[0] for row in tx.all(rows.DROP_PERSONAL, along)]
    if not set(ids) <= doubt.ended.keys():
        return None
    if found:
        heirs = [doubt.heir.chart] if doubt.heir and (copies or doubt.heir.facts) else []
        for one in (chart, *heirs):
            about = services.vault.digest(DOUBTED, f"{one}/{doubt.at}".encode())[:16].hex()
            notices.add(tx, one, DOUBTED, about, doubt.at)
        about = services.log.tag(chart)
        tx.run(inbox.ADD_ALARM, DOUBTED, controller(services), about, doubt.at)
    drafts = [one.draft for pair in found for one in pair if one is not None]
    return (*drafts, *(doubt.ended[id] for id in ids))


def _written(
    tx: Tx,
    chart: str,
    works: Sequence[Work],
    standing: Sequence[tuple[str, bytes]],
    services: Services,
    at: int,
) -> bool:
    """Write these versions of a chart's consents, if `standing` are all that it has in force."""
    high = rows.take(tx, chart, len(works), 1)[0]
    if sorted((row[0], bytes(row[1])) for row in tx.all(rows.ACTIVE, chart)) != standing:
        return False
    for seq, work in enumerate(works, high - len(works) + 1):
        write_version(tx, work, seq, services, at)
    return True


def _inherited(tx: Tx, doubt: Doubt, copies: Sequence[Work], services: Services) -> bool:
    """Write the copies to the heir, which is made where it is not there yet."""
    heir = doubt.heir
    assert heir is not None, "a copy is somebody's"
    chart = heir.chart
    if not heir.facts:
        tx.run(
            rows.ADD_CHART,
            chart, rows.bucket_of(chart), controller(services), chart, chart, 0, 0, 0, b"", b"",
            services.rules, doubt.at,
        )  # fmt: skip
    high, _, _, facts = rows.take(tx, chart, len(copies), 1)
    if facts != heir.facts:
        return False
    if not heir.facts:
        about = f"facts/{chart}".encode()
        tx.run(rows.SET_FACTS, chart, copies[0].keys.seal(facts_.pack(heir.known), about))
        digest = services.vault.blind(RESIDENT_ID, heir.known.number)
        tx.run(rows.HOLD, digest)
        tx.run(rows.INDEX, digest, chart, 1)
    for seq, copy in enumerate(copies, high - len(copies) + 1):
        write_version(tx, copy, seq, services, doubt.at)
    return True
