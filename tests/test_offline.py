"""Two hours without a network, and then 29,000 events at once from 300 devices, through mosquitto, into a hall at work.

The devices are reference clients; what they printed and pressed lies in their outboxes. Nothing is lost, nothing done
twice, each device's events are in order, and the counters work on meanwhile. How fast: `python -m bench drain`.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from bench.rush import hall_policy
from core import commands as c
from core.policy import DevicePart
from devices import wire
from devices.client import Device
from devices.outbox import MemoryOutbox, SqliteOutbox
from devices.tally import Tally, compare
from tests.brokers import RunningBroker
from tests.crowds import blocking, until
from tests.processes import Served
from workers import replays

DEVICES, EVENTS = 300, 29_000
AWAY_MS = 2 * 3_600_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PREFIXES = [one + other for one in LETTERS[10:] for other in LETTERS][:DEVICES]  # of services: A to J
NAMES = [f"hall-{at}" for at in range(DEVICES)]


def filled(at: int, directory: Path) -> MemoryOutbox:
    """Own numbers printed, and reports, over two hours; every thirtieth device has a disk."""
    outbox = SqliteOutbox(directory / f"{at}.db") if at % 30 == 0 else MemoryOutbox()
    count = EVENTS // DEVICES + (at < EVENTS % DEVICES)
    now_ms = time.time_ns() // 1_000_000
    for one in range(count):
        number = f"{PREFIXES[at]}{one // 2 + 1:03}"
        body = c.ReportPrint(10**9) if one % 2 else c.TakeTicket(f"s{one % 20}", number=number)
        outbox.put(msgspec.json.encode(body), now_ms - AWAY_MS + one * AWAY_MS // count)
    return outbox


class Counter:
    """A counter and its kiosk, as fast as they are answered."""

    def __init__(self, url: str, tally: Tally) -> None:
        seen = {"hall": "h1", "observer": tally.observe}
        self.kiosk, self.caller = (Device(url, device=name, **seen) for name in ("kiosk", "caller-1"))  # type: ignore[arg-type]  # of a mixed table
        self.answered = 0

    async def work(self) -> None:
        await self.caller.send(c.SignOnStaff("s-1"))
        steps = (c.CallNext(), c.StartServing(), c.FinishServing())
        while True:
            await self.kiosk.send(c.TakeTicket("s2"))
            for step in steps:
                result = await self.caller.send(step)
                assert result.ok is not None, result
                self.answered += 1


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(240)
def test_two_hours_of_300_devices_come_at_once_and_the_hall_works_on(mosquitto_broker: RunningBroker) -> None:
    whole = hall_policy("h1")
    own = [DevicePart(id=name, kind="kiosk", offline_prefix=PREFIXES[at]) for at, name in enumerate(NAMES)]
    policy = msgspec.structs.replace(whole, devices=(*whole.devices, *own))
    url, away, live = f"mqtt://127.0.0.1:{mosquitto_broker.port}", Tally(), Tally()
    outboxes = [filled(at, mosquitto_broker.directory) for at in range(DEVICES)]
    sent = {name: [entry.key for entry in box.entries()] for name, box in zip(NAMES, outboxes, strict=True)}
    assert sum(map(len, sent.values())) == EVENTS

    async def scenario() -> None:
        with Served(mosquitto_broker.directory, [policy], mosquitto_broker.url) as served:
            await blocking(served.up)
            counter = Counter(url, live)
            async with counter.kiosk, counter.caller:
                working = asyncio.create_task(counter.work())
                await until(lambda: counter.answered > 30, 20, "nobody works")
                before, since = counter.answered, time.monotonic()
                async with AsyncExitStack() as stack:
                    for name, box in zip(NAMES, outboxes, strict=True):
                        device = Device(url, hall="h1", device=name, outbox=box, observer=away.observe)
                        await stack.enter_async_context(device)
                    await until(lambda: not any(map(len, outboxes)), 150, "outboxes are not empty")
                    took_s, during = time.monotonic() - since, counter.answered - before
                print(f"{EVENTS} events in {took_s:.1f} s, meanwhile {during} presses answered")
                assert during > 0 and not working.done()
                working.cancel()
                await asyncio.wait([working])
            assert await blocking(served.terminate) == 0, served.text

    asyncio.run(scenario())
    for box in outboxes:
        if isinstance(box, SqliteOutbox):
            box.close()
    assert away.commands_acked == EVENTS and away.reasons.keys() == {"ticket_unknown"}

    async def examined() -> None:
        rows = [item async for item in replays.rows(mosquitto_broker.directory / "data")]
        found = compare([*away.acked, *live.acked], rows)
        assert found.lost == [] and found.duplicated == []
        causes: dict[str, list[tuple[str, int]]] = {name: [] for name in NAMES}
        for _, _, (_, _, _, device, boot, seq, _) in rows:
            if device in causes:
                causes[device].append((boot, seq))
        assert causes == sent, "each event one fact, in the order of its device"

    asyncio.run(examined())
    assert wire.MAX_BATCH * DEVICES < EVENTS, "more than one message of each device"
