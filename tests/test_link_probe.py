"""workers/link.py: the probe it sends to itself: readiness, and a second dispatcher with the same client id."""

import asyncio
import itertools

import mqtt5
import pytest

from tests.scripted import Peer, play, session, take, until
from workers.inbox import PROBE
from workers.link import Link
from workers.link_states import State

MARKER = "jh/v1/h1/k1/ack"


async def nothing_before(link: Link, peer: Peer) -> None:
    """What the link publishes now is the next thing the broker sees: no PUBACK went out before it."""
    assert link.publish(MARKER, b"marker", False, None)
    await peer.expect(mqtt5.PublishPacket, topic=MARKER)


def test_the_probe_is_acknowledged_in_its_turn_and_shown_to_nobody() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            peer.publish(1, PROBE)
            peer.publish(2)
            peer.publish(3, PROBE)
            (batch,) = await take(link, 1)
            assert [one.payload for one in batch] == [b"2"]
            await nothing_before(link, peer)
            await link.settle(batch)
            assert await peer.acked(3) == [1, 2, 3]
            peer.publish(4, PROBE)
            waiting = asyncio.ensure_future(anext(aiter(link.batches())))
            assert await peer.acked(1) == [4]
            link.nudge()
            assert list(await waiting) == []

    play(scenario)


def test_a_broker_that_delivers_nothing_is_not_ready() -> None:
    async def scenario() -> None:
        async with session(deaf_s=0.05, probe_s=0.02) as (link, peer, _):
            await until(lambda: not link.ready())
            for packet_id in itertools.count(1):  # again and again: readiness may be over before we look
                heard = link._heard
                peer.publish(packet_id, PROBE)
                await until(lambda heard=heard: link._heard > heard)
                if link.ready():
                    break

    play(scenario)


def test_a_forbidden_publish_is_not_ready_and_told() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, broker):
            told: list[tuple[object, str]] = []
            link._sender.published = lambda token, refusal: told.append((token, refusal))
            link.publish(MARKER, b"", False, "token")
            packet = await peer.expect(mqtt5.PublishPacket)
            peer.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED))
            await until(lambda: told)
            assert told == [("token", "not_authorized")] and not link.ready() and link.stats.puback_failures == 1
            await peer.close()
            await (await broker.accept()).greet()
            await until(lambda: len(link.lives) == 2)
            assert link.ready(), "a broker that was set right is believed"

    play(scenario)


def test_the_probe_is_retained_and_carries_the_birth_of_the_process() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            packet = await peer.packet()
            while not isinstance(packet, mqtt5.PublishPacket):
                packet = await peer.packet()
            assert (packet.topic, packet.payload, packet.retain) == (PROBE, link._birth, True)

    play(scenario)


@pytest.mark.parametrize("birth", ["younger", "elder", "own", "younger of another client id"])
@pytest.mark.parametrize("known", [True, False])
def test_only_a_younger_birth_after_ours_was_retained_is_a_takeover(
    birth: str, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Before our own is retained, what is there may be of the process before us, started under a wrong clock."""

    async def scenario() -> None:
        async with session(share=0.0) as (link, peer, _):
            if known:
                peer.send(mqtt5.PubAckPacket(1))
                await until(lambda: link._probed)
            whose = link.settings.client_id.encode()
            births = {"younger": b"9" * 32 + whose, "elder": b"0" * 32 + whose, "own": link._birth}
            births["younger of another client id"] = b"9" * 32 + b"jiaohao-2"
            once = mqtt5.QoS.AT_LEAST_ONCE
            peer.send(
                mqtt5.PublishPacket(PROBE, births[birth], qos=once, packet_id=1, retain=True),
                mqtt5.PublishPacket("jh/v1/h1/k1/event", b"{}", qos=once, packet_id=2),
                mqtt5.PingRespPacket(),  # in the same read: nothing of it is looked at any more
            )
            await until(lambda: link.state is State.FAILED or link.stats.messages_in)
            assert (link.state is State.FAILED) is (known and birth == "younger")
            assert not caplog.records, "asyncio logs what data_received raises"

    play(scenario)
