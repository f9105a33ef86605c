"""workers/clock.py: the time of a hall, and how late the loop is."""

import asyncio
import time

import pytest

from workers import clock
from workers.clock import Clock, LagMeter


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine's clock that is set by hand."""
    at = [1_700_000_000_000]
    monkeypatch.setattr(clock, "utc_ms", lambda: at[0])
    return at


def test_real_time_is_the_machine_s_whatever_the_origin() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= Clock(1, 5, 7).now_ms() <= time.time_ns() // 1_000_000


def test_a_simulated_day_runs_at_its_speed_from_its_origin(utc: list[int]) -> None:
    fast = Clock(60, 1_000_000)
    assert fast.now_ms() == 1_000_000
    utc[0] += 1000
    assert fast.now_ms() == 1_060_000


def test_with_an_anchor_it_goes_on_after_a_restart(utc: list[int]) -> None:
    first = Clock(60, 1_000_000, utc[0])
    utc[0] += 5000
    again = Clock(first.speed, first.origin_ms, first.anchor_ms)
    assert again.now_ms() == first.now_ms() == 1_300_000


def test_without_an_origin_it_begins_now(utc: list[int]) -> None:
    assert Clock(10).now_ms() == utc[0]


def test_the_meter_beats_and_measures_how_late() -> None:
    async def scenario() -> None:
        lags: list[float] = []
        done = asyncio.Event()

        def beat() -> None:
            if len(lags) == 2:
                time.sleep(0.05)  # the loop is held up
            if len(lags) == 4:
                done.set()

        task = asyncio.create_task(LagMeter(lags.append, 0.01).run(beat))
        async with asyncio.timeout(10):
            await done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert min(lags) >= 0 and lags[2] >= 0.03, lags
        assert lags[3] < lags[2], "what was missed is not made up for"

    asyncio.run(scenario())


def test_a_clock_that_is_set_is_told_by_how_much_once(monkeypatch: pytest.MonkeyPatch) -> None:
    utc, running = [1_000_000], [50_000]
    monkeypatch.setattr(clock, "utc_ms", lambda: utc[0])
    monkeypatch.setattr(clock, "_running_ms", lambda: running[0])
    jumps = clock.Jumps()
    for set_s in (0, -3600, 0, 660):
        running[0] += 2000
        utc[0] += 2000 + set_s * 1000
        assert round(jumps.since_last(), 3) == set_s


def test_a_clock_set_by_more_than_ten_minutes_is_not_believed(utc: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    running = [5_000]
    monkeypatch.setattr(clock, "_running_ms", lambda: running[0])
    hall, start = Clock(), utc[0]

    def later(ms: int, *, set_by: int = 0) -> int:
        running[0] += ms
        utc[0] += ms + set_by
        return hall.now_ms() - start

    assert later(1_000) == 1_000 and not hall.leapt
    assert later(1_000, set_by=600_000) == 602_000 and not hall.leapt  # as far as is believed
    assert later(1_000, set_by=-600_000) == 3_000 and not hall.leapt
    for far in (600_001, -600_001):
        assert later(1_000, set_by=far) == later(0) and hall.leapt
        before = later(0)
        assert later(1_000) == before + 1_000 and hall.leapt, "time goes on"
        assert later(0, set_by=-far) == before + 1_000 and not hall.leapt, "put right, it is believed again"


def test_a_clock_that_is_set_a_little_again_and_again_is_believed_each_time(utc: list[int]) -> None:
    hall = Clock()
    for _ in range(3):
        utc[0] += 400_000
        assert hall.now_ms() == utc[0] and not hall.leapt


def test_a_clock_far_behind_the_journal_goes_on_from_it(utc: list[int]) -> None:
    hall = Clock()
    hall.not_before(utc[0] + 600_000)
    assert hall.now_ms() == utc[0] and not hall.leapt
    hall.not_before(utc[0] + 86_400_000)
    assert 0 <= hall.now_ms() - utc[0] - 86_400_000 < 60_000 and hall.leapt


@pytest.mark.parametrize("behind_ms", [14 * 3_600_000, 1_700_000_000_000 - 86_400_000])
def test_a_clock_that_was_dead_at_the_start_is_believed_once_the_network_has_set_it(
    utc: list[int], monkeypatch: pytest.MonkeyPatch, behind_ms: int
) -> None:
    """The journal ends at 18:00; the machine wakes at 08:00 with yesterday's clock, or that of 1970."""
    ended, running = utc[0], [5_000]
    monkeypatch.setattr(clock, "_running_ms", lambda: running[0])
    utc[0] = ended - behind_ms
    hall = Clock()
    hall.not_before(ended)
    for _ in range(2):
        running[0] += 30_000
        utc[0] += 30_000
        assert hall.now_ms() == ended + running[0] - 5_000 and hall.leapt
    utc[0] = ended + 14 * 3_600_000
    assert hall.now_ms() == utc[0] and not hall.leapt
    utc[0] += 700_000
    assert hall.now_ms() == utc[0] - 700_000 and hall.leapt, "from then on as ever"


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system cannot tell how long it slept")
def test_a_machine_that_slept_is_believed(utc: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [0]
    real = time.clock_gettime_ns
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: real(which) + slept[0] * (which == time.CLOCK_BOOTTIME))
    hall, jumps = Clock(), clock.Jumps()
    utc[0] += 3_600_000
    slept[0] = 3_600_000 * 1_000_000
    assert hall.now_ms() == utc[0] and not hall.leapt and abs(jumps.since_last()) < 60
