"""A map is the same wherever its files come from, and nothing outside them can be named."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import pytest

import mappings
from mappings.engine import Map, MapError, lint, load

HERE = Path(__file__).parent
SITES = Path(mappings.__path__[0]) / "sites"
HEAD = '[map]\nbase = "base/oru_r01@1"\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n'


def ids(space: str, kind: str, key: Sequence[str]) -> str:
    return blake2b("\0".join([space, kind, *key]).encode(), digest_size=16).hexdigest()


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


def test_each_copy_of_a_map_tells_the_lines_of_its_own_files() -> None:
    raw = (HERE / "fhirinput_cases/mch/codes-added-and-references-rewritten.json").read_bytes()
    folder = load(SITES / "mch")
    kept = load(folder.contents)

    def told(site: Map) -> set[str]:
        issues = [issue for said in site.read(raw, ids).messages for issue in said.issues]
        return {issue.rule.partition(":")[0] for issue in issues if issue.rule}

    assert (told(folder), told(kept)) == ({"sites/mch/fhir.toml"}, {"fhir.toml"})
