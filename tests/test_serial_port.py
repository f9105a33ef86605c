"""devices/serial_port.py over a pseudo-terminal: bytes as they are, a port that goes, a second owner."""

import asyncio
import os
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from devices.serial_port import Port

Scenario = Callable[[int, Port, list[bytes], asyncio.Event], Awaitable[None]]


def play(scenario: Scenario) -> None:
    async def run() -> None:
        master, slave = os.openpty()
        heard: list[bytes] = []
        lost = asyncio.Event()
        port = Port(os.ttyname(slave), 9600, heard.append, lost.set)
        try:
            async with asyncio.timeout(5):
                await scenario(master, port, heard, lost)
        finally:
            port.close()
            port.close()
            os.close(slave)

    asyncio.run(run())


def test_bytes_pass_as_they_are_both_ways() -> None:
    """Also those that a terminal would take for control characters or line ends."""
    every = bytes(range(256))

    async def scenario(master: int, port: Port, heard: list[bytes], lost: asyncio.Event) -> None:
        os.write(master, every)
        while b"".join(heard) != every:
            await asyncio.sleep(0.005)
        assert port.write(every) and os.read(master, 512) == every and not lost.is_set()
        os.close(master)

    play(scenario)


def test_a_line_that_is_gone_says_so_once_and_takes_nothing() -> None:
    async def scenario(master: int, port: Port, heard: list[bytes], lost: asyncio.Event) -> None:
        os.close(master)
        await lost.wait()
        assert not port.write(b"x") and heard == []

    play(scenario)


def test_speed_parity_and_stop_bits_are_those_of_the_bus() -> None:
    async def scenario(master: int, port: Port, heard: list[bytes], lost: asyncio.Event) -> None:
        _, _, cflag, lflag, ispeed, ospeed, _ = termios.tcgetattr(port._fd)
        assert ispeed == ospeed == termios.B9600
        assert not cflag & (termios.PARENB | termios.CSTOPB) and cflag & termios.CSIZE == termios.CS8
        assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG)
        os.close(master)

    play(scenario)


def test_what_is_no_serial_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    async def scenario() -> None:
        for wrong in (path, tmp_path / "nothing"):
            with pytest.raises((OSError, termios.error)):
                Port(str(wrong), 9600, lambda _: None, lambda: None)

    asyncio.run(scenario())
