"""bench/runs.py, bench/watch.py: what is lost, doubled or called twice is found; presses are matched to pictures."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bench import runs
from bench.generate import Schedule
from bench.memory import Driver
from bench.pairs import Verdict, verdict
from bench.product import COLLECT_AFTER, Done, Setup, hall_clock
from bench.runs import Wrong, correctness, examine
from bench.watch import Watch, status_of
from core import commands as c
from core import record
from core.fact import Cause
from core.facts import Refused
from core.facts_tickets import TicketCalled
from core.refusals import Refusal
from core.why import Why
from workers.clock import utc_ms
from workers.journal import SqliteJournal
from workers.ports import Part, Row

NOW_MS = 1_795_480_200_000


def stored(directory: Path, *, twice: bool = False) -> str:
    """A small journal: three takes of kiosk, one of them folded twice if asked; the digest of its hall."""
    driver, rows = Driver("h1"), list[Row]()

    def folded(command: c.Command, device: str, seq: int) -> None:
        cause = Cause(device, "boot", seq, 7) if device else None
        for fact in driver.hall.decide(command, NOW_MS, device):
            driver.hall.evolve(fact, NOW_MS, cause)
            rows.append(
                Row(
                    NOW_MS,
                    *record.encode(fact, cause)[:2],
                    device,
                    "boot" if device else "",
                    seq,
                    record.encode(fact, cause)[2],
                )
            )

    document = driver.hall.state.policy
    driver.hall.state = type(driver.hall.state)("h1")
    from core import policy

    assert document is not None
    folded(c.ChangePolicy(1, policy.digest(document), policy.document(document)), "", 0)
    for seq in (1, 2, 3, *((3,) if twice else ())):
        folded(c.TakeTicket("s2"), "kiosk", seq)

    async def write() -> None:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        await journal.append([Part("h1", 0, rows)])
        await journal.close()

    asyncio.run(write())
    return driver.hall.state.digest()


def test_a_right_run_has_nothing_wrong(tmp_path: Path) -> None:
    found = examine(tmp_path, {"h1": [("kiosk", "boot", seq) for seq in (1, 2, 3)]}, {"h1": stored(tmp_path)})
    assert (found.lost, found.doubled, found.called_twice, found.digests) == (0, 0, 0, True) and found.facts == 5


def test_what_is_lost_doubled_or_differs_is_found(tmp_path: Path) -> None:
    stored(tmp_path, twice=True)
    found = examine(tmp_path, {"h1": [("kiosk", "boot", 4)], "h2": [("kiosk", "boot", 1)]}, {"h1": "another"})
    assert (found.lost, found.doubled, found.digests) == (2, 1, False)
    gates = correctness("x", found)
    assert [gate.name for gate in gates] == ["x.lost", "x.doubled", "x.called_twice", "x.digest_differs"]
    assert verdict(gates) is Verdict.MISSED and verdict(correctness("x", Wrong())) is Verdict.PASSED


def test_a_refusal_of_one_event_is_no_trace_of_another(tmp_path: Path) -> None:
    """What was refused for its envelope was heard; it may stand for no event that nobody has heard."""
    said = Refused("ticket.take", Refusal.SEQ_OLD)
    cause = Cause("kiosk", "boot", 1, 7)
    kind, v, payload = record.encode(said, cause)

    async def write() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS)
        await journal.append([Part("h1", 0, [Row(NOW_MS, kind, v, "kiosk", "boot", 1, payload)])])
        await journal.close()

    asyncio.run(write())
    found = examine(tmp_path, {"h1": [("kiosk", "boot", 1), ("kiosk", "boot", 2)]}, {})
    assert found.lost == 1 and found.words == ["('kiosk', 'boot', 2)"]


def test_a_hall_that_is_not_in_the_journal_has_not_the_digest_of_the_run(tmp_path: Path) -> None:
    digest = stored(tmp_path)
    assert examine(tmp_path, {}, {"h1": digest}).digests
    assert not examine(tmp_path, {}, {"h1": digest, "h2": digest}).digests


def test_a_ticket_at_two_counters_is_told_apart_from_what_was_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold would refuse such a journal at once; the count is there for a day when it does not."""
    monkeypatch.setattr("bench.runs.fold.apply", lambda *_: None)
    why = Why("score", 1, ((0, 1, 0, 0, 1),), False, 0)
    calls = [TicketCalled(n, 1, "A001", n, "staff", "s2", 0, why) for n in (1, 2)]

    async def write() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS)
        encoded = [record.encode(fact) for fact in calls]
        rows = [Row(NOW_MS, kind, v, "", "", 0, payload) for kind, v, payload in encoded]
        await journal.append([Part("h1", 0, rows)])
        await journal.close()

    asyncio.run(write())
    found = examine(tmp_path, {}, {})
    assert (found.called_twice, found.doubled) == (1, 0)


def test_what_is_wrong_in_one_run_of_many_stays_wrong() -> None:
    right, bad = Wrong(facts=5), Wrong(1, 2, 3, 4, False, ["a"])
    for found in (right + bad, bad + right):
        assert found == Wrong(1, 2, 3, 9, False, ["a"])
    assert bad + bad == Wrong(2, 4, 6, 8, False, ["a", "a"]) and (right + right).digests
    told = [(gate.name, gate.value, gate.ok) for gate in correctness("x", bad)]
    assert told == [
        ("x.lost", 1.0, False),
        ("x.doubled", 2.0, False),
        ("x.called_twice", 3.0, False),
        ("x.digest_differs", 1.0, False),
    ]


def picture(status: str) -> bytes:
    return json.dumps({"epoch": 1, "revision": 2, "sent_ms": 3, "body": {"type": "counter", "status": status}}).encode()


def test_a_picture_settles_its_press_and_those_it_supersedes() -> None:
    async def scenario() -> None:
        watch = Watch(["t"], echo=False)
        for at, status in enumerate(("calling", "serving", "idle", "calling")):
            watch.expect("t", at, status)
        watch.saw("t", picture("serving"), 10)
        assert list(watch.latency_ns) == [10, 9] and watch.waiting == 2
        watch.saw("t", picture("paused"), 11)
        assert watch.waiting == 2, "a picture of nobody's press settles nothing"
        assert watch.give_up() == 2 and len(watch.latency_ns) == 4 and min(watch.latency_ns[2:]) > 10
        echo = Watch(["t"], echo=True)
        echo.expect("t", 1, "calling")
        echo.saw("t", b"whatever was sent", 5)
        assert list(echo.latency_ns) == [4]

    asyncio.run(scenario())


def test_a_press_counts_from_when_it_was_due_and_its_first_picture_settles_no_later_one() -> None:
    """A generator that was held up makes nothing faster: neither the press, nor its own lateness."""
    lane: Any = SimpleNamespace(allowed=0, pump=lambda: None)
    watch = Watch(["s"], echo=False)
    schedule = Schedule([lane], [[(10, b"", "s", "calling"), (20, b"", "s", "calling")]], watch, False)
    assert schedule.turn(1000, 1500) is None and lane.allowed == 2
    assert [due_ns for due_ns, _ in watch.pending["s"]] == [1010, 1020] and list(schedule.late_ns) == [490, 480]
    watch.saw("s", picture("calling"), 1600)
    assert list(watch.latency_ns) == [590] and watch.waiting == 1


def test_a_status_is_read_from_a_screen() -> None:
    assert status_of(picture("idle")) == "idle" and status_of(b'{"body":{}}') == ""


def test_a_process_talks_in_lines(tmp_path: Path) -> None:
    asked = '{"what":"struct","low":100,"high":20000}'
    with runs.child("bench.memory", asked) as process:
        assert 100 < float(process.line()) < 1_000
    assert process.process.returncode is not None and process.rss_mb() == 0.0


def test_the_product_collects_as_the_application_does() -> None:
    assert COLLECT_AFTER == (50_000, 20, 50)
    assert not Done().measured and msgspec.json.decode(b'{"received":2,"seconds":1}', type=Done).measured


def test_a_hall_of_another_day_runs_at_its_own_speed() -> None:
    """The product has no other day at speed 1; an opening as it is needs the day that its tickets are for."""
    anchor_ms = utc_ms() - 5_000
    now_ms = hall_clock(Setup("", "", origin_ms=NOW_MS, anchor_ms=anchor_ms))()
    assert 0 <= utc_ms() - anchor_ms - (now_ms - NOW_MS) < 1_000
    fast = hall_clock(Setup("", "", speed=60, origin_ms=NOW_MS, anchor_ms=anchor_ms))()
    assert fast - NOW_MS >= 300_000
    assert abs(hall_clock(Setup("", ""))() - utc_ms()) < 1_000
