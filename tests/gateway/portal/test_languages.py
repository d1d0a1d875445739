"""Templates are kept as code, which counts only for what it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader, Environment

from gateway.portal import languages
from gateway.portal.languages import Compiled

Render = Callable[..., tuple[str, bool]]


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Renders a template in a new process' place: the page, and whether it had to be compiled."""
    maker = tmp_path / "maker.py"

    def rendered(source: str, made_by: str = "# one") -> tuple[str, bool]:
        maker.write_text(made_by)
        compiled = []
        fresh = Environment(
            loader=DictLoader({"page.html": source}), bytecode_cache=Compiled(str(maker))
        )
        whole = fresh.compile

        def compile(*given: Any, **named: Any) -> Any:
            compiled.append(given)
            return whole(*given, **named)

        monkeypatch.setattr(fresh, "compile", compile)
        return fresh.get_template("page.html").render(name="吴"), bool(compiled)

    return rendered


def test_a_template_is_compiled_once(render: Render) -> None:
    assert render("{{ name }}。") == ("吴。", True)
    assert render("{{ name }}。") == ("吴。", False)


def test_a_changed_template_is_compiled_anew(render: Render) -> None:
    render("{{ name }}。")

    assert render("{{ name }}！") == ("吴！", True)


def test_code_of_another_maker_does_not_count(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    render("{{ name }}。")

    assert render("{{ name }}。", "# two") == ("吴。", True)

    monkeypatch.setattr(languages, "JINJA", "0.0")
    assert render("{{ name }}。", "# two") == ("吴。", True)


def test_where_nothing_can_be_kept_pages_are_made_all_the_same(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)

    assert [render("{{ name }}。") for _ in range(2)] == [("吴。", True)] * 2


def test_every_template_can_be_compiled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        languages, "cache_from_source", lambda _: str(tmp_path / "kept" / "any.pyc")
    )

    languages.compile_all()

    kept = list((tmp_path / "kept").glob("*.jinja"))
    assert len(kept) == len(list((languages.HERE / "templates").glob("*.html")))
