"""workers/cli_devices.py: devices and their passwords from the command line; then a hall behind the files it writes."""

import asyncio
import getpass
import json
import stat
from pathlib import Path

import msgspec
import pytest

from core.commands import TakeTicket
from devices import access
from devices.client import Device
from devices.flight import Timing
from devices.kit_broker import free_port
from tests.brokers import run_mosquitto, wait_for_port
from tests.halls import POLICY
from tests.processes import Served, run_cli, write_halls
from workers.broker import LOOPBACK, mosquitto_conf


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """Options that say where everything stands."""
    write_halls(tmp_path / "halls", [POLICY])
    return f"--halls={tmp_path / 'halls'}", f"--access={tmp_path / 'access'}"


def added(places: tuple[str, str], user: str, *more: str) -> str:
    """The password of a device."""
    done = run_cli("device", "add", user, "--json", *places, *more)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["v"] == 1 and found["username"] == user
    return str(found["password"])


def test_a_password_is_shown_once_and_kept_as_a_hash(tmp_path: Path, places: tuple[str, str]) -> None:
    first = added(places, "h1/kiosk-1")
    refused = run_cli("device", "add", "h1/kiosk-1", *places)
    assert refused.returncode == 2 and refused.stderr.splitlines()[2] == "--again gives it a new one"
    second = added(places, "h1/kiosk-1", "--again")
    directory = tmp_path / "access"
    kept = {path.name: path.read_text() for path in directory.iterdir()}
    assert set(kept) == {"devices.json", "broker.passwd", "broker.acl"}
    assert not any(password in text for text in kept.values() for password in (first, second))
    (line,) = kept["broker.passwd"].splitlines()
    assert access.matches(second, line.partition(":")[2]) and not access.matches(first, line.partition(":")[2])
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_device_that_no_hall_file_knows_gets_none(places: tuple[str, str], tmp_path: Path) -> None:
    for user, what in (
        ("h1/kiosk-9", "no hall file knows"),
        ("h2/kiosk-1", "no hall file knows"),
        ("kiosk-1", "is no"),
    ):
        done = run_cli("device", "add", user, *places)
        assert done.returncode == 2 and what in done.stderr and len(done.stderr.splitlines()) == 3
    assert not (tmp_path / "access").exists()


def test_the_list_tells_what_stands_where(places: tuple[str, str], tmp_path: Path) -> None:
    added(places, "h1/kiosk-1")
    added(places, "h1/caller-1")
    assert run_cli("device", "revoke", "h1/caller-1", places[1]).returncode == 0
    assert run_cli("device", "revoke", "h1/caller-2", places[1]).returncode == 2
    fewer = tuple(part for part in POLICY.devices if part.id != "kiosk-1")
    write_halls(tmp_path / "halls", [msgspec.structs.replace(POLICY, devices=fewer)])
    found = json.loads(run_cli("device", "list", "--json", *places).stdout)
    rows = {row["device"]: row for row in found["devices"]}
    assert found["v"] == 1 and len(rows) == len(POLICY.devices)
    assert rows["h1/kiosk-1"] == dict(device="h1/kiosk-1", kind="unknown", profile="", counter=0, password="kept")
    assert rows["h1/caller-1"]["password"] == "revoked" and rows["h1/ev-2"]["profile"] == "keys4"
    assert "h1/ev-2" in run_cli("device", "list", *places).stdout
    added(places, "h1/caller-1")  # a revoked one may come back, with another password


def test_broker_files_are_written_compared_and_found_stale(places: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "etc"
    for arguments in (["--out", out], ["--out", out], ["--out", out, "--check"]):
        done = run_cli("broker", "files", *arguments, places[1])
        assert done.returncode == 0, done.stderr
    assert (out / "mosquitto.conf").read_text() == mosquitto_conf()
    password = (tmp_path / "access" / "core.password").read_text().strip()
    user, _, kept = (out / "broker.passwd").read_text().strip().partition(":")
    assert user == "core" and access.matches(password, kept)
    added(places, "h1/kiosk-1")
    stale = run_cli("broker", "files", "--out", out, "--check", places[1])
    assert stale.returncode == 1 and stale.stderr.splitlines()[0] == "stale: broker.passwd"


def test_a_damaged_register_is_not_written_over(places: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "access" / "devices.json"
    path.parent.mkdir()
    for text in ('{"v":1,"users":{"../etc":{"hash":"","changed_ms":1}}}', "{"):
        path.write_text(text)
        done = run_cli("device", "add", "h1/kiosk-1", *places)
        assert done.returncode == 1 and path.read_text() == text
    (tmp_path / "halls" / "h1.json").write_text("{}")
    assert run_cli("device", "list", *places).returncode == 2


@pytest.mark.broker
def test_a_hall_works_behind_these_files(places: tuple[str, str], tmp_path: Path) -> None:
    """The dispatcher with core.password, a kiosk with the one it was shown; one that has none stays outside."""
    password = added(places, "h1/kiosk-1")
    assert run_cli("broker", "files", places[1]).returncode == 0
    directory, port = tmp_path / "access", free_port()
    lines = [f"user {getpass.getuser()}", f"listener {port} {LOOPBACK}", "allow_anonymous false"]
    lines += [f"password_file {directory}/broker.passwd", f"acl_file {directory}/broker.acl"]
    (tmp_path / "m.conf").write_text(
        "\n".join([*lines, "use_username_as_clientid true", "max_inflight_messages 1000\n"])
    )
    broker = run_mosquitto(tmp_path / "m.conf")
    options = {"broker__username": "core", "broker__password_file": directory / "core.password"}
    always = msgspec.structs.replace(POLICY.calendar, week=(1, 2, 3, 4, 5, 6, 7), periods=("00:00-24:00",))
    hall = msgspec.structs.replace(POLICY.hall, cutover="00:00")
    policy = msgspec.structs.replace(POLICY, calendar=always, hall=hall)

    async def press() -> None:
        url = f"mqtt://h1%2Fkiosk-1:{password}@{LOOPBACK}:{port}"
        async with asyncio.timeout(15), Device(url, hall="h1", device="kiosk-1") as kiosk:
            result = await kiosk.send(TakeTicket(service="si"))
            assert result.ok is not None and result.ok.number == "A001"
        stranger = f"mqtt://h1%2Fkiosk-2:{password}@{LOOPBACK}:{port}"
        async with Device(stranger, hall="h1", device="kiosk-2", timing=Timing(connect_s=0.5)) as kiosk:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(kiosk.arrive(), 0.5)

    try:
        wait_for_port(broker, port)
        with Served(tmp_path, [policy], f"mqtt://{LOOPBACK}:{port}", **options) as served:
            served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
            asyncio.run(press())
            assert served.terminate() == 0
    finally:
        broker.terminate()
        broker.wait(10)
