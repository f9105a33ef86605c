"""workers/notes.py: what people wrote is durable with its fact, read for a case alone, gone when its time is over."""

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from core.facts import CaseOpened, EvaluationSubmitted
from tests.browser.hall import HALL, ServedHall, served_hall
from tests.test_recovery import NOW_MS, rows, start
from tests.test_rotation import NEXT, OLD
from workers import archive, engine, erasure, recovery
from workers.journal import SqliteJournal
from workers.notes import DAY_MS, EVERY_MS, Notes, drop, found, older
from workers.ports import Note, Part

OLDER, YOUNGER = (
    Note("a-1", NOW_MS - 181 * DAY_MS, "等得太久 older"),
    Note("a-2", NOW_MS - 179 * DAY_MS, "态度 younger"),
)
WORDS = "窗口的人说话很冲"


async def noted(journal: SqliteJournal) -> None:
    """Two facts of a hall, each with words, and its state."""
    await journal.append([Part("a", 0, rows(0, 2), (), (OLDER, YOUNGER))])
    await journal.save("a", 2, b"state")


def test_a_note_is_written_with_its_facts_and_read_by_its_ref(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await noted(journal)
            notes = Notes(journal, 180, lambda: NOW_MS)
            assert await notes.read("a", ["a-2", "a-1", "none"]) == {"a-1": OLDER.text, "a-2": YOUNGER.text}
            with closing(engine.reader(journal.path)) as db:
                kept = db.execute("SELECT word.text, at_ms FROM note JOIN word ON word.id = note.hall WHERE ref='a-1'")
                assert kept.fetchall() == [("a", OLDER.at_ms)]
                payloads = b"".join(row[0] for row in db.execute("SELECT payload FROM journal"))
            assert OLDER.text.encode() not in payloads

    asyncio.run(scenario())


def test_a_ref_of_another_hall_finds_nothing(tmp_path: Path) -> None:
    """Whoever got it into a case of his own."""

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await noted(journal)
            await journal.append([Part("b", 0, rows(0, 1), (), (Note("b-1", NOW_MS, "自己的 own"),))])
            notes = Notes(journal, 180, lambda: NOW_MS)
            assert await notes.read("b", ["a-1", "a-2", "b-1"]) == {"b-1": "自己的 own"}
            assert await notes.read("c", ["a-1", "b-1"]) == {}

    asyncio.run(scenario())


def test_by_night_what_is_too_old_goes_from_the_very_bytes(tmp_path: Path) -> None:
    async def scenario() -> None:
        now_ms = NOW_MS
        async with start(tmp_path) as journal:
            await noted(journal)
            notes = Notes(journal, 180, lambda: now_ms)
            assert await notes.turn() and not await notes.turn(), "some times a day"
            assert await notes.read("a", ["a-1", "a-2"]) == {"a-2": YOUNGER.text}
            now_ms += EVERY_MS
            assert await notes.turn()
            await journal.alone(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        content = b"".join(path.read_bytes() for path in tmp_path.glob("journal-*"))
        assert OLDER.text.encode() not in content and YOUNGER.text.encode() in content

    asyncio.run(scenario())


def test_the_young_ones_move_on_with_the_month_and_the_archive_holds_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await noted(journal)
            await journal.rotate("2026-12")

    asyncio.run(scenario())
    assert found(tmp_path / NEXT, "a", ["a-1", "a-2"]) == {"a-2": YOUNGER.text}
    archive.archive(tmp_path)
    content = (tmp_path / recovery.ARCHIVE / OLD).read_bytes()
    assert YOUNGER.text.encode() not in content and OLDER.text.encode() not in content
    assert found(tmp_path / recovery.ARCHIVE / OLD, "a", ["a-1", "a-2"]) == {}


@pytest.mark.parametrize("dry_run", [True, False])
def test_erasing_takes_what_was_written_before_the_day(tmp_path: Path, dry_run: bool) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await noted(journal)

    asyncio.run(scenario())
    day = NOW_MS - 180 * DAY_MS
    done = asyncio.run(erasure.erase(tmp_path, "2026-06-01", day, NOW_MS, dry_run=dry_run))
    assert (done.notes, done.months) == (1, [])
    left = found(tmp_path / OLD, "a", ["a-1", "a-2"])
    assert left == ({"a-1": OLDER.text, "a-2": YOUNGER.text} if dry_run else {"a-2": YOUNGER.text})
    assert older(tmp_path / OLD, day) == int(dry_run)


def test_all_of_them_can_be_dropped(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with start(tmp_path) as journal:
            await noted(journal)
            return await journal.alone(drop)

    assert asyncio.run(scenario()) == 2 and found(tmp_path / OLD, "a", ["a-1", "a-2"]) == {}


# A real process.


def asked(hall: ServedHall, path: str, body: Any = None, role: str = "") -> tuple[int, Any]:
    own = {"Content-Type": "application/json", "X-Jiaohao": "1", "Origin": hall.url}
    bearer = {"Authorization": f"Bearer {hall.tokens[role]}"} if role else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(hall.url + path, data, own | bearer)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def served_twice(hall: ServedHall) -> None:
    """Two servings at counter 1 that may be rated."""
    hall.clerk(1, "staff.sign_on", staff="P001")
    for _ in range(2):
        hall.take("s01")
        for press in ("ticket.call_next", "serving.start", "serving.finish"):
            hall.clerk(1, press)


def texts(hall: ServedHall, case: int, role: str = "operator") -> tuple[int, Any]:
    return asked(hall, f"/api/v1/cases/texts?hall={HALL}&case={case}", role=role)


async def screen(hall: ServedHall, device: str) -> dict[str, Any]:
    """What an evaluator on MQTT shows now."""
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", hall.broker.port) as client:
        await client.subscribe(f"jh/v1/{HALL}/{device}/screen", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            body: dict[str, Any] = json.loads(message.payload)["body"]
            if body["call"]:
                return body
    raise AssertionError("the broker has gone")


@pytest.mark.slow
def test_a_phone_rates_by_the_code_on_an_evaluator_that_speaks_mqtt(tmp_path: Path) -> None:
    with served_hall(tmp_path, web__public_url="https://hall.example") as hall:
        served_twice(hall)
        body = asyncio.run(screen(hall, "ev-01"))
        assert body["phase"] == "rating" and body["address"] == f"https://hall.example/e/{body['token']}"
        path, wrong = f"/e/{body['token']}", f"/e/{body['token'][:-4]}AAAA"
        assert (hall.served.get(path)[0], hall.served.get(wrong)[0]) == (200, 404)
        assert asked(hall, f"/api/v1{wrong}", {"level": 1}) == (200, {"refused": "bad_token"})
        assert asked(hall, f"/api/v1{path}", {"level": 1, "comment": WORDS}) == (200, {"ok": "done"})
        assert asked(hall, f"/api/v1{path}", {"level": 5}) == (200, {"refused": "already_rated"})
        assert hall.served.get(path)[0] == 200, "reasons may be added"
        pad = {"type": "evaluation.submit", "token": body["token"], "level": 5}
        assert hall.say("device", "ev-01", pad)["refused"] == "already_rated"
        assert texts(hall, 1) == (200, {"texts": [WORDS], "gone": []})
        (rated,) = hall.facts(EvaluationSubmitted)
        assert (rated.call, rated.level, rated.channel, rated.staff) == (body["call"], 1, "qr", "P001")


@pytest.mark.slow
def test_words_of_a_pad_and_a_phone_outlive_kill_and_stand_beside_the_chain_alone(tmp_path: Path) -> None:
    with served_hall(tmp_path) as hall:
        served_twice(hall)
        rate = {"type": "evaluation.submit", "call": 1, "level": 1, "comment": WORDS, "real_name": True}
        assert hall.say("device", "ev-01", rate)["ok"]
        hall.served.kill()  # at once after the answer
        hall.restart()
        assert texts(hall, 1) == (200, {"texts": [WORDS], "gone": []})
        assert texts(hall, 1, "auditor")[0] == 200
        assert [texts(hall, 1, role)[0] for role in ("clerk", "guide", "device", "metrics", "")] == [403] * 4 + [401]
        (rated,) = hall.facts(EvaluationSubmitted)
        (case,) = hall.facts(CaseOpened)
        assert rated.comment_ref == case.text_ref and case.real_name
        shown = hall.served.get("/metrics")[1] + hall.served.text + asked(hall, "/api/v1/me", role="clerk")[1]["role"]
        assert hall.served.terminate() == 0
    with closing(engine.reader(recovery.newest_file(tmp_path / "data") or tmp_path)) as db:
        kept = [row[0] for row in db.execute("SELECT payload FROM journal UNION ALL SELECT payload FROM letter")]
        kept += [row[0] for row in db.execute("SELECT data FROM snapshot")]
        assert db.execute("SELECT text FROM note").fetchall() == [(WORDS,)]
    assert WORDS.encode() not in b"".join(kept) and WORDS not in shown + hall.served.text
