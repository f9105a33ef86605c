"""devices/gate.py: what stands between a device under test and the broker: a cable that can be pulled and cut."""

import asyncio
import contextlib
import re
from typing import Final

from devices.client import NODELAY

LOOPBACK: Final = "127.0.0.1"
CHUNK: Final = 65_536
_CONNECT: Final = re.compile(rb"\x00\x04MQTT(.)", re.DOTALL)


class Gate:
    """What stands between the device and the broker: a cable that can be pulled. `levels`: MQTT versions spoken."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._shut = False
        self.levels: list[int] = []
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listening when it returns. OSError: the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        for one in (writer, back):
            one.get_extra_info("socket").setsockopt(*NODELAY)
        try:
            await asyncio.gather(self._pump(reader, back, True), self._pump(there, writer, False))
        finally:
            self._open -= {writer, back}
            for one in (writer, back):
                one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, first: bool) -> None:
        with contextlib.suppress(OSError):
            while found := await source.read(CHUNK):
                greeting = _CONNECT.search(found) if first else None
                if greeting is not None:
                    self.levels.append(greeting[1][0])
                first = False
                sink.write(found)
                await sink.drain()
        sink.transport.abort()

    def cut(self) -> None:
        """The cable is pulled and put back: no DISCONNECT reaches the broker."""
        for writer in list(self._open):
            writer.transport.abort()

    def shut(self, shut: bool) -> None:
        """Pulled until it is opened again."""
        self._shut = shut
        if shut:
            self.cut()

    async def stop(self) -> None:
        """Nobody is let in any more."""
        self.shut(True)
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)  # connections end in their own turn
