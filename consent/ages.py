"""Ages, computed from the birth date in county time and never looked up.

A birth date known in part is read the way that gives less access: what is granted needs an age that
is surely reached, what ends with an age ends when it is perhaps reached.
"""

from __future__ import annotations

from datetime import date

from consent.model import PatientContext
from consent.policy import PolicySet


def birthday(birth: date, age: int) -> date:
    """The day somebody turns `age`; born on 29 February, on 1 March of other years."""
    try:
        return birth.replace(year=birth.year + age)
    except ValueError:
        return date(birth.year + age, 3, 1)


def turns(birth: date, age: int, policy: PolicySet) -> int:
    """The first instant of the day somebody turns `age`."""
    return policy.midnight(birthday(birth, age))


def age(patient: PatientContext, today: date, *, latest: bool) -> int:
    """Completed years by the latest or earliest possible birth; unknown reads as least access."""
    if patient.birth is None:
        return -1 if latest else 999
    birth = patient.birth[1 if latest else 0]
    years = today.year - birth.year
    return years if birthday(birth, years) <= today else years - 1


def surely(patient: PatientContext, age: int, at: int, policy: PolicySet) -> bool:
    """Whether the patient has this age at the instant, whenever in the known days they were born."""
    return patient.birth is not None and at >= turns(patient.birth[1], age, policy)


def perhaps(patient: PatientContext, age: int, at: int, policy: PolicySet) -> bool:
    """Whether the patient may have this age at the instant; so it is when nobody knows."""
    return patient.birth is None or at >= turns(patient.birth[0], age, policy)
