"""devices/voice.py: one announcement at a time in a zone, none swallowed, none said to an empty hall."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core import commands as c
from devices import wire
from devices.client import Device
from devices.voice import WAITING_MAX, VoiceBox
from tests.minicore import eventually
from tests.scripted import play


class Room:
    """Stands for the device and the loudspeaker: orders in, reports out; `now_ms` is the hall's clock."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[wire.Message | None] = asyncio.Queue()
        self.reports: list[tuple[int, bool]] = []
        self.medium: set[tuple[str, str]] = set()
        self.said: list[tuple[str, int]] = []
        self.speaking: list[str] = []
        self.together: list[list[str]] = []
        self.go: asyncio.Semaphore = asyncio.Semaphore(0)
        self.broken = False
        self.now_ms = 0
        self.box = VoiceBox(self, self.play)  # type: ignore[arg-type]  # all of a device that it uses

    async def commands(self, *, late: bool) -> AsyncIterator[wire.Message]:
        assert late, "late ones are reported, too"
        while (message := await self.orders.get()) is not None:
            yield message

    def is_late(self, message: wire.Message) -> bool:
        return self.now_ms > message.until_ms

    def post(self, command: c.ReportCall) -> None:
        self.reports.append((command.call, command.ok))
        self.medium.add((command.medium, command.zone))

    async def play(self, order: wire.VoiceSay) -> None:
        """Speaks until the test lets it end."""
        self.speaking.append(order.zone)
        self.together.append(list(self.speaking))
        self.said.append((order.zone, order.call))
        try:
            await self.go.acquire()
            if self.broken:
                raise OSError("no sound")
        finally:
            self.speaking.remove(order.zone)

    def order(self, call: int, zone: str = "w1", *, until_ms: int = 30_000, times: int = 1) -> None:
        body = wire.VoiceSay(call, "x", "zh", times, "A001", 1, zone)
        self.orders.put_nowait(wire.Message(call, 0, until_ms, body))

    async def goes_on(self, count: int) -> None:
        """So many sentences end."""
        for _ in range(count):
            self.go.release()
            for _ in range(20):  # turns of the loop, in which all goes on that can: nothing here waits for time
                await asyncio.sleep(0)


def within(scenario: Callable[[Room], Coroutine[Any, Any, None]]) -> None:
    @asynccontextmanager
    async def open_room() -> AsyncIterator[Room]:
        room = Room()
        task = asyncio.create_task(room.box.obey())
        try:
            yield room
        finally:
            room.orders.put_nowait(None)
            await task

    async def run() -> None:
        async with open_room() as room:
            await scenario(room)

    play(run, 10)


def test_f16_a_second_call_waits_for_the_end_of_the_first_and_both_are_reported() -> None:
    async def scenario(room: Room) -> None:
        for call in (1, 2, 3):
            room.order(call, times=2)
        await eventually(lambda: room.said)
        assert room.reports == [] and room.said == [("w1", 1)]
        await room.goes_on(6)
        await eventually(lambda: len(room.reports) == 3)
        assert room.reports == [(1, True), (2, True), (3, True)]
        assert room.said == [("w1", call) for call in (1, 1, 2, 2, 3, 3)]
        assert all(len(zones) == 1 for zones in room.together), "one at a time"
        assert room.medium == {("voice", "w1")}

    within(scenario)


def test_zones_speak_beside_each_other() -> None:
    async def scenario(room: Room) -> None:
        for call, zone in ((1, "w1"), (2, "w2"), (3, "w1")):
            room.order(call, zone)
        await eventually(lambda: len(room.said) == 2)
        assert room.said == [("w1", 1), ("w2", 2)] and sorted(room.speaking) == ["w1", "w2"]
        await room.goes_on(3)
        await eventually(lambda: len(room.reports) == 3)
        assert all(zones.count("w1") <= 1 for zones in room.together)

    within(scenario)


def test_a_recall_of_what_still_waits_is_said_once_and_one_of_what_was_said_again() -> None:
    async def scenario(room: Room) -> None:
        room.order(1)
        await eventually(lambda: room.said)
        for call in (2, 3, 2, 1):
            room.order(call)
        await eventually(lambda: room.orders.empty())
        await room.goes_on(4)
        await eventually(lambda: len(room.reports) == 4)
        assert [call for _, call in room.said] == [1, 2, 3, 1], "2 kept its place, 1 had begun"

    within(scenario)


def test_a_recall_renews_the_time_of_what_waits() -> None:
    async def scenario(room: Room) -> None:
        room.order(1)
        room.order(2, until_ms=100)
        room.order(2, until_ms=40_000)
        await eventually(lambda: room.orders.empty())
        room.now_ms = 20_000
        await room.goes_on(2)
        await eventually(lambda: len(room.reports) == 2)
        assert room.reports == [(1, True), (2, True)]

    within(scenario)


def test_what_is_late_is_not_said_and_reported_so_at_its_coming_and_at_its_turn() -> None:
    async def scenario(room: Room) -> None:
        room.now_ms = 1_000
        room.order(2)
        await eventually(lambda: room.said)
        room.order(1, until_ms=999)
        await eventually(lambda: room.reports == [(1, False)])
        assert room.speaking == ["w1"], "before its turn"
        room.order(3, until_ms=2_000)
        await eventually(lambda: room.orders.empty())
        room.now_ms = 2_001
        await room.goes_on(1)
        await eventually(lambda: len(room.reports) == 3)
        assert room.reports == [(1, False), (2, True), (3, False)]
        assert room.said == [("w1", 2)]

    within(scenario)


def test_more_than_the_queue_holds_is_reported_at_once() -> None:
    async def scenario(room: Room) -> None:
        for call in range(1, WAITING_MAX + 4):
            room.order(call)
            await asyncio.sleep(0)
        room.order(5)
        await eventually(lambda: room.orders.empty())
        assert room.reports == [(WAITING_MAX + 2, False), (WAITING_MAX + 3, False)], (
            "1 is spoken, 32 wait, 5 has a place"
        )

    within(scenario)


def test_a_broken_loudspeaker_is_reported_and_the_next_is_tried() -> None:
    async def scenario(room: Room) -> None:
        room.broken = True
        room.order(1)
        room.order(2)
        await room.goes_on(1)
        await eventually(lambda: room.reports)
        room.broken = False
        await room.goes_on(1)
        await eventually(lambda: len(room.reports) == 2)
        assert room.reports == [(1, False), (2, True)]

    within(scenario)


def test_a_mistake_is_loud() -> None:
    async def scenario() -> None:
        room = Room()

        async def wrong(order: wire.VoiceSay) -> None:
            raise ZeroDivisionError

        room.box = VoiceBox(room, wrong)  # type: ignore[arg-type]  # all of a device that it uses
        task = asyncio.create_task(room.box.obey())
        room.order(1)
        await asyncio.sleep(0.01)
        room.order(2)
        with pytest.raises(ZeroDivisionError):
            await task

    play(scenario, 10)


def test_it_is_a_device_s_part() -> None:
    assert {"commands", "is_late", "post"} <= {*dir(Device)}
