"""workers/demonstration.py: one command shows a hall at work and tells the truth about it."""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from devices.tally import Tally
from tests.brokers import RunningBroker
from tests.processes import CLI, PATIENCE_S, ROOT, environment, run_cli
from workers import demonstration, engine
from workers.recovery import newest_file

KEYS = {
    "taken",
    "called",
    "served",
    "rated",
    "waiting",
    "refused",
    "commands_acked",
    "facts_journaled",
    "lost",
    "duplicated",
    "screens_wrong",
    "press_to_screen_ms",
}


def told(text: str) -> dict[str, object]:
    lines = text.splitlines()
    assert len(lines) == 1, "one line, for machines"
    found: dict[str, object] = json.loads(lines[0])
    return found


def test_a_few_seconds_of_a_hall_end_with_one_line_of_json_and_nothing_lost() -> None:
    done = run_cli("demo", "--seconds=2", "--seed=7", "--counters=4", "--services=5", "--json", timeout_s=45)
    assert done.returncode == 0, done.stderr
    found = told(done.stdout)
    assert found.keys() >= KEYS
    assert isinstance(found["taken"], int) and found["taken"] > 0 and found["commands_acked"] != 0
    assert (found["lost"], found["duplicated"], found["screens_wrong"], found["digest_equal"]) == (0, 0, 0, True)
    latency = found["press_to_screen_ms"]
    assert isinstance(latency, dict) and latency.keys() == {"p50", "p99"}


def test_a_broker_that_is_already_there_is_used(mosquitto_broker: RunningBroker, tmp_path: Path) -> None:
    done = run_cli(
        "demo", "--seconds=1", "--counters=2", "--services=2", "--json", f"--broker={mosquitto_broker.url}",
        f"--keep={tmp_path}", timeout_s=45,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert told(done.stdout)["lost"] == 0
    assert list((tmp_path / "data").glob("journal-*.db")), "--keep keeps the journal"


def test_a_broker_that_is_not_there_ends_with_5() -> None:
    done = run_cli("demo", "--seconds=1", "--json", "--broker=mqtt://127.0.0.1:1")
    assert done.returncode == 5 and "mqtt://127.0.0.1:1" in done.stderr and not done.stdout


def pressed(data: Path) -> int:
    """Facts that devices have caused so far."""
    path = newest_file(data) if data.exists() else None
    if path is None:
        return 0
    db = engine.reader(path)
    try:
        return int(db.execute("SELECT count(*) FROM journal WHERE dseq > 0").fetchone()[0])
    except engine.OperationalError:  # it is being made
        return 0
    finally:
        db.close()


def test_interrupted_it_ends_in_order_and_still_compares(tmp_path: Path) -> None:
    command = [*CLI, "demo", "--counters=2", "--services=2", "--json", f"--keep={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as running:
        try:
            while pressed(tmp_path / "data") < 10:  # people are there; it would go on for ever
                assert running.poll() is None
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=PATIENCE_S)
        finally:
            running.kill()
    assert running.returncode == 0 and told(out)["lost"] == 0


def test_without_a_press_there_is_no_latency_rather_than_zero() -> None:
    assert demonstration._quantile(Tally(), 0.5) is None


def test_a_dispatcher_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    from workers.clock import Clock
    from workers.ports import Missing

    async def scenario() -> None:
        (tmp_path / "halls").mkdir()
        (tmp_path / "halls" / "h.json").write_text("{}", "utf-8")
        with pytest.raises(Missing, match="settings are wrong"):
            async with demonstration.dispatcher(tmp_path, "mqtt://127.0.0.1:1", Clock()):
                pass

    asyncio.run(scenario())
