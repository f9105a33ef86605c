"""bench/pace.py, bench/generate.py: a generator goes first where it may, and lets go what is due."""

import os
import time

import pytest

from bench import pace
from bench.blast import Lane
from bench.generate import Schedule
from bench.watch import Watch


def test_the_priority_is_what_the_system_gives_and_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    with pace.first() as got:
        now = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        assert (got == pace.FIFO) == (now[0] == os.SCHED_FIFO) and (got == pace.NORMAL) == (now == before)
        with pace.first() as again:
            assert again == got
        assert os.sched_getscheduler(0) == now[0], "also a real-time priority is given back"
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before
    with pace.first(wanted=False) as got:
        assert got == pace.NORMAL and os.sched_getscheduler(0) == before[0]
    calls = list[int]()

    def refused(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    monkeypatch.setattr(os, "setpriority", lambda kind, who, nice: calls.append(nice))
    with pace.first() as got:
        assert got == pace.NICE and calls == [pace.NICENESS]
    assert calls == [pace.NICENESS, before[1]]
    monkeypatch.setattr(os, "setpriority", refused)
    with pace.first() as got:
        assert got == pace.NORMAL


def test_a_schedule_lets_go_what_is_due_and_names_the_next() -> None:
    lanes, start = [Lane("a", [b"1", b"2"], 1), Lane("b", [b"3"], 1)], time.monotonic_ns()
    watch = Watch(["t"], echo=False)
    frames = [[(5, b"1", "t", "calling"), (9_000, b"2", "", "")], [(7, b"3", "", "")]]
    schedule = Schedule(lanes, frames, watch, echo=False)
    assert schedule.turn(start, start + 4) == start + 5 and not watch.waiting
    assert schedule.turn(start, start + 2_005) == start + 9_000
    assert [lane.allowed for lane in lanes] == [1, 1] and watch.waiting == 1
    assert schedule.turn(start, start + 9_000) is None and lanes[0].allowed == 2
    assert (schedule.late_ms(0), schedule.late_ms(1)) == (0.0, 0.002)
