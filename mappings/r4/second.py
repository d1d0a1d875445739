"""A second opinion on a resource: the models of fhir.resources (R4B), written by other people.

Only for tests and trials: it takes ten times as long as `check`, knows less (no code lists, reference
types or invariants), and importing it costs 0.2 s and 25 MB. It only reads: writing through its models
turns 6.10 into 6.1.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import orjson

from mappings.engine.jsontext import shown


def faults(raw: bytes, type_: str) -> list[str]:
    """The paths it finds fault with, nothing when it agrees or has no model of that type (R4B dropped some).

    Its own messages quote values, so they go nowhere.
    """
    model = _model(type_)
    if model is None:
        return []
    from pydantic import ValidationError

    try:
        model.model_validate(orjson.loads(raw))
    except ValidationError as fault:
        errors = fault.errors(include_url=False, include_context=False, include_input=False)
        return [type_ + _path(error["loc"]) for error in errors]
    except Exception:
        # The models raise other things for shapes they did not expect; all of them mean invalid.
        return [type_]
    return []


@cache
def _model(type_: str) -> Any:
    try:
        return getattr(importlib.import_module(f"fhir.resources.R4B.{type_.lower()}"), type_)
    except (ImportError, AttributeError, ValueError):
        return None


def _path(loc: tuple[int | str, ...]) -> str:
    steps = [step for step in loc if step != "root"]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{shown(step)}" for step in steps)
