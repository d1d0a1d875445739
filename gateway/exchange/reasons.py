"""The reasons a hospital's form offers for not recognising a result, the usual ones first."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Kind, Problem
from gateway.recognition.reasons import Declined, LocalReason
from gateway.services import Services
from gateway.store import decisions as rows

ALWAYS_LAST = frozenset({Declined.OTHER, Declined.NOT_RECEIVED, Declined.MONITORING})


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of the list. `national` is what it is counted as; `counted`: as a refusal at all."""

    code: str
    zh: str
    en: str
    national: Declined
    local: LocalReason | None = None

    @property
    def counted(self) -> bool:
        """Does it count as a refusal in the figures?"""
        return self.national.counted

    @property
    def needs_words(self) -> bool:
        """Must the doctor say it in words too?"""
        return self.local is None and self.national.needs_words


def of(organization: str, services: Services) -> dict[str, Reason]:
    """Every reason of an organisation by its code: the national list and its own."""
    found = {one.value: Reason(one.value, one.zh, one.en, one) for one in Declined}
    for own in services.register.reasons(organization):
        found[own.code] = Reason(own.code, own.zh, own.en or own.zh, own.national, own)
    return found


async def offered(organization: str, services: Services) -> tuple[Reason, ...]:
    """The same in the order of a form: by how often this hospital's doctors chose each; "other" and
    what is no refusal come last."""
    uses: dict[str, int] = dict(await services.db.read(rows.USES, organization))
    everything = of(organization, services).values()
    return tuple(
        sorted(
            everything,
            key=lambda one: (
                one.local is None and one.national in ALWAYS_LAST,
                -uses.get(one.code, 0),
                one.local is None,
                one.code,
            ),
        )
    )


def named(code: str, organization: str, services: Services) -> Reason:
    """The reason a form or a system names; Problem UNPROCESSABLE for one that is not on its list."""
    found = of(organization, services).get(code)
    if found is None:
        raise Problem(Kind.UNPROCESSABLE, "Choose a reason of the list.", "reason")
    return found
