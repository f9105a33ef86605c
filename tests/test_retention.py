"""workers/months.py, erasure.py, counting.py: what is kept so many days goes by night; what is not, is all there."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import commands as c
from core import record
from core.facts import JournalErased
from tests.halls import HALL, Driven, clock, opened
from tests.processes import Served, run_cli
from tests.test_fold import rows
from tests.test_months import Log, nothing
from tests.test_recovery import SMALL
from workers import archive, counting, engine, erasure, fold, logs, mark, months, recovery
from workers import report as reports
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.months import Months
from workers.ports import Missing, Part
from workers.settings import RetentionSection
from workers.tallies import Tallies
from workers.verify import verify

MONTHS = ("2026-11", "2026-12", "2027-01", "2027-02")
DAY_MS = 86_400_000
NIGHT_MS = clock("2027-05-28 03:00")  # 180 days before: 28 November, UTC
Rows = dict[str, list[tuple[int, int]]]


def served(hall: Driven) -> None:
    """A visit, rated."""
    hall.sign_on()
    hall.take()
    hall.ask(c.SubmitEvaluation(hall.serve(1).call, 1), "ev-1")


async def lived(directory: Path) -> Driven:
    """A hall with one visit in each of four months, three of them closed and archived."""
    hall, done = opened(), 0
    journal = await SqliteJournal.open(directory, now_ms=lambda: hall.at_ms, options=SMALL)
    for month in (*MONTHS[1:], ""):
        served(hall)
        await journal.append([Part(HALL, done, rows(hall, done))])
        done = hall.state.n
        await journal.save(HALL, done, hall.state.snapshot())
        if month:
            await journal.rotate(month)
            hall.at_ms = clock(f"{month}-04 10:00")
            hall.due()
    await journal.close()
    archive.archive(directory)
    return hall


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; copied by each test."""
    directory = tmp_path_factory.mktemp("years")
    asyncio.run(lived(directory))
    return directory


@pytest.fixture
def data(years: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(years, tmp_path / "data"))


def rows_of(directory: Path) -> Rows:
    """Seq and kind of the rows of each month."""
    found: Rows = {}
    for path in recovery.files(directory):
        with closing(engine.reader(path)) as db:
            found[path.stem[8:]] = db.execute("SELECT seq, kind FROM journal ORDER BY seq").fetchall()
    return found


def short(found: list[tuple[int, int]]) -> list[int]:
    return [seq for seq, kind in found if kind < 128]


def long(found: Rows) -> list[int]:
    return [seq for month in found.values() for seq, kind in month if 128 <= kind != 136]


def told(directory: Path) -> list[JournalErased]:
    """What is on record."""
    facts: list[Any] = []
    for path in recovery.files(directory):
        with closing(engine.reader(path)) as db:
            found = db.execute("SELECT kind, v, payload FROM journal WHERE kind = 136 ORDER BY seq").fetchall()
        facts += [record.decode(*one)[0] for one in found]
    return facts


def counted(directory: Path) -> list[reports.Line]:
    """The report by day of the closed months, of everything that can still be counted."""
    return reports.report(counting.update(directory, fresh=True), reports.Period(0, 20270199), "day").lines


def folded(directory: Path) -> tuple[int, str]:
    """What a start makes of it."""

    async def scenario() -> tuple[int, str]:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NIGHT_MS, options=SMALL)
        try:
            state = (await fold.recover(journal)).halls[HALL].state
            return state.n, state.digest()
        finally:
            await journal.close()

    return asyncio.run(scenario())


def night(directory: Path, log: Log, now_ms: int = NIGHT_MS, **kept: int) -> tuple[Months, int, str]:
    """A process that folds, lets a night pass, and ends; n and digest of its hall."""

    async def scenario() -> tuple[Months, int, str]:
        journal = await SqliteJournal.open(directory, now_ms=lambda: now_ms, options=SMALL)
        try:
            desk = Desk((await fold.recover(journal)).halls[HALL], Tallies())
            end = Months(
                journal,
                {HALL: desk},
                heard=lambda _: True,
                store=nothing,
                log=log,
                retention=RetentionSection(**kept),
                now_ms=lambda: now_ms,
            )
            assert await end.age() and not await end.age(), "a child runs, the loop goes on"
            assert end._child is not None
            await end._child
            await end.age()
            assert not await end.age(), "once a day"
            desk.ask(c.CloseDay(), now_ms)
            part = desk.part()
            assert part is not None
            await journal.append([part])
            return end, desk.hall.state.n, desk.hall.state.digest()
        finally:
            await journal.close()

    return asyncio.run(scenario())


def test_by_night_what_is_older_goes_and_the_running_process_puts_it_on_record(data: Path) -> None:
    before, lines = rows_of(data), counted(data)
    log = Log()
    end, *state = night(data, log)
    assert log.lines == [logs.ERASED] and not end.erase_failures
    after = rows_of(data)
    assert [short(after[month]) for month in MONTHS[:1]] == [[]], "December ended later"
    assert {month: after[month] for month in MONTHS[1:3]} == {month: before[month] for month in MONTHS[1:3]}
    assert long(after)[: len(long(before))] == long(before)
    assert told(data) == [JournalErased("2026-11-28", len(short(before["2026-11"])), ("2026-11",))]
    assert not (data / erasure.OWED).exists()
    assert verify(data) == [] and run_cli("journal", "verify", data).returncode == 0
    assert folded(data) == tuple(state)
    assert counted(data) == lines, "the report still has what erased months counted"
    again = Log()
    _, *state = night(data, again)
    assert again.lines == [] and rows_of(data)["2027-01"] == before["2027-01"] and folded(data) == tuple(state)


@pytest.mark.slow
def test_what_reports_counted_goes_by_whole_months_and_not_before(data: Path) -> None:
    lines = counted(data)
    log = Log()
    night(data, log, rows_days=9999, aggregates_days=170)  # 8 December
    left = [line for line in lines if line.day >= 20261201]
    assert len(left) < len(lines) and counted(data) == left and log.lines == [logs.ERASED]
    assert not any(hall.keys or hall.cases or hall.coverage for hall in counting.base(data).halls.values())
    night(data, log, clock("2026-12-31 03:00"), rows_days=9999, aggregates_days=30)
    assert counted(data) == left, "the limit never goes back"


def test_a_long_lived_row_is_kept_for_audit_and_a_short_lived_one_is_not(data: Path) -> None:
    before = rows_of(data)["2026-11"]
    (last_ms, _), kind = erasure.ended(data / recovery.ARCHIVE / "journal-2026-11.db"), dict(before)
    one, other = (next(seq for seq in kind if (kind[seq] >= 128) is long) for long in (True, False))

    async def erase(seq: int, days: int, audit_days: int) -> erasure.Erased:
        return await erasure.erase_row(data, seq, last_ms + days * DAY_MS, audit_days=audit_days)

    for days, audit_days in ((179, 180), (364, 365)):
        with pytest.raises(Missing, match=f"row {one} is long-lived, kept for audit") as said:
            asyncio.run(erase(one, days, audit_days))
        assert (
            f"wait {audit_days} days or say --personal-data" in str(said.value) and rows_of(data)["2026-11"] == before
        )
    assert asyncio.run(erase(other, 0, 180)).months and asyncio.run(erase(one, 180, 180)).months
    assert verify(data) == [] and not {one, other} & dict(rows_of(data)["2026-11"]).keys()


@pytest.mark.slow
def test_a_failure_is_counted_and_the_next_night_ends_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month that cannot be read, a place that is taken, no process left: nothing is lost, nothing is said to be."""
    before, path = rows_of(data), data / recovery.ARCHIVE / "journal-2026-11.db"
    whole, log = path.read_bytes(), Log()
    path.chmod(0o644)
    path.write_bytes(whole[:9000] + bytes(4096) + whole[13096:])
    end, *_ = night(data, log)
    assert log.lines == [logs.ERASE_FAILED] and end.erase_failures == 1
    path.write_bytes(whole)
    path.chmod(0o444)
    with monkeypatch.context() as patch:
        patch.setattr(months, "ERASE", ("/nowhere/python",))
        end, *_ = night(data, log)
    assert end.erase_failures == 1 and told(data) == [] and verify(data) == []
    assert {month: rows for month, rows in rows_of(data).items() if month < "2027-02"} == {
        month: rows for month, rows in before.items() if month < "2027-02"
    }
    end, *_ = night(data, log)
    assert log.lines[2:] == [logs.ERASED] and not end.erase_failures
    assert short(rows_of(data)["2026-11"]) == [] and len(told(data)) == 1 and verify(data) == []


@pytest.mark.slow
def test_on_a_disk_without_room_all_stays_and_no_half_month_takes_what_is_left(data: Path) -> None:
    before, size = rows_of(data), (data / recovery.ARCHIVE / "journal-2026-11.db").stat().st_size
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); from workers.cli import main"
    )
    words = ["journal", "erase", str(data), "--before", "2026-11-28", "--beside"]
    program = f"{limited.format(size // 2)}; sys.argv[1:] = {words}; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    child = subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True)
    assert child.returncode == 5, child.stderr
    assert not list(data.rglob("*.db.part*")) and rows_of(data) == before and verify(data) == []
    night(data, Log())
    assert short(rows_of(data)["2026-11"]) == [] and len(told(data)) == 1 and verify(data) == []


CUT = ("sync_file", "sync_directory")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nights=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 12)), min_size=1, max_size=4))
def test_whatever_nights_there_are_and_wherever_they_are_cut_short(
    years: Path, tmp_path_factory: pytest.TempPathFactory, nights: list[tuple[int, int]]
) -> None:
    """Each night erases up to a day and is cut short before a write (12: it is not). At each moment all is well; at the
    end what is older is gone, the rest is there, the reports say the same, and each month is on record once."""
    data = Path(shutil.copytree(years, tmp_path_factory.mktemp("nights") / "data"))
    before, lines = rows_of(data), counted(data)
    first_ms = clock("2026-11-20 00:00")
    for days, at in nights:
        erase_until(data, first_ms + days * DAY_MS, at)
        assert verify(data) == [] and counted(data) == lines
        assert long(rows_of(data)) == long(before)
    last_ms = first_ms + max(days for days, _ in nights) * DAY_MS
    erase_until(data, last_ms, 99)
    folded(data)
    asyncio.run(erasure.told(data, NIGHT_MS))
    gone = [month for month in MONTHS[:3] if erasure.ended(data / "archive" / f"journal-{month}.db").at_ms < last_ms]
    after = rows_of(data)
    assert [month for month in MONTHS[:3] if not short(after[month])] == gone
    assert sorted(month for one in told(data) for month in one.months) == gone
    assert sum(one.facts for one in told(data)) == sum(len(short(before[month])) for month in gone)
    assert verify(data) == [] and counted(data) == lines


def erase_until(directory: Path, day_ms: int, at: int) -> None:
    """A night that is cut short before its `at`-th write."""
    left = [at]

    def counting_down(write: Callable[[Path], None]) -> Callable[[Path], None]:
        def cut(path: Path) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            write(path)

        return cut

    with pytest.MonkeyPatch.context() as patch:
        for name in CUT:
            patch.setattr(mark, name, counting_down(getattr(mark, name)))
        try:
            asyncio.run(erasure.erase(directory, f"limit {day_ms}", day_ms, NIGHT_MS, beside=True))
        except KeyboardInterrupt:
            return


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from workers import archive, counting, erasure

where, directory = sys.argv[1], Path(sys.argv[2])

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "rows":
    def take(db):
        db.execute("DELETE FROM journal WHERE seq % 2 = 0")
        kill()
    erasure.take_out = take
else:
    setattr({"put": archive, "keep": counting, "owe": erasure, "looked_at": erasure}[where], where, kill)
asyncio.run(erasure.erase(directory, "2026-11-28", erasure.day_ms("2026-11-28"), 0, beside=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["keep", "owe", "rows", "put", "looked_at"])
def test_killed_half_way_all_is_well_and_the_next_night_ends_it(data: Path, where: str) -> None:
    before, lines = rows_of(data), counted(data)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    child = subprocess.run([sys.executable, "-c", KILLED, where, str(data)], env=environment, check=False)
    assert child.returncode == -signal.SIGKILL
    assert verify(data) == [] and counted(data) == lines and (where == "looked_at" or rows_of(data) == before)
    _, *state = night(data, Log())
    assert short(rows_of(data)["2026-11"]) == [] and len(told(data)) == 1
    assert verify(data) == [] and folded(data) == tuple(state) and counted(data) == lines
    assert sorted(path.name for path in (data / recovery.ARCHIVE).iterdir()) == sorted(
        [counting.BASE, *(f"journal-{month}.{kind}" for month in MONTHS[:3] for kind in ("db", "json"))]
    )


@pytest.mark.slow
def test_the_process_does_it_by_itself(data: Path, tmp_path: Path) -> None:
    """Started in June: the day that was open ends, and what is too old goes; killed and started again, all is there."""
    hall = opened()
    before = rows_of(data)
    options = {
        "clock__speed": 2,
        "clock__origin_ms": NIGHT_MS,
        "retention__rows_days": 175,
        "retention__aggregates_days": 170,
    }
    for life in range(2):
        with Served(tmp_path, [hall.policy], "mqtt://127.0.0.1:1", **options) as one:
            one.url = one.wait_for("web.listening")["url"]
            if life == 0:
                line = one.wait_for(logs.ERASED)
                assert (line["months"], line["days"]) == (["2026-11"], 1)
                one.until(lambda seen: seen['jiaohao_facts_total{kind="JournalErased"}'] == 1)
            assert one.metrics()["jiaohao_erase_failures_total"] == 0
            digests = one.digests()
            one.kill()
        assert verify(data) == [] and folded(data) == digests[HALL]
    after = rows_of(data)
    assert short(after["2026-11"]) == [] and long(after)[: len(long(before))] == long(before)
    assert told(data)[0].months == ("2026-11",) and len(told(data)) == 1
