"""workers/link.py and outbox.py on real brokers, with devices that speak 3.1.1."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest

from devices.topics import DROPPED
from tests.brokers import RunningBroker
from tests.scripted import ObservedLink, play, running, take, until
from workers.connection import TakenOver
from workers.link_states import State
from workers.outbox import MqttOutbox
from workers.ports import Input, Outgoing

EVENTS = "jh/v1/h1/k1/event"


def a_link(broker: RunningBroker, **settings: Any) -> ObservedLink:
    return ObservedLink(broker.url, receive_max=broker.receive_max, backoff_s=0.05, **settings)


@asynccontextmanager
async def a_device(broker: RunningBroker, *topics: str, **more: Any) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311, **more) as device:
        for topic in topics:
            await device.subscribe(topic, qos=1)
        yield device


def payloads(batches: Sequence[Sequence[Input]]) -> list[int]:
    return [int(one.payload) for batch in batches for one in batch if one.topic == EVENTS]


async def send(device: aiomqtt.Client, numbers: range) -> None:
    for one in numbers:
        await device.publish(EVENTS, b"%d" % one, qos=1)


def test_every_event_comes_once_in_order_through_many_batches(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker, batch_max=50)
        async with running(link), a_device(broker) as device:
            await until(lambda: link.lives)
            sending = asyncio.create_task(send(device, range(1000)))
            got: list[int] = []
            async for batch in link.batches():
                assert len(batch) <= 50
                got += payloads([batch])
                await link.settle(batch)
                if len(got) == 1000:
                    break
            await sending
            assert got == list(range(1000)) and link.stats.protocol_errors == 0 and link.stats.sessions == 1

    play(scenario)


def test_what_was_not_settled_comes_again_in_order_and_what_was_does_not(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker, batch_max=10)
        async with running(link), a_device(broker) as device:
            await until(lambda: link.lives)
            await send(device, range(30))
            batches = await take(link, 30)
            await link.settle(batches[0])
            await asyncio.sleep(0)  # one write a turn
            link._flush()
            assert link.publish("jh/v1/h1/k1/ack", b"", False, None)
            await until(lambda: not link._flights)  # confirmed after what was settled: the broker knows all of it
            assert link._transport is not None
            link._transport.close()
            await until(lambda: len(link.lives) == 2)
            assert link.lives[1] is True, "the session was kept"
            await send(device, range(30, 35))
            again = await take(link, 35 - len(batches[0]))
            assert payloads(again) == list(range(len(batches[0]), 35))
            for batch in (*batches[1:], *again):  # the old ones acknowledge nothing
                await link.settle(batch)
            await send(device, range(35, 36))
            assert payloads(await take(link, 1)) == [35]
            assert link.stats.protocol_errors == 0 and len(link.lives) == 2, "iotcore hangs up on a PUBACK out of turn"

    play(scenario)


def test_a_full_inbox_leaves_the_rest_with_the_broker(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker, inbox_max=20)
        async with running(link), a_device(broker) as device:
            await until(lambda: link.lives)
            await send(device, range(300))
            await until(lambda: link.state is State.PAUSED)
            got: list[int] = []
            async for batch in link.batches():
                got += payloads([batch])
                await link.settle(batch)
                if len(got) == 300:
                    break
            assert got == list(range(300)) and link.stats.paused_s > 0

    play(scenario)


def test_a_restarted_broker_is_found_again_and_keeps_what_it_can(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker)
        async with running(link):
            async with a_device(broker) as device:
                await until(lambda: link.lives)
                await send(device, range(5))
                unsettled = await take(link, 5)
            assert link.publish("jh/v1/h1/k1/screen", b"before", True, None)
            await until(lambda: not link._flights)
            broker.stop()
            await until(lambda: link.downs)
            assert not link.publish("jh/v1/h1/k1/ack", b"", False, None)
            broker.start()
            await until(lambda: len(link.lives) == 2)
            kept = broker.kind == "mosquitto"
            assert link.lives[1] is kept and link.stats.session_lost == (not kept)
            if kept:
                assert payloads(await take(link, 5)) == payloads(unsettled)
            async with a_device(broker) as device:
                await send(device, range(5, 6))
                assert payloads(await take(link, 1)) == [5]

    play(scenario)


def test_the_elder_of_two_dispatchers_with_one_client_id_ends(mosquitto_broker: RunningBroker) -> None:
    """Versions before 2.0.15 only hang up: the elder comes back and finds the probe of the younger."""

    async def scenario() -> None:
        elder = a_link(mosquitto_broker)
        async with running(elder) as task:
            await until(lambda: elder._probed)
            await asyncio.sleep(0.002)  # a birth has the millisecond
            younger = a_link(mosquitto_broker)
            async with running(younger):
                with pytest.raises(TakenOver):
                    await task
                await until(lambda: younger.state is State.LIVE and younger._probed)

    play(scenario)


def test_dispatchers_with_client_ids_of_their_own_live_side_by_side(broker: RunningBroker) -> None:
    """Each has other halls; the elder hears the probes of the younger, and both stay."""

    async def scenario() -> None:
        elder = a_link(broker, client_id="jiaohao-1", halls=("h1",), probe_s=0.05)
        async with running(elder), reading(elder):
            await until(lambda: elder._probed)
            await asyncio.sleep(0.002)  # a birth has the millisecond
            younger = a_link(broker, client_id="jiaohao-2", halls=("h2",), probe_s=0.05)
            async with running(younger), reading(younger):
                await until(lambda: younger._probed)
                sent = younger.stats.messages_out, elder.stats.messages_out
                await until(lambda: younger.stats.messages_out > sent[0] + 3 and elder.stats.messages_out > sent[1] + 3)
                assert (elder.state, younger.state) == (State.LIVE, State.LIVE) and not elder.downs + younger.downs

    play(scenario)


@asynccontextmanager
async def reading(link: ObservedLink) -> AsyncIterator[None]:
    """Whatever comes is settled."""

    async def settle() -> None:
        async for batch in link.batches():
            await link.settle(batch)

    reader = asyncio.create_task(settle())
    try:
        yield
    finally:
        reader.cancel()
        await asyncio.wait([reader])


def test_a_new_process_is_not_taken_for_another(broker: RunningBroker) -> None:
    async def scenario() -> None:
        for _ in range(3):
            link = a_link(broker, probe_s=0.02)
            async with running(link):
                await until(lambda link=link: link._probed)
                before = link._heard
                await anext_or_heard(link, before)
                link._transport.abort()
                await until(lambda link=link: len(link.lives) == 2)
                await anext_or_heard(link, link._heard)
            assert not any("another" in one for one in link.downs)

    play(scenario)


async def anext_or_heard(link: ObservedLink, before: float) -> None:
    """A probe came back; the reader must run, for it is acknowledged in its turn."""
    reader = asyncio.ensure_future(anext(aiter(link.batches())))
    await until(lambda: link._heard > before)
    reader.cancel()
    await asyncio.wait([reader])


def test_retained_states_and_wills_arrive(broker: RunningBroker) -> None:
    async def scenario() -> None:
        states = {f"jh/v1/h1/d{one}/state" for one in range(80)}  # iotcore retains more, and delivers 100
        async with a_device(broker) as device:
            for topic in states:
                await device.publish(topic, b'{"state":"ready"}', qos=1, retain=True)
        link = a_link(broker)
        async with running(link):
            batches = await settled(link, 80)
            assert {one.topic for batch in batches for one in batch if one.retain} == states
            will = aiomqtt.Will("jh/v1/h1/d7/state", b'{"state":"lost"}', qos=1, retain=True)
            device = aiomqtt.Client("127.0.0.1", broker.port, identifier="d7", will=will)
            await device.__aenter__()
            device._client.socket().shutdown(2)  # type: ignore[union-attr]  # the cable is pulled
            (batch,) = await settled(link, 1)
            assert batch[0][:2] == ("jh/v1/h1/d7/state", b'{"state":"lost"}')
            with pytest.raises(aiomqtt.MqttError):
                await device._disconnected

    play(scenario)


async def settled(link: ObservedLink, count: int) -> list[Sequence[Input]]:
    batches: list[Sequence[Input]] = []
    async for batch in link.batches():
        batches.append(batch)
        await link.settle(batch)
        if sum(map(len, batches)) >= count:
            break
    return batches


def test_outbox_reaches_devices_in_order_and_the_last_screen_stays(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker)
        outbox = MqttOutbox(link, screen_gap_s=0.001)
        async with running(link), a_device(broker, "jh/v1/h1/k1/ack", "jh/v1/h1/k1/command") as device:
            await until(lambda: link.lives)
            for n in range(1, 601):
                await outbox.emit(
                    [
                        Outgoing("jh/v1/h1/k1/ack", b"%d" % n),
                        Outgoing("jh/v1/h1/k1/command", b"%d" % n, False, "h1", n),
                        Outgoing("jh/v1/h1/k1/screen", b"%d" % n, True),
                    ]
                )
            got: dict[str, list[int]] = {"ack": [], "command": []}
            async for message in device.messages:
                got[str(message.topic).rpartition("/")[2]].append(int(message.payload))
                if len(got["ack"]) + len(got["command"]) == 1200:
                    break
            assert got == {"ack": list(range(1, 601)), "command": list(range(1, 601))}
            assert await outbox.flush(10) and outbox.marks() == {"h1": 600}
            async with a_device(broker, "jh/v1/h1/k1/screen") as late:
                message = await anext(aiter(late.messages))
                assert message.retain and message.payload == b"600"
        outbox.close()

    play(scenario)


def test_a_full_outbox_and_a_full_inbox_do_not_wait_for_each_other(broker: RunningBroker) -> None:
    """iotcore sends no PUBACK while 100 of its own messages lack theirs and more wait."""

    async def scenario() -> None:
        link = a_link(broker, inbox_max=200, batch_max=20)
        outbox = MqttOutbox(link, queue_max=30)
        async with running(link), a_device(broker) as device:
            await until(lambda: link.lives)
            link.hold(True)
            await send(device, range(600))
            link.hold(False)
            got: list[int] = []
            async for batch in link.batches():
                got += payloads([batch])
                await link.settle(batch)
                await outbox.emit([Outgoing("jh/v1/h1/k1/ack", one.payload) for one in batch for _ in range(20)])
                if len(got) == 600:
                    break
            assert await outbox.flush(15) and outbox.stats.published["ack"] == 12_000

    play(scenario)


def test_publishes_survive_lost_connections_and_arrive_at_least_once(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker)
        outbox = MqttOutbox(link)
        async with running(link), a_device(broker, "jh/v1/h1/k1/command") as device:
            await until(lambda: link.lives)
            for n in range(1, 401):
                await outbox.emit([Outgoing("jh/v1/h1/k1/command", b"%d" % n, False, "h1", n)])
                if n % 100 == 0:
                    await asyncio.sleep(0)
                    assert link._transport is not None
                    link._transport.abort()
                    await until(lambda lives=1 + n // 100: len(link.lives) == lives)
            assert await outbox.flush(10) and outbox.marks() == {"h1": 400}
            got: list[int] = []
            async for message in device.messages:
                got.append(int(message.payload))
                if set(got) == set(range(1, 401)):
                    break
            first_seen = list(dict.fromkeys(got))
            assert first_seen == sorted(first_seen), "first sight in order, whatever came twice"

    play(scenario)


def test_drain_leaves_what_was_not_taken_to_the_next_process(broker: RunningBroker) -> None:
    async def scenario() -> None:
        link = a_link(broker)
        async with a_device(broker) as device:
            task = asyncio.create_task(link.run())
            await until(lambda: link.lives)
            await send(device, range(3))
            batches = await take(link, 3)
            draining = asyncio.create_task(link.drain(5))
            await until(lambda: link.state is State.DRAINING)
            await send(device, range(3, 6))
            for batch in batches:
                await link.settle(batch)
            async for batch in link.batches():
                raise AssertionError(batch)
            await draining
            await task
            following = a_link(broker)
            async with running(following):
                assert payloads(await take(following, 3)) == [3, 4, 5]
                await until(lambda: following.lives)
                assert following.lives == [True]

    play(scenario)


def test_what_mosquitto_drops_is_told(mosquitto_broker: RunningBroker) -> None:
    """It says so at once, and again each ten seconds."""

    async def scenario() -> None:
        link = a_link(mosquitto_broker, dropped_topic=DROPPED)
        link.stats.broker_dropped = -1
        async with running(link), a_device(mosquitto_broker) as device:
            await until(lambda: link.lives)
            await until(lambda: link.stats.broker_dropped >= 0)
            await send(device, range(3))
            got = await take(link, 3)
            assert payloads(got) == [0, 1, 2] and link.stats.protocol_errors == 0

    play(scenario)
