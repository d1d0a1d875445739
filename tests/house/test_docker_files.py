"""The image and the compose file are linted, need no root, and name nothing that is not there."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.portal import languages
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE = (DOCKER / "compose.yaml").read_text("utf-8")
FILES = sorted(path for path in DOCKER.iterdir() if path.is_file())


def tool(name: str) -> str:
    """A linter of the development requirements, beside this Python or on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else (shutil.which(name) or pytest.fail(f"no {name}"))


def test_hadolint_has_nothing_to_say():
    told = subprocess.run(
        [tool("hadolint"), str(DOCKER / "Dockerfile")], capture_output=True, text=True
    )

    assert (told.returncode, told.stdout) == (0, "")


def test_compose_lint_misses_only_digests_which_the_operator_names():
    told = subprocess.run(
        [tool("compose-lint"), "check", "--fail-on", "high", str(DOCKER / "compose.yaml")],
        capture_output=True,
        text=True,
    )

    assert told.returncode == 0, told.stdout
    assert set(re.findall(r"CL-\d{4}", told.stdout)) <= {"CL-0019"}


def test_the_image_runs_as_a_numbered_user_and_says_whether_it_is_well():
    last = DOCKERFILE.rsplit("FROM ", 1)[1]

    assert re.search(r"^USER (\d+):\1$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "pip install" not in last


def test_templates_are_compiled_before_the_disk_is_closed():
    build = DOCKERFILE.rsplit("FROM ", 1)[0]
    (said,) = re.findall(r'/opt/gateway/bin/python -c "from (\S+) import (\w+); \2\(\)"', build)

    assert getattr(importlib.import_module(said[0]), said[1]) is languages.compile_all
    assert build.index("compile_all") < build.index("chmod -R a+rX")  # the running user reads it


def test_everything_installed_is_in_the_lock_file_with_a_hash():
    installs = re.findall(r"pip install (.*)", DOCKERFILE)

    assert installs
    assert all("--require-hashes" in one and "requirements.lock" in one for one in installs)
    (packages,) = re.findall(r"apt-get install [^\n]*\\\n([^\\]*)", DOCKERFILE)
    # What pip cannot bring: the receipts' layout engine and a font that has the characters.
    assert set(packages.split()) == {
        "libpango-1.0-0",
        "libpangoft2-1.0-0",
        "libharfbuzz-subset0",
        "fonts-noto-cjk",
    }


def test_scripts_for_browsers_come_by_their_lock_and_run_nothing():
    (fetch,) = re.findall(r"RUN (npm [^&]*)", DOCKERFILE)

    assert fetch.split()[:3] == ["npm", "ci", "--ignore-scripts"]
    assert "**/node_modules" in (DOCKER / "Dockerfile.dockerignore").read_text("utf-8")


def test_every_file_that_is_copied_is_there_and_not_ignored():
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text("utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source.rstrip('/')}\n" in ignored


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_an_address_to_download_from(path):
    hosts = re.findall(r"\w+://([^\s/\"'`)]+)", path.read_text("utf-8"))

    allowed = r"(.*\.example|127\.0\.0\.1.*|gateway:PASSWORD@(records|keyring))"
    assert [host for host in hosts if not re.fullmatch(allowed, host)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path):
    known = {f"GATEWAY_{one.name.upper()}" for one in fields(Settings)}
    known |= {"GATEWAY_SETTINGS", "GATEWAY_IMAGE", "GATEWAY_ADDRESS"}  # the last two are compose's

    named = set(re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    assert named <= known | {"GATEWAY_TLS"}  # `GATEWAY_TLS_*` in the text


def test_the_settings_in_the_readme_exist():
    text = (DOCKER / "README.md").read_text("utf-8")
    known = {one.name for one in fields(Settings)}

    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    named = {name for block in blocks for name in re.findall(r"^(\w+) =", block, re.MULTILINE)}
    assert named
    assert named <= known


def test_the_build_script_is_readable_shell():
    told = subprocess.run(["bash", "-n", str(DOCKER / "build-without-engine.sh")])

    assert told.returncode == 0


def test_the_health_check_asks_where_the_settings_say(tmp_path):
    spec = importlib.util.spec_from_file_location("healthcheck", DOCKER / "healthcheck.py")
    healthcheck = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(healthcheck)
    file = tmp_path / "gateway.toml"
    file.write_text('port = 9000\ntls_certificate = "x.pem"\n')

    assert healthcheck.address({}) == "http://127.0.0.1:8080/readyz"
    assert healthcheck.address({"GATEWAY_SETTINGS": str(file)}) == "https://127.0.0.1:9000/readyz"
    both = {"GATEWAY_SETTINGS": str(file), "GATEWAY_PORT": "9001"}
    assert healthcheck.address(both) == "https://127.0.0.1:9001/readyz"
