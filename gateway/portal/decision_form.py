"""The form that decides on results, on a report's page and on a prompt's: what it says, and what it lacks."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.errors import Kind, Problem
from gateway.portal.desk import Desk
from gateway.portal.shown import OUTCOMES
from gateway.portal.stories import Target, Verdict


class Form(NamedTuple):
    """What was ticked, in the versions that were on the screen, and said of it; `missing` is the part
    that has to be filled in: targets, reason or words."""

    targets: tuple[Target, ...]
    verdict: Verdict
    missing: str


async def read(desk: Desk) -> Form:
    """The form as it was sent; anything but the two ways of accepting declines."""
    targets = tuple(_target(desk, value) for value in desk.texts("target"))
    chosen = desk.text("outcome")
    outcome: Literal["accepted", "accepted-reread", "declined"] = next(
        (one for one in OUTCOMES.values() if one == chosen), "declined"
    )
    if outcome != "declined":
        return Form(targets, Verdict(outcome, "", "", False), "" if targets else "targets")
    said = Verdict(
        outcome, desk.text("reason", 20), desk.text("words", 500),
        desk.text("explained") == "yes", desk.text("acknowledged", 500),
    )  # fmt: skip
    offered = {one.code: one for one in await desk.portal.stories.decline_reasons(desk.who.caller)}
    reason = offered.get(said.reason)
    missing = ""
    if not targets:
        missing = "targets"
    elif reason is None:
        missing = "reason"
    elif reason.needs_words and not said.words:
        missing = "words"
    return Form(targets, said, missing)


def _target(desk: Desk, value: str) -> Target:
    name, _, version = value.partition(".")
    if not version:
        raise Problem(Kind.MALFORMED, "A target without its version.")
    return Target(desk.id_of(name), version)
