"""devices/simulator.py: a whole hall of real devices before a real hall; nothing lost, doubled or shown wrong."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from core import policy
from devices.clerk import Faults
from devices.people import Habits
from devices.simulator import Simulator, example_policy, hall_clock
from devices.tally import compare, screens_wrong
from tests.brokers import RunningBroker
from tests.minicore import RealCore, core_at, eventually, real_core_at, silent
from tests.scripted import play

OFTEN = Faults(resend=0.2, reboots_day=60, drops_day=60)
SPEED = 600


def a_simulator(broker: RunningBroker, rules: policy.Policy, **more: object) -> Simulator:
    clock = hall_clock(SPEED)
    habits = Habits(visits_day=1_500, kiosks=2, no_show=0.2, hold=0.2, transfer=0.2, double_press=0.2)
    settings = {"seed": 7, "speed": SPEED, "now_ms": clock, "habits": habits, **more}
    return Simulator(rules, f"mqtt://127.0.0.1:{broker.port}", **settings)


def held_against(core: RealCore, sim: Simulator) -> tuple[int, list[str], list[str]]:
    """Lost, doubled, screens that are wrong."""
    found = compare(sim.tally.acked, core.rows)
    return len(found.lost), found.duplicated, screens_wrong(core.hall.state, sim.screens())


@pytest.mark.parametrize("voices", [0, 1])
@pytest.mark.parametrize("counters,services", [(1, 1), (12, 20), (30, 20), (3, 60)])
def test_an_example_hall_can_act(counters: int, services: int, voices: int) -> None:
    rules = example_policy(counters=counters, services=services, hall="x", voices=voices)
    assert policy.problems(rules) == []
    assert policy.from_document(policy.document(rules)) == rules
    assert len(rules.devices) == 4 + voices + 3 * counters
    assert sorted(part.id for part in rules.devices if part.counter == 1) == ["caller-01", "ev-01", "screen-01"]


def test_a_hall_at_work(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        rules = example_policy(counters=4, services=6)
        sim = a_simulator(iotcore_broker, rules)
        tally = sim.tally
        async with real_core_at(iotcore_broker.port, rules, sim.floor.now_ms) as core:
            seen: list[tuple[int, list[str], list[str]]] = []

            async def compare_now() -> None:
                seen.append(held_against(core, sim))

            running = asyncio.create_task(sim.run(before_leaving=compare_now))
            await eventually(lambda: min(tally.taken, tally.called, tally.served, tally.rated, tally.refused) > 2, 20)
            sim.stop()
            await running
            assert seen == [(0, [], [])]
            assert 0 < len(tally.press_ms) <= tally.presses
            assert sim.unanswered() == 0
            kinds = {type(fact).__name__ for fact in facts_of(core)}
            assert {
                "TicketRecalled",
                "CallAnnounced",
                "EvaluationShown",
                "StaffSignedOn",
                "TicketPrinted",
                "ZoneCounted",
            } <= kinds

    play(scenario, 40)


def facts_of(core: RealCore) -> list[object]:
    from core import record

    return [record.decode(row.kind, row.v, row.payload)[0] for _, _, row in core.rows]


def test_a_hall_of_faulty_devices(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        rules = example_policy(counters=4, services=6)
        sim = a_simulator(iotcore_broker, rules, faults=OFTEN)
        async with real_core_at(iotcore_broker.port, rules, sim.floor.now_ms) as core:
            running = asyncio.create_task(sim.run())
            reboots = lambda: len({(device, boot) for device, boot, _ in sim.tally.acked}) - len(sim.units)  # noqa: E731 - asked again and again
            await eventually(lambda: core.desk.tallies.duplicates > 3 and sim.tally.called > 3 and reboots() > 3, 20)
            sim.stop()
            await running
            lost, doubled, _ = held_against(core, sim)
            assert (lost, doubled) == (0, [])
            assert len({boot for device, boot, _ in sim.tally.acked if device == "kiosk-1"}) == 1, "a kiosk has storage"

    play(scenario, 40)


def test_a_broker_that_comes_back_finds_the_hall_still_there(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        rules = example_policy(counters=2, services=2)
        sim = a_simulator(iotcore_broker, rules)
        running = asyncio.create_task(sim.run())
        async with real_core_at(iotcore_broker.port, rules, sim.floor.now_ms) as first:
            await eventually(lambda: sim.tally.called >= 2)
            rows, state = list(first.rows), first.hall.state
        before = sim.tally.commands_acked
        await asyncio.to_thread(iotcore_broker.stop)
        await asyncio.to_thread(iotcore_broker.start)
        async with real_core_at(iotcore_broker.port, rules, sim.floor.now_ms, state=state, rows=rows) as second:
            await eventually(lambda: sim.tally.commands_acked > before + 20, 20)
            sim.stop()
            await running
            assert compare(sim.tally.acked, second.rows)[:2] == ([], [])

    play(scenario, 50)


def test_a_silent_hall_ends_the_run_all_the_same(
    iotcore_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("devices.simulator.DRAIN_S", 0.3)
        rules = example_policy(counters=1, services=1)
        async with core_at(iotcore_broker.port) as core:
            core.answer = silent
            sim = a_simulator(iotcore_broker, rules, seconds=0.5)
            await sim.run()
            assert sim.unanswered() > 0
            assert sim.tally.commands_acked == 0

    play(scenario, 20)


def test_a_mistake_in_the_hall_is_not_swallowed(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        rules = example_policy(counters=1, services=1)
        sim = a_simulator(iotcore_broker, rules, seconds=30)

        def broken(body: bytes) -> None:
            raise ZeroDivisionError

        sim.units["screen-01"].on_body = broken
        async with real_core_at(iotcore_broker.port, rules, sim.floor.now_ms):
            with pytest.raises(ExceptionGroup) as caught:
                await sim.run()
            assert caught.group_contains(ZeroDivisionError)

    play(scenario, 20)


@pytest.mark.slow
def test_it_runs_alone(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario() -> None:
        rules = example_policy(counters=2, services=2)
        url = f"mqtt://127.0.0.1:{iotcore_broker.port}"
        command = [sys.executable, "-m", "devices.simulator", "--url", url, "--seconds", "1", "--json"]
        async with core_at(iotcore_broker.port):
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
        found = json.loads(out)
        assert process.returncode == 0
        assert found["seed"] == 7
        assert found["commands_acked"] >= 12, "every clerk signs on"
        assert rules.hall.id == "h1"

    play(scenario, 40)
