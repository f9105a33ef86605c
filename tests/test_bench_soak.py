"""bench/soak.py, bench/days.py: sixteen days in eight hours, connections lost on the way, ratings counted."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from bench.days import Account, Reader, alone, summary
from bench.latency import Pressed
from bench.rush import presses
from bench.soak import DAY_MS, MIDNIGHT_MS, Sample, Soak, Wish, _growth, _tail
from core import record
from core.facts import EvaluationSubmitted
from workers.ports import Row

NIGHTLY = Wish(seed=1, rate=500, round_s=60, halls=20, minutes=480, days=16)


def test_sixteen_days_end_in_eight_hours() -> None:
    assert NIGHTLY.speed == 48
    last_ms = NIGHTLY.origin_ms + 480 * 60_000 * NIGHTLY.speed
    assert (last_ms - MIDNIGHT_MS) // DAY_MS + 1 == 16
    short = Wish(seed=1, rate=200, round_s=4, halls=4, minutes=0.3, days=0.0125)
    assert short.origin_ms < MIDNIGHT_MS < short.origin_ms + 18_000 * short.speed


def test_devices_are_lost_and_come_back_in_their_lane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Soak, "start", lambda _: None)
    lanes = presses(halls=20, counters=12, rate=500, seconds=4, seed=1, connections=10).timed
    before = sum(map(len, lanes))
    Soak(tmp_path, "", NIGHTLY).lose(lanes, Random(1), "soak-1")
    told = [one for lane in lanes for one in lane if one.topic.endswith("/state")]
    assert sum(map(len, lanes)) - before == len(told) == 16, "240 keypads, a day in 30 minutes: eight a minute"
    assert all([one.due_ns for one in lane] == sorted(one.due_ns for one in lane) for lane in lanes)
    assert sorted(b'"lost"' in one.payload for one in told) == [False] * 8 + [True] * 8


def test_ratings_are_counted_and_a_day_alone_is_only_waits() -> None:
    account = Account()
    fact = EvaluationSubmitted(1, 4, "p1", 1, "s0", "", "device", 900, False)
    kind, v, payload = record.encode(fact)
    Reader(account, 0).read(Row(1, kind, v, "", "", 0, payload))
    assert summary(account).ratings == {"rated": 1.0, "response": 1.0, "mean_level": 4.0}
    found = alone([(0, 60_000), (1, 120_000)])
    assert found.wait_min["mean"] == 1.5 and found.quarters[0][1] == 2


@pytest.mark.parametrize(("an_hour", "ok"), [(0.0, True), (0.5, True), (2.0, False)])
def test_memory_that_grows_in_the_second_half_is_seen(an_hour: float, ok: bool) -> None:
    """200 MB, and so many more an hour; what the first half did, and the recovery of a kill, is left out."""
    samples = [Sample(at, 900.0 if at < 5000 else 200.0 + an_hour * 2 * at / 3600) for at in range(0, 7200, 60)]
    soak: Any = SimpleNamespace(samples=samples, killed_s=5000.0)
    gate = _growth(soak, 120)
    assert gate.ok is ok and _growth(soak, 119).ok is None
    assert gate.value == pytest.approx(an_hour / 100, rel=0.05, abs=1e-9)


@pytest.mark.parametrize(("last_ms", "ok"), [(10.0, True), (14.0, False), (5.0, True)])
def test_the_last_hour_is_held_against_the_first(last_ms: float, ok: bool) -> None:
    rounds = [Pressed(1, 0, 0.0, {"0.99": one}, [], 0.0, True) for one in [10.0] * 30 + [99.0] * 60 + [last_ms] * 30]
    gate = _tail(rounds, 120)
    assert (gate.value, gate.ok) == (last_ms / 10, ok) and _tail(rounds, 119).ok is None
