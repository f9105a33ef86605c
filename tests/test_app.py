"""workers/app.py: the wiring: start, a full disk, upkeep, orderly end, and the start after it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from bench.rush import hall_policy
from core.commands import ChangePolicy
from core.facts import JournalErased
from core.policy import Policy
from tests.brokers import RunningBroker
from tests.processes import Served, visits, write_halls
from workers import app as application
from workers import engine, erasure, fold, logs, settings, states
from workers.app import App
from workers.journal import SqliteJournal
from workers.metrics import CHECKS
from workers.ports import JournalDamaged
from workers.recovery import newest_file
from workers.settings import SettingsError

POLICY = hall_policy("h1")
NOWHERE = "mqtt://127.0.0.1:1"
PATIENCE_S = 20


@dataclass
class Log:
    """What was logged: (level, event, values)."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **values: self.lines.append((level, event, values))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [values for _, name, values in self.lines if name == event]


def chosen(directory: Path, url: str = NOWHERE, **journal: Any) -> settings.Settings:
    return settings.Settings(
        broker=settings.BrokerSection(url=url, receive_maximum=100),
        journal=settings.JournalSection(dir=str(directory / "data"), **journal),
        web=settings.WebSection(listen="127.0.0.1:0"),
        halls=settings.HallsSection(dir=str(directory / "halls")),
    )


@asynccontextmanager
async def running(directory: Path, url: str = NOWHERE, *policies: Policy, **journal: Any) -> AsyncIterator[App]:
    """An app in this loop, with its web up and its halls known; stopped in order."""
    write_halls(directory / "halls", policies or [POLICY])
    app = App(chosen(directory, url, **journal), Log())
    task = asyncio.create_task(app.run(), name="app")
    try:
        await until(lambda: task.done() or (bool(app.log.of(logs.LISTENING)) and app.ready()["halls"]))
        if task.done():
            await task
        yield app
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    app.stop()
    async with asyncio.timeout(PATIENCE_S):
        await task


async def until(holds: Callable[[], bool]) -> None:
    """Turns of the loop until it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.002)


def press(seq: int, body: dict[str, Any] | None = None) -> bytes:
    return json.dumps({"boot": "boot", "seq": seq, "body": body or {"type": "ticket.take", "service": "s1"}}).encode()


@asynccontextmanager
async def a_kiosk(broker: RunningBroker) -> AsyncIterator[tuple[aiomqtt.Client, list[dict[str, Any]]]]:
    """A client, and every result it hears."""
    heard: list[dict[str, Any]] = []
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.subscribe("jh/v1/h1/kiosk/ack", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                heard.extend(msgspec.json.decode(message.payload)["results"])

        listening = asyncio.create_task(listen())
        try:
            yield client, heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def folded(directory: Path) -> fold.Folded:
    async def scenario() -> fold.Folded:
        journal = await SqliteJournal.open(directory / "data", now_ms=lambda: 1)
        try:
            return await fold.recover(journal)
        finally:
            await journal.close()

    return asyncio.run(scenario())


# Start.


def test_it_starts_without_a_broker_and_says_what_is_missing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as app:
            assert app.ready() == dict.fromkeys(CHECKS, True) | {"broker": False}
            assert app.halls["h1"].state.policy == POLICY and app.alive()
        assert [name for _, name, _ in app.log.lines if name != logs.ENGINE_AFFECTED and name != logs.LINK_DOWN] == [
            logs.START,
            logs.RECOVERED,
            logs.POLICY_LOADED,
            logs.LISTENING,
            logs.STOP,
        ]

    asyncio.run(scenario())


def test_an_affected_engine_is_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(version: tuple[int, int, int]) -> int:
        monkeypatch.setattr(engine, "sqlite_version", lambda: version)
        async with running(tmp_path) as app:
            return len(app.log.of(logs.ENGINE_AFFECTED))

    assert asyncio.run(scenario((3, 40, 1))) == 1 and asyncio.run(scenario((3, 52, 0))) == 0


def test_a_newer_hall_file_becomes_a_fact_and_an_older_one_is_let_alone(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(hall_policy("h1", counters=13), version=2)

    async def scenario(*policies: Policy) -> tuple[int, int, int]:
        async with running(tmp_path, NOWHERE, *policies) as app:
            state = app.halls["h1"].state
            await until(lambda: (state.policy is not None and state.policy.version == 2) or policies[0].version == 1)
            return len(app.log.of(logs.POLICY_LOADED)), state.policy.version if state.policy else 0, state.n

    assert asyncio.run(scenario(POLICY))[:2] == (1, 1)
    loaded, version, n = asyncio.run(scenario(newer))
    assert (loaded, version) == (1, 2)
    assert asyncio.run(scenario(newer)) == (0, 2, n), "known already"
    assert asyncio.run(scenario(POLICY)) == (0, 2, n), "an older one"


def test_a_changed_file_needs_a_new_version(tmp_path: Path) -> None:
    async def scenario(policy: Policy) -> None:
        async with running(tmp_path, NOWHERE, policy):
            pass

    asyncio.run(scenario(POLICY))
    with pytest.raises(SettingsError, match="hall h1: the file has changed, its version 1 has not"):
        asyncio.run(scenario(hall_policy("h1", counters=13)))
    asyncio.run(scenario(POLICY))  # the journal was closed, its lock released


def test_a_damaged_journal_stops_the_start_and_releases_the_lock(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path):
            pass

    asyncio.run(scenario())
    path = newest_file(tmp_path / "data")
    assert path is not None
    db = engine.connect(path)
    db.execute("UPDATE journal SET at_ms = at_ms + 1")
    db.execute("DELETE FROM snapshot")
    db.commit()
    db.close()
    for _ in range(2):
        with pytest.raises(JournalDamaged):
            asyncio.run(scenario())


def test_a_hall_whose_file_is_gone_is_still_served(tmp_path: Path) -> None:
    async def scenario(*policies: Policy) -> set[str]:
        async with running(tmp_path, NOWHERE, *policies) as app:
            assert app.ready()["halls"]
            return set(app.halls)

    assert asyncio.run(scenario(POLICY, hall_policy("h2"))) == {"h1", "h2"}
    (tmp_path / "halls" / "h2.json").unlink()
    assert asyncio.run(scenario(POLICY)) == {"h1", "h2"}


# Run.


def test_an_idle_hall_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's silence is no reason to be restarted, nor is the night."""
    monkeypatch.setattr(application, "QUIET_S", 0.05)

    async def scenario() -> None:
        async with running(tmp_path) as app:
            monkeypatch.setattr(app.link, "ready", lambda: True)
            moved = [app.dispatcher.moved_at]
            for _ in range(3):
                await until(lambda: app.dispatcher.moved_at > moved[-1])
                moved.append(app.dispatcher.moved_at)
                assert app.alive()
            monkeypatch.setattr(app.dispatcher, "restless", lambda: False)
            monkeypatch.setattr(application, "QUIET_S", 1e9)
            monkeypatch.setattr(application, "ALIVE_S", 0.0)
            assert not app.alive(), "a loop that stands still is not"

    asyncio.run(scenario())


def test_a_full_disk_holds_everything_and_loses_nothing(iotcore_broker: RunningBroker) -> None:
    """A real SQLITE_FULL: the file may not grow. Not ready, alive, nothing read, nothing answered; then all of it."""
    directory = iotcore_broker.directory

    async def limited(app: App, pages: int) -> None:
        await app.journal._lane.run(lambda db: db.execute(f"PRAGMA max_page_count={pages}").fetchall())

    async def scenario() -> None:
        async with running(directory, iotcore_broker.url) as app, a_kiosk(iotcore_broker) as (kiosk, heard):
            await until(lambda: app.ready()["broker"])
            await kiosk.publish("jh/v1/h1/kiosk/event", press(1), qos=1)
            await until(lambda: len(heard) == 1)
            facts = sum(app.tallies.facts)
            await limited(app, 1)
            full = press(2, {"type": "ticket.take", "service": "s2"})
            await kiosk.publish("jh/v1/h1/kiosk/event", b"[%s]" % b",".join([full, *map(press, range(3, 60))]), qos=1)
            for at in range(200):  # letters need pages
                await kiosk.publish(f"jh/v1/h1/x{at}/event", b"x" * 1024, qos=1)
            await until(lambda: app.tallies.retries["SQLITE_FULL"] >= 2)
            assert app.ready()["journal"] is False and app.alive() and app.link.stats.paused
            said, durable = len(heard), sum(app.tallies.facts)
            await kiosk.publish("jh/v1/h1/kiosk/event", press(60), qos=1)
            tries = app.tallies.retries["SQLITE_FULL"]
            await until(lambda: app.tallies.retries["SQLITE_FULL"] >= tries + 2)
            assert len(heard) == said and sum(app.tallies.facts) == durable >= facts
            assert [level for level, name, _ in app.log.lines if name == logs.JOURNAL_RETRY] == ["error"], "said once"
            await limited(app, 1_000_000)
            await until(lambda: len(heard) == 60)
            assert [one["seq"] for one in heard] == list(range(1, 61)) and all("ok" in one for one in heard)
            await until(lambda: app.ready() == dict.fromkeys(app.ready(), True))
            assert len(app.log.of(logs.JOURNAL_RECOVERED)) == 1 and not app.link.stats.paused

    asyncio.run(scenario())
    assert folded(directory).halls["h1"].state.windows["kiosk"].boots["boot"].floor == 60, "whatever day it is by now"


def test_the_first_retry_holds_the_link_and_recovery_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    async def scenario() -> None:
        async with running(tmp_path) as app:
            monkeypatch.setattr(app.link, "hold", held.append)
            for error in ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_FULL"):
                app.journal.listener.retry(error)
            assert not app.ready()["journal"] and app.tallies.retries == {"SQLITE_FULL": 2, "SQLITE_BUSY": 1}
            app.journal.listener.recovered()
            assert app.ready()["journal"] and held == [True, False]
            assert len(app.log.of(logs.JOURNAL_RETRY)) == len(app.log.of(logs.JOURNAL_RECOVERED)) == 1

    asyncio.run(scenario())


def test_states_are_stored_every_so_many_facts(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        lives = running(iotcore_broker.directory, iotcore_broker.url, snapshot_every=20)
        async with lives as app, a_kiosk(iotcore_broker) as (kiosk, heard):
            await until(lambda: app.ready()["broker"])
            for seq in range(1, 51):
                await kiosk.publish("jh/v1/h1/kiosk/event", press(seq), qos=1)
            await until(lambda: len(heard) == 50)
            await until(lambda: app.dispatcher.desks["h1"].since_snapshot < 20)
            assert app.tallies.snapshots >= 1

    asyncio.run(scenario())


def test_hourly_every_hall_is_stored_once_however_busy_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, NOWHERE, POLICY, hall_policy("h2"), hall_policy("h3")) as app:
            desks = app.dispatcher.desks
            await until(lambda: all(desk.since_snapshot for desk in desks.values()))
            assert app.tallies.snapshots == 0
            app.states.hour_at -= states.HOUR_S + 1
            for _ in range(8):
                moved_at, before = app.dispatcher.moved_at, desks["h3"].hall.state.n
                for name in desks:
                    app.dispatcher.ask(name, ChangePolicy(1, "", ""))  # refused: a fact
                app.link.nudge()
                await until(lambda was=moved_at: app.dispatcher.moved_at > was)
                assert desks["h3"].hall.state.n > before, "no quiet moment between"
            assert app.tallies.snapshots == 3

    asyncio.run(scenario())


def test_an_erasure_beside_the_last_process_is_put_on_record_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "fact_of", lambda *_: JournalErased("2026-01-01", 5, ("2025-12",)))

    async def scenario() -> None:
        async with running(tmp_path) as app:
            pass
        head = app.halls["h1"].state.n
        erasure.owe(tmp_path / "data", erasure.Owed("2026-01-01", 0, []))
        async with running(tmp_path) as app:
            assert app.journal.heads()["h1"] == app.halls["h1"].state.n > head
            assert erasure.owed(tmp_path / "data") == []

    asyncio.run(scenario())


# End.


def test_after_an_orderly_end_the_next_start_applies_no_fact(tmp_path: Path) -> None:
    async def scenario() -> tuple[str, int]:
        async with running(tmp_path) as app:
            return app.halls["h1"].state.digest(), app.log.of(logs.RECOVERED)[0]["facts"]

    first, second = asyncio.run(scenario()), asyncio.run(scenario())
    assert first[1] == second[1] == 0 and first[0] == second[0]
    found = folded(tmp_path)
    assert found.facts == 0 and found.halls["h1"].state.digest() == first[0]


def test_terminated_in_full_work_it_ends_with_0_and_everything_answered_is_there(broker: RunningBroker) -> None:
    """What was not answered is sent again, as a device does, and answered by the next process."""
    directory, messages = broker.directory, list(visits(600))
    acked: set[tuple[str, int]] = set()

    def key(message: tuple[str, bytes]) -> tuple[str, int]:
        return message[0].split("/")[3], msgspec.json.decode(message[1])["seq"]

    async def drive(to_send: list[tuple[str, bytes]], then: Callable[[], Awaitable[None]]) -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
            await client.subscribe("jh/v1/h1/+/ack", qos=1)

            async def listen() -> None:
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    for result in msgspec.json.decode(message.payload)["results"]:
                        acked.add((str(message.topic).split("/")[3], result["seq"]))

            listening = asyncio.create_task(listen())
            for topic, payload in to_send:
                await client.publish(topic, payload, qos=1)
            await then()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def start() -> Served:
        return Served(directory, [POLICY], broker.url, broker__receive_maximum=broker.receive_max)

    with start() as served:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)

        async def terminate() -> None:
            assert await asyncio.to_thread(served.terminate) == 0

        asyncio.run(drive(messages[:300], terminate))
    found = folded(directory)
    assert found.facts == 0, "the state was stored"
    windows = found.halls["h1"].state.windows
    for device, seq in acked:
        assert windows[device].boots["visits"].floor >= seq, "answered, and not in the journal"
    with start() as served:
        assert served.up().wait_for("recovery.done")["facts"] == 0
        left = [message for message in messages if key(message) not in acked]
        asyncio.run(drive(left, lambda: until(lambda: len(acked) == len(messages))))
        assert served.terminate() == 0


def test_a_second_signal_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(application.os, "_exit", codes.append)

    async def scenario() -> None:
        async with running(tmp_path) as app:
            app.stop()
            assert codes == []
            app.stop()
            assert codes == [130]

    asyncio.run(scenario())
