"""workers/connection.py: dialing, backing off, ending."""

import asyncio
import logging
import ssl

import mqtt5
import pytest

from devices.kit_broker import free_port
from tests.scripted import ONCE, ObservedLink, ScriptedBroker, play, running, session, take, until
from workers.link_states import Event, State


def test_delays_double_up_to_the_longest_and_are_drawn_below_it() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, share=0.0, backoff_s=0.2, backoff_max_s=10.0)
            async with running(link):
                for _ in range(8):
                    await (await broker.accept()).close()
                await until(lambda: len(link.delays.asked) >= 8)
            assert link.delays.asked[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]

    play(scenario)


@pytest.mark.parametrize(("steady_s", "longest"), [(0.0, 0.2), (30.0, 0.4)])
def test_a_steady_connection_starts_the_delays_anew(steady_s: float, longest: float) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, share=0.0, backoff_s=0.2, steady_s=steady_s)
            async with running(link):
                await (await broker.accept()).close()
                peer = await broker.accept()
                await peer.greet()
                await until(lambda: link.lives)
                await peer.close()
                await until(lambda: len(link.delays.asked) == 2)
            assert link.delays.asked[1] == longest

    play(scenario)


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD, True),
        (mqtt5.ConnAckReasonCode.NOT_AUTHORIZED, True),
        (mqtt5.ConnAckReasonCode.SERVER_BUSY, False),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_bad_credentials_are_not_hammered_and_are_told(code: mqtt5.ConnAckReasonCode, waits: bool) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, share=0.0, refused_s=0.4)
            async with running(link):
                peer = await broker.accept()
                since = asyncio.get_running_loop().time()
                await peer.connack(reason_code=code)
                await until(lambda: link.downs)
                assert link.stats.last_error == link.downs[0] == f"broker refuses us: {code.name.lower()}"
                await broker.accept()
                assert (asyncio.get_running_loop().time() - since > 0.39) is waits

    play(scenario)


def test_nobody_listening_is_tried_again() -> None:
    async def scenario() -> None:
        link = ObservedLink(f"mqtt://127.0.0.1:{free_port()}")
        async with running(link):
            await until(lambda: len(link.downs) >= 3)
        assert "cannot connect" in link.downs[0]

    play(scenario)


def test_a_plain_server_where_tls_is_wanted_is_an_error_and_no_crash() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(f"mqtts://127.0.0.1:{broker.port}")
            async with running(link):
                peer = await broker.accept()
                peer.send(b"no TLS here")
                await until(lambda: link.downs)
            assert "SSL" in link.downs[0]
            assert link._tls is not None and link._tls.verify_mode is ssl.CERT_REQUIRED

    play(scenario)


def test_stop_while_dialing_does_not_wait_for_the_dial() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(f"mqtts://127.0.0.1:{broker.port}")
            task = asyncio.create_task(link.run())
            await broker.accept()
            await link.drain()
            await asyncio.wait_for(task, 1)
            assert link.state is State.CLOSED

    play(scenario)


def test_drain_before_run_and_twice_is_harmless() -> None:
    async def scenario() -> None:
        link = ObservedLink("mqtt://127.0.0.1:1")
        await link.drain()
        await link.drain()
        await link.run()
        assert link.state is State.CLOSED

    play(scenario)


def test_cancelling_run_ends_the_iteration_and_the_connection() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            async with running(link):
                peer = await broker.accept()
                await peer.greet()
                await until(lambda: link.lives)
                consumer = asyncio.create_task(anext(aiter(link.batches()), "the end"))
                await asyncio.sleep(0)
            assert await consumer == "the end"
            await peer.until_closed()

    play(scenario)


def test_our_own_mistake_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            link.on_live = lambda _: 1 / 0
            task = asyncio.create_task(link.run())
            peer = await broker.accept()
            await peer.greet()
            with pytest.raises(ZeroDivisionError):
                await task

    with caplog.at_level(logging.CRITICAL):
        play(scenario)


def test_a_connection_that_will_not_close_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.connection.POLITE_S", 0.02)

    async def scenario() -> None:
        async with session(share=0.0) as (link, peer, _):
            assert link._transport is not None
            link._transport.write(b"\xc0\x00" * 8_000_000)  # more than the socket takes, and nobody reads
            link._on(Event.TAKEN_OVER)
            await until(lambda: link._transport is None)
            await peer.close()

    play(scenario)


def test_hanging_up_over_unread_bytes_is_no_reset() -> None:
    """A reset can overtake what was written last: PUBACKs of a drain were seen to be lost that way."""

    async def scenario() -> None:
        async with session(share=1.0, backoff_s=60.0, backoff_max_s=60.0) as (link, peer, _):
            link.hold(True)
            for packet_id in range(1, 20):
                peer.publish(packet_id, payload=b"x" * 1000)
            await peer.writer.drain()
            link.data_received(b"\x00\x00")
            assert link.state is State.BACKOFF
            with pytest.raises(EOFError):
                while True:
                    packet = await peer.packet()
            assert isinstance(packet, mqtt5.DisconnectPacket)
            await peer.close()
            await until(lambda: link._transport is None)

    play(scenario)


def test_drain_ends_with_the_reader_though_nothing_else_stirs() -> None:
    async def scenario() -> None:
        async with session() as (link, peer, _):
            peer.send(mqtt5.PubAckPacket(1))  # the probe has landed
            peer.publish(1)
            batch = await anext(aiter(link.batches()))
            await until(lambda: not link._flights)
            draining = asyncio.create_task(link.drain(9))
            await until(lambda: link.state is State.DRAINING)
            await link.settle(batch)
            for _ in range(5):
                await asyncio.sleep(0)
            assert link.state is State.DRAINING, "the last effects may not be emitted yet"
            assert await anext(aiter(link.batches()), None) is None
            async with asyncio.timeout(1):
                await draining
            await peer.until_closed()

    play(scenario)


def test_half_a_packet_of_a_connection_that_broke_is_no_beginning_of_the_next() -> None:
    async def scenario() -> None:
        async with session(pace_s=0, step_s=1.0) as (link, peer, broker):
            before = link.stats.bytes_in
            peer.send(mqtt5.PublishPacket("jh/v1/h1/k1/event", b"x" * 99, qos=ONCE, packet_id=9).write()[:50])
            await until(lambda: link.stats.bytes_in == before + 50)
            await peer.close()
            peer = await broker.accept()
            await peer.greet(True)
            peer.publish(7)
            (batch,) = await take(link, 1)
            assert [one.payload for one in batch] == [b"7"] and link.stats.protocol_errors == 0

    play(scenario, 5)


def test_the_broker_s_patience_counts_where_it_says_one() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, keep_alive_s=60)
            async with running(link):
                peer = await broker.accept()
                await peer.greet(server_keep_alive=5)
                await until(lambda: link.lives)
                assert link._timers["ping"].when() - asyncio.get_running_loop().time() < 5

    play(scenario)


def test_after_a_pause_the_answer_to_a_ping_may_lie_unread_for_a_while() -> None:
    async def scenario() -> None:
        async with session() as (link, _, _):
            first = link._timers["pong"].when()
            link.hold(True)
            await asyncio.sleep(0.002)
            link.hold(False)
            assert link._timers["pong"].when() > first

    play(scenario)


def test_drain_waits_for_what_the_sender_has_not_yet_sent() -> None:
    class Sends:
        left = 1

        def published(self, token: object, refusal: str) -> None:
            self.left = 0

        def room(self) -> None:
            """It takes its time."""

        def pending(self) -> int:
            return self.left

    async def scenario() -> None:
        async with session() as (link, peer, _):
            peer.send(mqtt5.PubAckPacket(1))  # the probe's
            link.attach(Sends())
            await until(lambda: not link._flights)
            draining = asyncio.create_task(link.drain(5))
            with pytest.raises(StopAsyncIteration):
                await anext(aiter(link.batches()))
            for _ in range(10):
                await asyncio.sleep(0)
            assert link.state is State.DRAINING and link.publish("jh/v1/h1/k1/ack", b"last", False, None)
            peer.send(mqtt5.PubAckPacket((await peer.expect(mqtt5.PublishPacket)).packet_id))
            await peer.until_closed()
            await draining
            assert not link.stats.last_error

    play(scenario)
