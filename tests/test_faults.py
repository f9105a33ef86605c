"""Faults of broker, network and clock, and SIGKILL, under the real process: what is seen, kept, and resumed.

Kiosks press as fast as they are answered while something breaks. Afterwards everything that was acknowledged stands in
the journal, and nothing happened twice.
"""

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.commands import TakeTicket
from devices.tally import compare
from tests.brokers import RunningBroker
from tests.crowds import KIOSKS, POLICY, begin, blocking, crowd, kept, until
from tests.faulty import Machine, Relay
from tests.processes import ROOT, Served, environment, write_halls
from workers import recovery, replays
from workers.verify import verify

BOTH = pytest.mark.parametrize(
    "broker", ["iotcore", pytest.param("mosquitto", marks=[pytest.mark.broker, pytest.mark.slow])], indirect=True
)

# The broker, and the way to it.


@pytest.mark.parametrize("away_s", [0.0, pytest.param(20.0, marks=[pytest.mark.slow, pytest.mark.timeout(120)])])
@BOTH
def test_a_broker_that_was_away_is_found_again_and_outboxes_drain(broker: RunningBroker, away_s: float) -> None:
    """Seen: link.down with a reason, the metric at 0, not ready. Kept: events in the outboxes. Resumes: everything."""

    async def scenario() -> None:
        with begin(broker) as served:
            await blocking(served.up)
            async with crowd(broker) as people:
                await people.more(40)
                await blocking(broker.stop)
                assert (await blocking(served.wait_for, "link.down"))["why"]
                found = await blocking(served.until, lambda now: now["jiaohao_link_connected"] == 0)
                assert found['jiaohao_ready{check="broker"}'] == 0
                assert (await blocking(served.get, "/readyz"))[0] == 503
                await until(lambda: people.waiting() == len(KIOSKS), 5, "each kiosk waits with what was pressed")
                for device in people.devices:
                    for _ in range(20):
                        device.post(TakeTicket("s01"))
                await asyncio.sleep(away_s)  # how long it is away is what is tested
                assert people.waiting() == 21 * len(KIOSKS)
                await blocking(broker.start)
                await blocking(served.wait_for, "link.connected", 2)
                await people.rest()
            assert await blocking(served.terminate) == 0
        await kept(broker.directory, people, at_least=40 + 21 * len(KIOSKS))

    asyncio.run(scenario())


@BOTH
def test_a_connection_cut_in_the_midst_of_batches_is_made_again(broker: RunningBroker) -> None:
    """Cut three times while everybody presses. What was under way comes again and is known, or was never there."""

    async def scenario() -> None:
        with Relay(broker.port_v5) as relay, begin(broker, url=relay.url) as served:
            await blocking(served.up)
            async with crowd(broker) as people:
                for time_cut in range(1, 4):
                    await people.more(15)
                    await blocking(relay.cut)
                    await blocking(relay.mend)
                    await blocking(served.wait_for, "link.connected", time_cut + 1)
                await people.more(15)
                await people.rest()
            found = await blocking(served.metrics)
            assert found["jiaohao_link_sessions_total"] == 4
            assert await blocking(served.terminate) == 0
        await kept(broker.directory, people, at_least=60)

    asyncio.run(scenario())


def test_a_network_that_stands_still_for_a_second_is_waited_for(iotcore_broker: RunningBroker) -> None:
    """Seen: nothing, for the connection lives. Resumes: by itself, with what was under way."""

    async def scenario() -> None:
        with Relay(iotcore_broker.port_v5) as relay, begin(iotcore_broker, url=relay.url) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                relay.freeze()
                await asyncio.sleep(1.0)
                relay.thaw()
                await people.more(20)
                await people.rest()
            assert len(served.logged("link.connected")) == 1 and not served.logged("link.down")
            assert await blocking(served.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=40)

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(180)
def test_a_network_that_is_silent_is_given_up_and_made_again(mosquitto_broker: RunningBroker) -> None:
    """Nobody is told that the other is gone. Seen within keep-alive and pong: link.down. Resumes when bytes pass."""

    async def scenario() -> None:
        broker = mosquitto_broker
        with Relay(broker.port_v5) as relay, begin(broker, url=relay.url) as served:
            await blocking(served.up)
            async with crowd(broker) as people:
                await people.more(20)
                relay.freeze()
                why = (await blocking(served.wait_for, "link.down", 1, 40.0))["why"]
                assert "pong" in why, why
                relay.thaw()
                await blocking(served.wait_for, "link.connected", 2, 40.0)
                await people.more(20, 40.0)
                await people.rest(40.0)
            assert await blocking(served.terminate) == 0
        await kept(broker.directory, people, at_least=40)

    asyncio.run(scenario())


# The clock.


def test_a_clock_that_jumps_both_ways_stops_nothing(iotcore_broker: RunningBroker, machine: Machine) -> None:
    """Seen: clock.back, clock.leap, not ready while it lies behind or is not believed, stamps held back are counted.

    Kept: order, and stamps that never run backwards, over a restart, too; far ahead, hall time goes on as it was."""

    async def scenario() -> None:
        with machine.preloaded():
            async with crowd(iotcore_broker) as people:
                with begin(iotcore_broker) as served:
                    await blocking(served.up)
                    await people.more(20)
                    machine.set(clock_ms=-300_000)
                    await people.more(20)
                    assert (await blocking(served.metrics))["jiaohao_clock_clamped_total"] > 0
                    assert (await blocking(served.wait_for, "clock.back"))["seconds"] < -290
                    assert (await blocking(served.metrics))['jiaohao_ready{check="clock"}'] == 0
                    machine.set(clock_ms=1_200_000)
                    await people.more(20)
                    assert (await blocking(served.wait_for, "clock.leap"))["seconds"] > 1490
                    assert (await blocking(served.metrics))['jiaohao_ready{check="clock"}'] == 0
                    machine.set(clock_ms=0)
                    await people.more(20)
                    assert (await blocking(served.get, "/healthz"))[0] == 200
                    await blocking(served.kill)
                with begin(iotcore_broker) as again:
                    await blocking(again.up)
                    await people.more(20)
                    await people.rest()
                    assert await blocking(again.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=100)
        stamps = [row.at_ms async for _, _, row in replays.rows(iotcore_broker.directory / "data")]
        assert stamps == sorted(stamps) and stamps[-1] < time.time_ns() // 1_000_000 + 60_000

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_month_ends_under_the_process_and_the_closed_one_is_archived(
    iotcore_broker: RunningBroker, machine: Machine
) -> None:
    """Started five weeks later. Seen: month_closed, archived. Kept: everything, over both files; killed right after."""
    place = iotcore_broker.directory / "data"

    async def scenario() -> None:
        with machine.preloaded():
            async with crowd(iotcore_broker) as people:
                with begin(iotcore_broker) as served:
                    await blocking(served.up)
                    await people.more(20)
                    assert await blocking(served.terminate) == 0
                (first,) = recovery.files(place)
                machine.set(clock_ms=35 * 86_400_000)
                with begin(iotcore_broker) as served:
                    await blocking(served.up)
                    said = await blocking(served.wait_for, "journal.month_closed")
                    assert said["file"] == first.name < said["next"]
                    await people.more(20)
                    await blocking(served.wait_for, "journal.archived")
                    await blocking(served.kill)
                assert recovery.files(place) == [place / recovery.ARCHIVE / first.name, place / said["next"]]
                with begin(iotcore_broker) as served:
                    await blocking(served.up)
                    await people.more(20)
                    await people.rest()
                    n, digest = (await blocking(served.digests))["h1"]
                    assert await blocking(served.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=60)
        folded, _ = await replays.folded(place, n)
        assert folded["h1"].state.digest() == digest and verify(place) == []

    asyncio.run(scenario())


# SIGKILL at chosen moments.


def test_killed_while_it_waits_for_the_disk(iotcore_broker: RunningBroker, machine: Machine) -> None:
    """The batch may have survived though nobody was told: what is sent again is known then, and adds nothing."""

    async def scenario() -> None:
        with machine.preloaded():
            async with crowd(iotcore_broker) as people:
                for _ in range(3):
                    machine.set(sync_ms=0)
                    with begin(iotcore_broker) as served:
                        await blocking(served.up)
                        await people.more(12)
                        machine.set(sync_ms=400)
                        syncs = machine.syncs
                        await until(lambda now=syncs: machine.syncs > now, 5, "nothing was written")
                        await blocking(served.kill)
                machine.set(sync_ms=0)
                with begin(iotcore_broker) as served:
                    await blocking(served.up)
                    await people.more(12)
                    await people.rest()
                    assert await blocking(served.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=48)

    asyncio.run(scenario())


def test_killed_in_the_midst_of_its_own_start(iotcore_broker: RunningBroker, a_morning: Path) -> None:
    """Again and again, a little later each time; the next start finds everything."""
    place = iotcore_broker.directory
    shutil.copytree(a_morning / "data", place / "data")
    write_halls(place / "halls", [POLICY])
    command = ["-m", "workers.cli", "serve", "--data", place / "data", "--halls", place / "halls", "--log=json"]
    for tenths in range(1, 6):
        process = start_plain([*command, "--broker", iotcore_broker.url, "--listen", "127.0.0.1:0"])
        time.sleep(tenths * 0.15)  # the moment of the kill is the subject
        process.kill()
        process.wait(10)
    with Served(place, [POLICY], iotcore_broker.url) as served:
        served.up()
        n = served.digests()["h1"][0]
        assert n >= 60 and served.terminate() == 0
    asyncio.run(whole(place, n))


def start_plain(arguments: list[Any]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def whole(place: Path, at_least: int) -> None:
    rows = [item async for item in replays.rows(place / "data")]
    assert len(rows) >= at_least and compare([], rows).duplicated == []


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(120)
def test_broker_and_process_killed_together(mosquitto_broker: RunningBroker) -> None:
    """The mains fail: the broker has forgotten what it had not stored, the outboxes have not."""

    async def scenario() -> None:
        broker = mosquitto_broker
        async with crowd(broker) as people:
            for _ in range(4):
                with begin(broker) as served:
                    await blocking(served.up)
                    await people.more(30)
                    assert broker.process is not None
                    broker.process.kill()
                    await blocking(served.kill)
                    await blocking(broker.process.wait)
                    await blocking(broker.start)
            with begin(broker) as served:
                await blocking(served.up)
                await people.more(30)
                await people.rest()
                assert await blocking(served.terminate) == 0
        await kept(broker.directory, people, at_least=150)

    asyncio.run(scenario())
