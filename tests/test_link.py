"""workers/link.py: what is read, acknowledged and published, against a scripted broker."""

import asyncio
from collections.abc import AsyncIterator

import mqtt5
import pytest

from tests.scripted import ObservedLink, Peer, ScriptedBroker, play, running, session, take, until
from workers.inbox import PROBE
from workers.link import Link, subscriptions
from workers.link_states import State
from workers.outbox import MqttOutbox
from workers.ports import Outgoing

MARKER = "jh/v1/h1/k1/ack"


async def nothing_before(link: Link, peer: Peer) -> None:
    """What the link publishes now is the next thing the broker sees: no PUBACK went out before it."""
    assert link.publish(MARKER, b"marker", False, None)
    await peer.expect(mqtt5.PublishPacket, topic=MARKER)


def test_connect_and_subscribe_say_what_the_contract_says() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(f"mqtt://core:s%40cret@127.0.0.1:{broker.port}", client_id="hall-1")
            async with running(link):
                peer = await broker.accept()
                connect = await peer.connack()
                subscribe = await peer.suback()
            assert (connect.client_id, connect.username, connect.password) == ("hall-1", "core", b"s@cret")
            assert (connect.clean_start, connect.session_expiry_interval, connect.keep_alive) == (False, 604_800, 15)
            assert (connect.receive_max, connect.max_packet_size) == (1000, None)
            assert [one.pattern for one in subscribe.topic_filters] == ["jh/v1/+/+/event", "jh/v1/+/+/state"]
            assert {int(one.max_qos) for one in subscribe.topic_filters} == {1}
            assert {int(one.retain_handling) for one in subscribe.topic_filters} == {0}

    play(scenario)


def test_a_list_of_halls_is_subscribed_hall_by_hall_and_the_probe_beside_it() -> None:
    assert [one.pattern for one in subscriptions(["h1", "h2"])] == [
        *("jh/v1/h1/+/event", "jh/v1/h1/+/state", "jh/v1/h2/+/event", "jh/v1/h2/+/state"),
        PROBE,
    ]


def test_many_halls_are_subscribed_in_several_packets() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, halls=tuple(f"h{one}" for one in range(250)))
            async with running(link):
                peer = await broker.accept()
                await peer.connack()
                patterns = [len((await peer.suback()).topic_filters) for _ in range(2)]
                assert link.state is State.SUBSCRIBING
                patterns.append(len((await peer.suback()).topic_filters))
                await until(lambda: link.lives)
            assert patterns == [200, 200, 101]

    play(scenario)


def test_a_lower_qos_than_asked_is_a_refusal() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            async with running(link):
                peer = await broker.accept()
                await peer.connack()
                subscribe = await peer.expect(mqtt5.SubscribePacket)
                zero = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE
                peer.send(mqtt5.SubAckPacket(subscribe.packet_id, [zero, zero]))
                await until(lambda: link.downs)
            assert link.downs[0].startswith("subscription refused") and link.stats.refused == 1

    play(scenario)


def test_puback_waits_for_settle_and_keeps_the_order_of_receipt() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            for packet_id in (11, 3, 7, 900, 4):
                peer.publish(packet_id)
            batches = await take(link, 5)
            await nothing_before(link, peer)
            for batch in batches:
                await link.settle(batch)
            assert await peer.acked(5) == [11, 3, 7, 900, 4]

    play(scenario)


def test_a_later_batch_settled_first_waits_for_the_earlier() -> None:
    async def scenario() -> None:
        async with session(batch_max=2) as (link, peer, _):
            for packet_id in range(1, 7):
                peer.publish(packet_id)
            first, second, third = await take(link, 6)
            await link.settle(second)
            await nothing_before(link, peer)
            await link.settle(first)
            assert await peer.acked(4) == [1, 2, 3, 4]
            await link.settle(third)
            assert await peer.acked(2) == [5, 6]

    play(scenario)


def test_a_token_of_an_older_connection_acknowledges_nothing() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, broker):
            peer.publish(1, payload=b"old")
            (old,) = await take(link, 1)
            await peer.close()
            peer = await broker.accept()
            await peer.greet(session_present=True)
            peer.publish(1, payload=b"another message with the same packet id")
            (new,) = await take(link, 1)
            await link.settle(old)
            await nothing_before(link, peer)
            await link.settle(new)
            assert await peer.acked(1) == [1]

    play(scenario)


def test_what_was_not_handed_out_when_the_connection_broke_comes_once() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, broker):
            peer.publish(1)
            await until(lambda: link.stats.messages_in)
            await peer.close()
            peer = await broker.accept()
            await peer.greet(session_present=True)
            peer.publish(1, duplicate=True)
            (batch,) = await take(link, 1)
            assert [one.payload for one in batch] == [b"1"] and link.stats.redelivered == 1
            await link.settle(batch)
            assert await peer.acked(1) == [1]

    play(scenario)


def test_publishes_before_suback_are_acknowledged_too() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            async with running(link):
                peer = await broker.accept()
                await peer.connack(session_present=True)
                peer.publish(5)
                (batch,) = await take(link, 1)
                await peer.expect(mqtt5.SubscribePacket)
                await link.settle(batch)
                assert await peer.acked(1) == [5]

    play(scenario)


def test_one_read_has_one_stamp_and_keeps_retain_and_topic() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            stamps = iter(range(100, 200))
            link.clock = lambda: next(stamps)
            frames = [
                mqtt5.PublishPacket("jh/v1/h1/k1/event", b"a", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1),
                mqtt5.PublishPacket("jh/v1/h1/k1/state", b"b", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=2, retain=True),
                mqtt5.PublishPacket("jh/v1/h1/k2/event", b"c"),
            ]
            peer.send(*frames)
            (batch,) = await take(link, 3)
            assert len({one.at_ms for one in batch}) == 1
            assert [one[:2] + one[3:] for one in batch] == [(one.topic, one.payload, one.retain) for one in frames]

    play(scenario)


def test_a_packet_in_pieces_is_one_message() -> None:
    async def scenario() -> None:
        async with session(pace_s=0) as (link, peer, _):
            frame = mqtt5.PublishPacket(
                "jh/v1/h1/k1/event", b"x" * 300, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9
            ).write()
            for at in range(0, len(frame), 7):
                before = link.stats.bytes_in
                peer.send(frame[at : at + 7])
                await until(lambda before=before: link.stats.bytes_in > before)
            (batch,) = await take(link, 1)
            assert [one.payload for one in batch] == [b"x" * 300]

    play(scenario)


def test_nudge_yields_an_empty_batch_once() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            batches: AsyncIterator[object] = aiter(link.batches())
            link.nudge()
            empty = await anext(batches)
            assert empty == ()
            await link.settle(())
            peer.publish(1)
            assert len(await anext(batches)) == 1

    play(scenario)


def test_a_full_inbox_stops_reading_and_reads_on_at_half() -> None:
    async def scenario() -> None:
        async with session(inbox_max=10, batch_max=4) as (link, peer, _):
            for packet_id in range(1, 9):
                peer.publish(packet_id)
            await until(lambda: link.state is State.PAUSED)
            assert link._transport is not None and link.stats.paused
            for packet_id in range(9, 13):
                peer.publish(packet_id)
            await asyncio.sleep(0.02)  # twenty times the pace: a resume that does not ask the state would have read
            assert link.stats.messages_in == 8 and not link._transport.is_reading()
            batches = aiter(link.batches())
            await link.settle(await anext(batches))
            await until(lambda: link.stats.messages_in == 12)
            assert link.state is State.PAUSED or link.stats.paused_s > 0
            assert await peer.acked(4) == [1, 2, 3, 4]

    play(scenario)


def test_a_commit_being_retried_stops_reading_and_readiness() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            assert link.ready()
            link.hold(True)
            assert link.state is State.PAUSED and not link.ready()
            link.hold(False)
            assert link.ready()
            peer.publish(1)
            await take(link, 1)

    play(scenario)


def test_a_full_outbox_keeps_a_full_inbox_reading() -> None:
    async def scenario() -> None:
        async with session(inbox_max=10) as (link, peer, _):
            for packet_id in range(1, 9):
                peer.publish(packet_id)
            await until(lambda: link.state is State.PAUSED)
            link.wants_acks(True)
            assert link.state is State.LIVE
            for _ in range(5):
                peer.send(mqtt5.PublishPacket("jh/v1/h1/k1/event", b"qos 0"))
            await until(lambda: link.stats.dropped == 3)
            assert link.stats.messages_in == 10, "QoS 0 above the bound is dropped"
            link.wants_acks(False)
            assert link.state is State.PAUSED

    play(scenario)


def test_pings_go_out_while_paused() -> None:
    async def scenario() -> None:
        async with session(keep_alive_s=1, pong_s=0.4) as (link, peer, _):
            link.hold(True)
            for _ in range(2):
                while not isinstance(await peer.packet(), mqtt5.PingReqPacket):
                    pass
            assert link.state is State.PAUSED

    play(scenario)


@pytest.mark.parametrize("session_present", [True, False])
def test_unacknowledged_publishes_come_again_with_their_id(session_present: bool) -> None:
    async def scenario() -> None:
        async with session() as (link, peer, broker):
            for one in (b"a", b"b", b"c"):
                assert link.publish(MARKER, one, False, one)
            sent = [await peer.expect(mqtt5.PublishPacket) for _ in range(3)]
            peer.send(mqtt5.PubAckPacket(sent[0].packet_id))
            await until(lambda: len(link._flights) == 3)  # b, c and the probe
            await peer.close()
            peer = await broker.accept()
            await peer.greet(session_present)
            again = [await peer.expect(mqtt5.PublishPacket) for _ in range(2)]
            assert [(one.payload, one.packet_id) for one in again] == [(one.payload, one.packet_id) for one in sent[1:]]
            assert {one.duplicate for one in again} == {session_present}
            assert link.lives == [False, session_present] and link.stats.session_lost == (not session_present)

    play(scenario)


def test_no_more_is_in_flight_than_the_server_takes() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            async with running(link):
                peer = await broker.accept()
                await peer.greet(receive_max=3)
                await until(lambda: link.lives)
                assert [link.publish(MARKER, b"", False, None) for _ in range(3)] == [True, True, False]
                packet = await peer.expect(mqtt5.PublishPacket)
                peer.send(mqtt5.PubAckPacket(packet.packet_id))
                await until(lambda: link.publish(MARKER, b"", False, None))
                await peer.close()
                peer = await broker.accept()
                await peer.greet(session_present=True, receive_max=1)
                first = await peer.packet()
                while not isinstance(first, mqtt5.PublishPacket):
                    first = await peer.packet()
                assert not link.publish(MARKER, b"", False, None)
                peer.send(mqtt5.PubAckPacket(first.packet_id))
                assert (await peer.expect(mqtt5.PublishPacket)).duplicate

    play(scenario)


def test_a_broker_that_confirms_slowly_holds_back_who_emits_and_loses_nothing() -> None:
    """One PUBACK at a time: the window bounds what flies, the queue what waits; what comes in is taken meanwhile."""

    async def scenario() -> None:
        async with session(send_max=16) as (link, peer, _):
            outbox, got, most = MqttOutbox(link, queue_max=40), list[int](), [0]

            async def slow_broker() -> None:
                while len(got) < 500:
                    packet = await peer.expect(mqtt5.PublishPacket, topic=MARKER)
                    got.append(int(packet.payload))
                    most[0] = max(most[0], len(link._flights))
                    await asyncio.sleep(0)
                    peer.send(mqtt5.PubAckPacket(packet.packet_id))

            broker = asyncio.create_task(slow_broker())
            for start in range(0, 500, 50):
                await outbox.emit([Outgoing(MARKER, b"%d" % n) for n in range(start, start + 50)])
                assert len(outbox._queue) < 40, "emit has waited"
            await broker
            assert got == list(range(500)) and most[0] <= 16 and await outbox.flush(5)
            peer.publish(1)
            (batch,) = await take(link, 1)
            await link.settle(batch)
            assert await peer.acked(1) == [1] and link.stats.sessions == 1
            outbox.close()

    play(scenario)


def test_drain_settles_acknowledges_and_says_goodbye() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            task = asyncio.create_task(link.run())
            peer = await broker.accept()
            await peer.greet()
            peer.publish(1)
            (batch,) = await take(link, 1)
            draining = asyncio.create_task(link.drain(5))
            await until(lambda: link.state is State.DRAINING)
            peer.publish(2)
            await link.settle(batch)
            assert link.publish(MARKER, b"result", False, None), "the ack of the last commit still goes out"
            assert await peer.acked(1) == [1]
            with pytest.raises(StopAsyncIteration):
                await anext(aiter(link.batches()))
            packet = await peer.expect(mqtt5.PublishPacket)
            await until(link._inbox.finished)
            for _ in range(10):
                await asyncio.sleep(0)
            assert link.state is State.DRAINING, "not before its PUBACK"
            peer.send(mqtt5.PubAckPacket(1), mqtt5.PubAckPacket(packet.packet_id))
            rest = await peer.until_closed()
            assert [type(one) for one in rest] == [mqtt5.DisconnectPacket], "the second publish stays with the broker"
            assert int(rest[0].reason_code) == 0
            await draining
            await task

    play(scenario)


def test_drain_gives_up_in_time() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            peer.publish(1)
            await take(link, 1)
            await link.drain(0.05)
            assert link.state is State.CLOSED and link.stats.last_error.startswith("drain")
            assert not any(isinstance(one, mqtt5.PubAckPacket) for one in await peer.until_closed())

    play(scenario)
