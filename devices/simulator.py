"""devices/simulator.py: a hall of real devices from a seed, with the people before them and the clerks behind them.

`Simulator(policy, url, seed=7, speed=60, seconds=20)`; `await sim.run()`; then `sim.tally`. Alone:
`python -m devices.simulator --url mqtt://127.0.0.1:1883 --policy hall.toml --seed 7 --speed 60 --seconds 20 --json`.

arrivals ─▶ kiosk ─▶ (hall) ─▶ clerk ─▶ evaluator, now or late; board and voice report what they showed and said
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final, Literal

import msgspec

from core import commands as c
from core import commands_cases as cc
from core.policy import (
    CalendarPart,
    CounterPart,
    DevicePart,
    HallPart,
    Policy,
    PolicyError,
    ProfilePart,
    ServicePart,
    ZonePart,
    parse,
)
from devices import wire
from devices.board import Board
from devices.clerk import HASTE, Clerk, Faults, Floor, Unit
from devices.client import Device
from devices.flight import Timing, wall_ms
from devices.people import Habits
from devices.pictures import EvaluatorPicture
from devices.visitors import Door
from devices.voice import VoiceBox

START_S: Final = 15.0
DRAIN_S: Final = 15.0
QUIET_S: Final = 1.5  # pictures that only count people are drawn at most once a second
SPEAKING_MS: Final = 2_000
ZONE: Final = "w1"
COUNT_GAP_MS: Final = 10_000  # a people counter says a change, at most so often
_EVALUATOR: Final = msgspec.json.Decoder(EvaluatorPicture)
USUAL: Final = Faults()


def hall_clock(speed: float) -> Callable[[], int]:
    """UTC ms that run `speed` times as fast from now on; by the wall clock at speed 1."""
    if speed == 1:
        return wall_ms
    origin_ms, began_s = wall_ms(), time.monotonic()
    return lambda: origin_ms + int((time.monotonic() - began_s) * 1000 * speed)


class Simulator:
    """The devices of `policy` on the broker at `url`. Equal seeds give equal people, not equal timings.

    `seconds` (real) bounds the run, `habits.visits_day` its people. Ends when all that was said is answered.
    """

    def __init__(
        self,
        policy: Policy,
        url: str,
        *,
        seed: int,
        speed: float = 1,
        now_ms: Callable[[], int] | None = None,
        seconds: float | None = None,
        habits: Habits | None = None,
        faults: Faults = USUAL,
        timing: Timing = HASTE,
    ) -> None:
        clock = now_ms or hall_clock(speed)
        self.floor = Floor(url, policy.hall.id, seed=seed, speed=speed, now_ms=clock)
        self.tally = self.floor.tally
        self.policy, self.seconds = policy, seconds
        kiosks = [part for part in policy.devices if part.kind in ("kiosk", "self_service")]
        usual = Habits(visits_day=120 * len(policy.counters), kiosks=max(1, len(kiosks)))
        self.floor.habits, self.floor.faults, self.floor.timing = habits or usual, faults, timing
        self.units = {part.id: Unit(self.floor, part) for part in policy.devices}
        self._door = Door(self.floor, [self.units[part.id] for part in kiosks], policy, self._in)
        self._shown_call: dict[str, int] = {}
        self._later: set[asyncio.TimerHandle] = set()
        self._ended = asyncio.Event()
        for unit in self.units.values():
            self._wire_up(unit)

    def _wire_up(self, unit: Unit) -> None:
        """What a unit does when its screen changes or an order comes."""
        match unit.part.kind:
            case "counter_screen":
                unit.on_body = self.floor.on_counter
            case "evaluator":
                unit.on_body = partial(self._ask, unit)
            case "board":
                self._hang(unit, unit.device)
                unit.on_new = partial(self._hang, unit)
            case "voice":
                unit.obey = lambda device: VoiceBox(device, self._play).obey()

    def screens(self) -> dict[str, bytes]:
        """The body of the last picture that each device holds."""
        return {name: unit.body for name, unit in self.units.items() if unit.body}

    async def run(self, before_leaving: Callable[[], Awaitable[None]] | None = None) -> None:
        """The hall for `seconds`, or until `stop`. `before_leaving`: called when all is answered and every screen is at
        rest, with the devices still there. Raises what a device or a person of ours raised."""
        floor, work = self.floor, list[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as group:
            for unit in self.units.values():
                group.create_task(unit.live(), name=f"unit {unit.part.id}")
            try:
                await self._arrived()
                work = [group.create_task(part) for part in self._parts()]
                await self._day(work)
                await _end(work)
                floor.calm.set()
                await self._settle()
                if before_leaving is not None:
                    await before_leaving()
            finally:
                await _end(work)
                for handle in self._later:
                    handle.cancel()
                floor.calm.set()
                floor.over.set()

    def stop(self) -> None:
        """The day ends now, orderly: what was said is still answered, screens still come to rest."""
        self._ended.set()

    async def _day(self, work: list[asyncio.Task[None]]) -> None:
        """Until its end; nobody at work ends before, unless by a mistake."""
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait([ended, *work], timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        clerks = [Clerk(self.floor, unit).work() for unit in self.units.values() if unit.part.kind == "caller"]
        sensors = [self._count(unit) for unit in self.units.values() if unit.part.kind == "sensor"]
        return [*clerks, *sensors, *self._door.parts()]

    async def _arrived(self) -> None:
        """Until every device is connected; at most START_S, since a hall opens with what works."""
        waits = [asyncio.ensure_future(unit.device.online.wait()) for unit in self.units.values()]
        if waits:
            await asyncio.wait(waits, timeout=START_S)
        for wait in waits:
            wait.cancel()

    async def _settle(self) -> None:
        """Until every outbox is empty and no screen has changed for a while; at most DRAIN_S."""
        self.floor.last_screen = time.monotonic()
        limit = time.monotonic() + DRAIN_S
        while time.monotonic() < limit:
            busy = any(len(unit.device.outbox) for unit in self.units.values())
            if not busy and time.monotonic() - self.floor.last_screen >= QUIET_S:
                return
            await asyncio.sleep(0.05)

    def unanswered(self) -> int:
        """Events that wait for an answer in all devices."""
        return sum(len(unit.device.outbox) for unit in self.units.values())

    def _in(self, hall_ms: float, action: Callable[[], object]) -> None:
        """Later, by the hall's clock."""

        def fire() -> None:
            self._later.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(self.floor.real_s(hall_ms), fire)
        self._later.add(handle)

    # Screens and voices.

    def _ask(self, unit: Unit, body: bytes) -> None:
        """An evaluator asks once a call; whoever was served answers, at once or while the next is served."""
        picture = _EVALUATOR.decode(body)
        if picture.phase != "rating" or picture.call <= self._shown_call.get(unit.part.id, 0):
            return
        self._shown_call[unit.part.id] = picture.call
        unit.post(c.ReportShown(call=picture.call))
        person = self.floor.rater.pop(picture.call, None)
        if person is None or not person.level:
            return
        rate = wire.Rate(call=picture.call, level=person.level, option_set=picture.option_set)
        self._in(person.rating_ms, partial(unit.post, rate))
        if person.presses_twice:
            self._in(person.rating_ms + 300, partial(unit.post, rate))

    def _hang(self, unit: Unit, device: Device) -> None:
        """A board after it was switched on: reports the calls on it."""
        board = Board(device, lambda picture, fresh, stale: None)
        unit.on_shown = board.show
        unit.obey = lambda _: board.watch()

    async def _play(self, order: wire.VoiceSay) -> None:
        """A sentence."""
        await self.floor.sleep(SPEAKING_MS)

    async def _count(self, unit: Unit) -> None:
        """A people counter (客流) at the door of the hall: on change, at most once in ten seconds."""
        told = -1
        while True:
            await self.floor.sleep(COUNT_GAP_MS)
            if self.floor.inside != told:
                told = self.floor.inside
                unit.post(cc.CountZone(people=max(0, told)))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancelled, and gone."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


Kind = Literal["kiosk", "caller", "counter_screen", "board", "voice", "evaluator"]
_DESK: Final[tuple[tuple[str, Kind, str], ...]] = (
    ("caller", "caller", ""),
    ("screen", "counter_screen", ""),
    ("ev", "evaluator", "pad5"),
)
_OWN: Final = [f"Z{letter}" for letter in ascii_uppercase]  # no hall has services for so many prefixes
_PREFIXES: Final = [a + b for a in ("", *ascii_uppercase) for b in ascii_uppercase]


def example_policy(
    *,
    counters: int = 12,
    services: int = 20,
    hall: str = "h1",
    kiosks: int = 2,
    boards: int = 1,
    voices: int = 1,
    sensors: int = 1,
) -> Policy:
    """A hall open at every hour of every day, with all its devices: kiosk-1, caller-01, ev-01, screen-01, board-1."""
    numbers = range(1, counters + 1)
    codes = [f"s{at:02d}" for at in range(1, services + 1)]
    desks = [DevicePart(f"{name}-{no:02d}", kind, profile, no) for no in numbers for name, kind, profile in _DESK]
    others = [
        DevicePart(f"kiosk-{at}", "kiosk", offline_prefix="".join(_OWN[at - 1 : at])) for at in range(1, kiosks + 1)
    ]
    shared: list[tuple[Kind, int]] = [("board", boards), ("voice", voices)]
    others += [DevicePart(f"{kind}-{at}", kind) for kind, many in shared for at in range(1, many + 1)]
    others += [DevicePart(f"sensor-{at}", "sensor", zone=ZONE) for at in range(1, sensors + 1)]
    return Policy(
        version=1,
        hall=HallPart(id=hall, cutover="00:00"),
        calendar=CalendarPart(week=(1, 2, 3, 4, 5, 6, 7), periods=("00:00-24:00",)),
        services=tuple(ServicePart(code, prefix) for code, prefix in zip(codes, _PREFIXES, strict=False)),
        counters=tuple(_counter(no, codes, counters) for no in numbers),
        zones=(ZonePart(ZONE, seats=8 * counters),),
        profiles=(ProfilePart("pad5", levels={str(level): level for level in (5, 4, 3, 2, 1)}),),
        devices=tuple(others + desks),
    )


def _counter(no: int, codes: list[str], counters: int) -> CounterPart:
    """Every service has counters of its own, every counter helps out with its neighbour's."""
    own = [code for at, code in enumerate(codes) if at % counters == (no - 1) % len(codes)]
    own = own or [codes[(no - 1) % len(codes)]]
    also = [code for at, code in enumerate(codes) if at % counters == no % counters and code not in own]
    return CounterPart(no, tuple(own), tuple(also), theta_min=2)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m devices.simulator", description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883", help="the broker")
    parser.add_argument(
        "--policy", type=Path, help="the hall's policy (TOML); without it an example hall of 12 counters"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", type=float, default=60, help="hall seconds a second")
    parser.add_argument("--seconds", type=float, default=20, help="how long (real)")
    parser.add_argument("--visits", type=int, help="people a day")
    parser.add_argument("--json", action="store_true", help="one line of JSON at the end")
    asked = parser.parse_args()
    try:
        policy = parse(asked.policy.read_text("utf-8")) if asked.policy else example_policy()
    except (PolicyError, OSError) as error:
        sys.exit(f"{asked.policy}: {error}")
    found = asyncio.run(_alone(policy, asked))
    if asked.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name}: {value}" for name, value in found.items()))


async def _alone(policy: Policy, asked: argparse.Namespace) -> dict[str, object]:
    habits = Habits(visits_day=asked.visits) if asked.visits else None
    sim = Simulator(policy, asked.url, seed=asked.seed, speed=asked.speed, seconds=asked.seconds, habits=habits)
    await sim.run()
    return {"seed": asked.seed, **sim.tally.summary(), "unanswered": sim.unanswered()}


if __name__ == "__main__":
    main()
