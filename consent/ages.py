"""Ages, computed from the birth date in county time and never looked up.

A birth date known in part is read the way that gives less access: what is granted needs an age that
is surely reached, what ends with an age ends when it is perhaps reached.
"""

from __future__ import annotations

from datetime import date

from consent.model import PatientContext
from consent.policy import PolicySet


def turns(birth: date, age: int, policy: PolicySet) -> int:
    """The first instant of the day somebody turns `age`; of 29 February, on 1 March of other years."""
    try:
        day = birth.replace(year=birth.year + age)
    except ValueError:
        day = date(birth.year + age, 3, 1)
    return policy.midnight(day)


def surely(patient: PatientContext, age: int, at: int, policy: PolicySet) -> bool:
    """Whether the patient has this age at the instant, whenever in the known days they were born."""
    return patient.birth is not None and at >= turns(patient.birth[1], age, policy)


def perhaps(patient: PatientContext, age: int, at: int, policy: PolicySet) -> bool:
    """Whether the patient may have this age at the instant; so it is when nobody knows."""
    return patient.birth is None or at >= turns(patient.birth[0], age, policy)
