"""Faults of the disk under the real process: full, slow, failing, read-only, damaged: what is seen, kept, resumed."""

import asyncio
import errno
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.commands import TakeTicket
from devices.tally import compare
from tests.brokers import RunningBroker
from tests.crowds import NOWHERE, POLICY, Crowd, begin, blocking, crowd, kept
from tests.faulty import Machine, small_disk
from tests.processes import Served, run_cli, write_halls
from workers import replays
from workers.recovery import newest_file


def refused(place: Path, code: int, first: str) -> list[str]:
    """A start that must not be: three lines, the exit code, and the directory as it was."""
    write_halls(place / "halls", [POLICY])
    asked = ("serve", "--data", place / "data", "--halls", place / "halls", "--broker", NOWHERE, "--log=json")
    done = run_cli(*asked)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 3 and lines[0].startswith(first), lines
    return lines


# The disk.


async def fill_the_log(broker: RunningBroker, people: Crowd, served: Served) -> None:
    """Until the journal says that there is no room: many events a message, so that the log grows quickly."""
    people.pressing.clear()
    limit = time.monotonic() + 60
    while not served.logged("journal.retry"):
        assert time.monotonic() < limit, "the disk never ran full"
        for device in people.devices:
            while len(device.outbox) < 300:
                device.post(TakeTicket("s01"))
        await asyncio.sleep(0.02)


async def comes_to_rest(people: Crowd, served: Served) -> None:
    """What had been read before is still written, into the ballast's place; then nothing new is acknowledged."""
    limit, before = time.monotonic() + 20, (-1, -1.0)
    while (now := (people.tally.commands_acked, (await blocking(served.metrics))["jiaohao_journal_seq"])) != before:
        assert time.monotonic() < limit, "it goes on without room"
        before = now
        await asyncio.sleep(0.7)
    assert people.waiting(), "and they wait"


async def runs_full_and_goes_on(
    broker: RunningBroker, place: Path, full: Callable[[], object], room: Callable[[], object]
) -> None:
    """Seen: journal.retry SQLITE_FULL, not ready, the counter. Kept: the batch. Resumes: within a second after room."""
    options = {"journal__checkpoint_wal_mb": 1, "journal__batch_max": 4, "journal__min_free_mb": 4}
    with begin(broker, data=place, **options) as served:
        await blocking(served.up)
        async with crowd(broker) as people:
            await people.more(40)
            full()
            await fill_the_log(broker, people, served)
            said = served.logged("journal.retry")[0]
            assert (said["what"], said["level"]) == ("journal full (SQLITE_FULL)", "error") and said["waiting"] > 0
            assert (await blocking(served.get, "/readyz"))[0] == 503
            found = await blocking(served.metrics)
            assert found['jiaohao_ready{check="journal"}'] == 0
            assert found['jiaohao_journal_retries_total{error="SQLITE_FULL"}'] >= 1
            await comes_to_rest(people, served)
            room()
            tries = 'jiaohao_journal_retries_total{error="SQLITE_FULL"}'
            before = (await blocking(served.metrics))[tries]
            await blocking(served.wait_for, "journal.recovered")
            assert (await blocking(served.metrics))[tries] <= before + 1, "the next try, but for one that was under way"
            await people.rest(60.0)
        assert (await blocking(served.get, "/readyz"))[0] == 200
        assert served.process.poll() is None and await blocking(served.terminate) == 0
    rows = [item async for item in replays.rows(place)]
    found_wrong = compare(people.tally.acked, rows)
    assert found_wrong.lost == [] and found_wrong.duplicated == []


def test_a_full_disk_is_waited_for(iotcore_broker: RunningBroker, machine: Machine) -> None:
    async def scenario() -> None:
        with machine.preloaded():
            place = iotcore_broker.directory / "data"
            full, room = lambda: machine.set(no_room=1), lambda: machine.set(no_room=0)
            await runs_full_and_goes_on(iotcore_broker, place, full, room)

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_small_file_system_that_runs_full_is_waited_for(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 160) as small:
        balloon = small / "balloon"

        def full() -> None:
            with balloon.open("wb") as file:
                try:
                    while True:
                        file.write(bytes(1 << 16))
                        file.flush()
                except OSError as error:
                    assert error.errno == errno.ENOSPC

        asyncio.run(runs_full_and_goes_on(iotcore_broker, small / "data", full, balloon.unlink))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_journal_that_somebody_has_locked_is_waited_for(iotcore_broker: RunningBroker) -> None:
    """A person with a database tool. Seen: SQLITE_BUSY after five seconds; pages answer. Resumes at once."""

    async def scenario() -> None:
        with begin(iotcore_broker) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                other = sqlite3.connect(journal_of(iotcore_broker.directory), isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                said = await blocking(served.wait_for, "journal.retry")
                assert said["what"] == "journal locked by another process (SQLITE_BUSY)"
                found = await blocking(served.metrics)
                assert found['jiaohao_journal_retries_total{error="SQLITE_BUSY"}'] >= 1
                assert (await blocking(served.get, "/healthz"))[0] == 200
                assert (await blocking(served.get, "/readyz"))[0] == 503
                other.execute("ROLLBACK")
                other.close()
                await blocking(served.wait_for, "journal.recovered")
                await people.more(20)
                await people.rest()
            assert await blocking(served.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=40)

    asyncio.run(scenario())


def test_a_slow_disk_slows_answers_and_nothing_else(iotcore_broker: RunningBroker, machine: Machine) -> None:
    """Seen: commit times. The loop turns, pages answer, and what gathers in a commit is one batch."""

    async def scenario() -> None:
        with machine.preloaded(), begin(iotcore_broker) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                machine.set(sync_ms=150)
                await people.more(8)
                before = time.monotonic()
                assert (await blocking(served.get, "/healthz"))[0] == 200
                assert time.monotonic() - before < 0.2, "the loop does not wait for the disk"
                await people.more(16)
                found = await blocking(served.metrics)
                slow = found["jiaohao_journal_commit_seconds_count"]
                slow -= found['jiaohao_journal_commit_seconds_bucket{le="0.1"}']
                assert slow >= 2, "the operator sees it"
                assert found['jiaohao_ready{check="journal"}'] == 1
                machine.set(sync_ms=0)
                await people.more(40)
                await people.rest()
            assert not served.logged("journal.retry")
            assert await blocking(served.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=84)

    asyncio.run(scenario())


def test_a_disk_that_fails_ends_the_process_and_the_next_start_settles_it(
    iotcore_broker: RunningBroker, machine: Machine
) -> None:
    """Whether the batch is there nobody knows until the journal is read. Exit 70; nothing acknowledged is lost."""

    async def scenario() -> None:
        with machine.preloaded(), begin(iotcore_broker) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                machine.set(sync_errno=errno.EIO)
                assert await blocking(served.ended) == 70
                assert "journal write failed (SQLITE_IOERR_" in served.text
                assert "look after the disk" in served.text and "Traceback" not in served.text
                machine.set(sync_errno=0)
                with begin(iotcore_broker) as again:
                    await blocking(again.up)
                    await people.more(20)
                    await people.rest()
                    assert await blocking(again.terminate) == 0
        await kept(iotcore_broker.directory, people, at_least=40)

    asyncio.run(scenario())


def test_a_directory_that_cannot_be_written_refuses_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 4, read_only=True):
        refused(tmp_path, 5, "data directory not writable")


# What is stored is not what was acknowledged.


def journal_of(place: Path) -> Path:
    path = newest_file(place / "data")
    assert path is not None
    return path


def checkpointed(place: Path) -> Path:
    """Everything moved from the log into the file, as it would be an hour later."""
    path = journal_of(place)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    return path


def test_a_flipped_bit_in_a_payload_refuses_the_start(copied: Path) -> None:
    path = checkpointed(copied)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    payload = db.execute("SELECT payload FROM journal ORDER BY seq DESC LIMIT 1 OFFSET 9").fetchone()[0]
    db.close()
    content = bytearray(path.read_bytes())
    at = content.index(payload)
    content[at + len(payload) // 2] ^= 1
    path.write_bytes(content)
    lines = refused(copied, 1, "batch ")
    assert lines[0].endswith("crc differs") and "table batch" in lines[1], lines
    assert path.read_bytes()[at : at + len(payload)] != payload, "nothing was repaired in silence"


def test_a_page_of_noise_refuses_the_start(copied: Path) -> None:
    path = checkpointed(copied)
    content = bytearray(path.read_bytes())
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal'").fetchone()[0]
    db.close()
    content[(root - 1) * 4096 : root * 4096] = bytes([0xA5]) * 4096
    path.write_bytes(content)
    refused(copied, 1, "journal unreadable (SQLITE_CORRUPT")


def test_a_damaged_log_refuses_the_start(copied: Path) -> None:
    """SQLite itself drops what follows the damage without a word; the mark beside the journal tells."""
    path = journal_of(copied)
    log = path.with_name(path.name + "-wal")
    content = bytearray(log.read_bytes())
    salt, frames = content[16:24], range(32, len(content), 4096 + 24)
    current = [at for at in frames if content[at + 8 : at + 16] == salt]
    content[current[len(current) // 2] + 2000] ^= 1
    log.write_bytes(content)
    (line, *_) = refused(copied, 1, "journal ends at ")
    assert line.endswith("was acknowledged"), line


def test_the_undamaged_copy_starts(copied: Path, iotcore_broker: RunningBroker) -> None:
    """Else the three tests above would prove nothing."""
    with Served(copied, [POLICY], iotcore_broker.url) as served:
        assert served.up().wait_for("recovery.done")["facts"] >= 60
        assert served.terminate() == 0
