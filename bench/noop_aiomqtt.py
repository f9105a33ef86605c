"""bench/noop_aiomqtt.py: the no-op receiver written with aiomqtt, as context: what another client costs on this load.

`python -m bench.noop_aiomqtt --url URL --count N` says `ready` and one line of JSON, like bench/noop.py.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.noop import Received
from devices import wire
from workers.link_settings import parse_url


async def receive(url: str, count: int, *, receive_max: int = 1000, seconds: float = 60.0) -> Received:
    """Until `count` messages are there, or time is up. The library acknowledges by itself."""
    address, received = parse_url(url), 0
    hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    hello.ReceiveMaximum = receive_max
    first = last = (0.0, 0.0)
    client = aiomqtt.Client(
        address.host, address.port, identifier="noop", protocol=aiomqtt.ProtocolVersion.V5, properties=hello
    )
    async with client:
        await client.subscribe("jh/v1/+/+/event", qos=1)
        print("ready", flush=True)
        try:
            async with asyncio.timeout(seconds):
                async for message in client.messages:
                    wire.decode(bytes(message.payload), "noop")
                    received += 1
                    if received == 1:
                        first = (time.monotonic(), time.process_time())
                    if received >= count:
                        break
        except TimeoutError:
            pass
        last = (time.monotonic(), time.process_time())
    return Received(received, 0, last[0] - first[0], last[1] - first[1], received >= count)


def main(arguments: Sequence[str]) -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.noop_aiomqtt")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--receive-max", type=int, default=1000)
    given = parser.parse_args(arguments)
    found = asyncio.run(receive(given.url, given.count, receive_max=given.receive_max))
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
