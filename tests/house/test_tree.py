"""The tree itself: files say what they are for, nothing points at one machine, what runs is shipped."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = ("gateway", "mappings", "consent")
SKIPPED = {
    ".git", ".venv", "var", "build", "dist", "__pycache__", "node_modules", "health_gateway.egg-info",
}  # fmt: skip


def tracked() -> list[Path]:
    """Every file of the project; from a copy without history, every file that is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
    )
    if listed.returncode == 0:
        found = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    else:
        found = [
            path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts)
        ]
    return [path for path in found if path.is_file()]


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py"]
TEXTS = [path for path in FILES if path.suffix not in {".bin", ".png"}]


def test_every_python_file_opens_with_one_sentence():
    for path in PYTHON:
        told = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        first = told.split("\n\n")[0]
        assert re.search(r"[.:?!]$", first), f"{path.relative_to(ROOT)} does not say what it is for"


def test_chinese_sentences_have_chinese_punctuation():
    sentence = re.compile("[，。；].*[\u4e00-\u9fff]|[\u4e00-\u9fff].*[，。；]")
    half = re.compile(
        "[\u4e00-\u9fff”）] ?[,;?!]|[\u4e00-\u9fff]: |[,;?!] ?[\u4e00-\u9fff]|[\u4e00-\u9fff][(][\u4e00-\u9fff]"
    )
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        if path.relative_to(ROOT).parts[0] in PACKAGES and not {"demo", "bench"} & set(path.parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if sentence.search(node.value) and half.search(node.value)
    ]

    assert found == []


def test_every_folder_of_code_is_a_package():
    for path in PYTHON:
        folder = path.parent
        if folder.relative_to(ROOT).parts[:1] not in {(name,) for name in PACKAGES}:
            continue
        if "migrations" in folder.parts:
            continue  # Alembic loads these by their path
        assert (folder / "__init__.py").exists(), folder.relative_to(ROOT)


def test_every_file_read_at_run_time_is_shipped():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    unshipped = [
        str(path.relative_to(ROOT))
        for path in FILES
        if path.relative_to(ROOT).parts[0] in PACKAGES
        and path.suffix != ".py"
        and not any(fnmatch(path.name, pattern) for pattern in patterns)
    ]

    assert unshipped == []
    assert set(patterns) >= {
        "*.mako",
        "*.toml",
        "*.csv",
        "*.bin",
        "*.html",
        "*.css",
        "*.js",
        "*.svg",
        "*.po",
    }


def test_packages_are_found_with_their_folders_of_data():
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]

    assert found.get("namespaces", True)  # folders of tables and migrations hold no __init__
    assert found["include"] == [f"{name}*" for name in PACKAGES]


def test_no_file_knows_one_machine_or_one_package_index():
    # In pieces, so that this file does not name what it forbids.
    index = "|".join(["py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.", "index" + "-url"])
    machine = r"(?<![\w.$}])/(?:work|root|home|Users)/\w"
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if re.search(machine, line) or re.search(rf"(?<!emit-)(?:{index})", line)
    ]

    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_hold_names_versions_and_hashes_only(name):
    text = (ROOT / name).read_text("utf-8")
    pins = re.findall(r"^([a-z0-9][\w.\-]*)(?:\[[\w,]+\])?==(\S+)", text, re.MULTILINE)

    assert "://" not in text
    assert " @ " not in text
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)


def test_everything_the_program_needs_is_locked():
    locked = {
        one.lower().replace("_", "-")
        for one in re.findall(r"^([\w.\-]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    }
    wanted = {
        re.split(r"[<>=~\[; ]", one)[0].lower().replace(".", "-").replace("_", "-")
        for one in PROJECT["project"]["dependencies"]
    }

    assert wanted <= {one.replace(".", "-") for one in locked}
