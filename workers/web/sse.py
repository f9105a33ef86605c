"""workers/web/sse.py: the hub: the newest picture of a page to everybody who has it open, at most 4 a second over time.

marked by a fact ─▶ due ─▶ drawn between a commit and the next fold ─▶ each client's queue of 16, the oldest dropped
A picture is whole, so a dropped one is not missed. Nothing here waits for a browser; clients are woken a few at a time.
It is encoded once: every queue holds the same bytes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

CALL_GAP_S: Final = 0.25
BURST: Final = 2  # after a rest so many at once: a call does not wait because people were counted just before
COUNT_GAP_S: Final = 1.0  # pictures that only count people: nobody reads faster
ALIVE_S: Final = 15.0
WAKE_AT_ONCE: Final = 16  # so many writes are one turn of the loop
NEVER: Final = float("inf")


class Topic(NamedTuple):
    """One picture: a page of a hall; `name`: its device or zone."""

    page: str
    hall: str
    name: str = ""


class Full(Exception):
    """As many streams as may be are open."""


class Client:
    """One open stream. Only its own task waits for the browser."""

    __slots__ = ("_queue", "_ready", "dropped", "topic")

    def __init__(self, topic: Topic, queue: int) -> None:
        self.topic = topic
        self.dropped = 0
        self._queue: deque[bytes | None] = deque(maxlen=queue)
        self._ready = asyncio.Event()

    def put(self, frame: bytes | None) -> int:
        """Queue a frame, None ends the stream; how many were dropped for it. `wake` lets it go."""
        full = len(self._queue) == self._queue.maxlen
        self._queue.append(frame)
        self.dropped += full
        return int(full)

    def wake(self) -> None:
        """Its task goes on."""
        self._ready.set()

    async def frames(self) -> bytes | None:
        """Everything that gathered; None at the end."""
        await self._ready.wait()
        self._ready.clear()
        found = list(self._queue)
        self._queue.clear()
        return None if None in found else b"".join(frame for frame in found if frame)


class Channel:
    """A topic that somebody looks at."""

    __slots__ = ("body", "clients", "drawn_at", "due", "frame", "rests_until")

    def __init__(self) -> None:
        self.clients: dict[Client, None] = {}  # an ordered set
        self.body = self.frame = b""
        self.drawn_at = self.rests_until = -NEVER
        self.due = NEVER

    def at(self, now_s: float, gap_s: float) -> float:
        """When it may be drawn anew: a call by the allowance, what only counts so long after the picture before."""
        allowed = self.rests_until - CALL_GAP_S * (BURST - 1)
        return max(now_s, allowed, self.drawn_at + gap_s) if gap_s > CALL_GAP_S else max(now_s, allowed)

    def drawn(self, now_s: float) -> None:
        """A picture is drawn, whether it says something new or not."""
        self.due, self.drawn_at = NEVER, now_s
        self.rests_until = max(self.rests_until, now_s) + CALL_GAP_S


class Hub:
    """All open streams. `draw` gives the body of a picture, `stamp` its n and time; both are called in `turn` only."""

    def __init__(
        self,
        draw: Callable[[Topic], bytes],
        stamp: Callable[[Topic], tuple[int, int]],
        *,
        wake: Callable[[], None] = lambda: None,
        now_s: Callable[[], float],
        queue: int = 16,
        clients_max: int = 500,
    ) -> None:
        self._draw, self._stamp, self._wake, self._now_s = draw, stamp, wake, now_s
        self._queue, self._clients_max = queue, clients_max
        self.channels: dict[Topic, Channel] = {}
        self.count = self.pictures = 0
        self.dropped: dict[str, int] = {}  # pictures, by page
        self._to_wake: deque[Client] = deque()
        self._waking = self._closed = False
        self._due = NEVER

    # Browsers come and go.

    def join(self, topic: Topic) -> Client:
        """A stream begins with the whole picture: the one at hand, else one drawn at the loop's next turn."""
        if self._closed or self.count >= self._clients_max:
            raise Full
        channel = self.channels.setdefault(topic, Channel())
        client = Client(topic, self._queue)
        channel.clients[client] = None
        self.count += 1
        if channel.frame:
            client.put(channel.frame)
            client.wake()
        else:
            self._set_due(channel, self._now_s())
            self._wake()
        return client

    def leave(self, client: Client) -> None:
        """It is gone; so is the picture when it was the last."""
        channel = self.channels.get(client.topic)
        if channel is not None and client in channel.clients:
            del channel.clients[client]
            self.count -= 1
            if not channel.clients:
                del self.channels[client.topic]

    def close(self) -> None:
        """Every stream ends, none begins."""
        self._closed = True
        for channel in self.channels.values():
            for client in channel.clients:
                client.put(None)
                client.wake()

    def by_page(self) -> dict[str, int]:
        """Open streams by page."""
        found: dict[str, int] = {}
        for topic, channel in self.channels.items():
            found[topic.page] = found.get(topic.page, 0) + len(channel.clients)
        return found

    # The hall moves.

    def mark(self, topics: Iterable[Topic], gap_s: float = CALL_GAP_S) -> None:
        """Their pictures have changed."""
        now_s = self._now_s()
        for topic in topics:
            channel = self.channels.get(topic)
            if channel is not None:
                self._set_due(channel, channel.at(now_s, gap_s))

    def _set_due(self, channel: Channel, due: float) -> None:
        channel.due = min(channel.due, due)
        self._due = min(self._due, channel.due)

    def stale(self) -> bool:
        """Whether a picture is due."""
        return self._due <= self._now_s()

    def turn(self) -> None:
        """Draw what is due. Called while the state is what the journal holds."""
        now_s = self._now_s()
        if self._due > now_s:
            return
        for topic, channel in self.channels.items():
            if channel.due <= now_s:
                channel.drawn(now_s)
                self._show(topic, channel)
        self._due = min((channel.due for channel in self.channels.values()), default=NEVER)

    def _show(self, topic: Topic, channel: Channel) -> None:
        body = self._draw(topic)
        if body == channel.body:
            return
        n, at_ms = self._stamp(topic)
        channel.body = body
        channel.frame = b'id: %d\ndata: {"n":%d,"at_ms":%d,"body":%b}\n\n' % (n, n, at_ms, body)
        self.pictures += 1
        self._send(channel.clients, channel.frame)

    def keep_alive(self) -> None:
        """Every so often: a browser cannot see that a silent connection is dead, nor a proxy that it is not."""
        for topic, channel in self.channels.items():
            frame = b'event: alive\ndata: {"at_ms":%d}\n\n' % self._stamp(topic)[1]
            self._send(channel.clients, frame)

    def _send(self, clients: Iterable[Client], frame: bytes) -> None:
        for client in clients:
            if client.put(frame):
                page = client.topic.page
                self.dropped[page] = self.dropped.get(page, 0) + 1
            self._to_wake.append(client)
        if self._to_wake and not self._waking:
            self._waking = True
            self._some()

    def _some(self) -> None:
        """A few writes, then whatever else the loop has to do: 200 screens are no reason to be late."""
        for client in list(islice(self._to_wake, WAKE_AT_ONCE)):
            self._to_wake.popleft()
            client.wake()
        self._waking = bool(self._to_wake)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._some)
