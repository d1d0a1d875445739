"""A resident's own pages: what I agreed to, who looked, my results, for whom I act."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.portal import mine_words, printed
from gateway.portal.desk import Desk, plain
from gateway.portal.mine_stories import Me, MyConsents, Wish

OFFERED = ("share", "refuse-organization", "category", "refuse-all")
SHORTEST_QUESTION = 6  # characters
_FIELD = {"category": "organization", "refuse-organization": "refused"}


def _acting(desk: Desk) -> str:
    kept = desk.who.memory.get("acting", "")
    return kept if isinstance(kept, str) else ""


async def _me(desk: Desk) -> Me | None:
    """Whose pages these are now; None when a right to act has just ended."""
    return await desk.portal.stories.me(_acting(desk), desk.who.caller)


async def _page(desk: Desk, me: Me, template: str, status: int = 200, **more: Any) -> Response:
    return await desk.page(template, status, mine=me, say=mine_words, **more)


async def _ended(desk: Desk) -> Response:
    """The right to act is over: back to oneself; where the account is over, out."""
    if _acting(desk):
        return await desk.go("/mine", "acting-ended", acting=None, wish=None, code=None)
    raise Problem(Kind.UNAUTHENTICATED, "The account has ended.")


async def home(desk: Desk) -> Response:
    """What is new, for whom I act, what I can do."""
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    answer = await _page(desk, me, "mine.html")
    if any(notice.new for notice in me.notices):
        await desk.portal.stories.seen_notices(_acting(desk), desk.who.caller)
    return answer


async def act(desk: Desk) -> Response:
    """Take up somebody else's matters, or one's own again."""
    wanted = desk.text("for")
    if not wanted:
        return await desk.go("/mine", "myself", acting=None, wish=None, code=None)
    id = desk.id_of(wanted)
    if await desk.portal.stories.me(id, desk.who.caller) is None:
        return await desk.go("/mine", "acting-ended", acting=None, wish=None, code=None)
    return await desk.go("/mine", "acting", acting=id, wish=None, code=None)


# What I agreed to


async def consents(desk: Desk) -> Response:
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    if not me.decides:
        return await _page(desk, me, "mine-consents.html", file=None)
    file = await desk.portal.stories.my_consents(_acting(desk), desk.who.caller)
    return await _page(desk, me, "mine-consents.html", file=file)


async def choose_page(desk: Desk) -> Response:
    return await _choose_page(desk)


async def _choose_page(desk: Desk, status: int = 200, missing: str = "") -> Response:
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    file = await desk.portal.stories.my_consents(_acting(desk), desk.who.caller)
    draft = _typed(desk) if desk.request.method == "POST" else plain(desk.who.memory, "wish")
    return await _page(
        desk,
        me,
        "mine-new.html",
        status,
        file=file,
        offered=OFFERED,
        draft=draft,
        missing=missing,
        today=desk.portal.today(),
        about=desk.about(_acting(desk)),
    )


def _typed(desk: Desk) -> dict[str, str]:
    kind = desk.text("kind")
    field = _FIELD.get(kind, "")
    return {
        "kind": kind,
        "organization": desk.text(field) if field else "",
        "category": desk.text("category") if kind == "category" else "",
        "until": desk.text("until", 10) if desk.text("ends") == "day" else "",
    }


async def choose(desk: Desk) -> Response:
    """Take down the wish; the next page says what it would change."""
    desk.still_about(_acting(desk))
    file = await desk.portal.stories.my_consents(_acting(desk), desk.who.caller)
    wish = _typed(desk)
    missing = _missing(desk, wish, file)
    if missing:
        return await _choose_page(desk, 422, missing)
    return await desk.go("/mine/consents/preview", wish=wish, code=None)


def _missing(desk: Desk, wish: dict[str, str], file: MyConsents) -> str:
    if wish["kind"] not in OFFERED:
        return "kind"
    codes = {choice.code for choice in file.organizations}
    if wish["kind"] in _FIELD and wish["organization"] not in codes:
        return "organization"
    if wish["kind"] == "category" and wish["category"] not in {c.code for c in file.categories}:
        return "category"
    if desk.text("ends") == "day":
        until = day(wish["until"])
        if until is None or until < desk.portal.today():
            return "until"
    return ""


def _wish(kept: dict[str, Any]) -> Wish:
    return Wish(
        kept.get("kind", ""),
        kept.get("organization", ""),
        kept.get("category", ""),
        day(kept.get("until", "")),
    )


async def preview(desk: Desk) -> Response:
    """What would be different, before anything is signed."""
    me, kept = await _me(desk), plain(desk.who.memory, "wish")
    if me is None:
        return await _ended(desk)
    if not kept:
        return await desk.go("/mine/consents/new")
    stories, caller = desk.portal.stories, desk.who.caller
    file = await stories.my_consents(_acting(desk), caller)
    changes = await stories.preview_wish(_acting(desk), _wish(kept), caller)
    return await _page(
        desk,
        me,
        "mine-preview.html",
        wish=kept,
        until=day(kept["until"]),
        names=_names(file),
        changes=changes,
        about=desk.about(_acting(desk), kept),
    )


def _names(file: MyConsents) -> dict[str, str]:
    return {choice.code: choice.name for choice in (*file.organizations, *file.categories)}


async def sign(desk: Desk) -> Response:
    """Send the code that signs the wish."""
    kept = plain(desk.who.memory, "wish")
    if not kept:
        return await desk.go("/mine/consents/new")
    desk.still_about(_acting(desk), kept)
    sent = await desk.portal.stories.sign_wish(_acting(desk), _wish(kept), desk.who.caller)
    return await desk.go("/mine/consents/code", code={"id": sent.id, "phone": sent.phone})


async def code_page(desk: Desk) -> Response:
    return await _code_page(desk)


async def _code_page(desk: Desk, status: int = 200, wrong: bool = False) -> Response:
    me, code = await _me(desk), plain(desk.who.memory, "code")
    if me is None:
        return await _ended(desk)
    if not code:
        return await desk.go("/mine/consents")
    return await _page(
        desk, me, "mine-code.html", status, code=code, wrong=wrong, about=desk.about(code)
    )


async def confirm(desk: Desk) -> Response:
    """Sign with the code: a new consent, or the end of a refusal."""
    code = plain(desk.who.memory, "code")
    if not code:
        return await desk.go("/mine/consents")
    desk.still_about(code)
    stories, caller, typed = desk.portal.stories, desk.who.caller, desk.text("code", 20)
    if code.get("ends"):
        done = await stories.confirm_taking_back(
            _acting(desk), code["ends"], code["id"], typed, caller
        )
        if not done:
            return await _code_page(desk, 422, True)
        return await desk.go("/mine/consents", "taken-back", code=None)
    id = await stories.confirm_wish(_acting(desk), code["id"], typed, caller)
    if id is None:
        return await _code_page(desk, 422, True)
    return await desk.go(f"/mine/consents/{desk.handle(id)}", "signed", code=None, wish=None)


async def consent(desk: Desk) -> Response:
    """One consent with everything its receipt says."""
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    id = desk.id_of(desk.request.path_params["handle"])
    one = await desk.portal.stories.my_consent(id, desk.who.caller)
    return await _page(desk, me, "mine-consent.html", one=one)


async def receipt_file(desk: Desk) -> Response:
    """The receipt as a file to keep; also for the desk that recorded it."""
    id = desk.id_of(desk.request.path_params["handle"])
    one = await desk.portal.stories.my_consent(id, desk.who.caller)
    name = f"receipt-{one.digest[:8]}.pdf"
    return await printed.document(desk, "receipt.html", name, "", one=one, say=mine_words)


async def take_back_page(desk: Desk) -> Response:
    """What taking it back would change."""
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    stories, caller = desk.portal.stories, desk.who.caller
    id = desk.id_of(desk.request.path_params["handle"])
    one = await stories.my_consent(id, caller)
    if not one.consent.in_force:
        raise Problem(Kind.UNKNOWN, "No such consent in force.")
    changes = await stories.preview_taking_back(_acting(desk), id, caller)
    return await _page(desk, me, "mine-take-back.html", one=one, changes=changes)


async def take_back(desk: Desk) -> Response:
    """Take it back: at once, or by a code where that opens something."""
    id = desk.id_of(desk.request.path_params["handle"])
    sent = await desk.portal.stories.take_back(_acting(desk), id, desk.who.caller)
    if sent is None:
        return await desk.go("/mine/consents", "taken-back")
    code = {"id": sent.id, "phone": sent.phone, "ends": id}
    return await desk.go("/mine/consents/code", code=code)


# Who looked


async def looks(desk: Desk) -> Response:
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    before = day(desk.request.query_params.get("before", ""))
    found = await desk.portal.stories.my_looks(_acting(desk), before, desk.who.caller)
    return await _page(desk, me, "mine-looked.html", found=found)


async def question(desk: Desk) -> Response:
    """I do not know who this was: ask why, and somebody has to answer."""
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    ref, on, words = desk.text("ref", 200), day(desk.text("day", 10)), desk.text("words")
    if on is None:
        raise Problem(Kind.MALFORMED, "A day is wanted.")
    asked = "words" in desk.form
    if asked and len(words) >= SHORTEST_QUESTION:
        await desk.portal.stories.question_look(_acting(desk), ref, on, words, desk.who.caller)
        return await desk.go("/mine/looked", "asked")
    due = desk.portal.today() + timedelta(days=15)
    return await _page(
        desk,
        me,
        "mine-question.html",
        422 if asked else 200,
        ref=ref,
        on=on,
        words_=words,
        asked=asked,
        due=due,
    )


# My results


async def results(desk: Desk) -> Response:
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    found = await desk.portal.stories.my_results(_acting(desk), desk.who.caller)
    return await _page(desk, me, "mine-results.html", reports=found)


async def report(desk: Desk) -> Response:
    me = await _me(desk)
    if me is None:
        return await _ended(desk)
    id = desk.id_of(desk.request.path_params["handle"])
    view = await desk.portal.stories.my_report(_acting(desk), id, desk.who.caller)
    return await _page(desk, me, "mine-report.html", view=view)


# The account


async def account(desk: Desk) -> Response:
    me = await desk.portal.stories.me("", desk.who.caller)
    if me is None:
        return await _ended(desk)
    return await _page(desk, me, "mine-account.html")


async def end_right(desk: Desk) -> Response:
    """Give up a right to act, or take one back."""
    await desk.portal.stories.end_acting(desk.id_of(desk.text("right", 64)), desk.who.caller)
    return await desk.go("/mine/account", "right-ended", acting=None)


async def end_account(desk: Desk) -> Response:
    """Close the account; the browser is signed out with it."""
    if desk.text("sure") != "yes":
        return await account(desk)
    await desk.portal.stories.end_account(desk.who.caller)
    return await desk.go("/sign-in")


async def first_password_page(desk: Desk) -> Response:
    return await _first_password_page(desk)


async def _first_password_page(desk: Desk, status: int = 200, wrong: str = "") -> Response:
    login = desk.text("login", 64) if desk.request.method == "POST" else ""
    return await desk.page("first-password.html", status, wrong=wrong, login=login, done=False)


async def first_password(desk: Desk) -> Response:
    """Set the first password with the code that was sent to one's telephone."""
    desk.portal.pace.take("first-password", desk.address, desk.portal.services.now())
    password = desk.text("password", 1_000)
    if password != desk.text("again", 1_000):
        return await _first_password_page(desk, 422, "again")
    try:
        done = await desk.portal.stories.first_password(
            desk.text("login", 64), desk.text("code", 64), password, desk.address
        )
    except Problem as problem:
        if problem.kind is Kind.MALFORMED:
            return await _first_password_page(desk, 422, "short")
        raise
    if not done:
        return await _first_password_page(desk, 401, "code")
    return await desk.page("first-password.html", wrong="", login=desk.text("login", 64), done=True)


def day(text: str) -> date | None:
    """A day as forms write it; None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
