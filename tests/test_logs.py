"""workers/logs.py: event names in one place, JSON in production, and never a line per event of a hall."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiomqtt
import pytest
import structlog

from bench.rush import hall_policy
from tests.brokers import RunningBroker
from tests.processes import ROOT, Served, visits
from workers import logs

EVENTS = {name: value for name, value in vars(logs).items() if name.isupper() and isinstance(value, str)}


def written(code: str, *, text: bool = True) -> str:
    """stderr of a few lines of Python with a logger, apart from the terminal."""
    done = subprocess.run(
        [sys.executable, "-c", f"from workers import logs\n{code}"],
        cwd=ROOT,
        capture_output=True,
        text=text,
        check=True,
    )
    assert not done.stdout
    return done.stderr


def test_event_names_are_unique_and_say_what_they_are_about() -> None:
    assert len(set(EVENTS.values())) == len(EVENTS) > 10
    assert all(value.count(".") == 1 and value == value.lower() for value in EVENTS.values())


def test_every_event_that_is_logged_is_named_there() -> None:
    """No literal in a call of a log method."""
    for path in (ROOT / "workers").glob("*.py"):
        text = path.read_text("utf-8")
        for level in ("debug", "info", "warning", "error"):
            assert f'log.{level}("' not in text and f"log.{level}(f" not in text, path.name


@pytest.mark.parametrize("form", ["json", "auto"])
def test_a_line_is_a_json_object_with_level_and_time(form: str) -> None:
    """`auto` is JSON where stderr is no terminal. What JSON does not know is told as text."""
    err = written(
        f"log = logs.logger('info', {form!r})\n"
        "log.info(logs.START, data='x\\ny', what=Exception('叫号'))\n"
        "log.debug('no')"
    )
    (line,) = err.splitlines()
    said = json.loads(line)
    assert {name: said[name] for name in ("event", "level", "data", "what")} == {
        "event": "process.start",
        "level": "info",
        "data": "x\ny",
        "what": "叫号",
    }
    assert said["timestamp"].endswith("Z")


def test_on_the_console_it_is_read_by_people() -> None:
    err = written("logs.logger('debug', 'console').debug(logs.STOP, why='end')")
    assert "process.stop" in err and "why" in err and not err.startswith("{")


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_written(level: str, lines: int) -> None:
    err = written(f"log = logs.logger({level!r}, 'json')\nfor one in logs.LEVELS: getattr(log, one)(logs.STOP)")
    assert len(err.splitlines()) == lines


def test_the_same_thing_is_said_at_once_and_then_once_a_minute_with_its_count() -> None:
    now_s, before = 100.0, dict(logs.SUPPRESSED)
    seldom = logs.Seldom(lambda: now_s)

    def said(event: str, level: str = "warning", **more: object) -> dict[str, object] | None:
        try:
            found: dict[str, object] = seldom(None, level, {"event": event, **more})
        except structlog.DropEvent:
            return None
        return found

    assert said(logs.LINK_DOWN, why="lost", attempt=1) and said(logs.LINK_DOWN, why="refused")
    assert said(logs.LINK_DOWN, "error", why="lost"), "another level is another thing"
    assert all(said(logs.LINK_CONNECTED, "info", session_present=False) for _ in range(3)), "no trouble"
    for attempt in range(2, 7):
        now_s += 10
        assert said(logs.LINK_DOWN, why="lost", attempt=attempt) is None
    now_s += 10
    assert said(logs.LINK_DOWN, why="lost", attempt=7) == {
        "event": logs.LINK_DOWN,
        "why": "lost",
        "attempt": 7,
        "repeats": 5,
    }
    assert logs.SUPPRESSED["warning"] - before["warning"] == 5
    for at in range(2 * logs.KNOWN_MAX):
        said(logs.SNAPSHOT_SKIPPED, snapshot=str(at))
    assert len(seldom._said) <= logs.KNOWN_MAX


def test_ten_thousand_events_leave_at_most_fifty_lines(iotcore_broker: RunningBroker) -> None:
    messages = list(visits(10_000))

    async def send() -> None:
        async with (
            aiomqtt.Client(
                "127.0.0.1", iotcore_broker.port, protocol=aiomqtt.ProtocolVersion.V311, max_queued_outgoing_messages=0
            ) as device,
            asyncio.TaskGroup() as group,
        ):
            gate = asyncio.Semaphore(50)  # order holds: one task, many in flight

            async def one(topic: str, payload: bytes) -> None:
                await device.publish(topic, payload, qos=1)
                gate.release()

            for topic, payload in messages:
                await gate.acquire()
                group.create_task(one(topic, payload))

    with Served(iotcore_broker.directory, [hall_policy("h1")], iotcore_broker.url) as served:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
        asyncio.run(send())
        found = served.until(lambda found: found["jiaohao_acknowledge_seconds_count"] >= len(messages))
        facts = sum(value for name, value in found.items() if name.startswith("jiaohao_facts_total"))
        assert facts >= len(messages), "each event leaves a fact at least"
        assert served.terminate() == 0
        lines = served.text.splitlines()
        assert len(lines) <= 50 and len(lines) == len(served.lines), "each is JSON"
        assert {line["event"] for line in served.lines} <= set(EVENTS.values())
        assert not any("h1-1" in line or "A0" in line for line in lines), "neither staff nor tickets"
    assert Path(served.data).exists()


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (b"", ""),
        (b"no journal in /x\n/x\nname another\n", "no journal in /x"),
        (b'Traceback (most recent call last):\n  File "x"\nOSError: full\n\n', "OSError: full"),
        (b"warning: old\nTraceback (most recent call last):\n  x\nKeyError: 'a'\n", "KeyError: 'a'"),
    ],
)
def test_what_is_wrong_with_a_child_is_one_line(said: bytes, line: str) -> None:
    assert logs.trouble(said) == line
