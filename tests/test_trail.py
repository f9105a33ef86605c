"""workers/trail.py: what was changed by hand, newest first, and nothing of what happens by itself."""

import asyncio
from pathlib import Path

from core import commands as c
from core import commands_cases as cc
from core.facts import KINDS
from tests.halls import HALL, Driven, opened
from tests.test_recovery import start
from workers import trail
from workers.ports import Part, Row


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
            lines = await trail.read(tmp_path, HALL)
            assert [one.kind for one in lines[:3]] == ["ConductVoided", "ConductRecorded", "EvaluationExcluded"]
            assert lines[-1].kind == "PolicyChanged" and len(lines) == 4
            assert (lines[0].by, lines[0].what) == ("web-abc", ("1",)) and lines[1].by == ""
            assert lines[2].what == ("1", "mistaken", "boss-7")
            assert [one.n for one in lines] == sorted((one.n for one in lines), reverse=True)
            assert await trail.read(tmp_path, "h9") == []

    asyncio.run(scenario())


def test_no_more_than_can_be_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        driven = opened()
        for _ in range(trail.LINES_MAX + 20):
            driven.ask(cc.RecordConduct("staff-1", "late", driven.state.day))
        async with start(tmp_path) as journal:
            await journal.append([Part(HALL, 0, kept(driven))])
            lines = await trail.read(tmp_path, HALL)
        assert len(lines) == trail.LINES_MAX and lines[0].n == driven.state.n

    asyncio.run(scenario())
