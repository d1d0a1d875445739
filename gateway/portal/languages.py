"""The portal's languages: Chinese is in the pages themselves, English in a catalogue read at start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
# One file for each area of the portal; together they are the language.
CATALOGUES = {"en": tuple(sorted((HERE / "locale" / "en" / "LC_MESSAGES").glob("*.po")))}
TAGS = {"zh": "zh-CN", "en": "en"}


def catalogue(paths: tuple[Path, ...]) -> NullTranslations:
    """Catalogue files as translations in memory: nothing compiled lies about to go stale."""
    whole = Translations()
    for path in paths:
        compiled = BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file))
        compiled.seek(0)
        whole.merge(Translations(compiled))
    return whole


def translations() -> dict[str, NullTranslations]:
    """Every language of the portal."""
    return {"zh": NullTranslations()} | {code: catalogue(p) for code, p in CATALOGUES.items()}


def environment(
    translations: NullTranslations, zone: ZoneInfo, known: dict[str, Any]
) -> Environment:
    """Templates in one language: escaping always on, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True
    made.filters["moment"] = moment(zone)
    made.filters["clock"] = clock(zone)
    made.filters["zoned"] = zoned(zone)
    made.filters["parsed"] = datetime.fromisoformat
    made.globals |= known
    return made


def moment(zone: ZoneInfo) -> Callable[[date | datetime | None], str]:
    """Times in the county's zone, to the minute; a day stays a day."""

    def shown(when: date | datetime | None) -> str:
        match when:
            case None:
                return "—"
            case datetime():
                return when.astimezone(zone).strftime("%Y-%m-%d %H:%M")
            case _:
                return when.isoformat()

    return shown


def clock(zone: ZoneInfo) -> Callable[[datetime], str]:
    """The time of day in the county's zone, to the minute."""
    return lambda when: when.astimezone(zone).strftime("%H:%M")


def zoned(zone: ZoneInfo) -> Callable[[date | datetime], str]:
    """A time to the second with its distance from UTC; a day stays a day."""

    def shown(when: date | datetime) -> str:
        if not isinstance(when, datetime):
            return when.isoformat()
        text = when.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
        return f"{text[:-2]}:{text[-2:]}"

    return shown
