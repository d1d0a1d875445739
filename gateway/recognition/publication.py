"""The figures as they may be shown: counts below the limit withheld, definitions named, no persons.

A publication is what a page, a file, a report and a frozen month are made from, so that they agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from gateway.recognition.cells import Mask, mask_of_totals, masks, small
from gateway.recognition.figures import COLUMNS, DIMENSIONS, Case, Counts, broken_down, counted
from gateway.recognition.indicators import Dictionary, Value, percent, value_of

Side = Literal["county", "receiver", "issuer"]
_REPEATED = ("repeated-accepted", "repeated-declined", "repeated-uncounted", "repeated-undecided")


class Row(msgspec.Struct, frozen=True):
    """Counts of one key; a name that is missing is withheld. `rate` is R/(R+N) in percent, empty when
    not shown; `money` the savings in CNY, empty when withheld or not told in this table."""

    key: str
    counts: Mapping[str, int]
    rate: str = ""
    money: str = ""


class Table(msgspec.Struct, frozen=True):
    """The totals broken down by a dimension of `figures.DIMENSIONS`."""

    by: str
    rows: tuple[Row, ...]


class Publication(msgspec.Struct, frozen=True):
    """The figures of a month. `until` is when they stood so, µs UTC; `events` how many were read.

    `organization` is empty for the county; a hospital's figures are of what it was asked
    (`receiver`) or of what others were asked about its results (`issuer`).
    """

    month: str
    organization: str
    side: Side
    until: int
    events: int
    definitions: str
    totals: Row
    tables: tuple[Table, ...]
    values: tuple[Value, ...]
    repeated: Mapping[str, int] = {}  # by outcome; empty when withheld

    def value(self, code: str) -> Value:
        """The value of an indicator."""
        return next(one for one in self.values if one.code == code)

    def table(self, by: str) -> Table:
        """The breakdown by a dimension."""
        return next(one for one in self.tables if one.by == by)


def publish(
    found: Sequence[Case],
    unanswered: int,
    definitions: Dictionary,
    *,
    month: str,
    organization: str = "",
    side: Side = "county",
    until: int,
    events: int,
) -> Publication:
    """What may be shown of these questions, which all arose in `month`."""
    whole = counted(found, unanswered)
    of_totals = mask_of_totals(whole)
    least = definitions.least_denominator
    tables = []
    complete = "saved" not in of_totals
    money: dict[str, str] = {}
    for by in DIMENSIONS:
        rows = broken_down(found, by)
        hidden = masks(rows, of_totals)
        if by == "item":
            complete &= all("saved" not in mask for mask in hidden.values())
            money = {
                key: f"{rows[key].saved:.2f}" for key, mask in hidden.items() if "saved" not in mask
            }
        # Money is told by item alone: beside counts and prices it would give withheld counts back.
        shown = (
            _row(key, rows[key], hidden[key], least, money.get(key, "") if by == "item" else "")
            for key in rows
        )
        tables.append(Table(by, tuple(shown)))
    sum_ = sum(map(Decimal, money.values()), Decimal(0))
    values = tuple(
        _money(one.code, whole, of_totals, sum_, complete)
        if one.kind == "money"
        else value_of(one, whole, of_totals, least)
        for one in definitions.indicator
    )
    repeated = {name: whole[name] for name in _REPEATED}
    return Publication(
        month=month,
        organization=organization,
        side=side,
        until=until,
        events=events,
        definitions=definitions.version,
        totals=_row("", whole, of_totals, least, ""),
        tables=tuple(tables),
        values=values,
        repeated=(
            {} if any(map(small, repeated.values())) or "repeated" in of_totals else repeated
        ),
    )


def _row(key: str, counts: Counts, mask: Mask, least: int, money: str) -> Row:
    shown = {name: counts[name] for name in COLUMNS if name not in mask}
    rate = ""
    if {"accepted", "reread", "declined"} <= shown.keys():
        taken = shown["accepted"] + shown["reread"]
        if taken + shown["declined"] >= least:
            rate = str(percent(taken, taken + shown["declined"]))
    return Row(key, shown, rate, money)


def _money(code: str, whole: Counts, mask: Mask, sum_: Decimal, complete: bool) -> Value:
    """Exact where every item's count is shown; else at least what the shown items come to."""
    if "saved" in mask:
        return Value(code, why="withheld")
    return Value(code, whole["saved"], value=f"{sum_:.2f}", least=not complete)


def encode(publication: Publication) -> bytes:
    """Canonical JSON: the same figures give the same bytes."""
    return msgspec.json.encode(publication, order="deterministic")


def decode(data: bytes) -> Publication:
    """The publication again; msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=Publication)
