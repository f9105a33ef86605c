"""workers/check.py: what a dispatcher needs, looked at one by one, with what to do about it."""

import asyncio
import json
import os
import socket
import time
from pathlib import Path

import msgspec
import pytest

from bench.rush import hall_policy
from core.policy import document
from tests.brokers import RunningBroker
from tests.processes import run_cli
from workers import check, owner
from workers.settings import BrokerSection, HallsSection, JournalSection, Settings, WebSection
from workers.web.access import new_token


def chosen(place: Path, *, url: str = "", listen: str = "127.0.0.1:0") -> Settings:
    halls = place / "halls"
    halls.mkdir(exist_ok=True)
    (halls / "h1.json").write_text(document(hall_policy("h1")), "utf-8")
    return Settings(
        broker=BrokerSection(url=url),
        journal=JournalSection(dir=str(place / "data")),
        halls=HallsSection(dir=str(halls)),
        web=WebSection(listen=listen),
    )


def looked(settings: Settings, *, offline: bool = True) -> dict[str, check.Finding]:
    return {one.check: one for one in asyncio.run(check.look(settings, offline=offline))}


def test_a_machine_in_order_passes_and_nothing_is_left_behind(tmp_path: Path) -> None:
    found = looked(chosen(tmp_path))
    assert all(one.ok for one in found.values()), found
    assert not (tmp_path / "data").exists() and "can be made" in found["data"].found
    (tmp_path / "data").mkdir()
    found = looked(chosen(tmp_path))
    assert found["data"].found.endswith("is writable") and list((tmp_path / "data").iterdir()) == []


def test_a_broker_that_answers_and_one_that_does_not(
    iotcore_broker: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looked(chosen(tmp_path, url=iotcore_broker.url), offline=False)["broker"].ok
    iotcore_broker.stop()
    monkeypatch.setattr(check, "CONNECT_S", 0.2)
    gone = looked(chosen(tmp_path, url=iotcore_broker.url), offline=False)["broker"]
    assert not gone.ok and iotcore_broker.url in gone.found and gone.todo


def test_a_broker_that_keeps_few_in_flight_is_named(mosquitto_broker: RunningBroker, tmp_path: Path) -> None:
    settings = chosen(tmp_path, url=mosquitto_broker.url)
    found = looked(settings, offline=False)["broker"]
    assert found.ok and found.todo == ""
    assert check.narrow(20, settings) and not check.narrow(1000, settings)
    few = msgspec.structs.replace(settings.broker, receive_maximum=100)
    assert not check.narrow(100, msgspec.structs.replace(settings, broker=few)), "the embedded one is asked for no more"


def test_the_size_of_the_metrics_is_reckoned_before(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    found = looked(settings)["series"]
    assert found.ok and "level full" in found.found and not found.todo
    for at in range(2, 6):
        (tmp_path / "halls" / f"h{at}.json").write_text(document(hall_policy(f"h{at}")), "utf-8")
    found = looked(settings)["series"]
    assert found.ok and "level full" not in found.found and "series_budget" in found.todo


def test_tokens_that_let_nobody_in_or_that_others_read(tmp_path: Path) -> None:
    assert "jiaohao token add" in looked(chosen(tmp_path))["tokens"].todo
    assert not looked(chosen(tmp_path, listen="0.0.0.0:0"))["tokens"].ok
    file = tmp_path / "tokens.toml"
    file.write_text(new_token("clerk", ("h1",))[1])
    file.chmod(0o600)
    settings = msgspec.structs.replace(chosen(tmp_path), web=WebSection(listen="127.0.0.1:0", tokens_file=str(file)))
    assert looked(settings)["tokens"].found == "1 (clerk)"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "web.key").write_text("k" * 64)
    (tmp_path / "data" / "web.key").chmod(0o644)
    found = looked(settings)["tokens"]
    assert not found.ok and "web.key" in found.found and "chmod 600" in found.todo


def test_a_clock_behind_the_journal_is_a_finding(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "journal-2026-11.db").touch()
    assert check.clock(data).ok
    later = time.time() + 3600
    os.utime(data / "journal-2026-11.db", (later, later))
    found = check.clock(data)
    assert not found.ok and "behind the last write" in found.found and "NTP" in found.todo


def test_too_little_room_says_how_much_is_needed(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    much = msgspec.structs.replace(settings.journal, min_free_mb=1 << 30)
    found = looked(msgspec.structs.replace(settings, journal=much))["free"]
    assert not found.ok and str((1 << 30) + much.ballast_mb) in found.todo


def test_a_mistake_in_a_hall_file_is_named_with_file_and_path(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    (tmp_path / "halls" / "h2.toml").write_text('version = 0\nhall = { id = "h2" }\n', "utf-8")
    found = looked(settings)["halls"]
    assert not found.ok and "h2.toml" in found.found and "$" in found.found


def test_no_hall_file_is_a_finding(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    (tmp_path / "halls" / "h1.json").unlink()
    assert not looked(settings)["halls"].ok


def test_a_data_directory_in_use_is_said_and_left_alone(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    (tmp_path / "data").mkdir()
    held = owner.take(tmp_path / "data")
    try:
        assert "in use by process" in looked(settings)["owner"].found
    finally:
        held.release()


def test_a_taken_port_is_a_finding(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = looked(chosen(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}"))["listen"]
    assert not found.ok and "web.listen" in found.todo


def test_foreign_owners_of_our_names_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "packages_distributions", lambda: {"core": ["jiaohao", "somebody"]})
    assert not looked(chosen(tmp_path))["packages"].ok


def test_the_command_gives_one_document_and_exit_5_when_something_is_missing(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    common = ("check", "--offline", "--json", f"--data={settings.journal.dir}", "--listen=127.0.0.1:0")
    good = run_cli(*common, f"--halls={settings.halls.dir}")
    assert good.returncode == 0 and json.loads(good.stdout)["ok"] is True
    bad = run_cli(*common, f"--halls={tmp_path / 'none'}")
    assert bad.returncode == 5 and json.loads(bad.stdout)["ok"] is False
