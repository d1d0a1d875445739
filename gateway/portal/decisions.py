"""The doctor's pages on decisions: what one rested on, taking it back, and what has changed since."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.portal import decisions_words, printed
from gateway.portal.desk import Adder, Desk


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/alerts", alerts, "clinician"),
        get("/decisions/{handle}", evidence, "clinician"),
        post("/decisions/{handle}", revoke, "clinician"),
        post("/decisions/{handle}/document", document, "clinician"),
    ]


async def alerts(desk: Desk) -> Response:
    """Results the doctor decided on that have changed; looked at, they are no news any more."""
    found = await desk.portal.stories.relied_alerts(desk.who.caller, looked=True)
    return await desk.page("alerts.html", found=found, terms=decisions_words)


async def evidence(desk: Desk) -> Response:
    """Everything a decision rested on, newest first."""
    return await _page(desk)


async def _page(desk: Desk, missing: str = "", status: int = 200) -> Response:
    task = desk.id_of(desk.request.path_params["handle"])
    told = await desk.portal.stories.decision_file(task, desk.who.caller)
    return await desk.page(
        "decision.html", status, file=told, missing=missing, terms=decisions_words
    )


async def revoke(desk: Desk) -> Response:
    """Take the decision back; a word why is needed."""
    task = desk.id_of(desk.request.path_params["handle"])
    words = desk.text("words", 500)
    try:
        await desk.portal.stories.revoke_decision(task, words, desk.who.caller)
    except Problem as problem:
        if problem.kind is not Kind.UNPROCESSABLE:
            raise
        return await _page(desk, "words", 422)
    return await desk.go("/decisions/" + desk.request.path_params["handle"], "revoked")


async def document(desk: Desk) -> Response:
    """The newest evidence as a PDF to keep: who printed it when, page x of y, its SHA-256."""
    task = desk.id_of(desk.request.path_params["handle"])
    told = await desk.portal.stories.decision_file(task, desk.who.caller)
    if not told.found:
        raise Problem(Kind.UNKNOWN, "Nothing is kept of this decision.")
    newest = told.found[0]
    return await printed.document(
        desk,
        "decision-document.html",
        f"decision-{newest.fingerprint[:8]}.pdf",
        newest.issuer,
        f"{told.patient} {told.number}".strip(),
        one=newest,
        terms=decisions_words,
    )
