"""README.md and README.zh-CN.md: the same headings and commands, and what they name is there."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.processes import run_cli

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def headings(name: str) -> list[str]:
    return re.findall(r"^#+ .+$", text_of(name), re.MULTILINE)


def test_both_languages_have_the_same_headings() -> None:
    """The Chinese one adds its own words behind the English heading, so that a link fits both."""
    english, chinese = headings("README.md"), headings("README.zh-CN.md")
    assert len(english) > 3 and len(chinese) == len(english)
    assert all(theirs.startswith(ours) for ours, theirs in zip(english, chinese, strict=True))
    assert all(re.search(r"[\u4e00-\u9fff]", heading) for heading in chinese)


def test_both_languages_give_the_same_commands() -> None:
    def commands(name: str) -> list[str]:
        blocks = re.findall(r"^```\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)
        return [line for block in blocks for line in block.splitlines() if line.startswith(("make ", "sh ", "docker "))]

    assert commands("README.md") == commands("README.zh-CN.md") != []


@pytest.mark.parametrize("name", READMES)
def test_files_that_a_readme_names_are_there(name: str) -> None:
    made = ("deploy/site",)
    named = re.findall(r"(?<![\w/])((?:deploy|tests|devices|core|workers|bench)/[\w./*-]+)", text_of(name))
    assert len(named) > 15
    for path in named:
        path = path.rstrip(".")
        assert path.startswith(made) or list(ROOT.glob(path)), path


@pytest.mark.parametrize("name", READMES)
def test_targets_of_make_that_a_readme_names_are_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b", text_of(name))) - {"a"} <= targets


@pytest.mark.parametrize("name", READMES)
def test_commands_of_jiaohao_that_a_readme_names_are_there(name: str) -> None:
    known = set(re.findall(r"^│ (\w+) ", run_cli("--help").stdout, re.MULTILINE))
    called = set(re.findall(r"`(?:\.venv/bin/)?jiaohao (\w+)", text_of(name)))
    assert {"check", "serve", "replay", "why"} <= called <= known


def test_what_could_not_be_started_is_said() -> None:
    for name in READMES:
        limits = text_of(name).partition("## Limits")[2]
        for word in ("Grafana", "systemd", "Prometheus 3"):
            assert word in limits, (name, word)


def test_the_licence_is_the_one_of_the_package() -> None:
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["license"] == "Apache-2.0"
    assert all(text_of(name).rstrip().endswith("Apache-2.0.") for name in READMES)
