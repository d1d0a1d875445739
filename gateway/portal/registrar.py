"""The registration desk: what a resident has agreed to, on paper and here."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, get_args

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.identity.resident_id import NotAnId
from gateway.portal.desk import EVIDENCE_LIMIT, Desk, plain
from gateway.portal.identifiers import kept, typed
from gateway.portal.stories import (
    ConsentChoice,
    ConsentDesk,
    ConsentKind,
    Evidence,
    Identifier,
    Language,
)

OFFERED: tuple[ConsentKind, ...] = tuple(k for k in get_args(ConsentKind) if k != "other")
MAGIC = {
    b"%PDF-": "application/pdf",
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
}


ENDINGS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}


async def find_page(desk: Desk) -> Response:
    return await desk.page("consent-find.html", misread=None)


async def find(desk: Desk) -> Response:
    """Take the resident's number to the desk; the number stays in the session."""
    match typed(desk):
        case NotAnId() as why:
            return await desk.page("consent-find.html", 422, misread=why)
        case identifier:
            desk.paced("look-up")
            at_desk = {"kind": identifier.kind, "number": identifier.number}
            return await desk.go("/consents", at_desk=at_desk, draft=None, code=None, account=None)


def _identifier(desk: Desk) -> Identifier | None:
    return kept(plain(desk.who.memory, "at_desk"))


def _matter(desk: Desk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Whom the desk has before it, and what was chosen for them."""
    return plain(desk.who.memory, "at_desk"), plain(desk.who.memory, "draft")


async def at_desk(desk: Desk) -> ConsentDesk | None:
    identifier = _identifier(desk)
    if identifier is None:
        return None
    return await desk.portal.stories.consents(identifier, desk.who.caller)


async def desk_page(desk: Desk) -> Response:
    return await _desk_page(desk)


async def _desk_page(desk: Desk, status: int = 200, missing: str = "") -> Response:
    here = await at_desk(desk)
    if here is None:
        return await desk.go("/consents/find")
    draft = plain(desk.who.memory, "draft")
    if desk.request.method == "POST":
        draft = _chosen(desk)
    identifier = _identifier(desk)
    assert identifier is not None, "somebody is at the desk"
    return await desk.page(
        "consents.html",
        status,
        pairs=await desk.portal.stories.folder_pairs(identifier, desk.who.caller),
        resident=here.resident,
        file=here,
        offered=OFFERED,
        about=desk.about(_matter(desk)[0]),
        draft=draft,
        missing=missing,
    )


async def folders(desk: Desk) -> Response:
    """Write down what the resident says of two folders; the card must have been looked at."""
    identifier = _identifier(desk)
    if identifier is None:
        return await desk.go("/consents/find")
    desk.still_about(_matter(desk)[0])
    answer, pair = desk.text("answer"), desk.text("pair", 20)
    if answer not in ("one", "two") or not desk.text("checked") or not pair.isdecimal():
        return await _desk_page(desk, 422, "folders")
    await desk.portal.stories.answer_folders(
        int(pair), "one" if answer == "one" else "two", identifier, desk.who.caller
    )
    return await desk.go("/consents", f"folders-{answer}")


def _chosen(desk: Desk) -> dict[str, Any]:
    """What was chosen on the desk page, as it may be kept in the session."""
    kind = desk.text("kind")
    field = {"category": "organization", "refuse-organization": "refused"}.get(kind, "")
    return {
        "kind": kind,
        "organization": desk.text(field) if field else "",
        "category": desk.text("category") if kind == "category" else "",
        "name": desk.text("name", 100),
    }


async def draft(desk: Desk) -> Response:
    """Take down the choice; the next page says it in plain words before anything is recorded."""
    here = await at_desk(desk)
    if here is None:
        return await desk.go("/consents/find")
    desk.still_about(_matter(desk)[0])
    chosen = _chosen(desk)
    missing = _missing(chosen, here)
    if missing:
        return await _desk_page(desk, 422, missing)
    return await desk.go("/consents/new", draft=chosen)


def _missing(chosen: dict[str, Any], file: ConsentDesk) -> str:
    if chosen["kind"] not in OFFERED:
        return "kind"
    if chosen["kind"] in {"category", "refuse-organization"} and chosen["organization"] not in {
        choice.code for choice in file.organizations
    }:
        return "organization"
    if chosen["kind"] == "category" and chosen["category"] not in {c.code for c in file.categories}:
        return "category"
    return "" if file.resident.name or chosen["name"] else "name"


async def preview(desk: Desk) -> Response:
    return await _preview(desk)


async def _preview(desk: Desk, status: int = 200, missing: str = "", **given: str) -> Response:
    here = await at_desk(desk)
    draft = plain(desk.who.memory, "draft")
    if here is None or not draft:
        return await desk.go("/consents")
    names = {c.code: c.name for c in (*here.organizations, *here.categories)}
    identifier = _identifier(desk)
    assert identifier is not None, "somebody is at the desk"
    return await desk.page(
        "consent-new.html",
        status,
        effects=await effects(desk, draft),
        resident=here.resident,
        ways=await desk.portal.stories.signing_ways(identifier, desk.who.caller),
        about=desk.about(*_matter(desk)),
        draft=draft,
        organization=names.get(draft["organization"], ""),
        category=names.get(draft["category"], ""),
        today=desk.portal.today(),
        missing=missing,
        typed={"signed": desk.portal.today().isoformat(), "witness": "", "signer": ""} | given,
    )


async def effects(desk: Desk, draft: dict[str, Any]) -> tuple[str, ...] | None:
    """What the choice would change for the resident at the desk, to be read before anybody signs."""
    identifier = _identifier(desk)
    assert identifier is not None, "the desk has somebody before it"
    tongue: Language = "en" if desk.language == "en" else "zh"
    return await desk.portal.stories.consent_effects(identifier, draft, tongue, desk.who.caller)


async def record(desk: Desk) -> Response:
    """Record what was signed, with its scan and its witness."""
    identifier, draft = _identifier(desk), plain(desk.who.memory, "draft")
    if identifier is None or not draft:
        return await desk.go("/consents")
    desk.still_about(*_matter(desk))
    witness, day = desk.text("witness", 100), desk.text("signed")
    signed = _day(day)
    upload = desk.file("evidence")
    missing = (
        "evidence"
        if upload is None
        else "witness"
        if not witness
        else "signed"
        if signed is None or signed > desk.portal.today()
        else ""
    )
    signer = desk.text("signer")
    if missing or upload is None or signed is None:
        return await _preview(desk, 422, missing, witness=witness, signed=day, signer=signer)
    content = await upload.read()
    if len(content) > EVIDENCE_LIMIT:
        raise Problem(Kind.TOO_LARGE, "The scan is too large.")
    choice = ConsentChoice(
        kind=draft["kind"],
        signed=signed,
        witness=witness,
        organization=draft["organization"],
        category=draft["category"],
        name=draft["name"],
        guardian=_guardian(signer),
    )
    evidence = Evidence(media_type_of(content), content)
    try:
        await desk.portal.stories.record_consent(identifier, choice, evidence, desk.who.caller)
    except Problem as problem:
        if not _signer_at_fault(problem):
            raise
        return await _preview(desk, 422, "signer", witness=witness, signed=day, signer=signer)
    return await desk.go("/consents", "recorded", draft=None)


def _signer_at_fault(problem: Problem) -> bool:
    """Whether whoever signs may not: a child for itself, or somebody whose right has ended."""
    places = [one.place for one in problem.complaints]
    return "guardian" in places or any(one.startswith("Consent.performer") for one in places)


def _guardian(signer: str) -> str:
    """The guardian's right of a form's choice; empty where the resident signs."""
    return "" if signer == "resident" else signer


def media_type_of(content: bytes) -> str:
    """What a scan is by its first bytes, whatever its name says; Problem MEDIA_TYPE otherwise."""
    for magic, media_type in MAGIC.items():
        if content.startswith(magic):
            return media_type
    raise Problem(Kind.MEDIA_TYPE, "Not a PDF, JPEG or PNG.")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def withdraw_page(desk: Desk) -> Response:
    return await _withdraw_page(desk)


async def _withdraw_page(desk: Desk, status: int = 200, missing: str = "") -> Response:
    here = await at_desk(desk)
    id = desk.id_of(desk.request.path_params["handle"])
    active = [c for c in here.consents if c.in_force] if here else []
    consent = next((c for c in active if c.id == id), None)
    if here is None or consent is None:
        raise Problem(Kind.UNKNOWN, "No such consent in force.")
    identifier = _identifier(desk)
    assert identifier is not None, "the desk has somebody before it"
    tongue: Language = "en" if desk.language == "en" else "zh"
    stories, caller = desk.portal.stories, desk.who.caller
    return await desk.page(
        "withdraw.html",
        status,
        resident=here.resident,
        consent=consent,
        missing=missing,
        effects=await stories.withdrawal_effects(identifier, consent.id, tongue, caller),
    )


async def withdraw(desk: Desk) -> Response:
    """Take a consent back: the resident's word is enough, and nobody has to give a reason."""
    witness = desk.text("witness", 100)
    if not witness:
        return await _withdraw_page(desk, 422, "witness")
    id = desk.id_of(desk.request.path_params["handle"])
    await desk.portal.stories.withdraw_consent(id, witness, desk.who.caller)
    return await desk.go("/consents", "withdrawn")


# Signing by a code


async def send_code(desk: Desk) -> Response:
    """Send the code that signs what was read out, to the telephone on file."""
    identifier, draft = _identifier(desk), plain(desk.who.memory, "draft")
    if identifier is None or not draft:
        return await desk.go("/consents")
    desk.still_about(*_matter(desk))
    desk.paced("look-up")
    witness, signer = desk.text("witness", 100), desk.text("signer")
    if not witness:
        return await _preview(desk, 422, "code-witness", signer=signer)
    choice = ConsentChoice(
        kind=draft["kind"],
        signed=desk.portal.today(),
        witness=witness,
        organization=draft["organization"],
        category=draft["category"],
        name=draft["name"],
        guardian=_guardian(signer),
    )
    try:
        sent = await desk.portal.stories.send_signing_code(identifier, choice, desk.who.caller)
    except Problem as problem:
        place = "signer" if _signer_at_fault(problem) else problem.place
        if place not in ("phone", "code", "signer"):
            raise
        return await _preview(desk, problem.kind.status, place, witness=witness, signer=signer)
    code = {"id": sent.id, "phone": sent.phone, "until": sent.until.isoformat()}
    return await desk.go("/consents/code", code=code)


async def code_page(desk: Desk) -> Response:
    return await _code_page(desk)


async def _code_page(desk: Desk, status: int = 200, wrong: bool = False) -> Response:
    here = await at_desk(desk)
    draft, code = plain(desk.who.memory, "draft"), plain(desk.who.memory, "code")
    if here is None or not draft or not code:
        return await desk.go("/consents")
    names = {c.code: c.name for c in (*here.organizations, *here.categories)}
    return await desk.page(
        "consent-code.html",
        status,
        resident=here.resident,
        about=desk.about(*_matter(desk)),
        draft=draft,
        organization=names.get(draft["organization"], ""),
        category=names.get(draft["category"], ""),
        phone=code["phone"],
        until=datetime.fromisoformat(code["until"]),
        wrong=wrong,
    )


async def sign(desk: Desk) -> Response:
    """Record what the code signs; a wrong one may be typed again while it lives."""
    code = plain(desk.who.memory, "code")
    if not code:
        return await desk.go("/consents")
    desk.still_about(*_matter(desk))
    try:
        await desk.portal.stories.sign_with_code(code["id"], desk.text("code", 20), desk.who.caller)
    except Problem as problem:
        if problem.place != "code":
            raise
        return await _code_page(desk, 422, wrong=True)
    return await desk.go("/consents", "recorded", draft=None, code=None)


async def evidence(desk: Desk) -> Response:
    """What was handed in with a consent, as a file; never shown inside a page of ours."""
    id = desk.id_of(desk.request.path_params["handle"])
    found = await desk.portal.stories.consent_evidence(id, desk.who.caller)
    ending = ENDINGS.get(found.media_type, "json")
    return Response(
        found.content,
        media_type=found.media_type if ending != "json" else "application/json",
        headers={"content-disposition": f'attachment; filename="evidence.{ending}"'},
    )
