"""workers/nightly.py: a closed day is scanned by a child; its marks become findings once, over restarts too."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts_cases as fc
from core.record import decode
from tests.halls import HALL, MIN, POLICY, Driven, clock, opened
from tests.processes import Served
from tests.test_replays import stored
from workers import engine, logs, nightly
from workers.desk import Desk
from workers.nightly import Nightly, known
from workers.recovery import newest_file
from workers.scans import Marked
from workers.tallies import Tallies

NOWHERE = "mqtt://127.0.0.1:1"
R4 = Marked(HALL, "R4", "ev-1", 10, 30, 20261123)
R7 = Marked(HALL, "R7", "staff-1", 200, 200, 20261123)
FIRST = 20261025


class Halls:
    """A dispatcher that decides at once."""

    def __init__(self, hall: Driven) -> None:
        self.desks, self.hall = {HALL: Desk(hall.hall, Tallies())}, hall
        self.asked: list[str] = []

    def ask(self, hall: str, command: c.Command) -> None:
        assert isinstance(command, cc.RaiseFinding)
        self.asked.append(command.rule)
        self.hall.ask(command)


class Log:
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, name: str, **more: Any) -> None:
        self.lines.append((name, more))

    error = info


def saying(*marks: Marked) -> tuple[str, ...]:
    """A child that says so."""
    lines = [{name: getattr(one, name) for name in Marked.__struct_fields__} for one in marks]
    return (sys.executable, "-c", f"print({json.dumps(json.dumps({'first': FIRST, 'lines': lines}))})")


async def scanned(night: Nightly) -> None:
    night.turn()
    assert night._task is not None
    await night._task


def test_marks_become_findings_once_until_a_person_has_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "COMMAND", saying(R4, R7, Marked("elsewhere", "R7", "u", 1, 1, 20261123)))

    async def scenario() -> None:
        hall = opened()
        hall.wait(24 * 60 * MIN)
        halls, log, at = Halls(hall), Log(), [0.0]
        night = Nightly(Path("nowhere"), halls, log, 60, clock=lambda: at[0])
        night.turn()
        assert night._task is None, "not at once"
        at[0] = 60
        await scanned(night)
        assert halls.asked == ["R4", "R7"] and night.scanned_s > 0 == night.failures
        assert log.lines == [(logs.SCANNED, {"marks": 3, "raised": 2})]
        at[0] = 120
        await scanned(night)
        assert len(log.lines) == 1, "the same day is looked at once"
        again = Nightly(Path("nowhere"), halls, log, 60, clock=lambda: at[0])
        at[0] = 240
        await scanned(again)
        assert halls.asked == ["R4", "R7"], "a restart doubles nothing"
        assert [one.rule for one in hall.state.findings.values()] == ["R4", "R7"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("rule", "raised", "reviewed", "first", "day", "told"),
    [
        ("R4", 20261124, False, FIRST, 20261201, True),  # it lies before somebody
        ("R4", 20261124, True, FIRST, 20261123, True),  # what was looked at
        ("R4", 20261124, True, FIRST, 20261124, False),  # another day
        ("R7", 20261124, True, 20261123, 20261222, True),  # in part the same ratings
        ("R7", 20261124, True, 20261124, 20261223, False),  # a month later
        ("R9", 20261124, False, FIRST, 20261123, False),  # another rule
    ],
)
def test_what_a_hall_knows(rule: str, raised: int, reviewed: bool, first: int, day: int, told: bool) -> None:
    hall = opened()
    hall.at_ms = clock(f"{raised // 10000}-{raised // 100 % 100:02}-{raised % 100:02} 10:00")
    hall.ask(cc.RaiseFinding("R4" if rule == "R9" else rule, "x"))
    if reviewed:
        hall.ask(cc.ReviewFinding(1, "dismissed", "boss"))
    assert known(hall.state, Marked(HALL, rule, "x", 1, 1, day), first) is told
    assert not known(hall.state, Marked(HALL, rule, "y", 1, 1, day), first)


@pytest.mark.parametrize("command", [("false",), ("/nowhere/python",), (sys.executable, "-c", "print('no marks')")])
def test_a_scan_that_fails_is_told_and_waits_for_the_next_day(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "COMMAND", command)

    async def scenario() -> None:
        halls, log, at = Halls(opened()), Log(), [0.0]
        night = Nightly(Path("nowhere"), halls, log, 5, clock=lambda: at[0])
        for at[0] in (5.0, 10.0):
            await scanned(night)
        assert (night.failures, night.scanned_s, [name for name, _ in log.lines]) == (1, 0.0, [logs.SCAN_FAILED])
        halls.hall.wait(24 * 60 * MIN)
        at[0] = 15.0
        await scanned(night)
        assert night.failures == 2

    asyncio.run(scenario())


def test_of_a_traceback_the_line_that_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "COMMAND", (sys.executable, "-c", "1 / 0"))

    async def scenario() -> None:
        log, at = Log(), [0.0]
        night = Nightly(Path("nowhere"), Halls(opened()), log, 5, clock=lambda: at[0])
        at[0] = 5.0
        await scanned(night)
        assert log.lines == [(logs.SCAN_FAILED, {"error": "ZeroDivisionError: division by zero"})]

    asyncio.run(scenario())


def test_never_and_with_no_hall_open() -> None:
    hall = opened()
    never = Nightly(Path("nowhere"), Halls(hall), Log(), 0, clock=lambda: 1e9)
    hall.state.day = 0
    empty = Nightly(Path("nowhere"), Halls(hall), Log(), 1, clock=lambda: 1e9)
    empty._look_at = 0
    for one in (never, empty):
        one.turn()
        assert one._task is None


def test_a_child_under_way_ends_with_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    monkeypatch.setattr(nightly, "COMMAND", ("sh", "-c", f"echo $$ > {told}; exec sleep 60"))

    async def scenario() -> None:
        at = [0.0]
        night = Nightly(Path("nowhere"), Halls(opened()), Log(), 1, clock=lambda: at[0])
        await night.close()
        at[0] = 1
        night.turn()
        async with asyncio.timeout(10):
            while not (told.exists() and told.read_text().endswith("\n")):
                await asyncio.sleep(0.005)
        os.kill(int(told.read_text()), 0)  # it runs
        await night.close()
        assert night._task is not None and night._task.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(int(told.read_text()), 0)

    asyncio.run(scenario())


# The process.


def a_day_in_step() -> Driven:
    """Forty people in step at one evaluator on Monday."""
    hall = opened(services=tuple(type(one)(one.code, one.prefix) for one in POLICY.services))
    for _ in range(40):
        hall.take()
        hall.serve(1, 12_000)
        hall.ask(c.SubmitEvaluation(level=5), "ev-1")
    return hall


def raised(data: Path) -> list[str]:
    """The rules of all findings in the journal."""
    path = newest_file(data)
    assert path is not None
    db = engine.reader(path)
    rows = db.execute("SELECT kind, v, payload FROM journal ORDER BY seq").fetchall()
    db.close()
    facts = [decode(*row)[0] for row in rows]
    return [one.rule for one in facts if isinstance(one, fc.FindingRaised)]


def test_r4_and_r5_of_yesterday_are_findings_of_the_running_process_and_stay_single(tmp_path: Path) -> None:
    """Tuesday morning: the process closes Monday and scans it; killed and started again, it adds nothing."""
    hall = a_day_in_step()
    stored(tmp_path / "data", hall)
    assert hall.state.policy is not None
    settings = {"clock__speed": 2, "clock__origin_ms": clock("2026-11-24 09:00"), "report__scan_after_s": 1}
    for life in range(2):
        with Served(tmp_path, [hall.state.policy], NOWHERE, **settings) as served:
            served.url = served.wait_for("web.listening")["url"]
            served.until(lambda seen: seen['jiaohao_findings_open{hall="h1",rule="other"}'] == 2)
            found = served.until(lambda seen: seen["jiaohao_scan_timestamp_seconds"] > 0)
            assert sum(line["raised"] for line in served.logged(logs.SCANNED)) == (0 if life else 2)
            assert found["jiaohao_scan_failures_total"] == 0
            served.kill()
        assert raised(tmp_path / "data") == ["R4", "R5"]
