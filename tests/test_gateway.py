"""devices/gateway.py over pseudo-terminals: recorded bytes, a broker, and a hall; cables pulled, power cut."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import commands as c
from core.policy import DevicePart
from devices import frames, gateway, keys
from devices.client import NODELAY, Device
from devices.flight import Timing
from devices.frames import Frame, encode
from devices.gateway import Gateway
from devices.outbox import SqliteOutbox
from tests.brokers import RunningBroker
from tests.halls import POLICY
from tests.processes import ROOT, Served

QUICK = Timing(resend_s=1.0, keep_s=1.0, backoff_s=0.05, backoff_max_s=0.2, connect_s=2.0)
CALL = Frame(3, frames.KEYPAD, bytes([keys.CALL]))
RATING = Frame(5, frames.EVALUATOR, b"\x00")


class Bus:
    """The far end of a serial line. `unplug` takes the port away, `plug` brings it back under the same name."""

    def __init__(self, path: Path) -> None:
        self.path, self.master = path, -1
        self.reader = frames.Reader()
        self.found: list[Frame] = []
        self.plug()

    def plug(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(self.master)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)
        os.set_blocking(self.master, False)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self.master)
        self.master = -1

    def press(self, *sent: Frame | bytes) -> None:
        for one in sent:
            os.write(self.master, encode(one) if isinstance(one, Frame) else one)

    async def hears(self, *wanted: Frame) -> None:
        """So many frames, in any order among other displays; the rest stays to be heard."""
        missing = list(wanted)
        async with asyncio.timeout(10):
            while True:
                missing = [one for one in missing if not self._take(one)]
                if not missing:
                    return
                await asyncio.sleep(0.005)
                try:
                    self.found += self.reader.feed(os.read(self.master, 4096), 0)
                except (BlockingIOError, OSError):
                    continue

    def _take(self, frame: Frame) -> bool:
        if frame not in self.found:
            return False
        self.found.remove(frame)
        return True


def plan(directory: Path, port: int, poll_ms: int = 0) -> gateway.Plan:
    text = f"""
url = "mqtt://127.0.0.1:{port}"
hall = "h1"
state = "{directory}/state"
[[ports]]
path = "{directory}/ttyUSB0"
poll_ms = {poll_ms}
devices = [
  {{ addr = 3, device = "caller-1", transfer_to = ["tax"] }},
  {{ addr = 5, device = "ev-2", kind = "evaluator" }},
]
"""
    return gateway.parse(text)


class Wire:
    """What the hall would see of the devices, and says to them."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client

    async def next(self, device: str, leaf: str) -> Any:
        async with asyncio.timeout(10):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                if str(message.topic) == f"jh/v1/h1/{device}/{leaf}":
                    return json.loads(message.payload or b"{}")

    async def state(self, device: str, state: str) -> Any:
        while (found := await self.next(device, "state"))["state"] != state:
            pass
        return found

    async def say(self, device: str, leaf: str, body: Any) -> None:
        await self.client.publish(f"jh/v1/h1/{device}/{leaf}", json.dumps(body), qos=1)

    async def answer(self, device: str, event: Any, **result: Any) -> None:
        results = [{"seq": event["seq"], **(result or {"ok": {"type": "done"}})}]
        await self.say(device, "ack", {"boot": event["boot"], "now_ms": 1, "results": results})


@asynccontextmanager
async def watching(broker: RunningBroker, *topics: str) -> AsyncIterator[Wire]:
    async with aiomqtt.Client("127.0.0.1", broker.port, socket_options=(NODELAY,)) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        yield Wire(client)


Scenario = Callable[[Bus, Wire, Gateway], Awaitable[None]]


def play(broker: RunningBroker, directory: Path, scenario: Scenario, poll_ms: int = 0) -> None:
    """A gateway in this process, its devices ready, a scripted hall."""

    async def run() -> None:
        bus = Bus(directory / "ttyUSB0")
        async with (
            asyncio.timeout(30),
            watching(broker, "jh/v1/h1/+/event", "jh/v1/h1/+/state") as wire_,
            Gateway(plan(directory, broker.port, poll_ms), QUICK) as running,
        ):
            await wire_.state("caller-1", "ready")
            await scenario(bus, wire_, running)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = [", "Invalid value"),
        ('url = "u"', "hall"),
        ("[[ports]]\npath='p'\nbaud=9601\ndevices=[]", "9601"),
        ("[[ports]]\npath='p'\ndevices=[{addr=3,device='a'},{addr=3,device='b'}]", "an address stands twice"),
        ("[[ports]]\npath='p'\ndevices=[{addr=3,device='a'},{addr=4,device='a'}]", "device 'a' stands twice"),
        ("[[ports]]\npath='p'\ndevices=[{addr=256,device='a'}]", "255"),
        ("[[ports]]\npath='p'\ncolour='red'\ndevices=[]", "colour"),
        ("[[ports]]\npath='p'\ndevices=[{addr=3,device='a b'}]", "regex"),
    ],
)
def test_a_plan_that_is_wrong_says_where(text: str, what: str) -> None:
    head = "" if "url" in text or "x =" in text else 'url="mqtt://b"\nhall="h1"\nstate="s"\n'
    with pytest.raises(ValueError, match=what):
        gateway.parse(head + text)


def test_each_address_has_its_own_name_and_password(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("p@ss/word\n")
    given_ = plan(tmp_path, 1883)
    address = msgspec.structs.replace(given_.ports[0].devices[0], password_file=str(tmp_path / "pass"))
    assert gateway.url_of(given_, address) == "mqtt://h1%2Fcaller-1:p%40ss%2Fword@127.0.0.1:1883"
    assert gateway.url_of(given_, given_.ports[0].devices[1]) == "mqtt://127.0.0.1:1883"


@pytest.mark.broker
def test_an_old_keypad_and_an_old_key_box_work_a_hall(mosquitto_broker: RunningBroker, tmp_path: Path) -> None:
    """Call, serve, finish, rate, against the real process: displays, beeps and echoes as the old host gave them."""
    always = msgspec.structs.replace(POLICY.calendar, week=(1, 2, 3, 4, 5, 6, 7), periods=("00:00-24:00",))
    parts = [part for part in POLICY.devices if part.id not in ("ev-1", "ev-2", "caller-2")]
    parts += [DevicePart(id="console-1", kind="caller", counter=1)]
    parts += [DevicePart(id="ev-2", kind="evaluator", profile="keys4", counter=1)]
    hall = msgspec.structs.replace(POLICY.hall, cutover="00:00")
    policy = msgspec.structs.replace(POLICY, calendar=always, hall=hall, devices=tuple(parts))

    async def work() -> None:
        bus, url = Bus(tmp_path / "ttyUSB0"), f"mqtt://127.0.0.1:{mosquitto_broker.port}"
        async with (
            asyncio.timeout(30),
            watching(mosquitto_broker, "jh/v1/h1/+/ack", "jh/v1/h1/+/state") as wire_,
            Device(url, hall="h1", device="kiosk-1") as kiosk,
            Device(url, hall="h1", device="console-1") as console,
            Gateway(plan(tmp_path, mosquitto_broker.port), QUICK),
        ):
            await wire_.state("caller-1", "ready")
            await kiosk.send(c.TakeTicket(service="si"))
            bus.press(CALL)
            await bus.hears(CALL, frames.beep(3), frames.beep(3))  # nobody has signed on
            await console.send(c.SignOnStaff(staff="s001"))
            await asyncio.sleep(0.3)
            bus.press(CALL)
            await bus.hears(CALL, frames.show(3, "A001"))
            finish = Frame(3, frames.KEYPAD, bytes([keys.FINISH]))
            bus.press(frames.show(3, "A001"), finish)
            await bus.hears(finish, frames.show(3, ""))
            bus.press(RATING)
            await bus.hears(frames.echo(RATING))
            assert (await wire_.next("ev-2", "ack"))["results"] == [{"seq": 1, "ok": {"type": "done"}}]

    with Served(tmp_path, [policy], mosquitto_broker.url) as served:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
        asyncio.run(work())
        assert served.terminate() == 0


def test_only_whole_and_right_frames_are_echoed_and_sent(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        whole = encode(CALL)
        wrong = whole[:-2] + b"\x11\x16"
        bus.press(b"\x00\xff\x68\x03", wrong, Frame(9, 1, bytes([keys.CALL])))
        await asyncio.sleep(0.15)
        bus.press(whole[:6])
        await asyncio.sleep(0.05)
        bus.press(whole[6:])
        await bus.hears(CALL)
        event = await wire_.next("caller-1", "event")
        assert event["seq"] == 1 and event["body"]["type"] == "ticket.call_next"
        line = running.lines[0]
        assert (line.counts.pressed, line.counts.strangers, line.reader.bad.sum) == (1, 1, 1) and not bus.found
        await wire_.answer("caller-1", event, refused="nothing_eligible")
        await bus.hears(frames.beep(3), frames.beep(3))

    play(iotcore_broker, tmp_path, scenario)


@pytest.mark.parametrize("name", ["iotcore_broker", pytest.param("mosquitto_broker", marks=pytest.mark.broker)])
def test_a_port_that_is_unplugged_takes_its_devices_away_and_brings_them_back(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was pressed before is still answered; then `lost`, and after the plug the same boot goes on."""
    monkeypatch.setattr(gateway, "REOPEN_S", 0.05)

    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        bus.press(CALL, RATING)
        await bus.hears(CALL)
        first = await wire_.next("caller-1", "event")
        bus.unplug()
        await wire_.answer("caller-1", first)
        await wire_.answer("ev-2", await wire_.next("ev-2", "event"))
        will = await wire_.state("caller-1", "lost")
        assert (will["boot"], will["link"]) == (first["boot"], 1)
        bus.plug()
        birth = await wire_.state("caller-1", "ready")
        assert (birth["boot"], birth["link"]) == (first["boot"], 2)
        bus.press(CALL)
        await bus.hears(CALL)
        second = await wire_.next("caller-1", "event")
        assert (second["boot"], second["seq"]) == (first["boot"], 2)
        assert running.lines[0].counts.opened == 2

    play(request.getfixturevalue(name), tmp_path, scenario)


def test_an_address_that_echoes_nothing_is_degraded_and_the_other_is_not(
    iotcore_broker: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.bus.ECHO_S", 0.05)

    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        body = {"type": "caller", "counter": 1, "number": "A012", "status": "calling", "waiting": 0, "held": 0}
        await wire_.say("caller-1", "screen", {"epoch": 1, "revision": 1, "sent_ms": 1, "body": body})
        await bus.hears(*[frames.show(3, "A012")] * 3)
        assert (await wire_.state("caller-1", "degraded"))["faults"] == ["silent"]
        bus.press(CALL)  # it is there after all
        assert (await wire_.state("caller-1", "ready"))["faults"] == []
        await bus.hears(CALL, frames.show(3, "A012"))

    play(iotcore_broker, tmp_path, scenario)


def test_an_order_to_beep_beeps(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario(bus: Bus, wire_: Wire, running: Gateway) -> None:
        order = {"id": 1, "sent_ms": 1, "until_ms": 2**50, "body": {"type": "caller.beep", "times": 2}}
        await wire_.say("caller-1", "command", order)
        await bus.hears(frames.beep(3), frames.beep(3))

    play(iotcore_broker, tmp_path, scenario)


def test_what_was_echoed_survives_a_power_cut(tmp_path: Path) -> None:
    """No broker, a press, its echo, SIGKILL. The outbox has it, once; a press without an echo was not promised."""
    bus = Bus(tmp_path / "ttyUSB0")
    (tmp_path / "gateway.toml").write_text(
        f'url="mqtt://127.0.0.1:1"\nhall="h1"\nstate="{tmp_path}/state"\n'
        f'ports=[{{path="{tmp_path}/ttyUSB0",devices=[{{addr=3,device="caller-1"}}]}}]\n'
    )
    process = subprocess.Popen([sys.executable, "-m", "devices.gateway", tmp_path / "gateway.toml"], cwd=ROOT)

    async def press() -> None:
        for _ in range(200):  # until the port is open, nobody hears
            bus.press(CALL)
            try:
                await asyncio.wait_for(bus.hears(CALL), 0.1)
            except TimeoutError:
                continue
            return
        pytest.fail("it never echoed")

    try:
        asyncio.run(press())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    outbox = SqliteOutbox(tmp_path / "state" / "caller-1.db")
    assert outbox.entries() and all(b"ticket.call_next" in entry.body for entry in outbox.entries())
    outbox.close()


def test_it_ends_politely_and_refuses_a_plan_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("x = 1\n")
    done = subprocess.run([sys.executable, "-m", "devices.gateway", path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 3
    path.write_text(f'url="mqtt://127.0.0.1:1"\nhall="h1"\nstate="{tmp_path}/state"\nports=[]\n')
    process = subprocess.Popen([sys.executable, "-m", "devices.gateway", path], cwd=ROOT)
    while not (tmp_path / "state").exists():
        assert process.poll() is None
    process.terminate()
    assert process.wait(10) in (0, -signal.SIGTERM)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=10))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_on_the_line_end_it(tmp_path: Path, pieces: list[bytes]) -> None:
    """A line without a port: whatever comes, frames for strangers are counted, nothing is raised."""

    async def feed() -> None:
        line = gateway.Line(plan(tmp_path, 1), plan(tmp_path, 1).ports[0], QUICK)
        for piece in pieces:
            line._on_bytes(piece)
        line._expire()
        line._say(CALL)
        assert line.counts.unsaid == 1

    asyncio.run(feed())
