"""Asks the county's matrix of rights before data is used: once at each kind of use.

Where it is asked: `meet` (viewing: FHIR, portal and consult hook), `patients.matched` (matching by number),
`filing` (storing), whoever sends on (`demand` with FORWARD), and whoever counts (`demand` with STATISTICS).
Residents looking at their own records are not asked: theirs is no right that the county grants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.recognition.rights import DataClass, Matrix, Use, Who, classes_of, permits
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inbox
from gateway.store.engine import Tx
from mappings.engine import Issue

NO_RIGHT = "no-right"
"""Names the refusal: a reason in events, an issue of a message, the kind of an alarm."""
RESIDENTS = frozenset({"patient", "representative"})


@dataclass(frozen=True, slots=True)
class Entitled:
    """What one requester may see at one instant, before anybody's consent is asked."""

    matrix: Matrix
    who: Who
    at: int

    def sees(self, type: str, categories: Iterable[str] = ()) -> bool:
        """Whether records of this kind may be looked at."""
        return all(
            permits(self.matrix, self.who, one, Use.VIEW, self.at)
            for one in classes_of(type, categories)
        )

    @property
    def everything(self) -> bool:
        """Whether nothing is narrowed."""
        return all(permits(self.matrix, self.who, one, Use.VIEW, self.at) for one in DataClass)


async def entitled(caller: Caller, services: Services, at: int) -> Entitled | None:
    """What the matrix lets the caller see; None where it narrows nothing."""
    if caller.role in RESIDENTS:
        return None
    standing = await services.rights.current()
    who = services.rights.who(standing, caller.organization, client=caller.client)
    found = Entitled(standing.matrix, who, at)
    return None if found.everything else found


async def may(caller: Caller, data_class: DataClass, use: Use, services: Services) -> bool:
    """Whether the caller may use this class so, now."""
    if caller.role in RESIDENTS:
        return True
    standing = await services.rights.current()
    who = services.rights.who(standing, caller.organization, client=caller.client)
    return permits(standing.matrix, who, data_class, use, services.now())


async def granted(caller: Caller, data_class: DataClass, use: Use, services: Services) -> bool:
    """As `may`; a no is a `refused` event and an alarm that stands until somebody settles it."""
    if await may(caller, data_class, use, services):
        return True
    at = services.now()
    body = Body(
        request=f"{NO_RIGHT}.{at}", reason=NO_RIGHT, details={"class": data_class, "use": use}
    ).asked_by(caller)
    await services.log.note(Kind.REFUSED, Outcome.DENY, caller, at, body)
    await services.db.do(_alarm, caller.client, f"{data_class}.{use}", at)
    return False


async def demand(caller: Caller, data_class: DataClass, use: Use, services: Services) -> None:
    """As `granted`; Problem REFUSED, as for anything that is not shared, when it is a no."""
    if not await granted(caller, data_class, use, services):
        raise Problem(Trouble.REFUSED, f"Not shared: {NO_RIGHT}.")


async def storable(
    source: inbox.SourceRow, said: Iterable[tuple[str, tuple[str, ...]]], services: Services
) -> tuple[Issue, ...]:
    """Why records of these (type, categories) may not be stored here; empty when all of them may.

    One issue for each class that its source has no right to store. The message as a whole is held then:
    what belongs together is not filed in parts, and it is read again when the right is there.
    """
    standing = await services.rights.current()
    who = services.rights.who(
        standing, source.organization, client=source.client, source=source.name
    )
    at = services.now()
    lacking = sorted(
        {
            "|".join(sorted(classes))
            for classes in {classes_of(type, categories) for type, categories in said}
            # What may be of two classes may be stored with a right to either; what may be of any
            # needs them all.
            if classes
            and not (all if len(classes) == len(DataClass) else any)(
                permits(standing.matrix, who, one, Use.STORE, at) for one in classes
            )
        }
    )
    for one in lacking:
        await services.db.do(_alarm, source.name, f"{one}.{Use.STORE}", at)
    return tuple(Issue("stop", NO_RIGHT, one) for one in lacking)


def _alarm(tx: Tx, who: str, about: str, at: int) -> None:
    """Once for each requester and use until it is settled."""
    about = f"{who}/{about}"
    if tx.one(inbox.ALARM_STANDS, NO_RIGHT, about) is None:
        tx.run(inbox.ADD_ALARM, NO_RIGHT, who, about, at)
