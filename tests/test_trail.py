"""workers/trail.py: what was changed by hand, newest first, and nothing of what happens by itself."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core import commands as c
from core import commands_cases as cc
from core.facts import KINDS
from tests.halls import HALL, Driven, opened
from tests.test_recovery import start
from workers import trail
from workers.ports import Part, Row
from workers.trail import Trail


def acted() -> Driven:
    """An entry of the ledger and its end, a rating set aside, a class changed; around it an ordinary morning."""
    driven = opened()
    for _ in range(3):
        driven.take()
    driven.serve(1)
    driven.ask(c.SubmitEvaluation(call=1, level=1, channel="pad"))
    driven.ask(cc.AppealEvaluation(1, "staff-1"))
    driven.ask(cc.DecideAppeal(1, "mistaken", "boss-7"))
    driven.ask(cc.RecordConduct("staff-1", "late", driven.state.day))
    driven.ask(cc.VoidConduct(1, "doc-4"))
    return driven


def kept(driven: Driven) -> list[Row]:
    return [Row(one.at_ms, one.kind, one.v, *(one.cause or ("", "", 0))[:3], one.payload) for one in driven.journal]


def test_the_newest_comes_first_and_says_who() -> None:
    assert set(trail.TOLD) <= set(KINDS.values())
    for kind, fields in trail.TOLD.items():
        assert set(fields) <= set(kind.__struct_fields__), kind
        assert not [one for one in fields if one.endswith("_ref") or one in ("why", "policy", "text")], "no texts"


def test_acts_are_read_from_the_journal(tmp_path: Path) -> None:
    async def scenario() -> None:
        driven = acted()
        async with start(tmp_path) as journal:
            rows = kept(driven)
            rows[-1] = rows[-1]._replace(device="web-abc", boot="boot", dseq=1)
            await journal.append([Part(HALL, 0, rows)])
            lines = await Trail(tmp_path).read(HALL)
            assert [one.kind for one in lines[:3]] == ["ConductVoided", "ConductRecorded", "EvaluationExcluded"]
            assert lines[-1].kind == "PolicyChanged" and len(lines) == 4
            assert (lines[0].by, lines[0].what) == ("web-abc", ("1",)) and lines[1].by == ""
            assert lines[2].what == ("1", "mistaken", "boss-7")
            assert [one.n for one in lines] == sorted((one.n for one in lines), reverse=True)
            assert await Trail(tmp_path).read("h9") == []

    asyncio.run(scenario())


def test_no_more_than_can_be_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        driven = opened()
        for _ in range(trail.LINES_MAX + 20):
            driven.ask(cc.RecordConduct("staff-1", "late", driven.state.day))
        async with start(tmp_path) as journal:
            await journal.append([Part(HALL, 0, kept(driven))])
            lines = await Trail(tmp_path).read(HALL)
        assert len(lines) == trail.LINES_MAX and lines[0].n == driven.state.n

    asyncio.run(scenario())


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of facts that are decoded from now on."""
    seen: list[str] = []
    decode: Callable[..., Any] = trail.record.decode

    def noted(*args: Any) -> Any:
        fact = decode(*args)
        seen.append(type(fact[0]).__name__)
        return fact

    monkeypatch.setattr(trail.record, "decode", noted)
    return seen


def test_viewers_share_a_look_and_the_next_reads_what_came_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        driven = acted()
        async with start(tmp_path) as journal:
            rows = kept(driven)
            await journal.append([Part(HALL, 0, rows)])
            seen, shared = decoded(monkeypatch), Trail(tmp_path)
            first, *others = await asyncio.gather(*(shared.read(HALL) for _ in range(5)))
            once = len(seen)
            assert others == [first] * 4 and seen.count("TicketCalled") == 1
            assert await shared.read(HALL) == first and len(seen) == once, "nothing came"
            driven.take()
            driven.serve(1)
            driven.ask(cc.RecordConduct("staff-1", "late", driven.state.day))
            await journal.append([Part(HALL, len(rows), kept(driven)[len(rows) :])])
            now = await shared.read(HALL)
            assert seen[once:] == ["ConductRecorded", "TicketCalled"] and now[1:] == first
            await journal.save(HALL, driven.state.n, b"state")
            await journal.rotate("2026-12")
            assert await shared.read(HALL) == now == await Trail(tmp_path).read(HALL), "over months"

    asyncio.run(scenario())


def test_a_viewer_that_goes_away_takes_the_look_from_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        driven = acted()
        async with start(tmp_path) as journal:
            await journal.append([Part(HALL, 0, kept(driven))])
            shared = Trail(tmp_path)
            gone, stays = (asyncio.create_task(shared.read(HALL)) for _ in range(2))
            await asyncio.sleep(0)
            gone.cancel()
            assert len(await stays) == 4 and gone.cancelled()

    asyncio.run(scenario())


def test_a_month_written_anew_is_read_anew(tmp_path: Path) -> None:
    """Erasing replaces the file: what it held is told no longer."""

    async def scenario() -> None:
        driven = acted()
        async with start(tmp_path) as journal:
            await journal.append([Part(HALL, 0, kept(driven))])
            await journal.append([Part("h2", 0, kept(driven)[:1])])
        shared = Trail(tmp_path)
        assert len(await shared.read(HALL)) == 4
        (path,) = tmp_path.glob("journal-*.db")
        copy = path.with_suffix(".part")
        with closing(sqlite3.connect(path)) as db:
            db.execute("VACUUM INTO ?", (str(copy),))
        with closing(sqlite3.connect(copy)) as db, db:
            db.execute("DELETE FROM journal WHERE seq > 1")
        copy.replace(path)
        assert len(await shared.read(HALL)) <= 1

    asyncio.run(scenario())
