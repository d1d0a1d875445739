"""What goes onto paper or into a file is noted before it does; during emergency access nothing goes."""

from __future__ import annotations

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.services import Services
from gateway.services.caller import Caller

PAGE = "page"
DOCUMENT = "document"


async def note(
    what: str, title: str, chart: str, emergency: bool, caller: Caller, services: Services
) -> None:
    """Note that a `PAGE` or `DOCUMENT` called `title` is printed; `chart` is whose it is, or "".

    During emergency access the refusal is noted and Problem REFUSED raised (such access is for
    reading only). Once this returns, the event is durable.
    """
    at = services.now()
    body = Body(request=f"print.{at}", details={"what": what, "title": title}).asked_by(caller)
    outcome = Outcome.DENY if emergency else Outcome.PERMIT
    await services.log.note(Kind.PRINT, outcome, caller, at, body, (chart,) if chart else ())
    if emergency:
        raise Problem(Trouble.REFUSED, "During emergency access nothing is printed.")
