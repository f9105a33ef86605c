"""workers/salvage.py: of a damaged file everything but the damage is read; what can be gone on from starts."""

import asyncio
import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_recovery import NOW_MS, a_journal, change, rows, start
from tests.test_rotation import filled
from workers import archive, engine, mark, recovery, salvage
from workers.ports import JournalDamaged, Missing, Part
from workers.verify import verify

PAGE = 4096


def harm(path: Path, text: bytes) -> None:
    """Make the page unreadable that holds a text."""
    content = bytearray(path.read_bytes())
    at = content.index(text) // PAGE * PAGE
    content[at : at + 64] = bytes(64)
    path.write_bytes(content)


def lines(directory: Path, month: str = "2026-11") -> list[int]:
    text = (directory / f"salvaged-{month}.jsonl").read_text()
    return [json.loads(line)["seq"] for line in text.splitlines()]


def heads(directory: Path) -> dict[str, int]:
    async def scenario() -> dict[str, int]:
        async with start(directory) as journal:
            begin = await journal.start()
            async for _ in journal.replay_all(begin.after):
                pass
            return journal.heads()

    return asyncio.run(scenario())


def test_a_whole_journal_loses_nothing(tmp_path: Path) -> None:
    a_journal(tmp_path / "data")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert (done.rows, done.lost_rows, done.lost, done.kept_first, done.kept_last) == (100, 0, [], 1, 100)
    assert lines(tmp_path / "new") == list(range(1, 101))
    assert verify(tmp_path / "new") == []
    assert heads(tmp_path / "new") == {"a": 101}, "and the fact that says so"


def test_an_unreadable_page_before_the_state_costs_its_rows_and_the_journal_goes_on(tmp_path: Path) -> None:
    """5,000 rows, one page gone: at least 4,900 are saved, and the state behind it is whole."""
    path = a_journal(tmp_path / "data", batches=50, size=100)
    harm(path, b"fact 500")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert 4800 < done.rows < 5000 and done.rows + done.lost_rows == 5000
    assert done.kept_last == 5000 and 500 < done.kept_first < 800
    assert all(one.why.startswith("unreadable (SQLITE_CORRUPT") for one in done.lost if "sealed" not in one.why)
    assert verify(tmp_path / "new") == []
    assert heads(tmp_path / "new") == {"a": 5001}
    assert len(lines(tmp_path / "new")) == done.rows


def test_an_unreadable_page_behind_the_state_ends_the_journal_before_it(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data", batches=50, size=100)
    harm(path, b"fact 4000")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert done.acknowledged == 5000 and 3700 <= done.kept_last < 4001
    assert max(lines(tmp_path / "new")) == 5000, "what lies behind is in the lines"
    assert verify(tmp_path / "new") == []
    assert heads(tmp_path / "new") == {"a": done.kept_last + 1}


def test_a_changed_row_is_read_but_not_trusted(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    change(path, "UPDATE journal SET payload = x'66' WHERE seq = 75")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert [(one.first, one.last, one.why) for one in done.lost] == [(71, 80, "readable, but not as they were sealed")]
    assert (done.rows, done.lost_rows, done.kept_last) == (100, 0, 70)
    assert verify(tmp_path / "new") == []


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    change(path, "DELETE FROM journal WHERE seq BETWEEN 5 AND 7")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert [(one.first, one.last, one.why) for one in done.lost] == [(5, 7, "missing")]
    assert json.loads((tmp_path / "new" / "lost.json").read_text()) == [{"first": 5, "last": 7, "why": "missing"}]
    assert (done.kept_first, done.kept_last) == (11, 100)


def test_a_hall_without_a_state_behind_the_damage_holds_the_others_back(tmp_path: Path) -> None:
    async def fill() -> Path:
        async with start(tmp_path / "data") as journal:
            for n in range(0, 100, 10):
                await journal.append([Part("a", n, rows(n, 10)), Part("b", n, rows(n, 10))])
            await journal.save("a", 100, b"state of a")
        return journal.path

    change(asyncio.run(fill()), "UPDATE journal SET dseq = 999 WHERE seq = 150")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert (done.kept_first, done.kept_last) == (1, 140)
    assert verify(tmp_path / "new") == [], "the state of a from behind the damage is left out"
    assert heads(tmp_path / "new") == {"a": 71, "b": 71}


def test_without_any_good_state_the_lines_are_all_there_is(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    change(path, "UPDATE snapshot SET data = x'66'", "DELETE FROM journal WHERE seq = 5")
    change(path, "UPDATE batch SET crc = 1 WHERE last <= 10")
    with pytest.raises(JournalDamaged, match="no run of whole batches"):
        asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert len(lines(tmp_path / "new")) == 99


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two archived months, 33 and 5 rows, and one in use, with 2."""

    async def scenario() -> None:
        async with start(tmp_path / "data") as journal:
            await filled(journal)
            await journal.rotate("2026-12")
            await journal.append([Part("a", 30, rows(30, 5))])
            await journal.save("a", 35, b"state")
            await journal.rotate("2027-01")
            await journal.append([Part("a", 35, rows(35, 2))])

    asyncio.run(scenario())
    archive.archive(tmp_path / "data")
    return tmp_path / "data"


def spoil(three: Path, month: str, statement: str) -> None:
    path = next(one for one in recovery.files(three) if month in one.name)
    path.chmod(0o644)
    change(path, statement)
    path.chmod(0o444)


def test_good_months_before_a_damaged_newest_one_come_along(three: Path, tmp_path: Path) -> None:
    change(three / "journal-2027-01.db", "UPDATE journal SET dseq = 9 WHERE seq = 40")
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    assert done.copied == ["journal-2026-11.db", "journal-2026-12.db"] and done.lines == ["journal-2027-01.db"]
    assert (done.rows, done.kept_last, done.acknowledged) == (40, 38, 40)
    assert verify(tmp_path / "new") == []
    assert len(recovery.files(tmp_path / "new")) == 3 and heads(tmp_path / "new") == {"a": 36, "b": 4}


@pytest.mark.parametrize("month", ["2026-11", "2026-12"])
def test_of_a_damaged_older_month_the_lines_are_read_and_the_journal_goes_on(
    three: Path, tmp_path: Path, month: str
) -> None:
    """Only what leads up to the newest month without a gap is copied; of what lies before the gap there are lines."""
    first = month == "2026-11"
    spoil(three, month, f"DELETE FROM journal WHERE seq = {5 if first else 35}")
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    lost = 5 if first else 35
    assert [(one.first, one.last, one.why) for one in done.lost] == [(lost, lost, "missing")]
    assert done.copied == (["journal-2026-12.db"] if first else [])
    assert (done.rows, done.lost_rows) == (39, 1)
    everywhere = [seq for name in done.lines for seq in lines(tmp_path / "new", name[8:15])]
    assert sorted(everywhere) == [seq for seq in range(1, 41) if seq != lost and not (first and 34 <= seq <= 38)]
    assert verify(tmp_path / "new") == []
    assert heads(tmp_path / "new") == {"a": 38, "b": 4}


def test_a_month_that_is_no_file_any_more_is_named_and_costs_no_other(three: Path, tmp_path: Path) -> None:
    path = recovery.files(three)[0]
    path.chmod(0o644)
    path.write_bytes(b"x" * 8192)
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    assert any("journal-2026-11.db" in one.why or "unreadable" in one.why for one in done.lost)
    assert done.copied == ["journal-2026-12.db"] and verify(tmp_path / "new") == []


@pytest.mark.parametrize("content", [b"", b"x" * 4096, bytes(40_960)])
def test_where_nothing_is_left_of_the_newest_month_the_one_before_is_gone_on_in(
    three: Path, tmp_path: Path, content: bytes
) -> None:
    (three / "journal-2027-01.db").write_bytes(content)
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    assert (done.kept_first, done.kept_last, done.acknowledged) == (34, 38, 40)
    assert [(one.first, one.last) for one in done.lost] == [(39, 40)], "all that is lost, and no more"
    assert (done.copied, done.rows, done.lost_rows) == (["journal-2026-11.db"], 38, 2)
    assert recovery.newest_file(tmp_path / "new") == tmp_path / "new" / "journal-2026-12.db"
    assert verify(tmp_path / "new") == [] and heads(tmp_path / "new") == {"a": 36, "b": 4}


def test_a_month_that_lost_where_it_begins_goes_on_where_the_one_before_ends(three: Path, tmp_path: Path) -> None:
    change(three / "journal-2027-01.db", "DELETE FROM meta WHERE k LIKE 'prev%'")
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    assert (done.lost, done.kept_first, done.kept_last) == ([], 39, 40)
    assert len(done.copied) == 2 and verify(tmp_path / "new") == []


def test_a_hall_of_which_no_state_is_left_is_not_left_out_in_silence(three: Path, tmp_path: Path) -> None:
    """Hall b was quiet all month: nothing but its state tells of it."""
    change(three / "journal-2027-01.db", "UPDATE snapshot SET data = x'66' WHERE hall_seq = 3")
    done = asyncio.run(salvage.salvage(three, tmp_path / "new", NOW_MS))
    assert done.kept_last == 38 and len(lines(tmp_path / "new", "2027-01")) == 2
    assert heads(tmp_path / "new") == {"a": 36, "b": 4}, "the month before knows it"


def test_what_people_wrote_comes_along(tmp_path: Path) -> None:
    """It stands beside the facts and in no other month."""
    path = a_journal(tmp_path / "data")
    change(path, "INSERT INTO note VALUES('1:7', 1, 5, 'slow')", "UPDATE journal SET dseq = 9 WHERE seq = 75")
    asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    with closing(engine.reader(tmp_path / "new" / path.name)) as db:
        assert db.execute("SELECT * FROM note").fetchall() == [("1:7", 1, 5, "slow")]


def test_of_lost_rows_the_state_behind_them_is_left_to_go_on_from(tmp_path: Path) -> None:
    change(a_journal(tmp_path / "data"), "DELETE FROM journal")
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert (done.rows, done.kept_first, done.kept_last) == (0, 61, 60)
    assert [(one.first, one.last, one.why) for one in done.lost] == [(1, 100, "missing")]
    assert verify(tmp_path / "new") == [] and heads(tmp_path / "new") == {"a": 61}


def test_what_comes_in_the_place_of_lost_facts_has_not_been_heard(tmp_path: Path) -> None:
    """Else its orders would not be said again after a crash."""
    path = a_journal(tmp_path / "data")
    change(path, "UPDATE meta SET v = 100 WHERE k LIKE '%published:1'", "UPDATE journal SET dseq = 9 WHERE seq = 75")
    asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))

    async def marks() -> dict[str, int]:
        async with start(tmp_path / "new") as journal:
            return journal.marks()

    assert asyncio.run(marks()) == {"a": 70} and verify(tmp_path / "new") == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_bit_is_wrong_it_is_refused_in_words_or_read_and_good(tmp_path: Path, seed: int) -> None:
    """Never a traceback, never a journal that does not start."""
    path = a_journal(tmp_path / "data")
    whole, chance = path.read_bytes(), random.Random(seed)
    used = [at for at, byte in enumerate(whole) if byte]
    for number in range(15):
        changed, to = bytearray(whole), tmp_path / str(number)
        changed[chance.choice(used)] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            done = asyncio.run(salvage.salvage(path.parent, to, NOW_MS))
        except (JournalDamaged, engine.DatabaseError):  # which the command line tells in three lines
            continue
        assert verify(to) == [] and bool(heads(to)) == (done.kept_last > 0)


def test_a_salvaged_journal_is_newer_than_any_before_and_draws_its_pictures_anew(tmp_path: Path) -> None:
    """Else the old mark would refuse it; and tables of people are not read from a damaged file."""
    path = a_journal(tmp_path / "data")
    known = mark.newest(tmp_path / "data" / mark.NAME)
    assert known is not None
    ahead = known._replace(epoch=known.epoch + 86_400)
    mark.MarkFile(tmp_path / "data" / mark.NAME, ahead).close()
    done = salvage.extract(tmp_path / "data", tmp_path / "new", 1000)
    newest = mark.newest(tmp_path / "new" / mark.NAME)
    assert newest is not None and newest.epoch > ahead.epoch
    with closing(engine.reader(tmp_path / "new" / path.name)) as db:
        assert recovery.meta(db, "proj_seq") == {"": done.kept_first - 1}


def test_only_an_empty_directory_is_written_to(tmp_path: Path) -> None:
    a_journal(tmp_path / "data")
    with pytest.raises(Missing, match="is not empty"):
        asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "data", NOW_MS))
    with pytest.raises(Missing, match="no journal"):
        asyncio.run(salvage.salvage(tmp_path, tmp_path / "new", NOW_MS))
