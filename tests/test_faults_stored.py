"""Faults of what is stored, under the real process: an older page, a bad state, a fact of a newer program."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from core.hall import Hall
from core.state import HallState
from tests.brokers import RunningBroker
from tests.crowds import POLICY, begin, blocking, crowd
from tests.processes import Served, run_cli
from tests.test_faults_disk import checkpointed, refused
from workers import fold, replays
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import Part, Row

NOW_MS = 1_795_420_911_000


def stored(place: Path, statement: str) -> None:
    """What nobody should do to a journal that nobody runs."""
    db = sqlite3.connect(checkpointed(place), isolation_level=None)
    assert db.execute(statement).rowcount > 0
    db.close()


def stopped(place: Path, broker: RunningBroker) -> None:
    """A whole life over what is there: its states are stored at its end."""
    with Served(place, [POLICY], broker.url) as served:
        assert served.up().terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_bad_state_is_skipped_for_the_one_before_and_said(copied: Path, iotcore_broker: RunningBroker) -> None:
    """Seen: snapshot.skipped, a warning, with its place. Kept: everything. Resumes: by itself, with the same state."""
    stopped(copied, iotcore_broker)

    async def more() -> None:
        """Another morning, and another state behind the first."""
        with Served(copied, [POLICY], iotcore_broker.url) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                await people.rest()
            assert await blocking(served.terminate) == 0

    asyncio.run(more())
    stored(copied, "UPDATE snapshot SET data = x'00' WHERE hall_seq = (SELECT max(hall_seq) FROM snapshot)")
    with Served(copied, [POLICY], iotcore_broker.url) as served:
        said = served.up().wait_for("snapshot.skipped")
        assert said["level"] == "warning" and said["snapshot"].startswith("snapshot of h1 at "), said
        assert "crc differs" in said["snapshot"]
        assert served.wait_for("recovery.done")["facts"] > 0
        n, digest = served.digests()["h1"]
        assert served.terminate() == 0

    async def from_the_facts_alone() -> Hall:
        hall = Hall(HallState("h1"))
        async for _, number, row in replays.rows(copied / "data"):
            if number <= n:
                fold.apply(hall, number, row)
        return hall

    assert asyncio.run(from_the_facts_alone()).state.digest() == digest
    stored(copied, "UPDATE snapshot SET data = x'00'")
    assert "no good snapshot of h1" in refused(copied, 1, "no good snapshot of h1")[0]


def test_a_fact_of_a_newer_program_refuses_the_start(copied: Path) -> None:
    async def append() -> None:
        journal = await SqliteJournal.open(copied / "data", now_ms=lambda: NOW_MS, options=Options(presize=0))
        n = journal.heads()["h1"]
        await journal.append([Part("h1", n, [Row(NOW_MS, 97, 2, "", "", 0, b"\x93\x90\x00\xa0")])])
        await journal.close()

    asyncio.run(append())
    assert refused(copied, 2, "fact kind 97 v2: newer program needed")[2] == "run the newer program"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_journal_without_its_first_page_is_salvaged_whole_and_served_again(
    copied: Path, iotcore_broker: RunningBroker
) -> None:
    """Seen: no start, exit 1. Kept: every fact and answer. Resumes: in the new directory, behind the last fact."""
    path = checkpointed(copied)
    content = path.read_bytes()
    path.write_bytes(bytes(4096) + content[4096:])
    refused(copied, 1, "journal unreadable (SQLITE_NOTADB)")
    done = run_cli("journal", "salvage", copied / "data", "--to", copied / "new" / "data")
    assert done.returncode == 0 and " 0 lost" in done.stdout, done.stdout + done.stderr
    path.write_bytes(content)

    async def facts(data: Path) -> list[tuple[str, int, Row]]:
        return [item async for item in replays.rows(data)]

    before = asyncio.run(facts(copied / "data"))

    async def scenario() -> None:
        with Served(copied / "new", [POLICY], iotcore_broker.url) as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                await people.rest()
            assert await blocking(served.terminate) == 0

    asyncio.run(scenario())
    after = asyncio.run(facts(copied / "new" / "data"))
    assert len(before) >= 60 and after[: len(before)] == before and len(after) >= len(before) + 20
    assert run_cli("journal", "verify", copied / "new" / "data").returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_corrupt_page_of_older_facts_stops_no_hall_and_is_found_by_verify_and_backup(
    copied: Path, iotcore_broker: RunningBroker
) -> None:
    """Seen: by night, with the rows, exit 1. Kept: whatever is written now. Salvage reads all but the page."""
    stopped(copied, iotcore_broker)
    path = checkpointed(copied)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    payload = db.execute("SELECT payload FROM journal WHERE seq = 30").fetchone()[0]
    db.close()
    content = bytearray(path.read_bytes())
    page = content.index(payload) // 4096 * 4096
    content[page : page + 64] = bytes(64)
    path.write_bytes(content)

    async def scenario() -> None:
        with begin(iotcore_broker, data=copied / "data") as served:
            await blocking(served.up)
            async with crowd(iotcore_broker) as people:
                await people.more(20)
                await people.rest()
            found = await blocking(run_cli, "journal", "verify", copied / "data")
            assert found.returncode == 1 and "unreadable (SQLITE_CORRUPT" in found.stdout, found.stdout + found.stderr
            copy = await blocking(run_cli, "journal", "backup", copied / "data", "--to", copied / "copy.db")
            assert copy.returncode == 1 and not (copied / "copy.db").exists()
            assert len([line for line in copy.stderr.splitlines() if line]) == 3, copy.stderr
            assert (await blocking(served.get, "/readyz"))[0] == 200
            assert await blocking(served.terminate) == 0

    asyncio.run(scenario())
    done = run_cli("journal", "salvage", copied / "data", "--to", copied / "new")
    assert done.returncode == 0 and "unreadable (SQLITE_CORRUPT" in done.stdout, done.stdout + done.stderr
    assert run_cli("journal", "verify", copied / "new").returncode == 0
