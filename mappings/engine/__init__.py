"""The mapping engine: load a hospital's map, read its deliveries.

county = load(Path("mappings/sites/people"), "https://gateway.example/fhir")
reading = county.read(raw, ids, origin=digest)
"""

from mappings.engine.coverage import Coverage
from mappings.engine.explain import Explained
from mappings.engine.model import (
    Edit,
    Finding,
    Identifier,
    Ids,
    Issue,
    LocalId,
    MapError,
    Mapped,
    Merge,
    Message,
    Mode,
    Reading,
    Severity,
    Unit,
    Unmapped,
)
from mappings.engine.release import Map, lint, load
from mappings.engine.streams import TooLarge

__all__ = [
    "Coverage",
    "Edit",
    "Explained",
    "Finding",
    "Identifier",
    "Ids",
    "Issue",
    "LocalId",
    "Map",
    "MapError",
    "Mapped",
    "Merge",
    "Message",
    "Mode",
    "Reading",
    "Severity",
    "TooLarge",
    "Unit",
    "Unmapped",
    "lint",
    "load",
]
