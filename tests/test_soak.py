"""A hall at its peak for minutes: memory, descriptors, log and loop stay within bounds; screens are right at the end.

`SOAK_S` is how long (75 s; the full length is 600). Devices reboot, lose their cables and press twice meanwhile.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from devices.people import Habits
from devices.simulator import Simulator, example_policy, hall_clock
from devices.tally import compare, screens_wrong
from tests.brokers import RunningBroker
from tests.processes import Served
from workers import replays
from workers.recovery import newest_file, wal_of

SECONDS = float(os.environ.get("SOAK_S", "75"))
SPEED = 120
EVERY_S = 0.5
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
RULES = example_policy(hall="h1", counters=24, services=20, kiosks=4, boards=2, voices=2)
LAG = "jiaohao_loop_lag_seconds"


@dataclass(frozen=True)
class Sample:
    """The process at one moment. Bytes, descriptors, rows."""

    memory: int
    files: int
    log: int
    seq: float


def sample(served: Served, metrics: dict[str, float]) -> Sample:
    process = Path(f"/proc/{served.pid}")
    path = newest_file(served.data)
    assert path is not None
    return Sample(
        memory=int((process / "statm").read_text().split()[1]) * PAGE,
        files=len(list((process / "fd").iterdir())),
        log=wal_of(path).stat().st_size,
        seq=metrics["jiaohao_journal_seq"],
    )


async def watch(served: Served, samples: list[Sample], lags: list[dict[str, float]]) -> None:
    """Until cancelled."""
    while True:
        found = await asyncio.to_thread(served.metrics)
        samples.append(sample(served, found))
        lags.append({name: value for name, value in found.items() if name.startswith(LAG)})
        await asyncio.sleep(EVERY_S)


def late(lags: list[dict[str, float]], seconds: str) -> float:
    """The share of beats that were later than this, after the first third."""
    first, last = lags[len(lags) // 3], lags[-1]
    beats = last[f"{LAG}_count"] - first[f"{LAG}_count"]
    bucket = f'{LAG}_bucket{{le="{seconds}"}}'
    return 1 - (last[bucket] - first[bucket]) / beats


def bounded(samples: list[Sample]) -> None:
    """What the last third of the time may need more than the second one."""
    third = len(samples) // 3
    middle, end = samples[third : 2 * third], samples[2 * third :]
    memory = [max(one.memory for one in part) / 2**20 for part in (middle, end)]
    files = [max(one.files for one in part) for part in (middle, end)]
    log = max(one.log for one in samples) / 2**20
    print(f"{samples[-1].seq:.0f} rows; memory {memory} MB, descriptors {files}, log {log:.0f} MB")
    assert memory[1] <= memory[0] * 1.15 + 6, "memory"
    assert files[1] <= files[0] + 3, "descriptors"
    assert log <= 64, "the log"


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(int(SECONDS) + 120)
def test_a_hall_at_its_peak_stays_within_bounds(mosquitto_broker: RunningBroker) -> None:
    async def scenario() -> None:
        broker, place = mosquitto_broker, mosquitto_broker.directory
        url = f"mqtt://127.0.0.1:{broker.port}"
        habits = Habits(visits_day=6000, kiosks=4)
        samples: list[Sample] = []
        lags: list[dict[str, float]] = []
        options = {"journal__snapshot_every": 2000, "journal__checkpoint_wal_mb": 4}
        with Served(place, [RULES], broker.url, **options) as served:
            await asyncio.to_thread(served.up)
            sim = Simulator(RULES, url, seed=5, speed=SPEED, now_ms=hall_clock(SPEED), seconds=SECONDS, habits=habits)
            watching = asyncio.create_task(watch(served, samples, lags))
            began = time.monotonic()
            await sim.run()
            took_s = time.monotonic() - began
            watching.cancel()
            n, digest = (await asyncio.to_thread(served.digests))["h1"]
            errors = [line for line in served.lines if line.get("level") == "error"]
            assert await asyncio.to_thread(served.terminate) == 0
        assert errors == [] and sim.unanswered() == 0
        print(f"{took_s:.0f} s, {sim.tally.summary()}")
        bounded(samples)
        assert samples[-1].seq > 10 * SECONDS, "the hall was at work"
        assert late(lags, "0.05") < 0.02 and late(lags, "0.25") < 0.002, "the loop"
        folded, _ = await replays.folded(place / "data", n)
        assert folded["h1"].state.digest() == digest
        assert screens_wrong(folded["h1"].state, sim.screens()) == []
        found = compare(sim.tally.acked, [item async for item in replays.rows(place / "data")])
        assert found.lost == [] and found.duplicated == []

    asyncio.run(scenario())
