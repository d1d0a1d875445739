"""The portal's languages: Chinese is in the pages themselves, English in a catalogue read at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from gettext import NullTranslations
from importlib.util import cache_from_source
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import (
    Environment,
    FileSystemBytecodeCache,
    FileSystemLoader,
    StrictUndefined,
    pass_context,
)
from jinja2 import __version__ as JINJA
from jinja2.bccache import Bucket
from jinja2.runtime import Context

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


class Compiled(FileSystemBytecodeCache):
    """Templates as code, kept beside Python's own of this room: it counts while the template, this
    file and Jinja are those it was made from. Where it cannot be kept each process makes it again,
    which takes a tenth of a second of its first page."""

    def __init__(self, maker: str = __file__) -> None:
        super().__init__(str(Path(cache_from_source(maker)).parent), "%s.jinja")
        self._maker = f"{JINJA}\n{Path(maker).read_text()}"

    def get_source_checksum(self, source: str) -> str:
        """Of all that the code is made from."""
        return super().get_source_checksum(self._maker + source)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code, where that can be done."""
        with suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


def compile_all() -> None:
    """Every template as code, for a place where a running program cannot keep it, such as an image."""
    made = environment(NullTranslations(), ZoneInfo("UTC"), {})
    for name in made.list_templates():
        made.get_template(name)


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
        bytecode_cache=Compiled(),
    )
    made.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    made.globals["gettext"] = counting(translations, made.globals)
    made.policies["ext.i18n.trimmed"] = True
    made.filters["moment"] = moment(zone)
    made.filters["clock"] = clock(zone)
    made.filters["zoned"] = zoned(zone)
    made.filters["parsed"] = datetime.fromisoformat
    made.globals |= known
    return made


def counting(translations: NullTranslations, installed: Mapping[str, Any]) -> Callable[..., Any]:
    """`_()` of the templates: a sentence with forms is said in that of its number `n`, else of many."""
    single, several = installed["gettext"], installed["ngettext"]
    keys = getattr(translations, "_catalog", ())  # gettext says nowhere else which have forms
    forms = {key[0] for key in keys if isinstance(key, tuple)}

    @pass_context
    def said(context: Context, sentence: str, /, **holes: Any) -> Any:
        if sentence not in forms:
            return single(context, sentence, **holes)
        n = holes.get("n")
        return several(context, sentence, sentence, n if isinstance(n, int) else 2, **holes)

    return said


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
