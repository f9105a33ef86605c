"""workers/replays.py: what `replay` and `why` read out of a journal that they do not own."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import commands as c
from core.facts import KINDS
from core.state import restored
from tests.halls import HALL, MIN, MORNING, Driven, opened
from workers import engine, replays
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Missing, Part, Row
from workers.recovery import newest_file


def rows(driven: Driven) -> list[Row]:
    return [
        Row(line.at_ms, line.kind, line.v, *(line.cause[:3] if line.cause else ("", "", 0)), line.payload)
        for line in driven.journal
    ]


def a_morning(hall: str = HALL, *services: str) -> Driven:
    """Three tickets: the first served, the second called and missed and called again, the third waiting."""
    driven = opened()
    driven.state.hall = hall
    for service in services or ("si", "si", "tax"):
        driven.take(service)
    driven.serve(1)
    driven.wait(MIN)
    driven.call(1)
    return driven


def stored(directory: Path, *driven: Driven, snapshot: bool = True) -> Path:
    async def scenario() -> None:
        journal = await SqliteJournal.open(directory, now_ms=lambda: MORNING)
        for one in driven:
            await journal.append([Part(one.state.hall, 0, rows(one))])
            if snapshot:
                await journal.save(one.state.hall, one.state.n, one.state.snapshot())
        await journal.close()

    asyncio.run(scenario())
    return directory


def told(task: Coroutine[Any, Any, None], capsys: pytest.CaptureFixture[str]) -> str:
    asyncio.run(task)
    out, err = capsys.readouterr()
    assert not err, "results on stdout"
    return out


def change(directory: Path, sql: str, *values: object) -> None:
    path = newest_file(directory)
    assert path is not None
    db = engine.connect(path)
    db.execute(sql, values)
    db.commit()
    db.close()


# replay


def test_the_digest_is_the_running_state_s_and_snapshots_agree(tmp_path: Path, capsys: Any) -> None:
    one, two = a_morning(), a_morning("h2", "tax", "id", "si")
    stored(tmp_path, one, two)
    lines = [f"{of.state.hall} {of.state.n} {of.state.digest()}" for of in (one, two)]
    plain = told(replays.print_digests(tmp_path, 0, False, False), capsys)
    assert plain.splitlines() == [f"{line} (1 snapshots agree)" for line in lines]
    assert told(replays.print_digests(tmp_path, 0, False, True), capsys).splitlines() == lines
    document = json.loads(told(replays.print_digests(tmp_path, 0, True, False), capsys))
    assert document["v"] == 1 and document["halls"][1] == {
        "hall": "h2",
        "n": two.state.n,
        "digest": two.state.digest(),
        "snapshots": 1,
    }


def test_it_stops_where_it_is_told(tmp_path: Path, capsys: Any) -> None:
    driven = a_morning()
    stored(tmp_path, driven)
    asyncio.run(replays.print_digests(tmp_path, driven.state.n - 1, True, False))
    (found,) = json.loads(capsys.readouterr().out)["halls"]
    assert (found["n"], found["snapshots"]) == (driven.state.n - 1, 0) and found["digest"] != driven.state.digest()


def test_a_snapshot_that_is_not_the_fold_is_named(tmp_path: Path) -> None:
    driven = a_morning()
    stored(tmp_path, driven)
    other = restored(driven.state.snapshot())
    other.next_call += 1
    change(tmp_path, "UPDATE snapshot SET data = ?", other.snapshot())
    with pytest.raises(JournalDamaged, match=rf"hall h1: the snapshot at {driven.state.n} is not the fold"):
        asyncio.run(replays.print_digests(tmp_path, 0, False, False))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE journal SET payload = x'00' WHERE seq = 4",
        "DELETE FROM journal WHERE seq = 4",
        "UPDATE journal SET dseq = dseq + 1 WHERE seq = 7",
    ],
)
def test_a_damaged_journal_is_refused_in_three_lines_by_everything(tmp_path: Path, sql: str) -> None:
    stored(tmp_path, a_morning())
    change(tmp_path, sql)
    for task in (
        replays.print_digests(tmp_path, 0, False, False),
        replays.print_facts(tmp_path, "", 0),
        replays.print_why(tmp_path, "A001", "en", False),
    ):
        with pytest.raises(JournalDamaged) as refused:
            asyncio.run(task)
        assert len(str(refused.value).splitlines()) == 3


def test_without_a_journal_something_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no journal in"):
        asyncio.run(replays.print_digests(tmp_path, 0, False, False))
    assert not list(tmp_path.iterdir()), "reading makes no file"


def test_reading_needs_no_ownership(tmp_path: Path, capsys: Any) -> None:
    driven = a_morning()

    async def scenario() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: MORNING)
        await journal.append([Part(HALL, 0, rows(driven))])
        await replays.print_digests(tmp_path, 0, False, True)
        await journal.close()

    asyncio.run(scenario())
    assert capsys.readouterr().out == f"{HALL} {driven.state.n} {driven.state.digest()}\n"


# replay --facts, --ticket


def test_every_fact_is_a_json_line_with_its_cause(tmp_path: Path, capsys: Any) -> None:
    driven = a_morning()
    stored(tmp_path, driven)
    lines = [json.loads(line) for line in told(replays.print_facts(tmp_path, "", 0), capsys).splitlines()]
    assert [(line["v"], line["hall"], line["n"]) for line in lines] == [
        (1, HALL, n) for n in range(1, driven.state.n + 1)
    ]
    taken = next(line for line in lines if line["fact"] == "TicketTaken")
    assert (taken["number"], taken["cause"], taken["actor"]) == ("A001", ["kiosk-1", "boot", 1], "")
    assert lines[0]["cause"] is None and lines[0]["at_ms"] == MORNING
    few = told(replays.print_facts(tmp_path, "", 3), capsys).splitlines()
    assert len(few) == 3


def test_no_field_of_a_fact_hides_a_field_of_its_line() -> None:
    ours = {"v", "hall", "n", "at_ms", "fact", "cause", "actor"}
    for kind in KINDS.values():
        assert not ours & set(kind.__struct_fields__), kind


def test_the_facts_of_a_number_are_those_of_its_ticket_in_its_hall(tmp_path: Path, capsys: Any) -> None:
    stored(tmp_path, a_morning(), a_morning("h2", "tax", "tax", "si"))
    lines = [json.loads(line) for line in told(replays.print_facts(tmp_path, "A001", 0), capsys).splitlines()]
    first = [line["fact"] for line in lines if line["hall"] == HALL]
    assert first[0] == "TicketTaken" and {"TicketCalled", "ServingStarted", "ServingFinished"} <= set(first)
    assert {line["ticket"] for line in lines if line["hall"] == HALL} == {1}
    assert {line["ticket"] for line in lines if line["hall"] == "h2"} == {3}, "ticket 1 of h2 has another number"


# why


def test_each_call_of_a_number_is_told_in_both_languages(tmp_path: Path, capsys: Any) -> None:
    driven = opened()
    driven.take("id")
    driven.take("id", cls="care")
    called = driven.call(3)
    stored(tmp_path, driven)
    first, second = (called.number, ({"C001", "C002"} - {called.number}).pop())
    english = told(replays.print_why(tmp_path, first, "en", False), capsys)
    assert english.startswith(f"2026-11-23T00:30:04+00:00 counter 3: {first} before {second}:")
    chinese = told(replays.print_why(tmp_path, first, "zh", False), capsys)
    assert chinese.startswith(f"2026-11-23T00:30:04+00:00 counter 3: {first} 先于 {second}:")
    document = json.loads(told(replays.print_why(tmp_path, first, "zh", True), capsys))
    (call,) = document["calls"]
    assert (document["v"], call["hall"], call["n"], call["counter"]) == (1, HALL, driven.state.n, 3)
    assert chinese.endswith(call["sentence"] + "\n") and len(call["heads"]) == 2
    assert call["rule"] == called.why.rule


def test_a_number_that_was_called_twice_has_two_sentences(tmp_path: Path, capsys: Any) -> None:
    driven = opened()
    driven.take()
    driven.call()
    driven.wait(20 * MIN)
    driven.ask(c.MissTicket(1))
    driven.ask(c.RequeueTicket(1))
    driven.wait(20 * MIN)
    driven.call()
    stored(tmp_path, driven)
    assert told(replays.print_why(tmp_path, "A001", "en", False), capsys).count("A001") == 2


def test_a_number_never_called_is_missing_and_its_document_empty(tmp_path: Path, capsys: Any) -> None:
    stored(tmp_path, a_morning())
    with pytest.raises(Missing, match="Z999 was never called"):
        asyncio.run(replays.print_why(tmp_path, "Z999", "en", False))
    assert json.loads(told(replays.print_why(tmp_path, "Z999", "en", True), capsys)) == {"v": 1, "calls": []}


def test_the_documents_are_structs_with_a_version() -> None:
    found = replays.Replayed(1, [replays.HallDigest("h1", 2, "ab", 0)])
    assert msgspec.json.encode(found) == b'{"v":1,"halls":[{"hall":"h1","n":2,"digest":"ab","snapshots":0}]}'
