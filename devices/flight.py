"""devices/flight.py: the one message of a device that is under way, and what the hall's answers do to it. No I/O.

outbox ─load▶ under way ─answered▶ gone        keep: held, then again        seq reused, boot retired: under a new boot
Silence, a new connection or `device.sync`: the same events once more, with the same boot, seq and body.
"""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from devices import wire
from devices.outbox import Entry, Key, MemoryOutbox

OVERHEAD: Final = 160  # bytes of an event around its body, at most
LOST_COUNTER: Final = ("seq_reused", "boot_retired")
_JSON: Final = msgspec.json.Encoder()


class Timing(Struct, frozen=True):
    """Real seconds. A test shortens them, a device keeps them."""

    resend_s: float = 30.0
    resend_max_s: float = 600.0
    spread: float = 0.2
    keep_s: float = 60.0
    backoff_s: float = 0.2
    backoff_max_s: float = 10.0
    settled_s: float = 30.0  # a connection that lived so long starts the back-off anew
    connect_s: float = 5.0
    keepalive_s: int = 30


PATIENT: Final = Timing()


class Counts(Struct):
    """What happened to one device since it was switched on."""

    connections: int = 0
    messages: int = 0
    resent: int = 0
    answered: int = 0
    again: int = 0
    kept: int = 0
    new_boots: int = 0
    faults: int = 0
    unreadable: int = 0
    repeated: int = 0
    too_late: int = 0
    overflowed: int = 0
    screens: int = 0
    old_screens: int = 0


class _Sent(Struct, frozen=True):
    boot: str
    seq: int
    sent_ms: int
    age_ms: int
    body: msgspec.Raw


def wall_ms() -> int:
    """UTC ms of this machine."""
    return time.time_ns() // 1_000_000


class Flight:
    """At most one message, of at most 64 events and 16 KiB, all of one boot."""

    def __init__(self, outbox: MemoryOutbox, timing: Timing, now_ms: Callable[[], int], counts: Counts) -> None:
        self.outbox = outbox
        self._timing, self._now_ms, self._counts = timing, now_ms, counts
        self._under_way: dict[Key, Entry] = {}
        self._last: list[Entry] = []
        self._sendings: dict[Key, int] = {entry.key: 1 for entry in outbox.entries()}  # by an earlier life
        self._born_s: dict[Key, float] = {}
        self._futures: dict[Key, asyncio.Future[wire.Result]] = {}
        self._proven = not outbox.recalled
        self._attempt = 0
        self._hold_until_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def put(self, body: bytes) -> "asyncio.Future[wire.Result]":
        """Into the outbox; the future is the answer. OutboxFull; ValueError above what the wire carries."""
        if len(body) + OVERHEAD > wire.MAX_PAYLOAD:
            raise ValueError(f"a command of {len(body)} bytes does not fit the wire")
        entry = self.outbox.put(body, self._now_ms())
        self._born_s[entry.key] = time.monotonic()
        future = self._futures[entry.key] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_heard_of)
        return future

    def load(self) -> bool:
        """The oldest events become the message, if none is under way. Whether there is a new one."""
        if self._under_way:
            return False
        size = 2
        for entry in self.outbox.first(wire.MAX_BATCH):
            size += len(entry.body) + OVERHEAD
            if size > wire.MAX_PAYLOAD and self._under_way:
                break
            self._under_way[entry.key] = entry
        self._attempt = 0
        return bool(self._under_way)

    def payload(self) -> bytes:
        """The message as it is sent now; the last one when nothing is under way, empty when nothing ever was."""
        events, now_ms = list(self._under_way.values()) or self._last, self._now_ms()
        sent = [_Sent(one.boot, one.seq, now_ms, self._age_ms(one, now_ms), msgspec.Raw(one.body)) for one in events]
        for key in self._under_way:
            self._sendings[key] = self._sendings.get(key, 0) + 1
        self._last = events
        if not sent:
            return b""
        self._counts.messages += 1
        self._counts.resent += self._attempt > 0 or not self._under_way
        self._attempt += 1
        return _JSON.encode(sent[0] if len(sent) == 1 else sent)

    def _age_ms(self, entry: Entry, now_ms: int) -> int:
        """By the monotonic clock where that goes back far enough, else, or where time is simulated, by the wall's."""
        born_s = self._born_s.get(entry.key)
        if born_s is None or self._now_ms is not wall_ms:
            return max(0, now_ms - entry.born_ms)
        return int((time.monotonic() - born_s) * 1000)

    def patience_s(self, rng: Random) -> float:
        """How long an answer is waited for: doubling, spread, so that a hall of devices does not shout in chorus."""
        times = self._timing
        wait_s = min(times.resend_max_s, times.resend_s * 2.0 ** min(max(0, self._attempt - 1), 20))
        return wait_s * rng.uniform(1 - times.spread, 1 + times.spread)

    def held_s(self) -> float:
        """How long the hall has asked to wait still; not positive: it has not."""
        return self._hold_until_s - time.monotonic()

    def afresh(self) -> None:
        """A new connection, or the hall has asked: patience begins anew."""
        self._attempt = min(self._attempt, 1)

    def answered(self, ack: wire.Ack) -> list[tuple[Entry, wire.Result]]:
        """The events that are settled by it. An answer to an event that is gone was said before."""
        lost: list[Entry] = []
        settled: list[tuple[Entry, wire.Result]] = []
        self._counts.faults += bool(ack.fault)
        for result in ack.results:
            entry = self.outbox.get((ack.boot, result.seq))
            if entry is None:
                continue
            if result.keep:
                self._counts.kept += 1
                self._hold_until_s = time.monotonic() + self._timing.keep_s
            elif self._counter_is_lost(entry, result):
                lost.append(entry)
            else:
                settled.append((entry, result))
        self._settle(settled)
        if lost:
            self._new_boot(lost)
        return settled

    def _counter_is_lost(self, entry: Entry, result: wire.Result) -> bool:
        """Whether the hall has heard this number before from somebody else: from us, before our storage was put back.

        `again` proves it only for a boot that was read back from storage and not yet answered afresh: the hall may
        answer `again` to our only sending, when it stopped between its commit and its answer and was sent the event
        once more by the broker. To draw a new boot then would do twice what was asked once.
        """
        if result.refused in LOST_COUNTER:
            return True
        return result.again and not self._proven and self._sendings.get(entry.key, 0) <= 1

    def _settle(self, settled: list[tuple[Entry, wire.Result]]) -> None:
        if not settled:
            return
        self.outbox.settle([entry.key for entry, _ in settled])
        for entry, result in settled:
            self._counts.answered += 1
            self._counts.again += result.again
            self._proven = self._proven or not result.again
            for table in (self._under_way, self._sendings, self._born_s):
                table.pop(entry.key, None)
            future = self._futures.pop(entry.key, None)
            if future is not None and not future.done():
                future.set_result(result)

    def _new_boot(self, lost: list[Entry]) -> None:
        """Under a new boot goes what the hall has refused to know, and what was never sent."""
        old = {entry.key for entry in lost}
        moved = [
            _of_no_other(entry)
            for entry in self.outbox.entries()
            if entry.key in old or entry.key not in self._sendings
        ]
        for before, after in zip(moved, self.outbox.redraw(moved), strict=True):
            self._under_way.pop(before.key, None)
            self._sendings.pop(before.key, None)
            if before.key in self._born_s:
                self._born_s[after.key] = self._born_s.pop(before.key)
            if before.key in self._futures:
                self._futures[after.key] = self._futures.pop(before.key)
        self._proven = True
        self._counts.new_boots += 1

    def end(self, over: Exception) -> None:
        """Nobody waits for ever."""
        for future in self._futures.values():
            if not future.done():
                future.set_exception(over)
        self._futures.clear()


def _of_no_other(entry: Entry) -> Entry:
    """`replaces` names a seq of the counter that is lost; under another it would name somebody else's take."""
    body = msgspec.json.decode(entry.body)
    return msgspec.structs.replace(entry, body=_JSON.encode(body | {"replaces": 0})) if body.get("replaces") else entry


def _heard_of(future: "asyncio.Future[Any]") -> None:
    """Nobody need wait for an answer: one that never comes is no unretrieved exception."""
    if not future.cancelled():
        future.exception()
