"""bench: every suite runs for seconds, names its gates and says that this is no verdict; the small ones always."""

import json
import tempfile
from pathlib import Path

import pytest

from bench import machine as here
from bench.__main__ import SUITES, _jobs, main

FAST = ("core", "stages")
ELSEWHERE = ("journal", "ranking", "recovery", "theory")  # have smoke runs in tests of their own


def smoke(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([suite, "--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["suite"] == suite and found["verdict"] == "no verdict: --quick"
    exact = [
        gate for gate in found["gates"] if gate["name"].endswith((".lost", ".doubled", ".called_twice", "_differs"))
    ]
    assert all(gate["ok"] for gate in exact), exact
    assert all(gate["baseline"] for gate in found["gates"]), "a gate says what it is held against"
    assert found["machine"]["before"].keys() == found["machine"]["after"].keys() and found["took_s"] < 60


@pytest.mark.parametrize("suite", FAST)
def test_small_suites(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    smoke(suite, capsys)


def test_a_missing_program_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # nothing is measured: it need not wait for another bench
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert main(["loop", "--json", "--count", "10"]) == 3
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["verdict"] == "inconclusive" and "mosquitto is not installed" in found["gates"][0]["note"]


def test_a_result_is_a_page_of_its_own(tmp_path: Path) -> None:
    assert main(["core", "--quick", "--html", str(tmp_path / "page.html")]) == 0
    assert "部件 core" in (tmp_path / "page.html").read_text("utf-8")


def test_all_is_everything_but_the_hours_and_a_longer_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "memory_mb", lambda: 8 << 10)
    jobs = _jobs("all", [])
    assert ("soak", []) not in jobs and jobs[-1] == ("drain", ["--held", "200000"]) and ("drain", []) in jobs
    monkeypatch.setattr(here, "memory_mb", lambda: 16 << 10)
    assert _jobs("all", [])[-1][1] == ["--held", "3000000"]
    assert [name for name, _ in _jobs("smoke", [])] == list(SUITES) and _jobs("core", ["x"]) == [("core", ["x"])]


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(120)
@pytest.mark.parametrize("suite", [one for one in SUITES if one not in (*FAST, *ELSEWHERE)])
def test_every_suite(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    smoke(suite, capsys)
