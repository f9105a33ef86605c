"""workers/connection.py: the life of a connection: dials, backs off, follows the table, writes once a turn.

link_states.py says what may happen in which state; link.py, which inherits this, what is said.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, Final, cast

from workers.link_settings import LinkSettings, LinkStats, parse_url
from workers.link_states import CONNECTED, TABLE, Event, State
from workers.ports import Missing

QUICKACK: Final = int(getattr(socket, "TCP_QUICKACK", 0))  # Linux
POLITE_S = 1.0  # a close that takes longer becomes an abort


class TakenOver(Missing):
    """Another dispatcher has connected with our client id. Two writers must not go on."""


class Connection(asyncio.Protocol):
    """One transport after the other, never two: the next is dialed only when the last is gone."""

    complaint: ClassVar[bytes]  # DISCONNECT, protocol error
    goodbye: ClassVar[bytes]  # DISCONNECT, normal

    def __init__(
        self, settings: LinkSettings, random: Random, tls: ssl.SSLContext | None, on_down: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.stats = LinkStats()
        self.state = State.IDLE
        self.on_down = on_down  # with the reason; the next attempt is already planned, unless the state is FAILED
        self._address = parse_url(settings.url)
        self._tls = (tls or ssl.create_default_context()) if self._address.tls else None
        self._random = random
        self._transport: asyncio.Transport | None = None
        self._socket: Any = None  # asyncio gives a stand-in that has setsockopt and is typed as anything
        self._parted = asyncio.Event()  # no transport is open or closing
        self._stopped = asyncio.Event()
        self._dialing: asyncio.Timeout | None = None
        self._mistake: Exception | None = None
        self._out: list[bytes] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._attempt = 0
        self._least_delay_s = 0.0
        self._live_since = self._paused_since = 0.0
        self._enter: dict[State, Callable[[State, str], None]] = {
            State.DIALING: self._enter_dialing,
            State.HANDSHAKE: self._enter_handshake,
            State.SUBSCRIBING: self._enter_subscribing,
            State.LIVE: self._enter_live,
            State.PAUSED: self._enter_paused,
            State.DRAINING: self._enter_draining,
            State.BACKOFF: self._enter_backoff,
            State.CLOSED: self._enter_closed,
            State.FAILED: self._enter_failed,
        }

    async def run(self) -> None:
        """Connects, and again, until stopped or cancelled. Raises TakenOver, and nothing else of the broker's doing."""
        if self.within(State.IDLE):  # else it was stopped before it began
            self._on(Event.START)
        try:
            while self.within(State.DIALING):
                await self._dial()
                await self._parted.wait()
                if self.within(State.BACKOFF):
                    await self._back_off()
        finally:
            self._forget()
            self._disarm(*self._timers)
            if self._transport is not None:
                self._transport.abort()
        if self._mistake is not None:
            raise self._mistake
        if self.within(State.FAILED):
            raise TakenOver(f"another dispatcher has connected to {self._address.host} as {self.settings.client_id}")

    def within(self, *states: State) -> bool:
        """Whether the state is one of these."""
        return self.state in states

    # States: the table decides, entering acts.

    def _on(self, event: Event, why: str = "") -> None:
        """To the table's next state. What the table doesn't name is a protocol error of the broker."""
        target = TABLE[self.state].get(event)
        if target is None:
            assert self.state in CONNECTED, f"{event.name} in {self.state.name} is our own mistake"
            why = f"protocol error: {event.name} in {self.state.name} {why}"
            self.stats.protocol_errors += 1
            self._write(self.complaint)
            target = State.CLOSED if self.within(State.DRAINING) else State.BACKOFF
        if target is not self.state:
            before, self.state = self.state, target
            self._enter[target](before, why or event.name.lower())

    def _enter_dialing(self, before: State, why: str) -> None:
        self._parted.clear()
        self._out.clear()

    def _enter_handshake(self, before: State, why: str) -> None:
        raise NotImplementedError

    def _enter_subscribing(self, before: State, why: str) -> None:
        raise NotImplementedError

    def _enter_live(self, before: State, why: str) -> None:
        """First, or again after a pause."""
        now = asyncio.get_running_loop().time()
        if before is State.PAUSED:
            self._count_pause()
            if "pong" in self._timers:  # its answer may lie unread
                self._arm("pong", self.settings.pong_s, Event.SILENT)
            self._resume()
        else:
            self._disarm("step")
            self._live_since, self.stats.connected = now, True
            self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _enter_paused(self, before: State, why: str) -> None:
        self.stats.paused, self._paused_since = True, asyncio.get_running_loop().time()
        if self._transport is not None:
            self._transport.pause_reading()

    def _enter_draining(self, before: State, why: str) -> None:
        """No more input, but we go on reading: for PUBACKs to us."""
        if before is State.PAUSED:
            self._count_pause()
        self._disarm("probe")
        self._forget()
        self._resume()

    def _enter_backoff(self, before: State, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if before in (State.LIVE, State.PAUSED) and now - self._live_since >= self.settings.steady_s:
            self._attempt = 0
        self.stats.last_error = why
        self._part(before)
        self.on_down(why)

    def _enter_closed(self, before: State, why: str) -> None:
        self._stopped.set()
        self._forget()
        if before in CONNECTED and self.complaint not in self._out:
            self._write(self.goodbye)
        if self._dialing is not None:
            self._dialing.reschedule(asyncio.get_running_loop().time())  # nobody waits for this dial any more
        self._part(before)

    def _enter_failed(self, before: State, why: str) -> None:
        self.stats.last_error = why
        self._part(before)
        self.on_down(why)

    def _part(self, before: State) -> None:
        """What was written goes out first; a second later there is no transport any more."""
        if before is State.PAUSED:
            self._count_pause()
        self.stats.connected = False
        self._disarm(*self._timers)
        self._ground()
        if self._transport is not None:
            self._hang_up(self._transport)
        elif self._dialing is None:
            self._parted.set()

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """After a DISCONNECT the broker closes, and until then we read: to close over unread bytes is a TCP reset, and
        it can overtake our last PUBACKs."""
        spoken = self._out[-1:] in ([self.complaint], [self.goodbye])
        self._flush()
        if spoken:
            transport.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
        else:
            transport.close()
        self._timers["abort"] = asyncio.get_running_loop().call_later(POLITE_S, transport.abort)

    def _ground(self) -> None:
        """The connection is no more."""
        raise NotImplementedError

    def _forget(self) -> None:
        """There will be no more input."""
        raise NotImplementedError

    def _count_pause(self) -> None:
        self.stats.paused = False
        self.stats.paused_s += asyncio.get_running_loop().time() - self._paused_since

    # Dialing, bytes out, timers.

    async def _dial(self) -> None:
        host, port = self._address.host, self._address.port
        try:
            async with asyncio.timeout(self.settings.step_s) as self._dialing:
                await asyncio.get_running_loop().create_connection(lambda: self, host, port, ssl=self._tls)
        except OSError as error:  # TLS and TimeoutError among them
            self._parted.set()
            if self.within(State.DIALING):
                late = isinstance(error, TimeoutError)
                self._on(Event.LATE if late else Event.LOST, f"cannot connect to {host}:{port}: {error or 'too late'}")
        finally:
            self._dialing = None

    async def _back_off(self) -> None:
        """Random in 0 ... 0.2 s·2ⁿ, so that a hundred halls do not come back in the same second."""
        longest = min(self.settings.backoff_max_s, self.settings.backoff_s * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 30)
        delay_s = max(self._random.uniform(0.0, longest), self._least_delay_s)
        self._least_delay_s = 0.0
        try:
            async with asyncio.timeout(delay_s):
                await self._stopped.wait()
        except TimeoutError:
            if self.within(State.BACKOFF):
                self._on(Event.TIMER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS, are up. asyncio has set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        if self.within(State.DIALING):
            self._on(Event.UP)
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """By us or by them. An error that is none of the network's was raised in data_received: run() ends with it."""
        self._transport = None
        if error is not None and not isinstance(error, OSError):
            self._mistake = error
            self.state = State.CLOSED
        if self.state in CONNECTED:
            self._on(Event.LOST, f"connection lost: {error or 'closed by the broker'}")
        self._disarm("abort")
        self._parted.set()

    def _pace(self) -> None:
        """No read for a millisecond: packets gather in the kernel, and wake-ups are the dear part.

        What was read is confirmed at once: rumqttd gathers small packets and else holds its next for 40 ms.
        """
        if QUICKACK and self._transport is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        if self.settings.pace_s and self._transport is not None:
            self._transport.pause_reading()
            self._timers["pace"] = asyncio.get_running_loop().call_later(self.settings.pace_s, self._resume)

    def _resume(self) -> None:
        if self._transport is not None and not self.within(State.PAUSED):
            self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        """One write a turn of the loop."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if data and self._transport is not None and not self._transport.is_closing():
            self.stats.bytes_out += len(data)
            self._transport.write(data)

    def _arm(self, name: str, delay_s: float, event: Event) -> None:
        self._disarm(name)
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, self._rang, name, event)

    def _rang(self, name: str, event: Event) -> None:
        del self._timers[name]
        self._on(event, f"{name} took too long")

    def _disarm(self, *names: str) -> None:
        for name in names:
            if timer := self._timers.pop(name, None):
                timer.cancel()
