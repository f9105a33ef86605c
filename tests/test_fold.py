"""workers/fold.py: from a journal back to the halls: equal states, and effects above the mark once more."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core.fact import Cause
from core.hall import Hall
from core.record import UnknownFact
from core.state import HallState
from tests.halls import HALL, MIN, MORNING, Driven, opened
from workers import engine, fold
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Part, Row
from workers.recovery import newest_file

Use = Callable[[SqliteJournal], Awaitable[object]]


def rows(driven: Driven, after: int = 0) -> list[Row]:
    """What a dispatcher would have stored of it."""
    return [
        Row(line.at_ms, line.kind, line.v, *(line.cause[:3] if line.cause else ("", "", 0)), line.payload)
        for line in driven.journal[after:]
    ]


def a_morning() -> Driven:
    """A hall with a few of everything: waiting, called, served, a question open."""
    driven = opened()
    for service in ("si", "tax", "id", "si"):
        driven.take(service)
    driven.serve(1)
    driven.call(2)
    driven.wait(MIN)
    return driven


def use(directory: Path, what: Use) -> object:
    """One life of the journal."""

    async def scenario() -> object:
        journal = await SqliteJournal.open(directory, now_ms=lambda: MORNING)
        try:
            return await what(journal)
        finally:
            await journal.close()

    return asyncio.run(scenario())


def stored(directory: Path, *driven: Driven, snapshots: dict[str, tuple[int, bytes]] | None = None) -> None:
    async def write(journal: SqliteJournal) -> None:
        await journal.append([Part(one.state.hall, 0, rows(one)) for one in driven])
        for hall, (n, data) in (snapshots or {}).items():
            await journal.save(hall, n, data)

    use(directory, write)


def recovered(directory: Path) -> fold.Folded:
    found = use(directory, fold.recover)
    assert isinstance(found, fold.Folded)
    return found


def change(directory: Path, sql: str) -> None:
    """What a disk or a person does to the file."""
    path = newest_file(directory)
    assert path is not None
    db = engine.connect(path)
    db.execute(sql)
    db.commit()
    db.close()


def named(name: str) -> Driven:
    driven = a_morning()
    driven.state.hall = name
    return driven


def test_an_empty_journal_has_no_halls(tmp_path: Path) -> None:
    assert recovered(tmp_path) == fold.Folded({}, 0, [])


def test_the_fold_is_the_running_state_byte_for_byte(tmp_path: Path) -> None:
    one, two = a_morning(), named("h2")
    stored(tmp_path, one, two)
    found = recovered(tmp_path)
    assert found.facts == one.state.n + two.state.n and not found.skipped
    assert {name: hall.state.snapshot() for name, hall in found.halls.items()} == {
        HALL: one.state.snapshot(),
        "h2": two.state.snapshot(),
    }


@pytest.mark.parametrize("at", [1, 5, 9])
def test_from_a_snapshot_only_what_follows_it_is_applied(tmp_path: Path, at: int) -> None:
    driven = a_morning()
    early = Hall(HallState(HALL))
    for n, row in enumerate(rows(driven)[:at], 1):
        fold.apply(early, n, row)
    stored(tmp_path, driven, snapshots={HALL: (at, early.state.snapshot())})
    found = recovered(tmp_path)
    assert found.facts == driven.state.n - at
    assert found.halls[HALL].state.snapshot() == driven.state.snapshot()


def test_a_hall_with_a_snapshot_and_one_without_are_both_whole(tmp_path: Path) -> None:
    one, two = a_morning(), named("h2")
    stored(tmp_path, one, two, snapshots={HALL: (one.state.n, one.state.snapshot())})
    found = recovered(tmp_path)
    assert found.facts == two.state.n
    assert found.halls[HALL].state.digest() == one.state.digest()
    assert found.halls["h2"].state.digest() == two.state.digest()


def test_a_state_that_is_older_than_its_place_says_does_not_pass_for_the_head(tmp_path: Path) -> None:
    driven = a_morning()
    early, n = driven.state.snapshot(), driven.state.n
    driven.take()
    stored(tmp_path, driven, snapshots={HALL: (driven.state.n, early)})
    with pytest.raises(JournalDamaged, match=f"ends at {n}, the journal at {driven.state.n}"):
        recovered(tmp_path)


def test_a_damaged_snapshot_is_skipped_and_named(tmp_path: Path) -> None:
    """The one before it will do."""
    driven = a_morning()
    early = Hall(HallState(HALL))
    for n, row in enumerate(rows(driven)[:5], 1):
        fold.apply(early, n, row)
    stored(tmp_path, driven, snapshots={HALL: (5, early.state.snapshot())})
    use(tmp_path, lambda journal: journal.save(HALL, driven.state.n, driven.state.snapshot()))
    change(tmp_path, f"UPDATE snapshot SET data = x'00' WHERE hall_seq = {driven.state.n}")
    found = recovered(tmp_path)
    assert len(found.skipped) == 1 and HALL in found.skipped[0] and found.facts == driven.state.n - 5
    assert found.halls[HALL].state.digest() == driven.state.digest()


@pytest.mark.parametrize("heard", [0, 6, 999])
def test_effects_above_the_published_mark_are_said_again(tmp_path: Path, heard: int) -> None:
    driven = opened()
    driven.take()
    driven.call()
    call_n = driven.state.n
    heard = min(heard, call_n)

    async def write(journal: SqliteJournal) -> None:
        journal.save_marks({HALL: heard})
        await journal.append([Part(HALL, 0, rows(driven))])

    use(tmp_path, write)
    effects = recovered(tmp_path).halls[HALL].take_effects()
    assert [order.n for order in effects.orders] == ([call_n] if heard < call_n else [])


@pytest.mark.parametrize("heard", [False, True])
def test_an_order_in_a_stored_state_is_said_again_unless_it_was_heard(tmp_path: Path, heard: bool) -> None:
    driven = opened()
    driven.take()
    driven.call()
    call_n, state = driven.state.n, driven.state.snapshot()

    async def write(journal: SqliteJournal) -> None:
        await journal.append([Part(HALL, 0, rows(driven))])
        await journal.save(HALL, call_n, state, heard=heard)

    use(tmp_path, write)
    found = recovered(tmp_path)
    assert found.halls[HALL].state.snapshot() == state
    assert [order.n for order in found.halls[HALL].take_effects().orders] == ([] if heard else [call_n])


def test_a_fact_out_of_its_place_is_our_mistake() -> None:
    hall, (first, second, *_) = Hall(HallState(HALL)), rows(a_morning())
    fold.apply(hall, 1, first)
    for n, row in ((1, first), (3, second)):
        with pytest.raises(AssertionError, match=rf"fact {n} after 1"):
            fold.apply(hall, n, row)
    fold.apply(hall, 2, second)


def test_the_cause_of_a_fact_comes_back_into_the_window() -> None:
    driven = a_morning()
    hall = Hall(HallState(HALL))
    for n, row in enumerate(rows(driven), 1):
        fold.apply(hall, n, row)
    assert hall.judge(Cause("kiosk-1", "boot", 1, 7)) == driven.hall.judge(Cause("kiosk-1", "boot", 1, 7)) is not None


def test_a_fact_of_a_newer_program_is_named(tmp_path: Path) -> None:
    driven = a_morning()
    stored(tmp_path, driven)

    async def newer(journal: SqliteJournal) -> None:
        await journal.append([Part(HALL, driven.state.n, [Row(MORNING, 254, 9, "", "", 0, b"")])])

    use(tmp_path, newer)
    with pytest.raises(UnknownFact, match="kind 254 v9"):
        recovered(tmp_path)


def test_a_start_that_is_refused_half_way_has_ended_its_readers_thread(tmp_path: Path) -> None:
    """Its last answer would find the loop closed, and say so in the midst of what the operator is told."""
    driven = a_morning()
    stored(tmp_path, driven)

    async def refused(journal: SqliteJournal) -> None:
        await journal.append([Part(HALL, driven.state.n, [Row(MORNING, 254, 9, "", "", 0, b"")])])
        before = threading.active_count()
        with pytest.raises(UnknownFact) as error:
            await fold.recover(journal)
        assert threading.active_count() == before, error.value

    use(tmp_path, refused)


def test_a_row_that_was_changed_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, a_morning())
    change(tmp_path, "UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 3")
    with pytest.raises(JournalDamaged) as refused:
        recovered(tmp_path)
    assert len(str(refused.value).splitlines()) == 3
