"""workers/notify.py: tells systemd that we are ready, alive, about to end (sd_notify): one datagram each, no answer.

Alive is said only while loop and writer move: a process that hangs is started again. Without systemd all is silent.
"""

import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final

from workers.clock import monotonic_s

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
PINGS: Final = 3  # in the time after which systemd would act


class Notifier:
    """`address`: the socket, empty: nobody listens. `watchdog_s`: how long systemd waits for a ping; 0: it does not."""

    def __init__(self, address: str, watchdog_s: float = 0.0, now_s: Callable[[], float] = monotonic_s) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = watchdog_s / PINGS
        self._now_s = now_s
        self._due_s = 0.0
        self._ready = False

    def ready(self, status: str) -> None:
        """Started; once. Later calls only change the line that `systemctl status` shows."""
        self._say(f"STATUS={status}" if self._ready else f"READY=1\nSTATUS={status}")
        self._ready = True

    def status(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._say(f"STATUS={status}")

    def alive(self, moves: Callable[[], bool]) -> None:
        """Called often; pings when it is time, if loop and writer move."""
        if not self._every_s or self._now_s() < self._due_s:
            return
        if moves():
            self._due_s = self._now_s() + self._every_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The orderly end has begun."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        """Whoever listens may be gone: that stops no hall."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto(text.encode(), self._address)


def notifier(environ: Mapping[str, str]) -> Notifier:
    """As systemd says in the environment."""
    usec = environ.get(WATCHDOG, "")
    return Notifier(environ.get(SOCKET, ""), int(usec) / 1_000_000 if usec.isdecimal() else 0.0)
