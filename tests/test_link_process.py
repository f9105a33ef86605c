"""The link in a whole process: brokers that refuse, forget, or hold ten thousand states; a second dispatcher."""

import asyncio
import json
import signal
import time
from pathlib import Path

import aiomqtt
import mqtt5
import msgspec
import pytest

from bench.rush import hall_policy
from core.policy import DevicePart, Policy
from tests.brokers import RunningBroker
from tests.crowds import blocking
from tests.processes import Served
from tests.scripted import Peer, ScriptedBroker, play

SCREENS = {f"jh/v1/h1/{name}/screen" for name in ("kiosk", "board", "caller-1", "screen-1", "ev-1")}


def serve(broker: RunningBroker, place: Path, *policies: Policy) -> Served:
    settings = {"broker__receive_maximum": broker.receive_max}
    return Served(place, policies or [hall_policy("h1")], broker.url, **settings)


def test_a_refused_subscription_is_said_and_tried_again_until_it_is_granted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            with Served(tmp_path, [hall_policy("h1")], broker.url) as served:
                peer = await broker.accept()
                await peer.connack()
                subscribe = await peer.expect(mqtt5.SubscribePacket)
                refused = [mqtt5.SubAckReasonCode.NOT_AUTHORIZED] * len(subscribe.topic_filters)
                peer.send(mqtt5.SubAckPacket(subscribe.packet_id, refused))
                why = (await blocking(served.wait_for, "link.down"))["why"]
                assert "subscription refused" in why
                served.url = (await blocking(served.wait_for, "web.listening"))["url"]
                status, checks = await blocking(served.get, "/readyz")
                assert status == 503 and json.loads(checks)["broker"] in (0, False)
                await peer.close()
                peer = await broker.accept()
                await peer.greet()
                await blocking(served.wait_for, "link.connected")
                served.kill()

    play(scenario)


@pytest.mark.slow
@pytest.mark.broker
def test_the_elder_of_two_dispatchers_with_one_client_id_ends_and_says_so(
    mosquitto_broker: RunningBroker, tmp_path: Path
) -> None:
    """Each over a journal of its own: the lock of the data directory does not keep them apart. iotcore is embedded: its
    one dispatcher is its parent."""
    broker = mosquitto_broker
    with serve(broker, tmp_path / "elder") as elder:
        elder.up()
        elder.until(lambda found: found["jiaohao_link_connected"] == 1)
        time.sleep(0.05)  # the probe of the elder is retained; a birth has the millisecond
        with serve(broker, tmp_path / "younger") as younger:
            younger.up()
            assert elder.ended() == 5, elder.text
            assert "another dispatcher has connected" in elder.text
            younger.until(lambda found: found["jiaohao_link_connected"] == 1)
            assert younger.terminate() == 0


def test_a_broker_that_lost_its_memory_has_every_picture_again(broker: RunningBroker, tmp_path: Path) -> None:
    """And every device is asked to say its birth and what lies in its outbox."""

    async def scenario() -> None:
        with serve(broker, tmp_path / "served") as served:
            await blocking(served.up)
            await blocking(broker.stop)
            await blocking(served.wait_for, "link.down")
            served.process.send_signal(signal.SIGSTOP)  # what it asks is not retained: who comes later never hears it
            for kept in broker.directory.glob("mosquitto.db"):
                kept.unlink()
            await blocking(broker.start)
            client = aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311)
            async with client, asyncio.timeout(15):
                await client.subscribe("jh/v1/h1/+/screen", qos=1)
                await client.subscribe("jh/v1/h1/kiosk/command", qos=1)
                served.process.send_signal(signal.SIGCONT)
                missing, synced = set(SCREENS), False
                async for message in client.messages:
                    missing.discard(str(message.topic))
                    if str(message.topic).endswith("command"):
                        assert isinstance(message.payload, bytes)
                        synced = json.loads(message.payload)["body"]["type"] == "device.sync"
                    if not missing and synced:
                        break
            assert await blocking(served.terminate) == 0

    asyncio.run(scenario())


STATES, HALLS = 10_000, 20


def crowded(at: int) -> Policy:
    whole = hall_policy(f"h{at}", counters=12)
    more = [DevicePart(id=f"p-{one}", kind="peripheral") for one in range(STATES // HALLS)]
    return msgspec.structs.replace(whole, devices=(*whole.devices, *more))


async def retain(port: int, states: int) -> None:
    """As many births as there are devices, retained and acknowledged, fifty at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer, once = Peer(reader, writer), mqtt5.QoS.AT_LEAST_ONCE
    peer.send(mqtt5.ConnectPacket("crowd", keep_alive=60))
    assert isinstance(await peer.packet(), mqtt5.ConnAckPacket)
    birth = b'{"state":"ready","boot":"birth","link":1}'
    for start in range(0, states, 50):
        for at in range(start, start + 50):
            topic = f"jh/v1/h{at % HALLS}/p-{at // HALLS}/state"
            peer.send(mqtt5.PublishPacket(topic, birth, qos=once, packet_id=at - start + 1, retain=True))
        for _ in range(50):
            assert isinstance(await peer.packet(), mqtt5.PubAckPacket)
    await peer.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_ten_thousand_retained_states_at_connect(broker: RunningBroker, tmp_path: Path) -> None:
    """mosquitto hands out all of them. iotcore hands out a hundred; the others are asked to say their birth again, as
    after every start. Either way the connection lives, and an event among them is answered."""
    number = STATES if broker.kind == "mosquitto" else 100
    online = 'jiaohao_devices{hall="all",kind="peripheral",state="online"}'

    async def scenario() -> None:
        with serve(broker, tmp_path / "served", *map(crowded, range(HALLS))) as first:  # the halls learn their devices
            await blocking(first.up)
            await blocking(first.until, lambda found: found['jiaohao_facts_total{kind="PolicyChanged"}'] == HALLS)
            assert await blocking(first.terminate) == 0
        await retain(broker.port_v5, STATES)
        with serve(broker, tmp_path / "served", *map(crowded, range(HALLS))) as served:
            await blocking(served.up)
            client = aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311)
            async with client, asyncio.timeout(60):
                await client.subscribe("jh/v1/h3/kiosk/ack", qos=1)
                body = {"type": "ticket.take", "service": "s2"}
                await client.publish(
                    "jh/v1/h3/kiosk/event", json.dumps({"boot": "among", "seq": 1, "body": body}), qos=1
                )
                answer = await anext(aiter(client.messages))
                assert b'"ok"' in bytes(answer.payload)  # type: ignore[arg-type]  # bytes, as was sent
            found = await blocking(served.until, lambda found: found[online] >= number, 90.0)
            assert found[online] == number or broker.kind == "iotcore"
            assert found["jiaohao_link_sessions_total"] == 1 and not served.logged("link.down")
            assert found['jiaohao_wire_rejected_total{reason="identity"}'] == 0
            assert await blocking(served.terminate) == 0
        if broker.kind == "mosquitto":
            with serve(broker, tmp_path / "served", *map(crowded, range(HALLS))) as served:
                await blocking(served.up)
                total = 'jiaohao_link_messages_total{direction="in"}'
                found = await blocking(served.until, lambda found: found[total] >= STATES, 90.0)
                assert found['jiaohao_facts_total{kind="DeviceOnline"}'] == 0, "known already: no fact"
                assert await blocking(served.terminate) == 0

    asyncio.run(scenario())
