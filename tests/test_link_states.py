"""workers/link_states.py: every arrow of the table is walked; what it does not name ends in 0x82."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import mqtt5
import pytest

from tests.scripted import ObservedLink, Peer, ScriptedBroker, play, running, until
from workers.connection import TakenOver
from workers.link_states import CONNECTED, TABLE, Event, State

ARROWS = [(state, event) for state, row in TABLE.items() for event in row]
TAKEN_OVER = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER)
BUSY = mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.SERVER_BUSY)


def a_publish(packet_id: int = 7) -> mqtt5.PublishPacket:
    return mqtt5.PublishPacket("jh/v1/h1/k1/event", b"{}", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id)


class Scene:
    """A link brought to a state, and the means to let any event happen."""

    def __init__(self, broker: ScriptedBroker, link: ObservedLink) -> None:
        self.broker = broker
        self.link = link
        self.peer: Peer | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, what: Any) -> None:
        self.tasks.append(asyncio.create_task(what))

    async def reach(self, state: State) -> None:
        """The shortest way there, which itself walks arrows."""
        if state is State.IDLE:
            return
        self.spawn(self.link.run())
        self.peer = await self.broker.accept()
        if state is State.DIALING:
            return  # TLS is wanted and never comes
        if state is State.BACKOFF:
            await self.peer.close()
        if state in (State.SUBSCRIBING, State.LIVE, State.PAUSED, State.DRAINING):
            await self.peer.connack()
        if state in (State.LIVE, State.PAUSED, State.DRAINING):
            await self.peer.suback()
            await until(lambda: self.link.state is State.LIVE)
        if state is State.PAUSED:
            self.link.hold(True)
        if state is State.DRAINING:
            self.peer.send(a_publish(5))
            await until(lambda: self.link.stats.messages_in)
            self.spawn(self.link.drain(9))
        await until(lambda: self.link.state is state)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        for task in self.tasks:
            if not task.cancelled():
                assert isinstance(task.exception(), TakenOver | None), task
        await until(lambda: self.link._transport is None)


async def send(scene: Scene, *packets: Any) -> None:
    assert scene.peer is not None
    scene.peer.send(*packets)


async def start(scene: Scene) -> None:
    scene.spawn(scene.link.run())


async def nothing_more(scene: Scene) -> None:
    """Time alone does it: the settings of the scene are short."""


async def lose(scene: Scene) -> None:
    assert scene.peer is not None
    await scene.peer.close()


async def up(scene: Scene) -> None:
    """TLS in front of a plain broker would never come up: this arrow is seen on the way to HANDSHAKE."""


async def refuse(scene: Scene) -> None:
    if scene.link.state is State.HANDSHAKE:
        return await send(scene, BUSY)
    assert scene.peer is not None
    subscribe = await scene.peer.expect(mqtt5.SubscribePacket)
    await send(scene, mqtt5.SubAckPacket(subscribe.packet_id, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED] * 2))


async def grant(scene: Scene) -> None:
    assert scene.peer is not None
    await scene.peer.suback()


async def puback(scene: Scene) -> None:
    await send(scene, mqtt5.PubAckPacket(1))


async def high(scene: Scene) -> None:
    scene.link.hold(True)


async def low(scene: Scene) -> None:
    scene.link.hold(False)


async def stop(scene: Scene) -> None:
    scene.spawn(scene.link.drain(0.05))


async def drained(scene: Scene) -> None:
    async for batch in scene.link.batches():
        await scene.link.settle(batch)
    await send(scene, mqtt5.PubAckPacket(1))  # of the probe


async def unheld(scene: Scene, packet: Any) -> None:
    """A paused link does not read: what it would say is fed in by hand."""
    scene.link.data_received(packet.write())


DO: dict[Event, Callable[[Scene], Awaitable[None]]] = {
    Event.START: start,
    Event.TIMER: nothing_more,
    Event.UP: up,
    Event.LATE: nothing_more,
    Event.LOST: lose,
    Event.CONNACK: lambda scene: send(scene, mqtt5.ConnAckPacket()),
    Event.REFUSED: refuse,
    Event.SUBACK: grant,
    Event.PUBLISH: lambda scene: send(scene, a_publish()),
    Event.PUBACK: puback,
    Event.PONG: lambda scene: send(scene, mqtt5.PingRespPacket()),
    Event.SILENT: nothing_more,
    Event.HIGH: high,
    Event.LOW: low,
    Event.TAKEN_OVER: lambda scene: send(scene, TAKEN_OVER),
    Event.STOP: stop,
    Event.DRAINED: drained,
}
FED_BY_HAND = {
    Event.PUBLISH: a_publish(),
    Event.PUBACK: mqtt5.PubAckPacket(1),
    Event.PONG: mqtt5.PingRespPacket(),
    Event.TAKEN_OVER: TAKEN_OVER,
}


def settings_for(state: State, event: Event) -> dict[str, Any]:
    """Long times for all but the one that is meant."""
    short: dict[str, Any] = {"step_s": 5.0, "pong_s": 10.0, "backoff_s": 60.0, "backoff_max_s": 60.0, "share": 1.0}
    if event is Event.LATE:
        short["step_s"] = 0.3
    if event is Event.SILENT:
        short["pong_s"] = 0.3
    if event is Event.TIMER:
        short["backoff_s"] = 0.05
    return short


@pytest.mark.parametrize(("state", "event"), ARROWS, ids=lambda one: one.name)
def test_every_arrow_of_the_table_is_walked(state: State, event: Event) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            tls = state is State.DIALING and event is not Event.UP
            scheme = "mqtts" if tls else "mqtt"
            link = ObservedLink(f"{scheme}://127.0.0.1:{broker.port}", **settings_for(state, event))
            scene = Scene(broker, link)
            if event is Event.UP:
                scene.spawn(link.run())
            else:
                await scene.reach(state)
                if state is State.PAUSED and event in FED_BY_HAND:
                    await unheld(scene, FED_BY_HAND[event])
                elif state is State.PAUSED and event is Event.LOST:
                    link._transport.abort()  # type: ignore[union-attr]  # not reading, we only notice when we write
                else:
                    await DO[event](scene)
            if event is Event.PUBLISH and state is not State.DRAINING:
                await until(lambda: link.stats.messages_in)  # publishes do not ask the table one by one
                assert link.state is TABLE[state][event]
            else:
                await until(lambda: (state, event, TABLE[state][event]) in link.seen)
            await scene.end()

    play(scenario)


UNASKED = {
    "connack": mqtt5.ConnAckPacket(),
    "publish": a_publish(),
    "puback": mqtt5.PubAckPacket(1),
    "suback": mqtt5.SubAckPacket(60_001, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * 2),
    "pingresp": mqtt5.PingRespPacket(),
    "garbage": b"\x00\x00",
    "pubrel": mqtt5.PubRelPacket(1),
}
NAMED = {
    "connack": Event.CONNACK,
    "publish": Event.PUBLISH,
    "puback": Event.PUBACK,
    "suback": Event.SUBACK,
    "pingresp": Event.PONG,
}
WRONG = [
    (state, name)
    for state, name in itertools.product(CONNECTED, UNASKED)
    if state is not State.PAUSED and NAMED.get(name, Event.GARBAGE) not in TABLE[state]
]


@pytest.mark.parametrize(("state", "name"), WRONG)
def test_what_the_table_does_not_name_is_a_protocol_error(state: State, name: str) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url, share=1.0, backoff_s=60.0, backoff_max_s=60.0)
            scene = Scene(broker, link)
            await scene.reach(state)
            await send(scene, UNASKED[name])
            assert scene.peer is not None
            last = (await scene.peer.until_closed())[-1]
            assert isinstance(last, mqtt5.DisconnectPacket)
            assert last.reason_code == mqtt5.DisconnectReasonCode.PROTOCOL_ERROR
            assert link.state is (State.CLOSED if state is State.DRAINING else State.BACKOFF)
            assert link.stats.protocol_errors == 1
            await scene.end()

    play(scenario)


def test_taken_over_while_it_stops_is_no_failure() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            task = asyncio.create_task(link.run())
            peer = await broker.accept()
            await peer.greet()
            await until(lambda: link.lives)
            draining = asyncio.create_task(link.drain(5))
            await until(lambda: link.state is State.DRAINING)
            peer.send(TAKEN_OVER)
            await until(lambda: link.state is not State.DRAINING)
            await peer.until_closed()
            await draining
            await task
            assert link.state is State.CLOSED

    play(scenario)


def test_a_taken_over_link_ends_with_an_exception() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            link = ObservedLink(broker.url)
            async with running(link) as task:
                peer = await broker.accept()
                await peer.greet()
                await until(lambda: link.lives)
                peer.send(TAKEN_OVER)
                with pytest.raises(TakenOver):
                    await task
            assert link.state is State.FAILED

    play(scenario)
