"""bench/pairs.py: interleaving, spread, verdicts and the one line of JSON; bench/machine.py tells no names."""

import getpass
import json
import platform
from pathlib import Path

import pytest

from bench import machine as here
from bench import pairs
from bench.machine import machine
from bench.pairs import (
    Options,
    Report,
    Verdict,
    Void,
    compare,
    document,
    gate,
    interleave,
    not_run,
    ratio_of,
    verdict,
    wrong,
)


def test_pairs_are_interleaved_and_the_first_is_thrown_away() -> None:
    order: list[str] = []

    def subject(name: str) -> float:
        order.append(name)
        return float(len(order))

    raw = interleave(lambda: subject("a"), lambda: subject("b"), 3)
    assert "".join(order) == "abbaabba"
    assert raw == [(4.0, 3.0), (5.0, 6.0), (8.0, 7.0)]


def test_a_ratio_has_quartiles_of_the_pair_ratios() -> None:
    ratio = ratio_of([(1, 1), (4, 2), (9, 3), (16, 4), (25, 5)])
    assert (ratio.median, ratio.low, ratio.high, ratio.q1, ratio.q3) == (3, 1, 5, 2, 4)
    assert ratio.spread == pytest.approx(2 / 3)
    assert ratio_of([(3, 1)]).spread == 0


def test_pairs_double_once_when_they_differ_too_much() -> None:
    steps = iter(range(1, 100))
    assert len(compare(lambda: float(next(steps)), lambda: 1.0, pairs=4).raw) == 8
    assert len(compare(lambda: 2.0, lambda: 1.0, pairs=4).raw) == 4


def test_a_pair_of_which_much_was_stolen_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([*(0, 0), *(0, 0), *(100, 11), *(100, 11), *(200, 21), *(200, 21), *(300, 21)])
    monkeypatch.setattr(here, "jiffies", lambda: (next(ticks), next(ticks)))
    order = iter(range(1, 100))
    raw = interleave(lambda: float(next(order)), lambda: 1.0, 2)
    assert raw == [(3.0, 1.0), (4.0, 1.0)], "the second was void: 11 of 100"
    monkeypatch.setattr(pairs, "STOLEN_MAX", -1.0)
    monkeypatch.setattr(here, "jiffies", lambda: (0, 0))
    with pytest.raises(Void, match="stolen"):
        interleave(lambda: 1.0, lambda: 1.0, 2)


def test_a_count_that_must_be_0_is_wrong_in_any_run() -> None:
    counted = pairs.Gate("x.lost", 1.0, 0.0, False, 0.0, at_least=False)
    missed = gate("g", ratio_of([(2.0, 1.0)]), 9.0)
    assert wrong([missed, counted]) and not wrong([missed])


def test_whole_runs_double_once_by_any_of_their_ratios() -> None:
    steps = iter(range(1, 100))
    calm = [ratio_of([(1.0, 1.0)])]
    assert len(pairs.repeated(lambda: "a", lambda: "b", 3, lambda _: calm)) == 3
    wild = pairs.repeated(lambda: float(next(steps)), lambda: 1.0, 3, lambda some: [*calm, ratio_of(some)])
    assert [above for above, _ in wild] == [2, 3, 4, 5, 6, 7], "only the very first is thrown away"


def test_a_gate_holds_misses_is_marginal_or_says_nothing() -> None:
    steady = ratio_of([(2.0, 1.0)] * 7)
    assert gate("g", steady, 2.0).ok is True and gate("g", steady, 2.0).note == "marginal"
    assert gate("g", steady, 1.5).note == "" and gate("g", steady, 2.5).ok is False
    assert gate("g", steady, 1.5, at_least=False).ok is False and gate("g", steady, 3, at_least=False).ok is True
    wild = gate("g", ratio_of([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]), 1.0)
    assert wild.ok is None and "inconclusive" in wild.note
    for last, ok in ((1.25, True), (1.26, None)):  # the quartiles of three are the middles between them
        found = ratio_of([(0.75, 1), (1, 1), (last, 1)])
        assert gate("g", found, 0.5).ok is ok, found.spread


def test_near_its_goal_is_within_the_spread_of_the_ratio_itself() -> None:
    tenth = ratio_of([(9, 1), (10, 1), (11, 1)])
    assert tenth.spread == 0.1
    assert gate("g", tenth, 9.0).note == "marginal" and gate("g", tenth, 8.9).note == ""


def test_verdicts_are_exit_codes() -> None:
    held = gate("g", ratio_of([(2.0, 1.0)]), 1.0)
    missed = gate("g", ratio_of([(2.0, 1.0)]), 9.0)
    wild = gate("g", ratio_of([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]), 1.0)
    absent = not_run("g", 50, "no redis here")
    assert verdict([held]) is Verdict.PASSED
    assert verdict([held, absent]) is Verdict.INCONCLUSIVE, "what was not run is not passed"
    assert verdict([held, wild, absent]) is Verdict.INCONCLUSIVE and Verdict.INCONCLUSIVE == 3
    assert verdict([wild, missed]) is Verdict.MISSED
    assert absent.ok is None and absent.value is None and absent.note == "not run: no redis here"


def test_the_document_has_suite_machine_and_gates() -> None:
    report = Report("x", [gate("x.g", ratio_of([(2.0, 1.0)]), 1.0)], {"mean_wait": [1.0]})
    line = document(report, Options(json=True, seed=9), {"cores": 2}, ["x", "--json"])
    found = json.loads(line)
    assert "\n" not in line
    assert found["suite"] == "x" and found["machine"] == {"cores": 2} and found["mean_wait"] == [1.0]
    assert {"name", "value", "goal", "ok", "spread"} <= found["gates"][0].keys()
    assert found["verdict"] == "passed" and found["seed"] == 9
    quick = json.loads(document(report, Options(quick=True), {}, []))
    assert quick["verdict"] == "no verdict: --quick"


def test_the_machine_block_has_no_host_user_or_path() -> None:
    text = json.dumps(machine(probe_disk=False) | {"load": here.now()})
    for private in (platform.node(), str(Path.home()), str(Path.cwd())):
        assert len(private) < 4 or private not in text
    assert f'"{getpass.getuser()}"' not in text
