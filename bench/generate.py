"""bench/generate.py: the generator's process: sends a plan in open loop and watches the screens it must bring about.

Latency = seen on the screen's topic less the intended time, on one clock (CLOCK_MONOTONIC). A window that is full at
the intended moment counts as latency. `python -m bench.generate '{"url": ..., "plan": ...}'`; says ready, waits for a
line with the start (monotonic ns, 0 = now), ends with one line of JSON.
"""

import asyncio
import gc
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import pace, plan
from bench.blast import Lane
from bench.watch import Watch
from workers import eventloop
from workers.link_settings import parse_url

GRACE_S: Final = 3.0


class Asked(msgspec.Struct, frozen=True):
    """What one generator does. `watch`: nothing, `pictures` of the product, `echo` of the relay."""

    url: str
    plan: str
    unacked: int = 500
    seconds: float = 60.0
    watch: str = ""
    rest_s: float = 0.2  # between what comes before and the clock
    name: str = "timed"  # of its connections; two at one broker need two
    first: bool = False  # before all ordinary processes, where the system permits it


class Generated(msgspec.Struct, frozen=True):
    """What one run sent and saw. `late_ms`: the generator's own lateness. `latency_us`: in order of sight."""

    sent: int
    acked: int
    refused: int
    seconds: float
    cpu_s: float
    late_ms_p50: float
    late_ms_p99: float
    finished: bool
    unseen: int = 0
    start_s: float = 0.0  # on the clock of the machine, as `Done.first_s`
    latency_us: list[int] = []
    priority: str = pace.NORMAL  # what it sent and watched under
    due_ms: list[int] = []  # beside each latency, when it was intended, after the start


class Schedule:
    """All frames of all lanes by time. `turn` lets go what is due."""

    def __init__(
        self, lanes: Sequence[Lane], frames: Sequence[Sequence[plan.Frame]], watch: Watch | None, echo: bool
    ) -> None:
        merged = [(one[0], at, one[2], one[3]) for at, lane in enumerate(frames) for one in lane]
        merged.sort(key=lambda one: one[0])
        self._due, self._lanes, self._watch, self._echo = merged, lanes, watch, echo
        self._next = 0
        self.late_ns = array("q", bytes(8 * len(merged)))

    def turn(self, start_ns: int, now_ns: int) -> int | None:
        """When the next is due (monotonic ns); None: nothing is left."""
        touched = set[int]()
        due, at = self._due, self._next
        while at < len(due) and start_ns + due[at][0] <= now_ns:
            due_ns, lane, screen, status = due[at]
            self._lanes[lane].allowed += 1
            self.late_ns[at] = now_ns - start_ns - due_ns
            if screen and self._watch is not None:
                topic = screen.replace("/screen-", "/caller-") if self._echo else screen
                self._watch.expect(topic, start_ns + due_ns, status)
            touched.add(lane)
            at += 1
        self._next = at
        for lane in touched:
            self._lanes[lane].pump()
        return start_ns + due[at][0] if at < len(due) else None

    def late_ms(self, share: float) -> float:
        """A quantile of the generator's lateness."""
        late = sorted(self.late_ns[: self._next])
        return late[min(len(late) - 1, int(len(late) * share))] / 1e6 if late else 0.0


async def generate(asked: Asked) -> Generated:
    """Connect, send what comes before, say ready, wait for the start, send the rest in time."""
    before, timed = plan.read(Path(asked.plan))
    address, loop = parse_url(asked.url), asyncio.get_running_loop()
    screens = dict.fromkeys(one[2] for lane in timed for one in lane if one[2])
    echo = asked.watch == "echo"
    watch: Watch | None = None
    if asked.watch:
        topics = [topic.replace("/screen-", "/caller-") if echo else topic for topic in screens]
        watch = Watch(topics, echo)
        await loop.create_connection(lambda: watch, address.host, address.port)
        await watch.ready.wait()
    gc.collect()
    gc.freeze()
    gc.disable()
    start_ns = await _start()
    if before:
        await _send(asked, [[one[1] for one in lane] for lane in before], "before", 500)
    lanes = await _connect(asked, [[one[1] for one in lane] for lane in timed], asked.name, asked.unacked)
    schedule = Schedule(lanes, timed, watch, echo)
    if before:  # the rest begins with everybody connected: on a busy machine that takes longer than it
        start_ns = max(start_ns, time.monotonic_ns() + int(asked.rest_s * 1e9))
    since, cpu = time.monotonic(), time.process_time()
    start_ns = start_ns or time.monotonic_ns()
    with pace.first(asked.first) as priority:
        finished = await _drive(asked, lanes, schedule, start_ns)
        if watch is not None:
            await _see_off(watch)
    took, cpu = time.monotonic() - since, time.process_time() - cpu
    unseen = watch.give_up() if watch is not None else 0
    for one in lanes:
        one.close()
    if watch is not None:
        watch.close()
    return Generated(
        sent=sum(lane.sent for lane in lanes),
        acked=sum(lane.acked for lane in lanes),
        refused=sum(lane.refused for lane in lanes),
        seconds=took,
        cpu_s=cpu,
        late_ms_p50=schedule.late_ms(0.5),
        late_ms_p99=schedule.late_ms(0.99),
        finished=finished,
        unseen=unseen,
        start_s=start_ns / 1e9,
        priority=priority,
        latency_us=[one // 1000 for one in watch.latency_ns] if watch is not None else [],
        due_ms=[(one - start_ns) // 1_000_000 for one in watch.due_ns] if watch is not None else [],
    )


async def _start() -> int:
    """The parent says when."""
    print("ready", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        sys.exit("whoever started this is gone")
    return int(line)


async def _connect(asked: Asked, frames: list[list[bytes]], name: str, unacked: int) -> list[Lane]:
    address, loop = parse_url(asked.url), asyncio.get_running_loop()
    lanes = [Lane(f"{name}-{at}", one, unacked) for at, one in enumerate(frames) if one or name == asked.name]
    for lane in lanes:
        await loop.create_connection(lambda lane=lane: lane, address.host, address.port)  # type: ignore[misc]  # mypy cannot infer a bound default
        await lane.connected.wait()
    return lanes


async def _send(asked: Asked, frames: list[list[bytes]], name: str, unacked: int) -> None:
    """All of it at once, acknowledged on return."""
    lanes = await _connect(asked, frames, name, unacked)
    for lane in lanes:
        lane.allowed = len(lane.frames)
        lane.pump()
    async with asyncio.timeout(asked.seconds):
        for lane in lanes:
            await lane.done.wait()
    for lane in lanes:
        lane.close()


async def _drive(asked: Asked, lanes: list[Lane], schedule: Schedule, start_ns: int) -> bool:
    try:
        async with asyncio.timeout(asked.seconds):
            while (due_ns := schedule.turn(start_ns, time.monotonic_ns())) is not None:  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep((due_ns - time.monotonic_ns()) / 1e9)
            for lane in lanes:
                if lane.frames:
                    await lane.done.wait()
    except TimeoutError:
        return False
    return all(lane.acked == len(lane.frames) for lane in lanes)


async def _see_off(watch: Watch) -> None:
    """What is still to be seen, for a while."""
    limit = time.monotonic() + GRACE_S
    while watch.waiting and time.monotonic() < limit:  # noqa: ASYNC110 - bounded, and over in a moment
        await asyncio.sleep(0.01)


def main(arguments: Sequence[str]) -> None:
    """One process, one run."""
    result = eventloop.run(generate(msgspec.json.decode(arguments[0], type=Asked)))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
