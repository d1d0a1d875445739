"""Documents: their content is a Binary under the same consent, read as FHIR or as what it holds."""

from __future__ import annotations

import base64

import pytest

from tests.gateway.fhir.conftest import PDF, Door

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def documents(door: Door, headers: dict[str, str], *given: str) -> list[dict[str, object]]:
    query = "&".join((f"patient={door.chart}", *given))
    answer = await door.web.get(f"/fhir/DocumentReference?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


async def test_a_document_points_to_its_content_and_says_what_it_is(full: Door) -> None:
    headers = await full.wang()
    found = await documents(full, headers, "date=2026-02-20", "status=current")
    (one,) = [one for one in found if "pdf" in str(one["content"])]
    attachment = one["content"][0]["attachment"]  # type: ignore[index]
    assert attachment["contentType"] == "application/pdf"
    assert attachment["size"] == len(PDF)
    answer = await full.web.get(f"/fhir/{attachment['url']}", headers=headers)
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert base64.b64decode(answer.json()["data"]) == PDF


async def test_the_right_accept_gives_the_bytes_as_a_download(full: Door) -> None:
    headers = await full.wang()
    (url,) = [
        one["content"][0]["attachment"]["url"]  # type: ignore[index]
        for one in await documents(full, headers)
        if "pdf" in str(one["content"])
    ]
    for accept in ("application/pdf", "image/png, application/pdf;q=0.9"):
        answer = await full.web.get(f"/fhir/{url}", headers={**headers, "accept": accept})
        assert answer.content == PDF
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"] == "attachment"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-access-log"]
    refused = await full.web.get(f"/fhir/{url}", headers={**headers, "accept": "text/html"})
    assert refused.status_code == 406


async def test_documents_are_found_by_type_and_visit(full: Door) -> None:
    headers = await full.wang()
    both = await documents(full, headers)
    assert len(both) == 2
    assert len(await documents(full, headers, "type=CN")) == 2
    assert await documents(full, headers, "type=XX") == []
    visit = both[0]["context"]["encounter"][0]["reference"]  # type: ignore[index]
    assert [one["id"] for one in await documents(full, headers, f"encounter={visit}")] == [
        both[0]["id"]
    ]


async def test_everything_leaves_contents_to_be_fetched_one_by_one(full: Door) -> None:
    headers = await full.wang()
    answer = await full.web.get(f"/fhir/Patient/{full.chart}/$everything", headers=headers)
    kinds = {entry["resource"]["resourceType"] for entry in answer.json()["entry"]}
    assert "DocumentReference" in kinds
    assert "Binary" not in kinds


async def test_a_document_of_a_protected_visit_is_hidden_with_its_content(shared: Door) -> None:
    headers = await shared.li()
    (one,) = await documents(shared, headers)
    assert "pdf" in str(one["content"])
    stored = await shared.house.current("Binary")
    assert len(stored) == 2
    seen = [
        (await shared.web.get(f"/fhir/Binary/{binary.id}", headers=headers)).status_code
        for binary in sorted(stored, key=lambda binary: binary.nature.sensitivities)
    ]
    assert seen == [200, 404]
