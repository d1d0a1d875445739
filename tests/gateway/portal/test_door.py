"""What the portal tells browsers, and what it refuses, without a browser."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.auth import people
from gateway.portal import assets
from tests.gateway.portal.conftest import County
from tests.gateway.portal.fake_records import NUMBER, PASSWORD

HOME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def county() -> County:
    return County("http://127.0.0.1:8080")


@pytest.fixture
async def client(county: County) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=county.app)
    async with httpx.AsyncClient(
        transport=transport, base_url=county.address, headers=HOME
    ) as client:
        yield client


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def about(page: httpx.Response) -> str:
    found = re.search(r'name="about" value="([^"]+)"', page.text)
    assert found
    return found[1]


async def signed_in(client: httpx.AsyncClient, login: str) -> str:
    door = await client.get("/portal/sign-in")
    data = {"csrf": token(door), "login": login, "password": PASSWORD}
    answer = await client.post("/portal/sign-in", data=data, follow_redirects=True)
    assert answer.status_code == 200
    return token(answer)


STYLE = assets.read()["style"].path
NONCE = re.compile(r"'nonce-([\w-]{24})'")


@pytest.mark.parametrize("path", ["/sign-in", STYLE, "/nowhere", "/results", "/"])
async def test_every_answer_carries_the_security_headers(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get("/portal" + path)
    headers, policy = answer.headers, answer.headers["content-security-policy"]

    if answer.headers.get("content-type", "").startswith("text/html"):
        (nonce,) = NONCE.findall(policy)
        assert policy.replace(nonce, "N") == (
            "default-src 'none'; script-src 'nonce-N'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
            "require-trusted-types-for 'script'; trusted-types htmx"
        )
        scripts = re.findall("<script[^>]*>", answer.text)
        assert all(f'nonce="{nonce}"' in one and "integrity=" in one for one in scripts)
        assert nonce not in (await client.get("/portal" + path)).text
    else:
        assert policy == (
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == (
        "no-store" if path != STYLE else "public, max-age=31536000, immutable"
    )


PAGES = {
    "clinician": ["/look-up", "/claim", "/results", "/reports/" + "0" * 32],
    "registrar": ["/consents/find", "/consents", "/consents/new"],
    "auditor": ["/audit", "/audit/alarms", "/audit/verify"],
    "it": ["/sources", "/quarantine", "/issues", "/labels", "/unmapped", "/alarms"],
}
LOGINS = {"clinician": "zhou", "registrar": "lin", "auditor": "gu", "it": "he"}


@pytest.mark.parametrize("role", PAGES)
async def test_a_role_opens_its_own_pages_and_no_other(
    client: httpx.AsyncClient, role: str
) -> None:
    await signed_in(client, LOGINS[role])
    for owner, paths in PAGES.items():
        for path in paths:
            status = (await client.get("/portal" + path)).status_code
            assert (status != 403) == (owner == role), path


async def test_every_role_of_an_account_can_be_chosen_at_the_door(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/portal/sign-in")).text
    _, select, _ = re.split('<select id="role"|</select>', page)
    assert set(re.findall('value="([a-z]*)"', select)) == {"", *people.ROLES}


async def test_without_signing_in_every_page_leads_to_the_door(client: httpx.AsyncClient) -> None:
    for path in [path for paths in PAGES.values() for path in paths]:
        answer = await client.get("/portal" + path)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/portal/sign-in"


POSTS = {
    "clinician": ["/look-up", "/claim", "/put-back", "/reports/" + "0" * 32],
    "registrar": ["/consents/find", "/consents", "/consents/new", f"/consents/{'0' * 32}/withdraw"],
    "auditor": ["/audit", "/audit/alarms", "/audit/verify"],
    "it": ["/quarantine", "/unmapped", "/alarms"],
}


@pytest.mark.parametrize("role", POSTS)
async def test_a_form_without_the_token_changes_nothing(
    client: httpx.AsyncClient, county: County, role: str
) -> None:
    csrf = await signed_in(client, LOGINS[role])
    for path in [*POSTS[role], "/language", "/sign-out"]:
        for wrong in ({}, {"csrf": ""}, {"csrf": csrf[:-1] + "!"}):
            assert (await client.post("/portal" + path, data=wrong)).status_code in {400, 403}
    assert [told for told in county.stories.told if told[0] != "accesses"] == []
    assert len(county.people.sessions) == 1


async def test_a_report_that_lost_items_is_decided_at_its_own_two_buttons(
    client: httpx.AsyncClient, county: County
) -> None:
    csrf = await signed_in(client, "he")
    page = (await client.get("/portal/quarantine")).text
    assert page.count('value="withdraw"') == page.count('value="keep"') == 1, "one of three waits"
    for act, said in (("withdraw", "录入错误"), ("keep", "仍然有效"), ("", "重新处理")):
        data = {"csrf": csrf, "message": "q", "act": act}
        answer = await client.post("/portal/quarantine", data=data)
        assert answer.status_code == 303
        assert said in (await client.get("/portal/quarantine")).text
    assert county.stories.told[-3:] == [("withdraw", "q"), ("keep", "q"), ("replay", "q")]


@pytest.mark.parametrize(("role", "path"), [("it", "/alarms"), ("auditor", "/audit/alarms")])
async def test_an_alarm_of_ones_own_is_settled_at_its_button(
    client: httpx.AsyncClient, county: County, role: str, path: str
) -> None:
    csrf = await signed_in(client, LOGINS[role])
    page = (await client.get("/portal" + path)).text
    assert page.count('name="alarm"') == 1, "one waits and is the caller's own"
    assert f'action="/portal{path}"' in page
    answer = await client.post("/portal" + path, data={"csrf": csrf, "alarm": "7"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal" + path)
    assert "警示已标为已处理" in (await client.get("/portal" + path)).text
    assert county.stories.told[-1] == ("settle", "7")
    for wrong in ("", "x", "٧", "-1"):
        answer = await client.post("/portal" + path, data={"csrf": csrf, "alarm": wrong})
        assert answer.status_code == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_form_sent_by_another_site_is_refused(
    client: httpx.AsyncClient, county: County, site: str
) -> None:
    csrf = await signed_in(client, "zhou")
    data = {"csrf": csrf, "number": NUMBER}
    answer = await client.post("/portal/look-up", data=data, headers={"sec-fetch-site": site})

    assert answer.status_code == 403
    assert all("chart" not in s.memory for s in county.people.sessions.values())


async def test_signing_in_needs_a_token_too(client: httpx.AsyncClient, county: County) -> None:
    data = {"login": "zhou", "password": PASSWORD, "csrf": "x" * 43}
    assert (await client.post("/portal/sign-in", data=data)).status_code == 403
    assert county.people.sessions == {}


async def test_signing_out_ends_the_session_and_clears_the_browser(
    client: httpx.AsyncClient, county: County
) -> None:
    csrf = await signed_in(client, "zhou")
    answer = await client.post("/portal/sign-out", data={"csrf": csrf})

    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert county.people.sessions == {}


async def test_the_language_switch_leads_to_our_own_pages_only(client: httpx.AsyncClient) -> None:
    csrf = await signed_in(client, "zhou")
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", ""):
        data = {"csrf": csrf, "language": "en", "back": back}
        answer = await client.post("/portal/language", data=data)
        assert answer.headers["location"] == "/portal/"


async def test_a_handle_of_one_session_opens_nothing_in_another(
    client: httpx.AsyncClient, county: County
) -> None:
    csrf = await signed_in(client, "zhou")
    await client.post("/portal/look-up", data={"csrf": csrf, "number": NUMBER})
    link = re.search(r"/portal/reports/[0-9a-f]{32}", (await client.get("/portal/results")).text)
    assert link is not None
    assert (await client.get(link[0])).status_code == 200

    client.cookies.clear()
    await signed_in(client, "zhou")
    assert (await client.get(link[0])).status_code == 404


async def test_an_unknown_fault_tells_no_detail(
    client: httpx.AsyncClient,
    county: County,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(f"row of {NUMBER}")

    csrf = await signed_in(client, "zhou")
    monkeypatch.setattr(county.stories, "open_resident", broken)
    answer = await client.post("/portal/look-up", data={"csrf": csrf, "number": NUMBER})

    assert answer.status_code == 500
    assert NUMBER not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


PDF = b"%PDF-1.4 synthetic"


async def draft(client: httpx.AsyncClient) -> dict[str, str]:
    csrf = await signed_in(client, "lin")
    await client.post("/portal/consents/find", data={"csrf": csrf, "number": NUMBER})
    desk = await client.get("/portal/consents")
    choice = {"csrf": csrf, "about": about(desk), "kind": "share"}
    await client.post("/portal/consents", data=choice)
    form = await client.get("/portal/consents/new")
    return {"csrf": csrf, "about": about(form), "witness": "沈芷", "signed": "2026-02-28"}


@pytest.mark.parametrize(
    ("content", "changes", "status"),
    [
        (PDF, {}, 303),
        (PDF, {"witness": ""}, 422),
        (PDF, {"signed": "2026-03-02"}, 422),
        (PDF, {"signed": "gestern"}, 422),
        (b"", {}, 422),
        (b"<script>alert(1)</script>", {}, 415),
        (PDF + b"x" * 11_000_000, {}, 413),
    ],
)
async def test_a_consent_is_recorded_only_with_scan_witness_and_day(
    client: httpx.AsyncClient, county: County, content: bytes, changes: dict[str, str], status: int
) -> None:
    data = await draft(client) | changes
    files = {"evidence": ("scan.pdf", content, "application/pdf")}
    answer = await client.post("/portal/consents/new", data=data, files=files)

    assert answer.status_code == status
    assert [told[0] for told in county.stories.told] == (["record"] if status == 303 else [])


async def test_only_a_choice_that_was_offered_is_taken_down(
    client: httpx.AsyncClient, county: County
) -> None:
    csrf = await signed_in(client, "lin")
    await client.post("/portal/consents/find", data={"csrf": csrf, "number": NUMBER})
    desk = await client.get("/portal/consents")
    for wrong in (
        {"kind": "other"},
        {"kind": "category", "organization": "people", "category": "NOPE"},
        {"kind": "refuse-organization", "refused": "nobody"},
    ):
        answer = await client.post(
            "/portal/consents", data={"csrf": csrf, "about": about(desk)} | wrong
        )
        assert answer.status_code == 422


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"outcome": "accepted"}, 303),
        ({"outcome": "declined"}, 422),
        ({"outcome": "declined", "reason": "77"}, 422),
        ({"outcome": "declined", "reason": "08"}, 422),
        ({"outcome": "declined", "reason": "08", "words": "肢体受压"}, 303),
        ({"outcome": "declined", "reason": "02"}, 303),
    ],
)
async def test_declining_needs_a_known_reason_and_08_needs_words(
    client: httpx.AsyncClient, county: County, said: dict[str, str], status: int
) -> None:
    csrf = await signed_in(client, "zhou")
    await client.post("/portal/look-up", data={"csrf": csrf, "number": NUMBER})
    page = (await client.get("/portal/results")).text
    link = re.findall(r"/portal/reports/[0-9a-f]{32}", page)[0]
    target = re.search(r'name="target" value="([^"]+)"', (await client.get(link)).text)
    assert target is not None
    answer = await client.post(link, data={"csrf": csrf, "target": target[1]} | said)

    assert answer.status_code == status
    assert bool(county.stories.told) == (status == 303)


async def test_a_wrong_number_never_reaches_a_story(
    client: httpx.AsyncClient, county: County
) -> None:
    csrf = await signed_in(client, "gu")
    answer = await client.post("/portal/audit", data={"csrf": csrf, "number": NUMBER[:-1] + "4"})

    assert answer.status_code == 422
    assert [told[1].number for told in county.stories.told if told[0] == "accesses"] == ["", ""]


# The page of unmapped codes


@pytest.fixture
async def csrf(client: httpx.AsyncClient) -> str:
    """The token of an IT office's session."""
    return await signed_in(client, LOGINS["it"])


async def codes(client: httpx.AsyncClient, query: str = "") -> str:
    answer = await client.get(f"/portal/unmapped{query}")
    assert answer.status_code == 200
    return answer.text


async def test_codes_are_told_with_suggestions_and_why(client: httpx.AsyncClient, csrf: str):
    told = html.unescape(await codes(client))
    assert "肌酐(酶法)" in told
    assert "名称相似度 100%（肌酐），标本相符，单位可换算（umol/L）" in told
    assert "已打印<b>" in told
    assert "已打印<b>" not in await codes(client)  # escaped
    assert "比值，不是单位" in await codes(client, "?ignored=yes")


async def test_who_proposed_a_row_is_offered_no_approval_of_it(
    client: httpx.AsyncClient, csrf: str
):
    told = await codes(client)
    of_others, mine = (told.split(f'id="c{n}"')[1].split("</li>")[0] for n in (5, 6))
    assert 'value="approve"' in of_others
    assert 'value="approve"' not in mine
    assert 'value="decline"' in mine


STEPS = [
    (
        {"act": "propose", "line": "1", "loinc": "14682-9", "unit": "umol/L", "specimen": "SER"},
        ("propose", 1, {"loinc": "14682-9", "unit": "umol/L", "specimen": "SER"}, False),
    ),
    ({"act": "approve", "line": "5"}, ("approve", 5)),
    ({"act": "decline", "line": "6"}, ("decline", 6)),
    ({"act": "ignore", "line": "2", "reason": "比值"}, ("ignore", 2, "比值")),
    ({"act": "reopen", "line": "9"}, ("reopen", 9)),
]


@pytest.mark.parametrize(("form", "done"), STEPS)
async def test_each_step_is_one_form_and_says_what_happened(
    client: httpx.AsyncClient, county: County, csrf: str, form, done
):
    answer = await client.post("/portal/unmapped", data={"csrf": csrf, **form})

    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/unmapped")
    assert county.stories.decided == [done]
    assert 'class="notice"' in await codes(client)


async def test_a_doubtful_row_comes_back_with_the_doubt_and_may_be_proposed_knowingly(
    client: httpx.AsyncClient, county: County, csrf: str
):
    form = {"csrf": csrf, "act": "propose", "line": "1", "loinc": "47238-1"}
    answer = await client.post("/portal/unmapped", data=form)

    assert answer.status_code == 422
    assert "只是 IgG 抗体。" in answer.text
    assert 'value="47238-1"' in answer.text
    again = await client.post("/portal/unmapped", data={**form, "knowing": "yes"})
    assert again.status_code == 303
    assert [step[-1] for step in county.stories.decided] == [False, True]


@pytest.mark.parametrize(
    ("form", "status"),
    [({"act": "approve", "line": "6"}, 403), ({"act": "marry"}, 400), ({}, 400)],
)
async def test_what_is_refused_or_no_step_changes_nothing(
    client: httpx.AsyncClient, county: County, csrf: str, form, status
):
    answer = await client.post("/portal/unmapped", data={"csrf": csrf, **form})
    assert answer.status_code == status
    assert county.stories.decided == []
