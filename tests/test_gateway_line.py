"""devices/gateway.py on a line as it is: recorded bytes, plugs pulled in mid-frame, boxes that must be asked."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices import frames, gateway
from devices.frames import Frame, encode
from devices.gateway import Gateway
from tests.brokers import RunningBroker
from tests.processes import ROOT
from tests.test_gateway import CALL, RATING, Bus, Wire, play


class Polled:
    """Boxes that speak only when they are asked: with a key that waits in them, else with an echo."""

    def __init__(self, bus: Bus, *alive: int) -> None:
        self.bus, self.alive = bus, set(alive)
        self.keys: list[Frame] = []
        self.asked: list[int] = []
        self.before: dict[int, bytes] = {}  # by address: noise in front of its next answer

    async def answer(self) -> None:
        while True:
            await asyncio.sleep(0.002)
            try:
                found = self.bus.reader.feed(os.read(self.bus.master, 4096), 0)
            except (BlockingIOError, OSError):
                continue
            for one in found:
                if one.function == frames.SHOW:
                    self.asked.append(one.address)
                    self._reply(one)

    def _reply(self, question: Frame) -> None:
        waits = [key for key in self.keys if key.address == question.address]
        if noise := self.before.pop(question.address, b""):
            self.bus.press(noise)
        elif waits and question.address in self.alive:
            self.keys.remove(waits[0])
            self.bus.press(waits[0])
        elif question.address in self.alive:
            self.bus.press(question)


@asynccontextmanager
async def answering(bus: Bus, *alive: int) -> AsyncIterator[Polled]:
    boxes = Polled(bus, *alive)
    task = asyncio.create_task(boxes.answer())
    yield boxes
    task.cancel()


def asks(bus: Bus) -> bool:
    """Whether the gateway asks the boxes of the bus."""
    return f"poll of {bus.path}" in {task.get_name() for task in asyncio.all_tasks()}


def test_a_polled_bus_is_asked_and_a_dead_address_does_not_hold_up_the_others(
    iotcore_broker: RunningBroker, tmp_path: Path
) -> None:
    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        async with answering(bus, 3) as boxes:
            assert (await wire_.state("ev-2", "degraded"))["faults"] == ["silent"]
            assert asks(bus)
            before = boxes.asked.count(5)
            boxes.keys.append(CALL)
            event = await wire_.next("caller-1", "event")
            assert event["body"]["type"] == "ticket.call_next", "the key came as an answer"
            assert boxes.asked.count(3) > 2 * before
            boxes.alive.add(5)
            await wire_.state("ev-2", "ready")
            bus.press(RATING)  # and one that speaks unasked is heard as well
            assert (await wire_.next("ev-2", "event"))["body"]["key"] == 0
            assert running.lines[0].counts.polled >= len(boxes.asked) - 1

    play(iotcore_broker, tmp_path, scenario, poll_ms=20)


def test_a_spoilt_answer_to_a_poll_is_none_and_the_next_is_heard(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        async with answering(bus, 3, 5) as boxes:
            boxes.before[3] = encode(CALL)[:-2] + b"\x11\x16"
            line = running.lines[0]
            async with asyncio.timeout(10):
                while not line.reader.bad.sum or boxes.asked.count(3) < 4:
                    await asyncio.sleep(0.01)
            boxes.keys.append(CALL)
            assert (await wire_.next("caller-1", "event"))["seq"] == 1, "the spoilt one was no key"

    play(iotcore_broker, tmp_path, scenario, poll_ms=20)


def test_a_bus_without_poll_is_not_asked(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        async with answering(bus, 3, 5) as boxes:
            assert not asks(bus), "nothing that would ask runs beside it"
            bus.press(CALL)
            assert (await wire_.next("caller-1", "event"))["seq"] == 1, "and it listens"
            assert boxes.asked == [] and running.lines[0].counts.polled == 0

    play(iotcore_broker, tmp_path, scenario)


RECORDED = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "devices/vectors/frames").glob("*.json")}


@pytest.mark.parametrize("name", ["noise", "half-frame", "half-then-whole", "wrong-sum", "two-at-once", "start-twice"])
def test_a_recorded_stream_on_a_line_is_echoed_as_its_file_says(
    iotcore_broker: RunningBroker, tmp_path: Path, name: str
) -> None:
    """The very bytes at their times through a pseudo-terminal: noise, halves, sums, frames glued together."""

    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        case, now_ms = RECORDED[name], 0
        for at_ms, text in case["stream"]:
            await asyncio.sleep((at_ms - now_ms) / 1000)
            now_ms = at_ms
            bus.press(bytes.fromhex(text))
        mine = [echo for (address, *_), echo in zip(case["frames"], case["echo"], strict=True) if address in (3, 5)]
        await bus.hears(*[frames.Reader().feed(bytes.fromhex(one), 0)[0] for one in mine])
        reader, counts = running.lines[0].reader, running.lines[0].counts
        async with asyncio.timeout(10):
            while len(reader) or sum(reader.bad) < sum(case["bad"].values()):  # all of it was read, halves have expired
                await asyncio.sleep(0.005)
        bus.press(CALL)
        await bus.hears(CALL)
        assert bus.found == [], "and nothing else before this one"
        assert counts.pressed + counts.bounced + counts.unused == len(mine) + 1

    play(iotcore_broker, tmp_path, scenario)


def test_a_line_that_is_unplugged_in_mid_frame_begins_anew(
    iotcore_broker: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half before the plug and the half after it are no frame."""
    monkeypatch.setattr(gateway, "REOPEN_S", 0.05)

    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        whole, line = encode(CALL), running.lines[0]
        bus.press(whole[:6])
        async with asyncio.timeout(5):
            while not len(line.reader):
                await asyncio.sleep(0.002)
        bus.unplug()
        await wire_.state("caller-1", "lost")
        bus.plug()
        await wire_.state("caller-1", "ready")
        bus.press(whole[6:], CALL)
        await bus.hears(CALL)
        assert (await wire_.next("caller-1", "event"))["seq"] == 1 and line.counts.pressed == 1

    play(iotcore_broker, tmp_path, scenario)
