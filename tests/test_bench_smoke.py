"""bench: every suite runs for seconds, names its gates and says that this is no verdict; the small ones always."""

import json

import pytest

from bench.__main__ import SUITES, main

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


@pytest.mark.parametrize("suite", FAST)
def test_small_suites(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    smoke(suite, capsys)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(120)
@pytest.mark.parametrize("suite", [one for one in SUITES if one not in (*FAST, *ELSEWHERE)])
def test_every_suite(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    smoke(suite, capsys)
