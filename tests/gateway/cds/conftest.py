"""The served county of the FHIR door's tests, with the consult hook called as a hospital's system would."""

from tests.gateway.fhir.conftest import shared

__all__ = ["shared"]
