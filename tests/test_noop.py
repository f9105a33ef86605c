"""bench/noop.py: the baseline receives, decodes, acknowledges; the relay also publishes."""

import asyncio

import aiomqtt
import msgspec

from bench.blast import blast, encode, events
from bench.noop import receive
from tests.brokers import RunningBroker
from tests.scripted import play


def test_the_baseline_receives_everything_and_decodes_it(broker: RunningBroker) -> None:
    async def scenario() -> None:
        seqs: list[int] = []
        ready = asyncio.Event()

        def decode(payload: bytes) -> None:
            seqs.append(msgspec.json.decode(payload)["seq"])

        receiving = asyncio.create_task(
            receive(broker.url, 800, decode, receive_max=broker.receive_max, seconds=10, on_ready=ready.set)
        )
        await ready.wait()
        await blast(broker.url, [encode(events(0, 800, halls=1))], unacked=100, seconds=10)
        result = await receiving
        assert (result.received, result.published, result.finished) == (800, 0, True)
        assert seqs == list(range(1, 801)) and result.cpu_us > 0 and result.per_second > 0

    play(scenario)


def test_the_relay_says_two_things_an_event(broker: RunningBroker) -> None:
    async def scenario() -> None:
        ready = asyncio.Event()
        receiving = asyncio.create_task(
            receive(broker.url, 100, relay=True, receive_max=broker.receive_max, seconds=10, on_ready=ready.set)
        )
        await ready.wait()
        async with aiomqtt.Client("127.0.0.1", broker.port) as device:
            await device.subscribe("jh/v1/h0/blast-0/+", qos=1)
            await blast(broker.url, [encode(events(0, 100, halls=1))], unacked=50, seconds=10)
            leaves: list[str] = []
            async for message in device.messages:
                leaves.append(str(message.topic).rpartition("/")[2])
                if len(leaves) == 300:
                    break
            assert leaves.count("ack") == leaves.count("screen") == leaves.count("event") == 100
        result = await receiving
        assert (result.received, result.published, result.finished) == (100, 200, True)

    play(scenario)


def test_time_is_bounded(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        result = await receive(iotcore_broker.url, 5, seconds=0.05)
        assert (result.received, result.finished, result.per_second, result.cpu_us) == (0, False, 0.0, 0.0)

    play(scenario)
