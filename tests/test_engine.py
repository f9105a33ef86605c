"""workers/engine.py: which versions are dangerous, what is read back, who may write, one hop a job."""

import asyncio
from pathlib import Path

import pytest

from workers import engine
from workers.ports import Missing


@pytest.mark.parametrize(
    ("version", "dangerous"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 4), False),
    ],
)
def test_the_reset_bug_is_known_by_version(version: engine.Version, dangerous: bool) -> None:
    assert engine.affected(version) is dangerous


def test_an_engine_without_strict_tables_is_missing() -> None:
    engine.require((3, 37, 0))
    with pytest.raises(Missing, match=r"SQLite 3\.36\.9 is too old"):
        engine.require((3, 36, 9))


def test_every_pragma_is_read_back(tmp_path: Path) -> None:
    db = engine.writer(tmp_path / "a.db", busy_ms=7)
    for name, value in engine.writer_pragmas(7).items():
        assert (db.execute(f"PRAGMA {name}").fetchone() or (0,))[0] == value
    with pytest.raises(Missing, match="refuses a setting"):
        engine.apply(db, {"page_size": 8192})  # a file keeps the size it was made with
    db.close()


def test_a_reader_can_neither_write_nor_checkpoint(tmp_path: Path) -> None:
    writer = engine.writer(tmp_path / "a.db")
    writer.execute("CREATE TABLE t(x)")
    reader = engine.reader(tmp_path / "a.db")
    for statement in ("INSERT INTO t VALUES(1)", "PRAGMA wal_checkpoint(TRUNCATE)"):
        with pytest.raises(engine.OperationalError):
            reader.execute(statement).fetchall()
    reader.close()
    writer.close()


def test_a_lane_gives_each_caller_its_own_result_and_exceptions_unchanged() -> None:
    async def scenario() -> None:
        lane = await engine.Lane(lambda: engine.connect(":memory:", factory=engine.Hand)).open()
        found = await asyncio.gather(*(lane.run(lambda db, n=n: 2 * n) for n in range(20)))
        assert found == [2 * n for n in range(20)]
        with pytest.raises(engine.OperationalError, match="no such table") as error:
            await lane.run(lambda db: db.execute("SELECT * FROM absent"))
        assert engine.error_name(error.value) == "SQLITE_ERROR"
        await lane.close()

    asyncio.run(scenario())


def test_a_cancelled_caller_does_not_stop_its_job_nor_mix_up_the_next() -> None:
    async def scenario() -> None:
        lane = await engine.Lane(lambda: engine.connect(":memory:", factory=engine.Hand)).open()
        done: list[str] = []
        task = asyncio.create_task(lane.run(lambda db: done.append("first")))
        await asyncio.sleep(0)
        task.cancel()
        assert await lane.run(lambda db: [*done, "second"]) == ["first", "second"]
        await lane.close()

    asyncio.run(scenario())


def test_error_names_are_empty_for_other_errors() -> None:
    assert engine.error_name(ValueError()) == ""


def test_a_taken_key_is_told_from_a_broken_check() -> None:
    db = engine.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY CHECK(a > 0))")
    db.execute("INSERT INTO t VALUES(1)")
    for value, taken in ((1, True), (0, False)):
        with pytest.raises(engine.IntegrityError) as error:
            db.execute("INSERT INTO t VALUES(?)", (value,))
        assert engine.taken(error.value) is taken
    db.close()
