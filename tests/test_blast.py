"""bench/blast.py: every frame is sent and acknowledged, in order, within the window, at its time."""

import asyncio

import mqtt5
import pytest

from bench.blast import Lane, blast, encode, events
from tests.brokers import RunningBroker
from tests.scripted import ScriptedBroker, play


def test_all_frames_arrive_and_are_counted(broker: RunningBroker) -> None:
    async def scenario() -> None:
        lanes = [encode(events(lane, 500, halls=3)) for lane in range(4)]
        result = await blast(broker.url, lanes, unacked=50, seconds=10)
        assert (result.sent, result.acked, result.refused, result.finished) == (2000, 2000, 0, True)
        assert result.per_second > 0 and result.late_ms_p99 == 0.0

    play(scenario)


def test_at_a_rate_messages_have_their_time_and_lateness_is_told(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        lanes = [encode(events(lane, 50, halls=1)) for lane in range(2)]
        result = await blast(iotcore_broker.url, lanes, seconds=10, rate=500)
        assert result.finished and result.seconds >= 0.19 and result.late_ms_p99 >= result.late_ms_p50 > 0

    play(scenario)


def test_the_window_holds_and_the_time_is_bounded() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            running = asyncio.create_task(blast(broker.url, [encode(events(0, 30, halls=1))], unacked=7, seconds=0.2))
            peer = await broker.accept()
            await peer.expect(mqtt5.ConnectPacket)
            peer.send(mqtt5.ConnAckPacket())
            for packet_id in range(1, 8):
                await peer.expect(mqtt5.PublishPacket, packet_id=packet_id)
            peer.send(mqtt5.PubAckPacket(1))
            result = await running
            assert (result.sent, result.acked, result.finished) == (8, 1, False)

    play(scenario)


def test_events_are_of_the_wire_and_of_the_size() -> None:
    topic, payload = events(2, 3, halls=2)[2]
    assert topic == "jh/v1/h0/blast-2/event" and len(payload) == 200 and b'"seq":2,' in payload


@pytest.mark.parametrize("unacked", [65_535, 70_000])
def test_a_window_beyond_the_packet_ids_is_refused(unacked: int) -> None:
    with pytest.raises(AssertionError, match="packet ids"):
        Lane("x", [], unacked)
