"""workers/broker.py: the embedded broker starts, serves both versions and ends; mosquitto's file works as shipped."""

import asyncio
import re
import ssl
import subprocess
from pathlib import Path

import aiomqtt
import pytest

from devices.kit_broker import free_port
from tests.brokers import MOSQUITTO, run_mosquitto, wait_for_port
from tests.scripted import ObservedLink, play, running, until
from workers.broker import EmbeddedBroker, mosquitto_conf
from workers.link_states import State
from workers.ports import Missing


def test_the_embedded_broker_serves_both_versions_and_ends() -> None:
    async def scenario() -> None:
        async with EmbeddedBroker() as broker:
            assert broker.running() and broker.port != broker.port_v5
            link = ObservedLink(broker.url_v5, receive_max=100)
            async with running(link), aiomqtt.Client("127.0.0.1", broker.port, identifier="h1-k1") as device:
                await until(lambda: link.lives)
                await device.publish("jh/v1/h1/k1/event", b"hello", qos=1)
                batch = await anext(aiter(link.batches()))
                assert [one.payload for one in batch] == [b"hello"]
        assert not broker.running()
        await broker.stop()
        async with EmbeddedBroker(broker.port, broker.port_v5) as again:
            assert again.running(), "its ports are free again"

    play(scenario)


def test_starting_does_not_block_the_loop() -> None:
    async def scenario() -> None:
        turns = 0
        starting = asyncio.create_task(EmbeddedBroker().start())
        while not starting.done():
            await asyncio.sleep(0.001)
            turns += 1
        await (await starting).stop()
        assert turns > 3, "one that blocks leaves one turn before it and one after it"

    play(scenario)


@pytest.mark.parametrize("which", ["port", "port_v5"])
def test_a_taken_port_is_said_before_anything_starts(which: str) -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        broker = EmbeddedBroker(**{which: port})
        with pytest.raises(Missing, match=f"port {port} of 127.0.0.1 is taken"):
            await broker.start()
        assert not broker.running()
        server.close()
        await server.wait_closed()

    play(scenario)


def test_a_child_that_dies_at_once_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.broker.iotcore_toml", lambda *_: "no toml at all")

    async def scenario() -> None:
        with pytest.raises(Missing, match="ended while starting"):
            await EmbeddedBroker().start()

    play(scenario)


def test_the_shipped_file_is_the_generated_one() -> None:
    assert (Path(__file__).parent.parent / "deploy/mosquitto/jiaohao.conf").read_text() == mosquitto_conf()


CORE_ACL = """user core
topic read  jh/v1/+/+/event
topic read  jh/v1/+/+/state
topic write jh/v1/+/+/ack
topic write jh/v1/_core/_link/event
"""


def shipped(directory: Path, ports: tuple[int, int], acl: str) -> Path:
    """The shipped file on other ports and paths, with a certificate, a password and an ACL."""
    for name, text in {"broker.acl": acl, "broker.passwd": "core:secret\n"}.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(directory / "broker.passwd")], check=True)
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "tls/server.key", "-out", "tls/server.crt"]
    (directory / "tls").mkdir()
    subprocess.run(certificate + files, cwd=directory, check=True, capture_output=True)
    (directory / "tls/ca.crt").write_text((directory / "tls/server.crt").read_text())
    text = mosquitto_conf().replace("/etc/jiaohao", str(directory)).replace("/var/lib/mosquitto", str(directory))
    text = text.replace("listener 1883 ", f"listener {ports[0]} ").replace("listener 8883", f"listener {ports[1]}")
    path = directory / "jiaohao.conf"
    path.write_text("user root\n" + text)
    return path


@pytest.mark.broker
@pytest.mark.parametrize("allowed", [True, False])
def test_the_shipped_file_with_tls_password_and_acl(tmp_path: Path, allowed: bool) -> None:
    ports = (first := free_port(), free_port(first))
    acl = CORE_ACL if allowed else re.sub(r"topic .*/event\n", "", CORE_ACL)
    if MOSQUITTO is None:
        run_mosquitto(tmp_path)  # skips, or fails
    process = run_mosquitto(shipped(tmp_path, ports, acl))

    async def scenario() -> None:
        wait_for_port(process, ports[1])
        tls = ssl.create_default_context(cafile=str(tmp_path / "tls/ca.crt"))
        url = f"mqtts://core:secret@127.0.0.1:{ports[1]}"
        link = ObservedLink(url, tls=tls, client_id="core", probe_s=0.05, deaf_s=0.3)
        async with running(link):
            await until(lambda: link.lives)
            reader = asyncio.create_task(anext(aiter(link.batches())))
            if allowed:
                await until(lambda: link._heard > link._live_since)
                await until(link.ready)  # the probe came back, and comes again
            else:
                await until(lambda: not link.ready())  # SUBACK was good all the same
            reader.cancel()
            await asyncio.wait([reader])
        wrong = ObservedLink(url.replace("secret", "wrong"), tls=tls)
        async with running(wrong):
            await until(lambda: wrong.downs)
        assert "refuses us" in wrong.downs[0] and wrong.state is State.BACKOFF

    try:
        play(scenario)
    finally:
        process.terminate()
        process.wait(10)
