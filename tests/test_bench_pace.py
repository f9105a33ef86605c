"""bench/pace.py, bench/generate.py: a generator wakes at its times, goes first where it may, and says so."""

import os
import time

import pytest

from bench import pace
from bench.blast import Lane
from bench.generate import Schedule
from bench.watch import Watch


def test_a_loop_wakes_within_a_part_of_a_millisecond() -> None:
    loop, took = pace.loop(), list[float]()
    try:
        for _ in range(20):
            begin = loop.time()
            loop.call_later(0.0002, lambda: (took.append(loop.time() - begin), loop.stop()))  # noqa: B023 - run at once
            loop.run_forever()
    finally:
        loop.close()
    assert 0.0002 <= min(took) < 0.001, "epoll alone rounds up to whole milliseconds"


def test_what_can_be_read_ends_the_wait() -> None:
    loop, (here, there) = pace.loop(), os.pipe()
    try:
        loop.add_reader(here, loop.stop)
        loop.call_later(0.001, os.write, there, b"x")
        late = loop.call_later(30, pytest.fail)
        loop.run_forever()
        late.cancel()
    finally:
        loop.close()
        os.close(here)
        os.close(there)


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
