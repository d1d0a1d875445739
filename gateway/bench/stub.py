"""Takes consent, decryption and audit out of a running gateway, to see what they cost.

Only the bench's own process does this, and only to data it invented: it is patching, not a setting.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from consent.model import Permit, Reason
from gateway.exchange import ask, person
from gateway.services import Services
from gateway.services.log import AccessLog, Leaf
from gateway.vault.seal import Sealer

_YES = Permit(Reason.DEFAULT)


class _Yes:
    """A ruling that was never made."""

    gate = None
    until = None

    def decide(self, facets: Any) -> Permit:
        return _YES


class _NoLog:
    """Says that it wrote."""

    def __init__(self, log: AccessLog) -> None:
        self.writer, self.filing_writer, self.now = log.writer, log.filing_writer, log.now
        self.ledger_writer = log.ledger_writer

    async def write(self, draft: Any) -> Leaf:
        return Leaf("stub", 1)


async def _no_event(*given: Any, **named: Any) -> Leaf:
    return Leaf("stub", 1)


def without_consent_decryption_and_audit(services: Services) -> Services:
    """The same services; from now on this process decides, opens and notes nothing.

    A text is really opened once and then remembered under its ciphertext, which costs a look-up.
    """
    known: dict[bytes, bytes] = {}
    really = Sealer.open

    def remembered(self: Sealer, sealed: bytes, name: bytes) -> bytes:
        plain = known.get(sealed)
        if plain is None:
            plain = known[sealed] = really(self, sealed, name)
        return plain

    patched = cast(Any, Sealer)
    patched.open = remembered
    for module, name, stand_in in (
        (person, "gates", lambda *given: None),
        (person, "ruling", lambda *given: _Yes()),
        (ask, "_event", _no_event),
    ):
        setattr(module, name, stand_in)
    cast(Any, person.Person).decide = lambda self, chart, pair: _YES
    cast(Any, person.Person).decide_all = lambda self, chart, nature: _YES
    return replace(services, log=cast(AccessLog, _NoLog(services.log)))
