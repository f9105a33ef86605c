"""devices/serial_port.py: a serial line (RS-485 adapter) on the loop, by the standard library alone: raw, 8N1."""

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Callable
from fcntl import ioctl
from typing import Final

READ_MAX: Final = 4096
SPEEDS: Final = {1200: termios.B1200, 2400: termios.B2400, 4800: termios.B4800, 9600: termios.B9600}


class Port:
    """A serial line, raw, 8N1. `on_bytes` as they come; `on_lost` once, when it is unplugged."""

    def __init__(self, path: str, baud: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_bytes, self._on_lost = on_bytes, on_lost
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            ioctl(self._fd, termios.TIOCEXCL)  # a second gateway would take half of the bytes
            tty.setraw(self._fd)
            mode = termios.tcgetattr(self._fd)
            mode[2] = (mode[2] & ~(termios.PARENB | termios.CSTOPB | termios.CSIZE)) | termios.CS8 | termios.CLOCAL
            mode[4] = mode[5] = SPEEDS[baud]
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, mode)
        except BaseException:
            os.close(self._fd)
            raise
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            found = os.read(self._fd, READ_MAX)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        if found:
            self._on_bytes(found)
        else:
            self.close()
            self._on_lost()

    def write(self, frame: bytes) -> bool:
        """Whether all of it went out. A line that takes nothing is not waited for: the device asks again."""
        with contextlib.suppress(OSError):
            return self._fd >= 0 and os.write(self._fd, frame) == len(frame)
        return False

    def close(self) -> None:
        """Twice is as good as once."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
