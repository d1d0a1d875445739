"""What HL7 CDS Hooks 2.0 says of discovery and responses, written from its text and from nothing of ours."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

INDICATORS = {"info", "warning", "critical"}
CARD = {
    "uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior",
    "overrideReasons", "links", "extension",
}  # fmt: skip
_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")


def response_faults(response: Any) -> list[str]:
    """Where a response departs from "CDS Service Response"; empty when nowhere."""
    if not isinstance(response, dict) or not isinstance(response.get("cards"), list):
        return ["cards"]
    found = [name for name in response if name not in {"cards", "systemActions", "extension"}]
    for n, card in enumerate(response["cards"]):
        found += [f"cards[{n}].{fault}" for fault in _card(card)]
    ids = [card.get("uuid") for card in response["cards"] if "uuid" in card]
    return found + (["uuid twice"] if len(set(ids)) != len(ids) else [])


def _card(card: dict[str, Any]) -> Iterator[str]:
    summary, source = card.get("summary"), card.get("source")
    if not isinstance(summary, str) or not summary.strip() or len(summary) >= 140:
        yield "summary"
    if card.get("indicator") not in INDICATORS:
        yield "indicator"
    if not isinstance(source, dict) or not str(source.get("label", "")).strip():
        yield "source.label"
    elif "topic" in source and not {"code", "system"} <= set(source["topic"]):
        yield "source.topic"
    if "uuid" in card and not is_uuid(card["uuid"]):
        yield "uuid"
    suggestions = card.get("suggestions", [])
    behaviour = card.get("selectionBehavior")
    if "suggestions" in card and behaviour not in ("at-most-one", "any"):
        yield "selectionBehavior"
    recommended = sum(one.get("isRecommended", False) is True for one in suggestions)
    if behaviour == "at-most-one" and recommended > 1:
        yield "suggestions.isRecommended"
    for one in suggestions:
        yield from _suggestion(one)
    for one in card.get("links", ()):
        if one.get("type") not in ("absolute", "smart") or not one.get("label"):
            yield "links.type"
        elif not urlsplit(str(one.get("url"))).netloc:
            yield "links.url"
        if "appContext" in one and one["type"] != "smart":
            yield "links.appContext"
    for one in card.get("overrideReasons", ()):
        if not all(isinstance(one.get(part), str) for part in ("code", "system", "display")):
            yield "overrideReasons"
    for name, value in card.items():
        if value in (None, {}, "") or name not in CARD:
            yield name


def _suggestion(one: dict[str, Any]) -> Iterator[str]:
    if not one.get("label"):
        yield "suggestions.label"
    if "uuid" in one and not is_uuid(one["uuid"]):
        yield "suggestions.uuid"
    for action in one.get("actions", ()):
        kind = action.get("type")
        if kind not in ("create", "update", "delete") or not action.get("description"):
            yield "actions.type"
        if kind in ("create", "update") and "resourceType" not in action.get("resource", {}):
            yield "actions.resource"
        if kind == "create" and "id" in action.get("resource", {}):
            yield "actions.resource.id"
        if kind == "delete" and not _REFERENCE.fullmatch(str(action.get("resourceId"))):
            yield "actions.resourceId"


def discovery_faults(told: Any) -> list[str]:
    """Where a discovery answer departs from "Discovery"; extensions of others are theirs."""
    if not isinstance(told, dict) or not isinstance(told.get("services"), list):
        return ["services"]
    found = []
    for n, one in enumerate(told["services"]):
        found += [
            f"services[{n}].{part}" for part in ("hook", "description", "id") if not one.get(part)
        ]
        templates = one.get("prefetch", {})
        if not all(isinstance(text, str) for text in templates.values()):
            found.append(f"services[{n}].prefetch")
    ids = [one.get("id") for one in told["services"]]
    return found + (["id twice"] if len(set(ids)) != len(ids) else [])


def is_uuid(text: Any) -> bool:
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True
