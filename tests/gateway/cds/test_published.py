"""The published examples of CDS Hooks: good ones are taken, bad ones refused for what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gateway.cds.ordering import post
from tests.gateway.cds.specification import discovery_faults, response_faults
from tests.gateway.fhir.conftest import Door
from tests.public import files, folder

IN_LOOP = pytest.mark.asyncio(loop_scope="module")

ALL = files("fhir-test-cases/cdshooks")
REQUESTS, RESPONSES, SERVICES = (
    [one for one in ALL if f"-{kind}-" in one.name] for kind in ("request", "response", "services")
)
DEPARTURES = {  # of the published files, which come from before 2.0, or are wrong on purpose
    "empty-bad": ["cards"],
    "empty2": ["cards"],
    "empty-source": ["cards[0].source.label", "cards[0].links.type", "cards[0].source"],
    "source-link": ["cards[0].summary", "cards[0].links.type"],
    "suggestion": ["cards[0].summary", "cards[0].selectionBehavior"],
}
REFUSED = {  # by their names, and one that leaves its orders out
    "order-select-bad": "context.patientId",
    "order-select-extensions": "context.draftOrders",
    "order-sign-bad-1": "context.patientId",
    "order-sign-bad-2": "context.patientId",
    "patient-view-bad": "context.patientId",
}


def test_every_published_file_is_looked_at() -> None:
    folder("fhir-test-cases/cdshooks")
    assert len(REQUESTS) + len(RESPONSES) + len(SERVICES) == len(ALL) == 22


@pytest.mark.parametrize("path", RESPONSES, ids=lambda path: path.stem)
def test_published_responses_are_told_apart(path: Path) -> None:
    name = path.stem.removeprefix("cdshooks-response-")

    assert response_faults(json.loads(path.read_text())) == DEPARTURES.get(name, [])


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_published_discovery_answers_are_as_ours_are(path: Path) -> None:
    assert discovery_faults(json.loads(path.read_text())) == []


@IN_LOOP
async def test_our_discovery_answer_is_as_the_specification_says(ward: Door) -> None:
    told = (await ward.web.get("/cds-services")).json()

    assert discovery_faults(told) == []
    hooks = {one["hook"] for one in told["services"]}
    assert {"patient-view", "order-select", "order-sign"} <= hooks
    assert not any("prefetch" in one for one in told["services"])


@IN_LOOP
@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
async def test_published_calls_are_taken_or_refused_for_what_they_are(
    path: Path, ward: Door
) -> None:
    """Their practitioner is called `example`; their patients nobody here knows, so there is no card."""
    said = json.loads(path.read_text())
    name = path.stem.removeprefix("cdshooks-request-")

    answer = await post(ward, f"recognition-{said['hook']}", path.read_bytes(), "example")

    if name in REFUSED:
        assert (answer.status_code, answer.json()["at"]) == (400, REFUSED[name])
    else:
        assert (answer.status_code, answer.json()) == (200, {"cards": []})
