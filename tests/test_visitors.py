"""devices/visitors.py: nobody goes without a slip because the hall is cut off, and whoever has one is served."""

import asyncio
from dataclasses import dataclass

import pytest

from core import facts_tickets as t
from core import record
from core.policy import DevicePart
from devices import wire
from devices.clerk import Faults, Floor, Unit
from devices.gate import Gate
from devices.people import Habits, Person, crowd, offers
from devices.simulator import Simulator, example_policy, hall_clock
from devices.tally import compare, screens_wrong
from devices.visitors import QUEUE_MAX, Booth, Door
from tests.brokers import RunningBroker
from tests.minicore import eventually, real_core_at
from tests.scripted import play

SPEED = 600
CALM = Faults(resend=0, paper_out=0, reboots_day=0, drops_day=0)


def somebody(seed: int = 1) -> Person:
    people = crowd(Floor("", "h1", seed=seed, speed=1, now_ms=lambda: 0).rng("x"), Habits(), offers(["s01"]), [])
    return next(people)


@dataclass
class Alone:
    """A kiosk that never finds its broker."""

    prefix: str = "ZA"

    def __post_init__(self) -> None:
        self.floor = Floor("mqtt://127.0.0.1:1", "h1", seed=7, speed=1e6, now_ms=lambda: 0)
        self.floor.faults = CALM
        self.unit = Unit(self.floor, DevicePart("kiosk-1", "kiosk", offline_prefix=self.prefix))
        self.unit.up = True
        self.booth = Booth(self.floor, self.unit)


def test_an_own_number_becomes_somebody_s_ticket_when_the_hall_has_heard_of_it() -> None:
    async def scenario() -> None:
        alone, person = Alone(), somebody()
        serving = asyncio.create_task(alone.booth.serve())
        alone.booth.queue.put_nowait(person)
        await eventually(lambda: alone.booth.own)
        assert alone.booth.own == {"ZA001": person} and not alone.floor.known
        result = wire.Result(1, ok=wire.Ok("ticket", 41, "ZA001"))
        alone.unit.device.observer("kiosk-1", "boot", 1, "ticket.take", result)  # type: ignore[misc]  # the kiosk's
        assert alone.floor.known == {41: person} and not alone.booth.own
        serving.cancel()

    play(scenario, 10)


def test_who_gets_no_slip_goes_home() -> None:
    async def scenario() -> None:
        alone, person = Alone(), somebody()
        alone.unit.up, alone.floor.inside = False, 1
        serving = asyncio.create_task(alone.booth.serve())
        alone.booth.queue.put_nowait(person)
        await eventually(lambda: not alone.floor.inside)
        serving.cancel()

    play(scenario, 10)


def test_before_a_full_queue_people_turn_round() -> None:
    async def scenario() -> None:
        alone = Alone()
        door = Door(alone.floor, [alone.unit], example_policy(counters=1, services=1), lambda ms, action: None)
        for _ in range(QUEUE_MAX + 2):
            door._join(door.booths[0].queue, somebody())
        assert (alone.floor.tally.turned_away, alone.floor.inside) == (2, QUEUE_MAX)

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_hall_that_was_cut_off_serves_everybody_and_loses_nothing(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        rules, clock, gate = example_policy(counters=3, services=3), hall_clock(SPEED), Gate(iotcore_broker.port)
        await gate.start("127.0.0.1", 0)
        habits = Habits(visits_day=2_000, kiosks=2)
        url = f"mqtt://127.0.0.1:{gate.port}"
        sim = Simulator(rules, url, seed=7, speed=SPEED, now_ms=clock, habits=habits, faults=CALM)
        async with real_core_at(iotcore_broker.port, rules, clock) as core:
            wrong: list[str] = []

            async def compared() -> None:
                wrong.extend(screens_wrong(core.hall.state, sim.screens()))

            running = asyncio.create_task(sim.run(before_leaving=compared))
            await eventually(lambda: sim.tally.called > 2, 20)
            gate.shut(True)
            booths = sim._door.booths
            await eventually(lambda: sum(len(booth.own) for booth in booths) >= 4, 20)
            gate.shut(False)
            await eventually(lambda: not any(booth.own for booth in booths), 20)
            sim.stop()
            await running
            facts = [record.decode(row.kind, row.v, row.payload)[0] for _, _, row in core.rows]
            offline = [one for one in facts if isinstance(one, t.TicketTaken) and one.offline]
            printed = {one.ticket for one in facts if isinstance(one, t.TicketPrinted)}
            assert len(offline) >= 4 and {one.ticket for one in offline} <= printed
            numbers = [one.number for one in offline]
            for prefix in ("ZA", "ZB"):
                own = [one for one in numbers if one.startswith(prefix)]
                assert own == sorted(own), "in order"
            assert compare(sim.tally.acked, core.rows)[:2] == ([], []) and wrong == []
        await gate.stop()

    play(scenario, 60)
