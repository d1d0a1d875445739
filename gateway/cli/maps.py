"""Commands on the hospitals' maps: lint, try; cases, releases and tracing add theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer
from rich.highlighter import JSONHighlighter

from gateway.cli import cases, releases, tracing
from gateway.cli.common import AsJson, console, indented, print_json, say
from gateway.cli.sites import folder_of, loaded, print_findings
from gateway.exchange.feeds import at_large
from mappings.engine import Issue, Map, Mapped, Unmapped
from mappings.engine import lint as lint_map
from mappings.engine.coverage import coverage
from mappings.engine.explain import Unread
from mappings.engine.fhirwording import chinese_place
from mappings.engine.model import Language, trial_ids
from mappings.r4 import second

ENVELOPE = frozenset({"MSH", "SFT"})
"""HL7 v2 segments about the sending itself: chapter 2, "Message header" and "Software segment"."""
OVER = {"zh": "例外已过期，可以删去：", "en": "this exception is over and may go: "}

app = typer.Typer(help="The hospitals' maps and their releases.", no_args_is_help=True)


@app.command()
def lint(
    site: str,
    english: Annotated[bool, typer.Option("--english", help="findings in English")] = False,
) -> None:
    """Check a site's rule files and tables; exit 1 with file, line and what to do."""
    findings = lint_map(folder_of(site))
    print_findings(findings, "en" if english else "zh")
    raise typer.Exit(1 if findings else 0)


@app.command("try")
def try_(
    site: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    english: Annotated[bool, typer.Option("--english", help="issues in English")] = False,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="as if it arrived on that day; else today"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a file would become, and what was not understood; nothing is stored.

    Every resource is validated, under the tier of `[validation]` that is in force on the day.
    """
    language: Language = "en" if english else "zh"
    site_map = loaded(site, language)
    arrived = (day or datetime.now(site_map.source.zone)).date()
    gate = site_map.gate(everything=True)
    raw = file.read_bytes()
    reading = site_map.read(raw, trial_ids, origin="try", gate=gate, day=arrived)
    unread = _unread(site_map, raw)
    named_by_none = {one.address for one in coverage(site_map, [raw]).unread}
    spare = {one.address for one in unread} - named_by_none if site_map.input == "er7" else set()
    unmapped = Counter(one for message in reading.messages for one in message.unmapped)
    resources = [one for message in reading.messages for one in message.resources]
    issues = [
        *reading.issues,
        *(i for m in reading.messages for i in m.issues),
        *(i for one in resources for i in _second_opinion(one)),
    ]
    if as_json:
        print_json(
            {
                "resources": [orjson.Fragment(one.text()) for one in resources],
                "issues": [
                    {"severity": i.severity, "code": i.code, "place": i.place, "rule": i.rule}
                    for i in issues
                ],
                "validation": site_map.validation.tier_on(arrived),
                "unread": [
                    {"field": one.address, "count": one.count, "place": one.place} for one in unread
                ],
                "unmapped": [
                    {**msgspec.to_builtins(one), "count": count} for one, count in unmapped.items()
                ],
            }
        )
    else:
        for one in resources:
            console.rule(f"{one.type}  {one.place}")
            console.print(JSONHighlighter()(indented(one.text()).decode()))
        for line in (
            *_by_place(issues, language),
            *_what_nothing_knows(unmapped, language),
            *_what_nothing_reads(unread, spare, language),
        ):
            say(line)
        say(site_map.validation.text(arrived, language))
        for ended in site_map.validation.over(arrived):
            line = f"{ended.line}: {OVER[language]}{ended.path}"
            say(line)
        console.print(_counted(len(resources), len(issues), language))
    stopped = any(issue.severity in {"stop", "hold"} for issue in issues)
    raise typer.Exit(1 if stopped else 0)


def _second_opinion(one: Mapped) -> list[Issue]:
    """Where other people's models see a fault that ours did not."""
    if one.mode == "patch":
        return []
    place = f"{one.place} → " if one.place else ""
    return [
        Issue("note", "r4-second-opinion", place + path)
        for path in second.faults(one.text(), one.type)
    ]


def _counted(resources: int, issues: int, language: Language) -> str:
    if language == "zh":
        return f"{resources} 个资源，{issues} 个问题"
    return f"resources: {resources}, issues: {issues}"


def _by_place(issues: Sequence[Issue], language: Language) -> Iterator[str]:
    """A line for each issue at each kind of place; the first repetition stands for all."""
    groups: dict[Issue, list[Issue]] = {}
    for issue in issues:
        groups.setdefault(at_large(issue), []).append(issue)
    for group in groups.values():
        times = f"{len(group)}× " if len(group) > 1 else ""
        yield f"{group[0].severity}: {times}{group[0].text(language)}"


def _what_nothing_knows(unmapped: Counter[Unmapped], language: Language) -> Iterator[str]:
    word = {"zh": "未对照 {}：", "en": "unmapped {}: "}[language]
    for one, count in unmapped.most_common():
        parts = " ".join(filter(None, (one.code, one.name, one.specimen, one.unit)))
        yield f"{word.format(one.table)}{parts} ({count})"


def _unread(site: Map, raw: bytes) -> list[Unread]:
    """The fields that hold something no rule reads, the most frequent first."""
    found = Counter[str]()
    first: dict[str, Unread] = {}
    for message in site.explain(raw, trial_ids, origin="try").messages:
        for one in message.unread:
            found[one.address] += one.count
            first.setdefault(one.address, one)
    return [replace(first[address], count=count) for address, count in found.most_common()]


def _what_nothing_reads(
    unread: Sequence[Unread], spare: Container[str], language: Language
) -> Iterator[str]:
    """A line for each field, but one for all that some rule names and one for the envelope."""
    words = {
        "": ("没有规则读取：", "no rule reads: "),
        "spare": ("有规则提到，这次没有读取：", "named by a rule, not read this time: "),
        "envelope": ("消息信封，不含诊疗内容，没有规则读取：", "of the envelope, nothing clinical, no rule reads: "),
    }  # fmt: skip
    rest: dict[str, list[str]] = {"spare": [], "envelope": []}
    said = {kind: word[language == "en"] for kind, word in words.items()}
    for one in unread:
        if one.address.partition("-")[0] in ENVELOPE:
            rest["envelope"].append(one.address)
        elif one.address in spare:
            rest["spare"].append(one.address)
        else:
            place, times = one.place, one.count
            if language == "zh":
                yield f"{said['']}{one.address}（{times} 次，{chinese_place(place)}）"
            else:
                yield f"{said['']}{one.address} ({times}×, {place})"
    yield from (
        f"{said[kind]}{' '.join(sorted(fields))}" for kind, fields in rest.items() if fields
    )


for part in (releases, cases, tracing):
    part.add_to(app)
