"""A map is the same wherever its files come from, and nothing outside them can be named."""

from __future__ import annotations

from pathlib import Path

import pytest

import mappings
from mappings.engine import MapError, lint, load

SITES = Path(mappings.__path__[0]) / "sites"
HEAD = '[map]\nbase = "base/oru_r01@1"\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n'


@pytest.mark.parametrize("site", sorted(path.name for path in SITES.iterdir()))
def test_the_kept_files_of_a_map_make_the_same_map_again(site: str) -> None:
    folder = load(SITES / site)

    again = load(folder.contents)

    assert (again.release, again.source) == (folder.release, folder.source)
    assert again.contents == folder.contents
    assert any(path.startswith("/") for path in folder.contents) or site == "township"


def test_a_changed_row_is_another_release() -> None:
    folder = load(SITES / "people")
    path = "codes/lis_items.csv"

    comment = b"# looked at again\n" + folder.contents[path]

    assert load(folder.contents).release == folder.release
    assert load({**folder.contents, path: comment}).release != folder.release


def test_a_map_does_not_read_what_was_not_kept() -> None:
    contents = dict(load(SITES / "people").contents)
    del contents["/tables/units.csv"]

    assert any("units.csv" in finding.en for finding in lint(contents))


@pytest.mark.parametrize("path", ["../secret", "base/../../secret", "/etc/passwd"])
def test_a_map_cannot_name_a_file_outside(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.toml").write_text("", "utf-8")
    site = tmp_path / "site"
    site.mkdir()
    (site / "x.toml").write_text(HEAD.replace("base/oru_r01@1", path), "utf-8")

    with pytest.raises(MapError) as caught:
        load(site)
    assert "does not exist" in str(caught.value)


def test_a_link_in_a_sites_folder_does_not_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("code,target\nA,B\n", "utf-8")
    site = tmp_path / "site"
    site.mkdir()
    (site / "items.csv").symlink_to(tmp_path / "secret.csv")
    (site / "x.toml").write_text(HEAD + '[tables]\nitems = "items.csv"\n', "utf-8")

    assert any("items.csv does not exist" in finding.en for finding in lint(site))
