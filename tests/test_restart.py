"""A hall driven hard by its devices while its dispatcher is killed again and again: what the outside saw must hold."""

import asyncio
import random
from pathlib import Path

import pytest

from core import facts as f
from core import facts_tickets as t
from core import record
from core.fact import Fact
from core.hall import Hall
from core.ticket import OPEN
from devices.simulator import Simulator, example_policy, hall_clock
from devices.tally import compare, screens_wrong
from tests.brokers import RunningBroker
from tests.processes import Served
from workers import replays
from workers.ports import Row

SPEED = 60
HALL = "h1"


async def drive(
    broker: RunningBroker, place: Path, *, kills: int, seed: int, between: tuple[float, float]
) -> Simulator:
    """A hall at work while its dispatcher is killed so often at random moments; it is up again at the end."""
    rng = random.Random(seed)
    rules = example_policy(hall=HALL, counters=8, services=10)

    def start() -> Served:
        return Served(place, [rules], broker.url, broker__receive_maximum=broker.receive_max).up()

    served = await asyncio.to_thread(start)
    moments = [rng.uniform(*between) for _ in range(kills)]
    url = f"mqtt://127.0.0.1:{broker.port}"
    sim = Simulator(rules, url, seed=seed, speed=SPEED, now_ms=hall_clock(SPEED), seconds=sum(moments) + kills + 2)
    running = asyncio.create_task(sim.run())
    try:
        for moment in moments:
            await asyncio.sleep(moment)  # the moment of the fault is the subject of this test
            await asyncio.to_thread(served.kill)
            served = await asyncio.to_thread(start)
        await running
        n, digest = (await asyncio.to_thread(served.digests))[HALL]
        assert await asyncio.to_thread(served.terminate) == 0
    finally:
        running.cancel()
        await asyncio.to_thread(served.__exit__, None, None, None)
    folded, _ = await replays.folded(place / "data", n)
    assert folded[HALL].state.digest() == digest, "replay and the running state are the same bytes"
    return sim


async def verify(sim: Simulator, data: Path) -> list[Fact]:
    """Invariants 1 to 6 and 9 of the overview, from outside: acknowledgements, journal, screens."""
    rows: list[tuple[str, int, Row]] = [item async for item in replays.rows(data)]
    found = compare(sim.tally.acked, rows)
    assert found.lost == [], "acknowledged and not in the journal"
    assert found.duplicated == [], "done twice"
    assert [n for _, n, _ in rows] == list(range(1, len(rows) + 1)), "no gap"
    whole, _ = await replays.folded(data, 0)
    assert screens_wrong(whole[HALL].state, sim.screens()) == []
    facts = [record.decode(row.kind, row.v, row.payload)[0] for _, _, row in rows]
    check_ratings(facts)
    check_conservation(whole[HALL])
    return facts


def check_ratings(facts: list[Fact]) -> None:
    """At most one counted rating a serving, of the clerk who finished it; one case for each bad one."""
    finished = {one.call: one for one in facts if isinstance(one, t.ServingFinished)}
    rated = [one for one in facts if isinstance(one, f.EvaluationSubmitted)]
    assert len({one.call for one in rated}) == len(rated)
    assert all(one.staff == finished[one.call].staff for one in rated)
    cases = [one.call for one in facts if isinstance(one, f.CaseOpened)]
    assert sorted(cases) == sorted(one.call for one in rated if one.level <= 2)


def check_conservation(hall: Hall) -> None:
    """taken = open + ended."""
    state = hall.state
    tally = state.tally
    still_open = sum(ticket.state in OPEN for ticket in state.tickets.values())
    assert tally.taken == still_open + tally.served + tally.cancelled + tally.abandoned + tally.expired


def test_killed_a_few_times_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    iotcore_broker: RunningBroker, tmp_path: Path
) -> None:
    """Through mosquitto: below, and longer."""

    async def scenario() -> list[Fact]:
        sim = await drive(iotcore_broker, tmp_path, kills=3, seed=11, between=(0.3, 1.2))
        return await verify(sim, tmp_path / "data")

    facts = asyncio.run(scenario())
    assert any(isinstance(one, t.TicketCalled) for one in facts), "the hall was at work"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [20261124])
def test_killed_twenty_times_at_random_points(broker: RunningBroker, tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")

    async def scenario() -> list[Fact]:
        sim = await drive(broker, tmp_path, kills=20, seed=seed, between=(0.2, 1.5))
        return await verify(sim, tmp_path / "data")

    facts = asyncio.run(scenario())
    assert sum(isinstance(one, t.TicketCalled) for one in facts) > 10, "the hall was at work"
