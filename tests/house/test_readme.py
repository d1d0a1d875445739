"""The README names every setting, address and command, and nothing that does not exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main

from gateway import __version__
from gateway.app import starlette
from gateway.cli import app
from gateway.fhir import door
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "docker/README.md",
        "gateway/cds/README.md",
        "mappings/README.md",
    )
]
COMMANDS = typer.main.get_command(app)


def chapter(title: str) -> str:
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table in a chapter."""
    lines = [line for line in chapter(title).splitlines() if line.startswith("| ")]
    cut = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.replace("\\|", "|").strip() for cell in cells] for cells in cut]


def test_every_setting_is_listed_with_its_default_and_its_sentence():
    listed = [row for row in rows("Settings") if row[0].startswith("`GATEWAY_")]

    def shown(value: object) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f"`{text}`" if text not in {"", "."} else ""

    assert listed == [
        [f"`GATEWAY_{one.name.upper()}`", shown(one.default), one.metadata["says"]]
        for one in fields(Settings)
    ]


def addresses() -> set[str]:
    return {token for row in rows("Addresses") for token in re.findall(r"`([^`]+)`", row[0])}


def test_every_fhir_interaction_is_listed_and_no_other():
    words = {"type": "[type]", "id": "[id]", "version": "[vid]"}
    offered = {"GET /fhir/metadata"}
    for route in door.table():
        shape = [words.get(part, part) for part in route.shape]
        if len(route.types) == 1:
            shape[0] = route.types[0]
        offered.add(f"{route.method} /fhir/{'/'.join(shape)}")

    assert {one for one in addresses() if re.match(r"[A-Z]+ /fhir/", one)} == offered


def test_the_types_that_can_be_read_are_listed():
    told = next(row[1] for row in rows("Addresses") if "[type]/[id]" in row[0])

    assert set(re.findall(r"[A-Z][A-Za-z]+", told)) == set(door.READABLE)


def test_every_other_address_of_the_application_is_listed_and_no_other():
    services = SimpleNamespace(settings=Settings(), register=(), policy=None)
    offered = set()
    for route in starlette(services).routes:  # type: ignore[arg-type]
        methods = (getattr(route, "methods", None) or set()) - {"OPTIONS"}
        path = route.path.rstrip("/") or "/"
        offered.add(f"POST {path}" if methods == {"POST"} else path)
    offered.remove("/portal")

    assert {one for one in addresses() if not re.match(r"[A-Z]+ /fhir/|TCP", one)} == offered | {
        "/portal/"
    }


def tree(command: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Every command that does something, by its words."""
    inner = getattr(command, "commands", None)
    if not inner:
        return {path: command}
    return {
        key: one for name, sub in inner.items() for key, one in tree(sub, (*path, name)).items()
    }


def test_every_command_is_listed_and_no_other():
    listed: set[tuple[str, ...]] = set()
    for row in rows("Commands"):
        for token in re.findall(r"`([^`]+)`", row[0]):
            group: object = COMMANDS
            paths: list[tuple[str, ...]] = [()]
            for words in token.removeprefix("health-gateway ").split():
                if not hasattr(group, "commands"):
                    break  # arguments
                paths = [(*path, word) for path in paths for word in words.split("|")]
                group = group.commands.get(words.split("|")[0])
            listed |= set(paths)

    assert listed == set(tree(COMMANDS))


def told_commands() -> list[tuple[str, str]]:
    """Every place in our pages that says how to call the program: (page, words after its name)."""
    groups = {name for name, one in COMMANDS.commands.items() if hasattr(one, "commands")}
    found = []
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\|", "|")
        for span in re.findall(r"`([^`\n]+)`", text):
            words = span.split()
            if "health-gateway" in words[:-1]:
                found.append((page.name, span.partition("health-gateway ")[2]))
            elif words and words[0] in groups and len(words) > 1:
                found.append((page.name, span))
            elif span.startswith("docker compose run") and "--entrypoint" not in words:
                found.append((page.name, span.rpartition(" gateway ")[2]))
    return found


@pytest.mark.parametrize(("page", "words"), sorted(set(told_commands())))
def test_a_command_that_is_told_exists_with_its_options(page, words):
    said = words.split("#")[0].split()
    command = COMMANDS
    while said and hasattr(command, "commands"):
        name = said.pop(0)
        for one in name.split("|"):
            assert one in command.commands, f"{page}: {words}"
        command = command.commands[name.split("|")[0]]
        if "|" in name:
            break
    known = {option for one in command.params for option in getattr(one, "opts", ())}
    known |= {"--help"}
    for option in re.findall(r"--[a-z-]+", " ".join(said)):
        assert option in known, f"{page}: {words}"


def test_what_make_offers_is_told_by_make_help():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    told = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))

    assert phony
    assert set(phony[1].split()) == told | {"lock"}
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)`", page.read_text("utf-8"))) <= told


def test_the_map_of_rooms_names_every_folder():
    told = set(re.findall(r"`([a-z]+)`", chapter("The map").split("Inside `gateway/`")[1]))
    rooms = {
        path.stem
        for path in (ROOT / "gateway").iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("_")
    }

    assert rooms <= told


def test_the_version_is_one():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    image = (ROOT / "docker" / "compose.yaml").read_text("utf-8")

    assert f'version = "{__version__}"' in project
    assert f"health-gateway:{__version__}" in image
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_our_pages_lead_somewhere(page):
    text = page.read_text("utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (page.parent / target.partition("#")[0]).exists(), target
