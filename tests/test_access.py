"""devices/access.py: mosquitto's own files; then mosquitto itself is asked for everything that it must refuse."""

import getpass
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices import access
from devices.kit_broker import free_port
from tests.brokers import run_mosquitto, wait_for_port
from tests.processes import PATIENCE_S
from workers.broker import LOOPBACK

LEAVES = ("event", "state", "ack", "command", "screen")
OWN_WRITES, OWN_READS = ("event", "state"), ("ack", "command", "screen")
MOSQUITTO_PASSWD = shutil.which("mosquitto_passwd")
QUIET_S = 0.15


def test_a_password_is_kept_as_mosquitto_keeps_it() -> None:
    kept = access.hashed("secret", b"0123456789ab")
    assert kept.startswith("$7$101$MDEyMzQ1Njc4OWFi$") and len(kept) == 112
    assert access.matches("secret", kept) and not access.matches("Secret", kept)
    assert access.hashed("secret") != access.hashed("secret"), "salted"
    with pytest.raises(ValueError, match="form '6'"):
        access.matches("secret", "$6$1$a$b")


@pytest.mark.skipif(MOSQUITTO_PASSWD is None, reason="mosquitto_passwd is not installed")
def test_its_own_tool_writes_what_we_can_read(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    assert MOSQUITTO_PASSWD is not None
    subprocess.run([MOSQUITTO_PASSWD, "-b", "-c", path, "h1/kiosk-1", "pässword"], check=True, capture_output=True)
    user, _, kept = path.read_text().strip().partition(":")
    assert user == "h1/kiosk-1" and access.matches("pässword", kept) and not access.matches("password", kept)


def test_only_who_has_a_password_stands_in_the_file() -> None:
    register = access.Register()
    for user in ("h1/a", "h1/b", "core"):
        register = access.added(register, user, f"of {user}", 1)
    register = access.revoked(register, "h1/a", 2)
    lines = dict(line.split(":") for line in access.password_file(register).splitlines())
    assert list(lines) == ["core", "h1/b"] and access.matches("of h1/b", lines["h1/b"])
    assert access.parse(access.document(register)) == register
    assert access.matches("anew", access.added(register, "h1/a", "anew", 3).users["h1/a"].hash)
    assert register.users["h1/a"] == access.Credential("", 2, revoked=True), "not even the hash is kept"
    with pytest.raises(KeyError):
        access.revoked(register, "h1/c", 3)


@pytest.mark.parametrize("user", ["h1", "h1/", "/a", "h1/a/b", "h1/+", "#/a", "h1/a:b", "h1/a\n", "_h/a", "h1/_a", ""])
def test_what_is_no_hall_and_device_is_no_user(user: str) -> None:
    assert not access.is_user(user)
    text = access.document(access.Register(1, {user: access.Credential("", 0)}))
    with pytest.raises(ValueError, match="no hall/device"):
        access.parse(text)


# A real broker, with these files.


@dataclass
class Peer:
    """One user of the broker: what it hears, and whether it is connected."""

    port: int
    user: str
    password: str
    tls: ssl.SSLContext | None = None
    again: bool = False  # whether it comes back by itself, which takes it a second
    heard: SimpleQueue[tuple[str, bytes]] = field(default_factory=SimpleQueue)
    events: SimpleQueue[str] = field(default_factory=SimpleQueue)

    def __enter__(self) -> "Peer":
        version = CallbackAPIVersion.VERSION2
        self.client = client = paho.Client(version, client_id="", reconnect_on_failure=self.again)
        client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        client.on_connect = lambda _c, _u, _f, reason, _p: self.events.put(str(reason))
        client.on_disconnect = lambda *_: self.events.put("gone")
        client.on_subscribe = lambda *_: self.events.put("subscribed")
        if self.user:
            client.username_pw_set(self.user, self.password)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        client.connect(LOOPBACK, self.port)
        client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def listen(self, *topics: str) -> "Peer":
        assert self.events.get(timeout=PATIENCE_S) == "Success"
        for topic in topics:
            self.client.subscribe(topic, 1)
            assert self.events.get(timeout=PATIENCE_S) == "subscribed"
        return self

    def say(self, topic: str, payload: bytes = b"x") -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    def all_heard(self, until: bytes) -> list[str]:
        """Topics heard before a message of our own that is known to come."""
        found: list[str] = []
        while True:
            topic, payload = self.heard.get(timeout=PATIENCE_S)
            if payload == until:
                return found
            found.append(topic)


def conf(directory: Path, port: int, *more: str) -> Path:
    """The shipped rules of access, on a free port."""
    lines = [f"user {getpass.getuser()}", "per_listener_settings false", f"listener {port} {LOOPBACK}"]
    lines += ["allow_anonymous false", f"acl_file {directory}/broker.acl", "use_username_as_clientid true", *more]
    path = directory / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


USERS = ("core", "h1/a", "h1/b", "h2/a")


@dataclass
class Guarded:
    """mosquitto with the files that `jiaohao` writes; `pid` so that it can be told to read them again."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes]"
    register: access.Register

    def peer(self, user: str, password: str = "") -> Peer:
        return Peer(self.port, user, password or f"of {user}")

    def rewrite(self, register: access.Register) -> None:
        self.register = register
        write(self.directory, register)
        self.process.send_signal(signal.SIGHUP)


def write(directory: Path, register: access.Register) -> None:
    for name, text in (("passwd", access.password_file(register)), ("acl", access.acl_file())):
        path = directory / f"broker.{name}"
        path.write_text(text)
        path.chmod(0o600)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    register = access.Register()
    for user in USERS:
        register = access.added(register, user, f"of {user}", 1)
    write(directory, register)
    port = free_port()
    process = run_mosquitto(conf(directory, port, f"password_file {directory}/broker.passwd"))
    try:
        wait_for_port(process, port)
        yield Guarded(directory, port, process, register)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.broker
@pytest.mark.parametrize(
    ("user", "password"),
    [("", ""), ("core", "x"), ("h1/a", "of h1/b"), ("h1/z", "of h1/z"), ("h1/a/", "of h1/a"), ("H1/a", "of h1/a")],
)
def test_nobody_gets_in_without_a_password(guarded: Guarded, user: str, password: str) -> None:
    with Peer(guarded.port, user, password) as peer:
        assert peer.events.get(timeout=PATIENCE_S) == "Not authorized"


@pytest.mark.broker
def test_a_device_is_heard_on_its_own_two_topics_alone(guarded: Guarded) -> None:
    """Every leaf of every device, and what is not of the tree. The dispatcher hears what may be heard of it."""
    topics = [f"jh/v1/{user}/{leaf}" for user, leaf in product(USERS[1:], LEAVES)]
    strange = [
        "jh/v1/h1/a",
        "jh/v1/h1/a/event/x",
        "jh/v2/h1/a/event",
        "jh/v1/_core/_link/event",
        "x",
        "jh/v1/h1/a/other",
    ]
    with guarded.peer("core") as core, guarded.peer("h1/a") as device:
        core.listen("jh/v1/+/+/event", "jh/v1/+/+/state")
        device.listen()
        for topic in (*topics, *strange):
            device.say(topic)
        device.say("jh/v1/h1/a/event", b"last")
        assert core.all_heard(b"last") == ["jh/v1/h1/a/event", "jh/v1/h1/a/state"]


@pytest.mark.broker
def test_a_device_hears_its_own_three_topics_alone(guarded: Guarded) -> None:
    """It subscribes to everything; the dispatcher says everything that it may say, and others say theirs."""
    with guarded.peer("core") as core, guarded.peer("h1/a") as device, guarded.peer("h1/b") as other:
        core.listen()
        other.listen()
        device.listen("#", "jh/v1/#", "jh/v1/h1/+/ack", "jh/v1/h1/b/screen", "jh/v1/+/+/event", "jh/v1/h1/a/ack")
        for user, leaf in product(("h1/b", "h2/a", "h1/a"), OWN_READS):
            core.say(f"jh/v1/{user}/{leaf}")
        core.say("jh/v1/_core/_link/event")
        for leaf in OWN_WRITES:
            other.say(f"jh/v1/h1/b/{leaf}")
        core.say("jh/v1/h1/a/ack", b"last")
        assert set(device.all_heard(b"last")) == {f"jh/v1/h1/a/{leaf}" for leaf in OWN_READS}


@pytest.mark.broker
def test_the_dispatcher_says_what_it_has_to_and_no_event_of_a_device(guarded: Guarded) -> None:
    with guarded.peer("core") as core, guarded.peer("h1/a") as device:
        device.listen(*(f"jh/v1/h1/a/{leaf}" for leaf in LEAVES))
        core.listen("jh/v1/+/+/event", "jh/v1/+/+/state", "#")
        for leaf in (*OWN_WRITES, *OWN_READS):
            core.say(f"jh/v1/h1/a/{leaf}", leaf.encode())
        core.say("jh/v1/_core/_link/event", b"last")
        assert core.all_heard(b"last") == [], "not even its own"
        device.say("jh/v1/h1/a/state", b"end")
        assert {device.heard.get(timeout=PATIENCE_S)[1] for _ in OWN_READS} == {leaf.encode() for leaf in OWN_READS}


@pytest.mark.broker
def test_a_will_is_no_way_around_the_rules(guarded: Guarded) -> None:
    with guarded.peer("core") as core:
        core.listen("jh/v1/+/+/state")
        for whose in ("h1/b", "h1/a"):
            client = paho.Client(CallbackAPIVersion.VERSION2, client_id="")
            client.username_pw_set("h1/a", "of h1/a")
            client.will_set(f"jh/v1/{whose}/state", whose.encode(), qos=1)
            client.connect(LOOPBACK, guarded.port)
            deadline = time.monotonic() + PATIENCE_S
            while not client.is_connected() and time.monotonic() < deadline:
                client.loop(0.05)
            client.socket().close()  # type: ignore[union-attr]  # the cable is pulled
        assert core.heard.get(timeout=PATIENCE_S) == ("jh/v1/h1/a/state", b"h1/a")
        with pytest.raises(Empty):
            core.heard.get(timeout=QUIET_S)


@pytest.mark.broker
def test_who_borrows_a_client_id_throws_nobody_off(guarded: Guarded) -> None:
    """The username is the client id; a second h1/a is the same device and takes over, an h1/b never."""
    with guarded.peer("h1/a") as device, guarded.peer("h1/b") as thief:
        device.listen("jh/v1/h1/a/ack")
        thief.client.disconnect()
        thief.client._client_id = b"h1/a"
        thief.client.reconnect()
        with guarded.peer("core") as core:
            core.listen().say("jh/v1/h1/a/ack", b"still there")
        assert device.heard.get(timeout=PATIENCE_S)[1] == b"still there" and device.events.empty()


@pytest.mark.broker
def test_who_is_revoked_is_hung_up_on_and_does_not_come_back(guarded: Guarded) -> None:
    with Peer(guarded.port, "h2/a", "of h2/a", again=True) as device, guarded.peer("h1/a") as other:
        device.listen()
        other.listen()
        before = guarded.register
        guarded.rewrite(access.revoked(before, "h2/a", 2))
        try:
            assert device.events.get(timeout=PATIENCE_S) == "gone"
            assert device.events.get(timeout=PATIENCE_S) == "Not authorized"
            assert other.events.empty(), "the others notice nothing"
        finally:
            guarded.rewrite(before)


# Certificates of clients instead of passwords.


def certificates(directory: Path) -> None:
    """A CA, the broker's certificate, and one for each device with CN = hall/device, by the openssl command alone."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=hall ca")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, subject in (("server", "/CN=broker"), ("a", "/CN=h1\\/a"), ("core", "/CN=core")):
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        extra = ("-extfile", "san") if name == "server" else ()
        signs = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signs, *extra)


@pytest.mark.broker
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_client_certificate_is_a_name_as_good_as_a_password(tmp_path: Path) -> None:
    certificates(tmp_path)
    write(tmp_path, access.Register())
    port = free_port()
    tls = ["cafile ca.crt", "certfile server.crt", "keyfile server.key", "tls_version tlsv1.2"]
    tls = [line.replace(" ", f" {tmp_path}/", 1) if "file" in line else line for line in tls]
    process = run_mosquitto(conf(tmp_path, port, *tls, "require_certificate true", "use_identity_as_username true"))

    def context(name: str) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        if name:
            made.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        return made

    def peer(name: str, **more: Any) -> Peer:
        return Peer(port, "", "", tls=context(name), **more)

    try:
        wait_for_port(process, port)
        with peer("a") as device, peer("core") as core:
            device.listen("#", "jh/v1/h1/a/ack")
            core.listen("jh/v1/+/+/event")
            device.say("jh/v1/h1/b/event")
            device.say("jh/v1/h1/a/event", b"last")
            assert core.all_heard(b"last") == [], "named by the certificate, held to its own topics"
            core.say("jh/v1/h1/b/ack")
            core.say("jh/v1/h1/a/ack", b"last")
            assert device.all_heard(b"last") == []
        with pytest.raises((ssl.SSLError, ConnectionError)), peer("") as stranger:
            assert stranger.events.get(timeout=PATIENCE_S) == "gone"
            raise ConnectionError("hung up on")
    finally:
        process.terminate()
        process.wait(10)
