"""Response messages of FHIR messaging, checked against the rules of R4 MessageHeader and Bundle."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.errors import Complaint, Kind, Problem
from gateway.fhir.response import code_of, response

REQUEST = {
    "resourceType": "MessageHeader",
    "id": "11111111-1111-1111-1111-111111111111",
    "eventCoding": {"system": "urn:example", "code": "results", "display": "王某"},
    "source": {"endpoint": "http://mch.example/fhir", "name": "妇幼"},
}


def answer(request, problem):
    return response(
        request,
        problem,
        endpoint="http://127.0.0.1:8080/fhir/$process-message",
        ids=("b" * 8, "a" * 8, "c" * 8),
        at=datetime(2026, 3, 1, 4, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (None, "ok"),
        (Problem(Kind.BUSY, "Full."), "transient-error"),
        (Problem(Kind.THROTTLED, "Slow down."), "transient-error"),
        (Problem(Kind.MALFORMED, "Not FHIR."), "fatal-error"),
        (Problem(Kind.UNPROCESSABLE, "Send a batch."), "fatal-error"),
    ],
)
def test_the_code_says_whether_to_send_again(problem, code):
    header = answer(REQUEST, problem)["entry"][0]["resource"]

    assert code_of(problem) == header["response"]["code"] == code
    assert header["response"]["identifier"] == REQUEST["id"]


def test_a_model_of_r4_reads_the_answer():
    complaints = (Complaint("No subject.", "Observation.subject", "required"), Complaint("Two."))
    for request in (REQUEST, None, {}, {"eventUri": "urn:x"}, {"source": 7, "id": 8}):
        for problem in (None, Problem(Kind.MALFORMED, "Bad.", complaints=complaints)):
            bundle = answer(request, problem)
            Bundle.model_validate(bundle)
            header, outcome = (entry["resource"] for entry in bundle["entry"])
            assert header["response"]["details"]["reference"] == bundle["entry"][1]["fullUrl"]
            assert outcome["resourceType"] == "OperationOutcome"


def test_the_answer_goes_to_the_sender_and_repeats_no_display():
    bundle = answer(REQUEST, None)
    header = bundle["entry"][0]["resource"]

    assert header["destination"] == [{"endpoint": "http://mch.example/fhir"}]
    assert header["eventCoding"] == {"system": "urn:example", "code": "results"}
    assert "王某" not in str(bundle)
