"""workers/cli.py: exit codes, each provoked for real, and errors of three lines."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest
from typer.testing import CliRunner

from bench.rush import hall_policy
from tests.brokers import RunningBroker
from tests.halls import HALL, MIN, MORNING, opened
from tests.processes import ROOT, Served, environment, run_cli, write_halls
from workers import cli, engine, recovery
from workers.journal import SqliteJournal
from workers.owner import Taken
from workers.ports import Fenced, JournalDamaged, Missing, Part, Row
from workers.recovery import Newer, newest_file
from workers.settings import SettingsError

NOWHERE = "mqtt://127.0.0.1:1"
CHINA_S = 28_800


def a_journal(directory: Path) -> Path:
    driven = opened()
    driven.take()
    driven.serve(1, MIN)
    driven.take()
    driven.take()
    rows = [Row(one.at_ms, one.kind, one.v, *(one.cause or ("", "", 0))[:3], one.payload) for one in driven.journal]

    async def scenario() -> None:
        journal = await SqliteJournal.open(directory, now_ms=lambda: MORNING)
        await journal.append([Part(HALL, 0, rows)])
        await journal.save(HALL, driven.state.n, driven.state.snapshot())
        await journal.close()

    asyncio.run(scenario())
    return directory


def damage(directory: Path, sql: str) -> None:
    path = newest_file(directory)
    assert path is not None
    db = engine.connect(path)
    db.execute(sql)
    db.commit()
    db.close()


def three_lines(done: "subprocess.CompletedProcess[str]", code: int, what: str) -> list[str]:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == code and len(lines) == 3 and what in lines[0], done.stderr
    assert not done.stdout, "results on stdout, the rest on stderr"
    return lines


# 0 and 1: done; what was examined is wrong.


def test_replay_and_why_of_a_good_journal_end_with_0(tmp_path: Path) -> None:
    a_journal(tmp_path)
    done = run_cli("replay", tmp_path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (hall,) = json.loads(done.stdout)["halls"]
    run = CliRunner().invoke
    assert run(cli.app, ["replay", str(tmp_path), "--digest"]).stdout == f"{HALL} {hall['n']} {hall['digest']}\n"
    facts = run(cli.app, ["replay", str(tmp_path), "--ticket", "A001"])
    assert facts.exit_code == 0 and json.loads(facts.stdout.splitlines()[0])["fact"] == "TicketTaken"
    why = run(cli.app, ["why", "A001", "--data", str(tmp_path), "--lang", "en"])
    assert why.exit_code == 0 and "counter 1: A001" in why.stdout


def test_why_of_a_number_that_was_not_called_says_how_many_are_ahead_or_what_to_ask(tmp_path: Path) -> None:
    a_journal(tmp_path)
    for number, ahead in (("A002", 0), ("A003", 1)):
        said = CliRunner().invoke(cli.app, ["why", number, "--data", str(tmp_path), "--lang", "en"])
        assert said.exit_code == 0 and f"{number}: waits, {ahead} ahead" in said.stdout, said.output
    _, _, todo = three_lines(run_cli("why", "A999", "--data", tmp_path), 5, "A999 was never called")
    assert todo.startswith(f"jiaohao replay {tmp_path} --ticket A999")


def test_a_damaged_journal_ends_with_1(tmp_path: Path) -> None:
    damage(a_journal(tmp_path), "UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 3")
    lines = three_lines(run_cli("replay", tmp_path), 1, "crc differs")
    assert "backup" in lines[2]


@pytest.mark.slow
def test_serve_does_not_start_on_a_damaged_journal(tmp_path: Path) -> None:
    damage(a_journal(tmp_path / "data"), "UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 3")
    damage(tmp_path / "data", "DELETE FROM snapshot")
    halls = write_halls(tmp_path / "halls", [hall_policy("h9")])
    done = run_cli("serve", "--data", tmp_path / "data", "--halls", halls, "--broker", NOWHERE, "--log=json")
    three_lines(done, 1, "crc differs")
    assert "link." not in done.stderr


# 2: usage, settings.


@pytest.mark.parametrize(
    "arguments", [["serve", "--loud"], ["fly"], ["why"], ["replay", "--to=x"], ["why", "A1", "--lang", "fr"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_wrong_settings_end_with_2_and_all_are_named(tmp_path: Path) -> None:
    config = tmp_path / "jiaohao.toml"
    config.write_text("[journal]\nbatch_max = 0\n")
    done = run_cli("serve", "--config", config, JIAOHAO_LOG__LEVEL="loud", JIAOHAO_SPEED="9")
    assert done.returncode == 2 and done.stderr.startswith("settings are wrong\n"), done.stderr
    for problem in (f"{config}: Expected `int` >= 1 - at `$.journal.batch_max`", "`$.log.level`", "JIAOHAO_SPEED"):
        assert problem in done.stderr


def test_no_broker_ends_with_2(tmp_path: Path) -> None:
    lines = three_lines(run_cli("serve", "--data", tmp_path), 2, "settings are wrong")
    assert lines[1] == "no broker - at `$.broker.url`"


@pytest.mark.slow
def test_a_wrong_hall_file_ends_with_2_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "halls").mkdir()
    (tmp_path / "halls" / "a.toml").write_text("version = 1")
    done = run_cli("serve", "--data", tmp_path / "data", "--halls", tmp_path / "halls", "--broker", NOWHERE)
    assert done.returncode == 2 and "a.toml" in done.stderr and not (tmp_path / "data").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("password_file", "No such file"), ("ca_file", "No such file")])
def test_a_file_of_the_broker_s_that_is_not_there_ends_with_2(tmp_path: Path, name: str, said: str) -> None:
    halls = write_halls(tmp_path / "halls", [hall_policy("h1")])
    more = {f"JIAOHAO_BROKER__{name.upper()}": str(tmp_path / "none")}
    done = run_cli("serve", "--data", tmp_path / "d", "--halls", halls, "--broker", NOWHERE, "--log=json", **more)
    assert f"broker.{name}: " in three_lines(done, 2, "settings are wrong")[1] and said in done.stderr


@pytest.mark.slow
def test_a_hall_file_that_changed_without_a_new_version_ends_with_2(iotcore_broker: RunningBroker) -> None:
    directory = iotcore_broker.directory
    with Served(directory, [hall_policy("h1")], iotcore_broker.url) as served:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
        assert served.terminate() == 0
    with Served(directory, [hall_policy("h1", counters=13)], iotcore_broker.url) as served:
        assert served.ended() == 2 and "the file has changed, its version 1 has not" in served.text


def test_without_asserts_nothing_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "workers.cli", "replay", "x"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    three_lines(done, 2, "python -O")


# 4: another process owns the data.


def test_a_second_dispatcher_ends_with_4_before_it_connects_and_the_first_goes_on(
    iotcore_broker: RunningBroker,
) -> None:
    directory, url = iotcore_broker.directory, iotcore_broker.url
    with Served(directory, [hall_policy("h1")], url) as first:
        first.up()
        with Served(directory, [hall_policy("h1")], url) as second:
            assert second.ended() == 4
            said = [line for line in second.text.splitlines() if not line.startswith("{")]
            assert len(said) == 3 and said[0] == f"data directory in use by process {first.pid}", second.text
            assert not second.logged("link.connected") and not second.logged("web.listening")
            assert not second.logged("recovery.done"), "nothing was opened"
        before = first.metrics()['jiaohao_link_messages_total{direction="in"}']
        assert before >= 0 and first.process.poll() is None and first.get("/readyz")[0] == 200
        assert len(first.logged("link.connected")) == 1, "nobody took its place at the broker"
        assert first.terminate() == 0


# 5: something needed is missing.


def test_a_journal_that_is_not_there_ends_with_5(tmp_path: Path) -> None:
    three_lines(run_cli("replay", tmp_path), 5, "no journal in")
    for command in (["why", "A001", "--data", str(tmp_path)], ["replay", str(tmp_path / "none"), "--facts"]):
        assert CliRunner().invoke(cli.app, command).exit_code == 5


def test_a_port_that_is_taken_ends_with_5(tmp_path: Path) -> None:
    halls = write_halls(tmp_path / "halls", [hall_policy("h1")])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_cli(
            "serve", "--data", tmp_path / "d", "--halls", halls, "--broker", NOWHERE, "--listen", listen, "--log=json"
        )
    three_lines(done, 5, f"cannot listen on {listen}")


def test_a_data_directory_that_is_a_file_ends_with_5(tmp_path: Path) -> None:
    halls = write_halls(tmp_path / "halls", [hall_policy("h1")])
    (tmp_path / "file").write_text("")
    done = run_cli("serve", "--data", tmp_path / "file", "--halls", halls, "--broker", NOWHERE, "--log=json")
    three_lines(done, 5, "data directory not writable")


@pytest.mark.slow
@pytest.mark.broker
def test_a_dispatcher_whose_place_at_the_broker_is_taken_ends_with_5(mosquitto_broker: RunningBroker) -> None:
    """Two directories, one client id: two writers of one hall must not go on."""
    directory, url = mosquitto_broker.directory, mosquitto_broker.url
    with Served(directory / "one", [hall_policy("h1")], url) as first:
        first.up().until(lambda found: found['jiaohao_ready{check="broker"}'] == 1)
        with Served(directory / "two", [hall_policy("h1")], url) as second:
            second.up()
            assert first.ended() == 5, first.text
            said = [line for line in first.text.splitlines() if not line.startswith("{")]
            assert len(said) == 3 and "another dispatcher has connected" in said[0] and "client_id" in said[2]
            assert first.logged("process.stop") and second.terminate() == 0


# 70: fail-stop. 130: interrupted.


def test_a_dispatcher_that_is_fenced_ends_with_70_and_says_nothing(iotcore_broker: RunningBroker) -> None:
    """Another writer has raised the epoch in its file: what it decides now is no longer the truth."""
    directory = iotcore_broker.directory
    with Served(directory, [hall_policy("h1")], iotcore_broker.url) as served:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
        now_s = int(time.time())
        if recovery.month(now_s * 1000) != recovery.month((now_s + CHINA_S) * 1000):
            served.wait_for("journal.month_closed")  # the first of a month here, the last of one in UTC
        damage(directory / "data", "UPDATE meta SET v = v + 1 WHERE k = 'epoch'")

        async def press() -> None:
            async with aiomqtt.Client("127.0.0.1", iotcore_broker.port) as device:
                body = '{"boot":"boot","seq":1,"body":{"type":"ticket.take","service":"s1"}}'
                await device.publish("jh/v1/h1/kiosk/event", body, qos=1)

        asyncio.run(press())
        assert served.ended() == 70
        assert "fenced: epoch " in served.text and " has taken over\nhalls h1\n" in served.text
        assert "Traceback" not in served.text


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_as_soon_as_it_listens_is_obeyed(tmp_path: Path, sign: signal.Signals) -> None:
    with Served(tmp_path, [hall_policy("h1")], NOWHERE) as served:
        served.wait_for("web.listening")
        served.process.send_signal(sign)
        assert served.ended() == 0 and served.logged("process.stop")


# The table of failures.


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (SettingsError(["a: x", "b: y"]), 2, ["settings are wrong", "a: x", "b: y", "correct them and start again"]),
        (Taken("in use\nthere\nstop it"), 4, ["in use", "there", "stop it"]),
        (Taken("in use"), 4, ["in use", "here", "stop that process, or choose another directory"]),
        (Newer("newer\nfile\nupdate"), 2, ["newer", "file", "update"]),
        (Missing("no x in y"), 5, ["no x in y", "here", "give it what it needs, and start again"]),
        (Missing("gone\nthere"), 5, ["gone", "there", "give it what it needs, and start again"]),
        (JournalDamaged("bad\nrow 3\nverify"), 1, ["bad", "row 3", "verify"]),
        (Fenced(["h1"], "epoch 7"), 70, ["fenced: epoch 7 has taken over", "halls h1"]),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [Missing("x")])]), 5, ["x", "here"]),
    ],
)
def test_each_kind_of_failure_has_its_code(
    error: Exception, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async def task() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        cli.run(task, "here")
    assert ended.value.code == code
    assert capsys.readouterr().err.splitlines()[: len(lines)] == lines


def test_our_own_mistakes_keep_their_traceback_and_end_with_70(capsys: pytest.CaptureFixture[str]) -> None:
    async def task() -> None:
        raise AssertionError("a fact out of place")

    with pytest.raises(SystemExit) as ended:
        cli.run(task, "here")
    err = capsys.readouterr().err
    assert (
        ended.value.code == 70 and "Traceback" in err and "stopped: AssertionError: a fact out of place\nhere\n" in err
    )


def test_an_interrupt_ends_with_130() -> None:
    async def task() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        cli.run(task, "here")
    assert ended.value.code == 130


def test_replay_takes_its_directory_by_position_or_by_name(tmp_path: Path) -> None:
    """Both forms are in the documents; neither may be a usage error."""
    for given in ((str(tmp_path),), (f"--data={tmp_path}",)):
        assert run_cli("replay", *given, "--digest").returncode == 5, "no journal there"


def test_bench_is_the_bench_of_a_checkout_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_cli("bench", "theory", "--quick", "--json")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1])["suite"] == "theory"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = CliRunner().invoke(cli.app, ["bench", "theory"])
    assert found.exit_code == cli.MISSING
