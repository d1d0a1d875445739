"""The county's own chart of a resident: made when first needed, from the number on the card.

What a person signs or is given as the bearer of their number hangs on it: no hospital corrects it.
It is joined to the hospitals' charts by the same matching rule as theirs (number and name).
"""

from __future__ import annotations

import json
from typing import Any

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing
from gateway.exchange.patients import SPACE, charts_of, controller, county_id
from gateway.exchange.person import ALL_TIERS, manifests
from gateway.exchange.planning import Plan, plan
from gateway.identity import resident_id
from gateway.identity.resident_id import ResidentId
from gateway.identity.systems import RESIDENT_ID
from gateway.records import facts as facts_
from gateway.records import merge
from gateway.records.facts import Facts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, Tier
from mappings.engine import Identifier, LocalId, Mapped, Message


async def known(system: str, value: str, services: Services) -> tuple[list[str], Facts]:
    """One chart for each person who carries the number, and who they are; the county's own first.

    Demographic facts only, opened to let the desk compare them with the card.
    """
    if system == RESIDENT_ID and not isinstance(resident_id.read(value), ResidentId):
        raise Problem(Trouble.MALFORMED, "This cannot be anybody's resident ID number.", "number")
    charts = await charts_of(system, value, services)
    number = resident_id.normalised(value) if system == RESIDENT_ID else ""
    own = county_id(number, services) if number else ""
    said: list[tuple[bool, str, str, Facts]] = []
    for chart in charts:
        known = await rows.grounds(services.db, chart, "")
        wants = [ChartTier(row.id, Tier.GENERAL) for row in known.charts if row.facts]
        keys = await manifests(services, Grant("job", "desk", ALL_TIERS), wants)
        for row in known.charts:
            key = keys.get(ChartTier(row.id, Tier.GENERAL))
            if key is not None:
                facts = facts_.unpack(key.open(row.facts, f"facts/{row.id}".encode()))
                said.append((row.id != own, row.id, chart, facts))
    said.sort(key=lambda one: one[:2])
    first = next((chart for _, _, chart, facts in said if facts.name), charts[0] if charts else "")
    of_first = [facts for _, _, chart, facts in said if chart == first]
    facts = Facts(
        name=next((f.name for f in of_first if f.name), ""),
        sex=next((f.sex for f in of_first if f.sex), ""),
        birth=next((f.birth for f in of_first if f.birth), ""),
        number=number or next((f.number for f in of_first if f.number), ""),
    )
    return sorted(charts, key=lambda chart: (chart != first, chart)), facts


async def county_chart(
    charts: list[str], facts: Facts, name: str, caller: Caller, services: Services
) -> str:
    """The county's chart of the resident, made when there is none; one `create` event then.

    Problem UNPROCESSABLE when the resident has no usable resident ID number or name.
    """
    number = resident_id.read(facts.number)
    if not isinstance(number, ResidentId):
        raise Problem(
            Trouble.UNPROCESSABLE, "The desk needs the resident ID number to record.", "number"
        )
    name = facts.name or name.strip()
    if not name:
        raise Problem(Trouble.UNPROCESSABLE, "The desk needs the resident's name.", "name")
    chart = county_id(number.number, services)
    if await rows.current(services.db, chart) is not None:
        return chart
    at = services.now()
    made = await _patient(chart, name, facts.sex, number, at, services)
    body = Body(request=f"desk.{at}", details={"resource": f"Patient/{chart}"}).asked_by(caller)
    draft = await services.log.draft(Kind.CREATE, Outcome.PERMIT, caller, at, body, (chart,))
    await filing.with_neighbours([made], services, _write_patient, made, draft, services)
    return chart


async def _patient(
    chart: str, name: str, sex: str, number: ResidentId, at: int, services: Services
) -> Plan:
    """A minimal Patient. A sex nobody stated is left out: what the number implies would speak
    against a hospital that knows better."""
    county = controller(services)
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": chart,
        "identifier": [{"system": RESIDENT_ID, "value": number.number}],
        "name": [{"text": name}],
    }
    if sex:
        resource["gender"] = sex
    resource["birthDate"] = number.birth.isoformat()
    resource["managingOrganization"] = {
        "type": "Organization",
        "identifier": {
            "system": f"{services.settings.canonical}/sid/organization",
            "value": county,
        },
        "display": services.register.get(county).zh,
    }
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    head, tail = merge.renamed(text, chart)
    message = Message(
        control_id="",
        kind="desk",
        patient=LocalId(SPACE, number.number),
        identifiers=(Identifier(RESIDENT_ID, number.number),),
        resources=(Mapped("Patient", chart, (number.number,), head, tail, clock=at),),
    )
    made, _ = await plan(message, county, "desk", services)
    assert made is not None, "a message that names a patient has a plan"
    made.inbox = ""  # no raw message stands behind it
    return made


def _write_patient(tx: Tx, made: Plan, draft: Draft, services: Services) -> None:
    filing.write_plan(tx, made, services)
    append(tx, services.log.filing_writer, [draft], services.now)
