"""tests/crowds.py: people who press at kiosks as fast as they are answered, while a test breaks something.

`kept`: what was acknowledged to them stands in the journal, once, without a gap.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from core.commands import TakeTicket
from devices.client import Device, SwitchedOff
from devices.flight import Timing
from devices.simulator import example_policy
from devices.tally import Tally, compare
from tests.brokers import RunningBroker
from tests.processes import Served
from workers import replays

POLICY = example_policy(hall="h1", counters=1, services=3, kiosks=4, boards=0, voices=0)
KIOSKS = ("kiosk-1", "kiosk-2", "kiosk-3", "kiosk-4")
BRISK = Timing(resend_s=2.0, keep_s=1.0, backoff_max_s=0.5, connect_s=2.0)
NOWHERE = "mqtt://127.0.0.1:9"
blocking = asyncio.to_thread


class Crowd:
    """People at the kiosks. `tally` holds what was acknowledged to them."""

    def __init__(self, url: str) -> None:
        self.tally = Tally()
        self.devices = [Device(url, hall="h1", device=one, timing=BRISK, observer=self.tally.observe) for one in KIOSKS]
        self.pressing = asyncio.Event()
        self.pressing.set()

    async def press(self, at: int) -> None:
        device, count = self.devices[at], 0
        while True:
            await self.pressing.wait()
            count += 1
            try:
                await device.send(TakeTicket(f"s{1 + count % 3:02d}"))
            except SwitchedOff:
                return

    async def more(self, count: int, timeout_s: float = 20.0) -> None:
        """So many further answers."""
        wanted = self.tally.commands_acked + count
        await until(lambda: self.tally.commands_acked >= wanted, timeout_s, "no more answers")

    def waiting(self) -> int:
        return sum(len(device.outbox) for device in self.devices)

    async def rest(self, timeout_s: float = 20.0) -> None:
        """Nobody presses any more, and all that was pressed is answered."""
        self.pressing.clear()
        await until(lambda: not self.waiting(), timeout_s, "outboxes are not empty")


async def until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    limit = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.01)


@asynccontextmanager
async def crowd(broker: RunningBroker) -> AsyncIterator[Crowd]:
    people = Crowd(f"mqtt://127.0.0.1:{broker.port}")
    async with AsyncExitStack() as stack:
        for device in people.devices:
            await stack.enter_async_context(device)
        tasks = [asyncio.create_task(people.press(at)) for at in range(len(KIOSKS))]
        try:
            yield people
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def kept(place: Path, people: Crowd, *, at_least: int = 1) -> None:
    """Nothing acknowledged is lost, nothing happened twice, no gap."""
    rows = [item async for item in replays.rows(place / "data")]
    found = compare(people.tally.acked, rows)
    assert found.lost == [] and found.duplicated == []
    assert [n for _, n, _ in rows] == list(range(1, len(rows) + 1))
    assert people.tally.commands_acked >= at_least


def begin(broker: RunningBroker, **options: object) -> Served:
    """A process over the directory of the broker."""
    more = {"broker__receive_maximum": broker.receive_max, **options}
    url = str(more.pop("url", broker.url))
    return Served(broker.directory, [POLICY], url, **more)


def killed_morning(broker: RunningBroker) -> None:
    """Some hundred facts in the directory of the broker, and no process."""

    async def scenario() -> None:
        with begin(broker) as served:
            await blocking(served.up)
            async with crowd(broker) as people:
                await people.more(60)
                await people.rest()
            await asyncio.sleep(1.1)  # the mark is written each second
            await blocking(served.kill)

    asyncio.run(scenario())
