"""The CapabilityStatement: generated from the route table, so that it cannot say too much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.records.query import INCLUDES, PARAMETERS
from gateway.settings import Settings

_COMMON = {"_id": "token"}


def statement(routes: Iterable[Any], settings: Settings, version: str) -> bytes:
    """R4 CapabilityStatement of exactly these routes."""
    interactions: dict[str, list[str]] = {}
    operations: dict[str, list[str]] = {}
    system: list[str] = []
    for route in routes:
        if route.operation:
            for kind in route.types or ("",):
                named = operations.setdefault(kind, [])
                if route.operation not in named:
                    named.append(route.operation)
        elif route.interaction:
            for kind in route.types:
                found = interactions.setdefault(kind, [])
                if route.interaction not in found:
                    found.append(route.interaction)
    resources = []
    for kind in sorted(interactions):
        parameters = dict(_COMMON)
        if kind in PARAMETERS:
            parameters |= PARAMETERS[kind]
            if kind != "Patient":
                parameters["patient"] = "reference"
                if kind != "Provenance":  # R4 gives it no such parameter
                    parameters["subject"] = "reference"
        one: dict[str, Any] = {
            "type": kind,
            "interaction": [{"code": code} for code in interactions[kind]],
            "versioning": "versioned",
            "readHistory": "vread" in interactions[kind],
        }
        if "search-type" in interactions[kind]:
            one["searchParam"] = [
                {"name": name, "type": type_} for name, type_ in sorted(parameters.items())
            ]
            if kind in INCLUDES:
                one["searchInclude"] = sorted(INCLUDES[kind])
        if kind in operations:
            one["operation"] = [_operation(name, settings) for name in operations[kind]]
        resources.append(one)
    rest: dict[str, Any] = {
        "mode": "server",
        "security": {
            "cors": False,
            "service": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                            "code": "SMART-on-FHIR",
                        }
                    ]
                }
            ],
            "description": "SMART Backend Services; for a person the assertion carries hl7-b2b.",
        },
        "resource": resources,
    }
    if "" in operations:
        rest["operation"] = [_operation(name, settings) for name in operations[""]]
    if system:
        rest["interaction"] = [{"code": code} for code in system]
    return orjson.dumps(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-11-23",
            "kind": "instance",
            "software": {"name": "health-gateway", "version": version},
            "implementation": {
                "description": "County health record sharing gateway",
                "url": f"{settings.base_url}/fhir",
            },
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "rest": [rest],
            "messaging": [
                {
                    "endpoint": [
                        {
                            "protocol": {
                                "system": "http://terminology.hl7.org/CodeSystem/message-transport",
                                "code": "http",
                            },
                            "address": f"{settings.base_url}/fhir/$process-message",
                        }
                    ]
                }
            ],
        }
    )


def _operation(name: str, settings: Settings) -> dict[str, str]:
    known = {
        "break-glass": f"{settings.canonical}/OperationDefinition/Patient-break-glass",
        "everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        "recognition-decision": f"{settings.canonical}/OperationDefinition/recognition-decision",
        "recognition-revocation": f"{settings.canonical}/OperationDefinition/recognition-revocation",
        "process-message": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
    }
    return {"name": name, "definition": known[name]}
