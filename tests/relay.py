"""tests/relay.py PORT TARGET: bytes both ways between two ports of this machine, until it is killed. Begins quickly."""

import asyncio
import sys
from contextlib import suppress

LOOPBACK = "127.0.0.1"


async def relay(port: int, target: int) -> None:
    """Bytes both ways, until killed."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(LOOPBACK, target)
        except OSError:
            return writer.close()
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))
        return None

    server = await asyncio.start_server(accept, LOOPBACK, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), int(sys.argv[2])))
