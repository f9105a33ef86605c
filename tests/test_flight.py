"""devices/flight.py: what a message holds, how old it says its events are, how long an answer is waited for."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from devices import flight, wire
from devices.flight import Counts, Flight, Timing
from devices.outbox import MemoryOutbox

BEEP = b'{"type":"ticket.call_next"}'


def a_flight(now_ms: Callable[[], int] = flight.wall_ms, outbox: MemoryOutbox | None = None) -> Flight:
    return Flight(outbox or MemoryOutbox(), Timing(), now_ms, Counts())


def within_a_loop(scenario: Callable[[], None]) -> None:
    async def run() -> None:
        scenario()

    asyncio.run(run())


def test_the_age_is_right_though_the_wall_clock_is_put(monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario() -> None:
        way = a_flight()
        way.put(BEEP)
        way.load()
        started = time.monotonic()
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
        monkeypatch.setattr(time, "monotonic", lambda: started + 5)
        assert 4_990 <= msgspec.json.decode(way.payload())["age_ms"] <= 5_000

    within_a_loop(scenario)


def test_an_event_of_an_earlier_life_is_as_old_as_the_wall_clock_says() -> None:
    outbox = MemoryOutbox()
    outbox.put(BEEP, flight.wall_ms() - 60_000)
    way = a_flight(outbox=outbox)
    way.load()
    assert 60_000 <= msgspec.json.decode(way.payload())["age_ms"] < 62_000


def test_patience_doubles_to_its_limit_within_the_spread() -> None:
    def scenario() -> None:
        way = a_flight()
        way.put(BEEP)
        way.load()
        waits = []
        for _ in range(8):
            way.payload()
            waits.append(way.patience_s(Random(1)))
        factor = waits[0] / 30
        assert 0.8 <= factor <= 1.2
        assert [round(wait / factor) for wait in waits] == [30, 60, 120, 240, 480, 600, 600, 600]
        way.afresh()
        assert round(way.patience_s(Random(1)) / factor) == 30

    within_a_loop(scenario)


def test_an_answer_for_another_boot_or_number_changes_nothing() -> None:
    def scenario() -> None:
        way = a_flight()
        way.put(BEEP)
        way.load()
        way.payload()
        done = wire.Ok("done")
        assert way.answered(wire.Ack("other", 0, [wire.Result(1, ok=done)])) == []
        assert way.answered(wire.Ack(way.outbox.boot, 0, [wire.Result(2, ok=done)])) == []
        assert way
        assert len(way.answered(wire.Ack(way.outbox.boot, 0, [wire.Result(1, ok=done)]))) == 1
        assert way.answered(wire.Ack(way.outbox.boot, 0, [wire.Result(1, ok=done)])) == [], "told once"
        assert not way

    within_a_loop(scenario)


def test_what_is_sent_and_unanswered_stays_under_its_boot_when_a_new_one_is_drawn() -> None:
    """It may have been applied; only what the hall refused to know, and what was never sent, may be renumbered."""

    def scenario() -> None:
        way = a_flight()
        old = way.outbox.boot
        for _ in range(2):
            way.put(BEEP)
        way.load()
        way.payload()
        way.put(BEEP)
        way.answered(wire.Ack(old, 0, [wire.Result(2, refused="seq_reused", again=True)]))
        keys = [entry.key for entry in way.outbox.entries()]
        assert keys == [(old, 1), (way.outbox.boot, 1), (way.outbox.boot, 2)]
        assert old != way.outbox.boot

    within_a_loop(scenario)


def test_a_wire_event_reads_what_is_sent() -> None:
    def scenario() -> None:
        way = a_flight()
        way.put(BEEP)
        way.put(BEEP)
        way.load()
        [one, two] = wire.decode(way.payload(), "caller-01")
        assert isinstance(one, wire.Heard)
        assert isinstance(two, wire.Heard)
        assert (one.cause.seq, two.cause.seq) == (1, 2)

    within_a_loop(scenario)


@pytest.mark.parametrize("sent", [False, True])
def test_the_last_message_can_be_sent_again(sent: bool) -> None:
    def scenario() -> None:
        way = a_flight()
        if sent:
            way.put(BEEP)
            way.load()
            first: Any = msgspec.json.decode(way.payload())
            way.answered(wire.Ack(way.outbox.boot, 0, [wire.Result(1, ok=wire.Ok("done"))]))
            again = msgspec.json.decode(way.payload())
            assert {**first, "sent_ms": 0, "age_ms": 0} == {**again, "sent_ms": 0, "age_ms": 0}
        else:
            assert way.payload() == b""

    within_a_loop(scenario)


def test_under_a_new_boot_no_event_replaces_a_seq_of_the_old_one() -> None:
    def scenario() -> None:
        way = a_flight()
        way.put(b'{"type":"ticket.take","service":"si","number":"X001","replaces":1}')
        way.put(BEEP)
        way.load()
        way.payload()
        lost = [wire.Result(seq, refused="seq_reused") for seq in (1, 2)]
        way.answered(wire.Ack(way.outbox.boot, 0, lost))
        way.load()
        [first, second] = msgspec.json.decode(way.payload())
        assert first["body"] == {"type": "ticket.take", "service": "si", "number": "X001", "replaces": 0}
        assert second["body"] == msgspec.json.decode(BEEP)

    within_a_loop(scenario)
