"""workers/erasure.py: short-lived facts are gone from the very bytes; long-lived ones and the chain stay provable."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core import record
from core.facts import JournalErased
from tests.test_recovery import NOW_MS, change, rows, start
from tests.test_rotation import OLD, rotated, rotated_unheard
from workers import archive, engine, erasure, owner, recovery
from workers.erasure import Month
from workers.ports import JournalDamaged, Missing, Part
from workers.verify import verify

DAY = erasure.day_ms("2026-12-01")
assert DAY is not None
LATER_MS = NOW_MS + 180 * 86_400_000


def erase(directory: Path, *, dry_run: bool = False, day: int = DAY) -> erasure.Erased:
    return asyncio.run(erasure.erase(directory, "2026-12-01", day, NOW_MS, dry_run=dry_run))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A month that is archived and one in use. Every second fact of hall a is long-lived."""
    rotated(tmp_path)
    archive.archive(tmp_path)
    return tmp_path


def rows_of(path: Path) -> list[tuple[int, int]]:
    with closing(engine.reader(path)) as db:
        return db.execute("SELECT seq, kind FROM journal ORDER BY seq").fetchall()


def test_a_month_from_which_a_start_may_still_begin_is_kept(tmp_path: Path) -> None:
    """A state that holds what nobody has heard takes the one before along, which begins in the month before."""

    async def fill() -> None:
        async with start(tmp_path) as journal:
            await rotated_unheard(journal)

    async def read() -> int:
        async with start(tmp_path) as journal:
            return sum([len(block) async for block in journal.replay_all((await journal.start()).after)])

    async def heard() -> None:
        async with start(tmp_path) as journal:
            for n in range(42, 45):
                await journal.append([Part("a", n, rows(n, 1))])
                await journal.save("a", n + 1, b"heard")

    asyncio.run(fill())
    archive.archive(tmp_path)
    for dry_run in (True, False):
        done = erase(tmp_path, dry_run=dry_run)
        assert (done.months, done.kept) == ([], ["2026-11"])
    assert asyncio.run(read()) == 12 and not (tmp_path / erasure.OWED).exists()
    asyncio.run(heard())
    done = erase(tmp_path)
    assert ([one.facts for one in done.months], done.kept) == ([23], [])
    assert asyncio.run(read()) == 5 + 2 and verify(tmp_path) == []


def test_a_dry_run_counts_and_changes_nothing(data: Path) -> None:
    before = (data / recovery.ARCHIVE / OLD).read_bytes()
    assert erase(data, dry_run=True).months == [Month("2026-11", 18, 3, {"a": 15, "b": 3})]
    assert (data / recovery.ARCHIVE / OLD).read_bytes() == before


def test_the_class_goes_from_rows_and_bytes_and_the_rest_is_proved(data: Path) -> None:
    path = data / recovery.ARCHIVE / OLD
    long = [row for row in rows_of(path) if row[1] >= 128]
    assert b"fact 4" in path.read_bytes()
    assert erase(data).months == [Month("2026-11", 18, 3, {"a": 15, "b": 3})]
    assert rows_of(path) == long and long
    assert b"fact 4" not in path.read_bytes(), "not even in free pages"
    assert b"fact 5" in path.read_bytes()
    assert archive.read_manifest(path).erased == 18
    assert path.stat().st_mode & 0o777 == 0o444
    assert verify(data) == []


def test_nothing_is_left_where_deleted_bytes_stay_until_overwritten(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some builds of SQLite overwrite by themselves, others do not."""
    connect = engine.connect

    def lazy(*args: object, **more: object) -> engine.Connection:
        db = connect(*args, **more)
        db.execute("PRAGMA secure_delete=OFF").fetchall()
        return db

    monkeypatch.setattr(engine, "connect", lazy)
    erase(data)
    assert b"fact 4" not in (data / recovery.ARCHIVE / OLD).read_bytes()


def test_what_pictures_short_lived_facts_goes_with_them(tmp_path: Path) -> None:
    rotated(tmp_path)
    for statement in (
        "INSERT INTO ticket VALUES(1, 6, 1, 1, 1, 'A1', NULL, NULL, 1, NULL, NULL, NULL, 1)",
        "INSERT INTO evaluation VALUES(1, 2, NULL, 1, 1, 1, NULL, 1, NULL, NULL, 1)",
        "INSERT INTO device VALUES(1, 1, 'kiosk', '', 4, NULL, 1, 1)",
        "INSERT INTO letter(at_ms, topic, reason, digest, payload, seq) VALUES(1, 't', 'syntax', x'00', x'66', 1)",
        'INSERT INTO "case" VALUES(1, 1, 9, 1, 1, 0, 0, 0, 0, 1)',
    ):
        change(tmp_path / OLD, statement)
    archive.archive(tmp_path)
    erase(tmp_path)
    with closing(engine.reader(tmp_path / recovery.ARCHIVE / OLD)) as db:
        for table, left in (("ticket", 0), ("evaluation", 0), ("device", 0), ("letter", 0), ("note", 0), ('"case"', 1)):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (left,), table


def facts_136(data: Path) -> dict[str, list[object]]:
    """What the month in use says of erasures, by hall."""

    async def told() -> dict[str, list[object]]:
        async with start(data) as journal:
            found: dict[str, list[object]] = {}
            async for block in journal.replay_all((await journal.start()).after):
                for hall, _, row in block:
                    if row[1] == 136:
                        found.setdefault(hall, []).append(record.decode(*row[1:3], row[6])[0])
            return found

    return asyncio.run(told())


def test_a_fact_in_each_hall_says_how_many(data: Path) -> None:
    assert erase(data).told
    assert facts_136(data) == {
        "a": [JournalErased("2026-12-01", 15, ("2026-11",))],
        "b": [JournalErased("2026-12-01", 3, ("2026-11",))],
    }


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE journal SET payload = x'66' WHERE seq = 2", "batch 1–11: chain differs"),
        ("UPDATE batch SET short = zeroblob(32) WHERE last = 11", "batch 1–11: chain differs"),
        ("UPDATE batch SET short = NULL WHERE last = 11", "batch 1–11: 5 rows are left, nothing says some were erased"),
        ("DELETE FROM journal WHERE seq = 2", "batch 1–11: chain differs"),
        ("UPDATE meta SET v = 17 WHERE k = 'erased'", "18 rows are not there, 17 were erased"),
        ("DELETE FROM batch WHERE last = 22", "batch 23–33: 11 is the end before it"),
        ("UPDATE batch SET epoch = 1 WHERE last = 22", "batch 12–22: chain differs"),
        ("INSERT INTO journal SELECT 3, hall, hall_seq, at_ms, 5, v, device, boot, dseq, payload FROM journal LIMIT 1",
         "batch 1–11: rows of an erased class are left"),
    ],
)  # fmt: skip
def test_whatever_is_changed_after_erasure_is_found(data: Path, statement: str, problem: str) -> None:
    erase(data)
    path = data / recovery.ARCHIVE / OLD
    path.chmod(0o644)
    change(path, statement)
    path.chmod(0o444)
    found = verify(data)
    assert f"{OLD}: {problem}" in found and len(found) >= 2, "the manifest tells as well"


def test_an_erased_month_no_longer_replays_and_the_one_in_use_does(data: Path) -> None:
    erase(data)

    async def again() -> None:
        async with start(data) as journal:
            assert [block async for block in journal.replay_all((await journal.start()).after)]
            with pytest.raises(JournalDamaged, match=r"erased|missing"):
                [block async for block in journal.replay_all(0)]

    asyncio.run(again())


def test_erased_twice_is_erased_once(data: Path) -> None:
    erase(data)
    before = (data / recovery.ARCHIVE / OLD).read_bytes()
    assert erase(data).months == []
    assert (data / recovery.ARCHIVE / OLD).read_bytes() == before


def test_only_closed_months_older_than_the_day(data: Path, tmp_path: Path) -> None:
    assert erase(data, day=NOW_MS).months == []
    rotated(tmp_path / "other")
    assert erase(tmp_path / "other").months == [], "closed, but not archived yet"
    with pytest.raises(Missing):
        erase(tmp_path / "nothing")


@pytest.mark.parametrize("step", ["owe", "take_out"])
def test_nothing_goes_that_was_not_noted_before(data: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (data / recovery.ARCHIVE / OLD).read_bytes()

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(erasure, step, cut)
        erase(data)
    assert (data / recovery.ARCHIVE / OLD).read_bytes() == before
    assert bool(erasure.owed(data)) is (step == "take_out")


def test_a_month_that_did_not_come_out_good_is_left_as_it_was(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, found = (data / recovery.ARCHIVE / OLD).read_bytes(), archive.verify_file
    monkeypatch.setattr(archive, "verify_file", lambda path: ["as told"] if path.suffix == ".part" else found(path))
    with pytest.raises(JournalDamaged, match="as told"):
        erase(data)
    assert (data / recovery.ARCHIVE / OLD).read_bytes() == before


def test_a_fact_that_could_not_be_written_is_still_owed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut(*_: object) -> None:
        raise OSError("as told")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="as told"):
        patch.setattr("workers.journal.SqliteJournal.append", cut)
        erase(data)
    assert asyncio.run(erasure.told(data, NOW_MS))
    assert {hall: len(facts) for hall, facts in facts_136(data).items()} == {"a": 1, "b": 1}


@pytest.mark.parametrize("step", ["take_out", "require_good", "put"])
def test_cut_short_the_month_is_as_it_was_or_erased(data: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(erasure if step == "take_out" else archive, step, cut)
        erase(data)
    assert verify(data) == []
    assert erase(data).months[0].facts == 18
    assert verify(data) == []


def test_cut_short_between_manifest_and_name_it_is_finished(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def cut(path: Path, to: Path) -> Path:
        if to.name == OLD:
            raise KeyboardInterrupt
        return rename(path, to)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", cut)
        erase(data)
    assert verify(data) == []
    assert erase(data).months == [], "it had been erased; only its name was missing"
    assert verify(data) == []
    assert all(kind >= 128 for _, kind in rows_of(data / recovery.ARCHIVE / OLD))


def test_a_damaged_month_is_not_touched(data: Path) -> None:
    path = data / recovery.ARCHIVE / OLD
    path.chmod(0o644)
    change(path, "UPDATE journal SET dseq = 77 WHERE seq = 5")
    with pytest.raises(JournalDamaged):
        erase(data)
    assert not (data / erasure.OWED).exists(), "nothing was erased, nothing is to be told"


def test_beside_a_running_process_closed_files_are_erased_and_its_next_start_says_so(data: Path) -> None:
    async def scenario() -> None:
        async with start(data) as journal:
            head = journal.heads()["a"]
            done = await erasure.erase(data, "2026-12-01", DAY, NOW_MS)
            assert done.months[0].facts == 18 and not done.told
            await journal.append([Part("a", head, rows(head, 3))])
            assert await erasure.told(data, NOW_MS) is False, "it still runs"
        assert verify(data) == []
        async with start(data) as journal:
            await erasure.tell(journal, NOW_MS)
            assert journal.heads() == {"a": head + 4, "b": 4}
            await erasure.tell(journal, NOW_MS)
            assert journal.heads() == {"a": head + 4, "b": 4} and not (data / erasure.OWED).exists()

    asyncio.run(scenario())
    assert facts_136(data) == {
        "a": [JournalErased("2026-12-01", 15, ("2026-11",))],
        "b": [JournalErased("2026-12-01", 3, ("2026-11",))],
    }
    assert verify(data) == []


def test_cut_short_behind_the_fact_it_is_not_told_twice(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", cut_of_owed(cut))
        erase(data)
    assert (data / erasure.OWED).exists()
    assert asyncio.run(erasure.told(data, NOW_MS))
    assert {hall: len(facts) for hall, facts in facts_136(data).items()} == {"a": 1, "b": 1}


def test_a_month_that_was_moved_away_since_counts_as_it_was_noted(data: Path) -> None:
    async def scenario() -> None:
        async with start(data):
            assert not (await erasure.erase(data, "2026-12-01", DAY, NOW_MS)).told
        for path in (data / recovery.ARCHIVE).glob("journal-2026-11.*"):
            path.rename(data.parent / path.name)
        assert await erasure.told(data, NOW_MS)

    asyncio.run(scenario())
    assert {hall: len(facts) for hall, facts in facts_136(data).items()} == {"a": 1, "b": 1}
    assert not (data / erasure.OWED).exists()


@pytest.mark.parametrize("now_ms", [1, NOW_MS + 5])
def test_the_time_of_a_hall_does_not_run_back_for_it(data: Path, now_ms: int) -> None:
    """Hall b has no row in the month in use: its stored state says when it was."""
    asyncio.run(erasure.erase(data, "2026-12-01", DAY, now_ms))
    path = recovery.newest_file(data)
    assert path is not None
    with closing(engine.reader(path)) as db:
        stamps = [at_ms for (at_ms,) in db.execute("SELECT at_ms FROM journal WHERE kind = 136")]
    assert stamps == [max(NOW_MS, now_ms)] * 2


def test_a_start_beside_an_erasure_tells_nothing_and_loses_nothing(data: Path) -> None:
    async def scenario() -> None:
        async with start(data) as journal:
            assert not (await erasure.erase(data, "2026-12-01", DAY, NOW_MS)).told
            heads, held = journal.heads(), owner.take(data, archive.LOCK, what="archive")
            assert not await erasure.tell(journal, NOW_MS)
            assert journal.heads() == heads and (data / erasure.OWED).exists()
            held.release()
            assert await erasure.tell(journal, NOW_MS) and not (data / erasure.OWED).exists()

    asyncio.run(scenario())


def cut_of_owed(cut: Callable[..., None]) -> Callable[..., None]:
    unlink = Path.unlink
    return lambda path, **more: cut() if path.name == erasure.OWED else unlink(path, **more)


def test_cut_short_before_the_month_was_erased_nothing_is_told_until_it_is(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(erasure, "erased", cut)
        erase(data)
    assert asyncio.run(erasure.told(data, NOW_MS))
    assert facts_136(data) == {}
    assert erase(data).told and {hall: len(facts) for hall, facts in facts_136(data).items()} == {"a": 1, "b": 1}


def test_two_at_once_are_one_after_the_other(data: Path) -> None:
    held = owner.take(data, archive.LOCK, what="archive")
    with pytest.raises(owner.Taken, match="archive in use"):
        erase(data)
    held.release()


@pytest.mark.parametrize("seq", [5, 6], ids=["short", "long"])
def test_one_row_goes_with_its_class_in_its_batch_and_the_rest_is_proved(data: Path, seq: int) -> None:
    """Personal data by accident. It is on record under the number of the row; the month can still be erased whole."""
    path = data / recovery.ARCHIVE / OLD
    before = rows_of(path)
    batch = [(one, kind) for one, kind in before if one <= 11]
    long = dict(batch)[seq] >= 128
    going = [one for one, kind in batch if (kind >= 128) == long]

    async def erase_one(dry_run: bool) -> erasure.Erased:
        return await erasure.erase_row(data, seq, LATER_MS, audit_days=180, dry_run=dry_run)

    assert asyncio.run(erase_one(True)).months[0].facts == len(going) and rows_of(path) == before
    done = asyncio.run(erase_one(False))
    assert done.told and done.months[0].facts == len(going) >= 5
    assert rows_of(path) == [row for row in before if row[0] not in going] and verify(data) == []
    assert facts_136(data)["a"] == [JournalErased("", done.months[0].halls["a"], ("2026-11",), seq)]
    with pytest.raises(Missing, match=f"row {seq} is in no archived month"):
        asyncio.run(erase_one(False))
    whole = erase(data)
    assert whole.months[0].facts == 18 - (0 if long else len(going)) and verify(data) == []
    assert archive.read_manifest(path).erased == len(going) + whole.months[0].facts


def test_a_row_of_the_month_in_use_is_not_touched(data: Path) -> None:
    with pytest.raises(Missing, match="a month in use must end first"):
        asyncio.run(erasure.erase_row(data, 35, LATER_MS, audit_days=180))


def test_days_are_days() -> None:
    assert erasure.day_ms("1970-01-02") == 86_400_000
    assert erasure.day_ms("2026-13-01") is None and erasure.day_ms("soon") is None
