"""Finds and loads a site's map as it lies in its folder, for commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

import mappings
from gateway.cli.common import say
from gateway.settings import read
from mappings.engine import Finding, Map, MapError, load
from mappings.engine.model import Language


def folder_of(site: str) -> Path:
    """The folder of a site; it may not exist."""
    folder = read().sites
    return (folder if folder != Path() else Path(mappings.__path__[0]) / "sites") / site


def loaded(site: str, language: Language = "zh") -> Map:
    """The map in the folder; its findings are printed and end the command with 1."""
    try:
        return load(folder_of(site), read().canonical)
    except MapError as fault:
        print_findings(fault.findings, language)
        raise typer.Exit(1) from None


def print_findings(findings: Sequence[Finding], language: Language) -> None:
    """File, line, column and what to do, one a line."""
    for finding in findings:
        say(finding.text(language))
