"""A device's life on the wire: births, deaths and health by retained state and last will, on real brokers.

Row by row: what comes, in which state the metrics then show it, and how many facts it was worth.
"""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bench.rush import hall_policy
from tests.brokers import RunningBroker
from tests.processes import Served
from workers.web.access import new_token

TOPIC = "jh/v1/h1/kiosk"
OPTIONS = {"journal__snapshot_every": 10}


class Life:
    """One kiosk under test, and the hall that watches it."""

    def __init__(self, broker: RunningBroker) -> None:
        self.broker = broker
        self.token, entry = new_token("operator", ("h1",))
        tokens = broker.directory / "tokens.toml"
        tokens.write_text(entry)
        tokens.chmod(0o600)
        self.tokens = tokens
        self.served = self.start()
        self.client: aiomqtt.Client | None = None
        self.seq = 0

    def start(self) -> Served:
        settings = {"broker__receive_maximum": self.broker.receive_max, "web__tokens_file": self.tokens, **OPTIONS}
        return Served(Path(self.broker.directory), [hall_policy("h1")], self.broker.url, **settings).up()

    # What the device does.

    async def connect(self, boot: str, link: int) -> None:
        will = aiomqtt.Will(f"{TOPIC}/state", self.state("lost", boot, link), qos=1, retain=True)
        self.client = aiomqtt.Client(
            "127.0.0.1", self.broker.port, protocol=aiomqtt.ProtocolVersion.V311, will=will, identifier=f"{boot}-{link}"
        )
        await self.client.__aenter__()
        await self.client.subscribe(f"{TOPIC}/ack", qos=1)

    def state(self, state: str, boot: str, link: int, *faults: str) -> bytes:
        return json.dumps({"state": state, "boot": boot, "link": link, "fw": "2.1", "faults": faults}).encode()

    async def say(self, state: str, boot: str, link: int, *faults: str) -> None:
        assert self.client is not None
        await self.client.publish(f"{TOPIC}/state", self.state(state, boot, link, *faults), qos=1, retain=True)

    async def pull_the_cable(self) -> None:
        assert self.client is not None
        client, self.client = self.client, None
        client._client.socket().shutdown(2)  # type: ignore[union-attr]  # it is connected
        with suppress(aiomqtt.MqttError):
            await client._disconnected
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)

    async def take(self) -> str:
        """What a take is answered."""
        assert self.client is not None
        self.seq += 1
        event = {"boot": "take", "seq": self.seq, "body": {"type": "ticket.take", "service": "s1"}}
        await self.client.publish(f"{TOPIC}/event", json.dumps(event), qos=1)
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            (result,) = json.loads(message.payload)["results"]
            return str(result.get("refused", "ok"))
        raise AssertionError

    # What an operator does.

    def decide(self, what: str) -> str:
        self.seq += 1
        body = {"boot": "oper", "seq": self.seq, "body": {"type": f"device.{what}", "device": "kiosk"}}
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"oper:{self.seq}",
        }
        url = f"{self.served.url}/api/v1/devices?hall=h1"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
            return str(json.load(answer)["result"]["ok"]["type"])

    # What is seen.

    async def seen(self, state: str, facts: float = 0) -> dict[str, float]:
        """The metrics as soon as the kiosk is in this state, and at least so many facts are durable."""
        name = f'jiaohao_devices{{hall="h1",kind="kiosk",state="{state}"}}'
        holds = lambda found: found[name] == 1 and of_devices(found) >= facts  # noqa: E731 - named by its one use
        return await asyncio.to_thread(self.served.until, holds)


STALE = 'jiaohao_wire_unusual_total{reason="stale_will"}'


def of_devices(found: dict[str, float]) -> float:
    """Facts about devices so far."""
    return sum(value for name, value in found.items() if name.startswith('jiaohao_facts_total{kind="Device'))


async def reconnect(life: Life, boot: str, link: int) -> None:
    if life.client is not None:
        await life.client.__aexit__(None, None, None)
    await life.connect(boot, link)


Act = Callable[[Life], Awaitable[Any]]
ROWS: list[tuple[str, Act, str, int]] = [
    ("a connection alone is no birth", lambda life: reconnect(life, "b1", 1), "registered", 0),
    ("birth", lambda life: life.say("ready", "b1", 1), "online", 1),
    ("the same birth again", lambda life: life.say("ready", "b1", 1), "online", 0),
    ("faults", lambda life: life.say("degraded", "b1", 1, "paper_low", "lamp"), "degraded", 1),
    ("fewer faults", lambda life: life.say("degraded", "b1", 1, "lamp"), "degraded", 1),
    ("no fault", lambda life: life.say("ready", "b1", 1), "online", 1),
    ("degraded, and it does not say by what", lambda life: life.say("degraded", "b1", 1), "degraded", 1),
    ("the cable is pulled: the will", lambda life: life.pull_the_cable(), "offline", 1),
    ("a connection after it", lambda life: reconnect(life, "b1", 2), "offline", 0),
    ("birth of the second link", lambda life: life.say("ready", "b1", 2), "online", 1),
    ("a will of the first link", lambda life: life.say("lost", "b1", 1), "online", 0),
    ("a new boot", lambda life: life.say("ready", "b2", 1), "online", 1),
    ("an end in order", lambda life: life.say("closed", "b2", 1), "offline", 1),
    ("the end again", lambda life: life.say("closed", "b2", 1), "offline", 0),
    ("back with faults", lambda life: life.say("degraded", "b2", 2, "paper_out"), "degraded", 1),
    ("lost while degraded", lambda life: life.say("lost", "b2", 2), "offline", 1),
    ("back again", lambda life: life.say("ready", "b2", 3), "online", 1),
    ("quarantined by a person", lambda life: asyncio.to_thread(life.decide, "quarantine"), "quarantined", 1),
    ("a birth in quarantine", lambda life: life.say("ready", "b2", 4), "quarantined", 0),
    ("a will in quarantine", lambda life: life.say("lost", "b2", 4), "quarantined", 0),
    ("readmitted", lambda life: asyncio.to_thread(life.decide, "readmit"), "offline", 1),
    ("and born", lambda life: life.say("ready", "b2", 5), "online", 1),
]


@pytest.fixture
def life(broker: RunningBroker) -> Iterator[Life]:
    one = Life(broker)
    with one.served:
        yield one
    if one.served.process.poll() is None:
        one.served.kill()


def test_the_life_of_a_device_row_by_row(life: Life) -> None:
    async def scenario() -> None:
        faults = 'jiaohao_device_faults_total{hall="h1",kind="kiosk"}'
        for name, act, state, facts in ROWS:
            before = await asyncio.to_thread(life.served.metrics)
            await act(life)
            if not facts and "connection" not in name:  # a take is answered after what came before it
                refused = "device_quarantined" if state == "quarantined" else "ok"
                assert await life.take() == refused, name
            after = await life.seen(state, of_devices(before) + facts)
            assert of_devices(after) - of_devices(before) == facts, name
            assert after['jiaohao_hall_devices_offline{hall="h1"}'] == (state == "offline"), name
            new = {"faults": 2, "degraded, and it does not say by what": 1, "back with faults": 1}.get(name, 0)
            assert after[faults] - before[faults] == new, name
            stale = after[STALE] - before[STALE]
            assert stale == (name == "a will of the first link"), name
        assert after['jiaohao_device_restarts_total{hall="h1",kind="kiosk"}'] == 1, "one new boot"
        await life.pull_the_cable()  # the will of a life long gone
        await asyncio.to_thread(life.served.until, lambda found: found[STALE] == 2)
        await life.seen("online")

    asyncio.run(scenario())


@pytest.mark.slow
def test_who_died_while_nobody_watched_is_offline_when_the_dispatcher_is_back(life: Life) -> None:
    """Retained states come again at every start; what is known already leaves no fact."""

    async def scenario() -> None:
        await life.connect("b1", 1)
        await life.say("ready", "b1", 1)
        await life.seen("online")
        assert await asyncio.to_thread(life.served.terminate) == 0
        life.served = await asyncio.to_thread(life.start)
        assert await life.take() == "ok"
        found = await life.seen("online")
        assert found['jiaohao_facts_total{kind="DeviceOnline"}'] == 0, "the birth was known"
        assert await asyncio.to_thread(life.served.terminate) == 0
        await life.pull_the_cable()
        life.served = await asyncio.to_thread(life.start)
        await life.seen("offline")

    asyncio.run(scenario())
