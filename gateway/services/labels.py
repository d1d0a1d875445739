"""The label lists in force: the shipped ones with the county's own rows, and their version."""

from __future__ import annotations

import hashlib
from pathlib import Path

from consent import labels
from consent.labels import Labeller
from consent.policy import PolicySet
from gateway.settings import Settings, SettingsFault

VERSION = 12
"""Characters of a version of the rules."""
_versions: dict[tuple[str, str], str] = {}


def open_labels(settings: Settings) -> Labeller:
    """The labeller of the settings; SettingsFault naming the file and row that cannot be meant."""
    if settings.labels == Path():
        return labels.shipped()
    if not settings.labels.is_dir():
        raise SettingsFault("labels: there is no such folder")
    try:
        return labels.read(labels.SHIPPED, settings.labels)
    except ValueError as fault:
        raise SettingsFault(f"labels: {fault}") from None


def rules_version(labeller: Labeller, policy: PolicySet) -> str:
    """What a record's labels and tier depend on: the lists, and the policy's tiers and categories.

    A policy that differs in anything else asks for no new labels.
    """
    known = _versions.get((labeller.version, policy.version))
    if known is None:
        told = (
            labeller.version,
            sorted(policy.basic_types),
            sorted(policy.basic_codes),
            sorted(policy.restricted),
            sorted((code, sorted(policy.labels.up(code))) for code in policy.labels.codes),
        )
        known = hashlib.sha256(repr(told).encode()).hexdigest()[:VERSION]
        _versions[labeller.version, policy.version] = known
    return known
