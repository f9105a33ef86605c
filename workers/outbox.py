"""workers/outbox.py: what the outside hears: acks and commands in order, screens newest first, the published mark.

emit ─┬▶ queue (acks, commands; first in, first out) ─┬▶ link, ≤ its window ─▶ PUBACK ─▶ mark of the hall, counters
      └▶ screens by topic (one in flight, one pending) ┘
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final, Protocol, cast

from workers.ports import Outgoing
from workers.tallies import PRESS, Buckets

SCREEN_GAP_S: Final = 0.1  # ≤ 10 pictures a second and topic over time ...
SCREEN_BURST: Final = 3  # ... of which so many at once after a rest: finish, next and start are pressed within 100 ms
AGAIN_STEP, AGAIN_STEP_S = (
    10,
    0.02,
)  # after a reconnect every screen is painted again: ≤ 500 a second, behind what is new
STALL_S: Final = 0.05  # nothing landed for so long, and the broker waits for us: go on, and settle the next batch


class Publisher(Protocol):
    """The side of the link that publishes."""

    def attach(self, sender: "MqttOutbox") -> None: ...
    def publish(self, topic: str, payload: bytes, retain: bool, token: object) -> bool: ...
    def wants_acks(self, on: bool) -> None: ...
    def choked(self) -> bool: ...


class Screen:
    """One retained topic. A newer picture replaces the pending one."""

    __slots__ = ("again", "flying", "pending", "rests_until", "waits")

    def __init__(self) -> None:
        self.pending: Outgoing | None = None
        self.flying = False
        self.again = False  # in the row of those painted again; also waits
        self.waits = False  # in the ready row or among the resting
        self.rests_until = 0.0


class Mark:
    """The published mark of one hall: every effect of the facts up to it has its PUBACK. Never goes back."""

    __slots__ = ("at", "highest", "open")

    def __init__(self) -> None:
        self.at = 0
        self.highest = 0
        self.open: dict[int, int] = {}  # n -> effects without PUBACK

    def sent(self, n: int) -> None:
        """An effect of fact n is on its way."""
        self.open[n] = self.open.get(n, 0) + 1
        if n > self.highest:
            self.highest = n

    def done(self, n: int) -> None:
        """One of them has arrived, or never will."""
        left = self.open[n] - 1
        if left:
            self.open[n] = left
        else:
            del self.open[n]

    def now(self) -> int:
        """O(effects on their way)."""
        self.at = max(self.at, min(self.open, default=self.highest + 1) - 1)
        return self.at


class OutboxStats:
    """Plain counters."""

    __slots__ = ("down", "lost", "press", "published", "replaced")

    def __init__(self) -> None:
        self.published: dict[str, int] = {}  # by leaf: ack, command, screen
        self.lost: dict[str, int] = {}  # by the broker's reason
        self.down: dict[tuple[str, str, str], int] = {}  # orders by hall, kind of device, and what became of them
        self.replaced = 0  # pictures nobody needed any more
        self.press = Buckets(PRESS)  # call received until the PUBACK of its screen


class MqttOutbox:
    """Idempotent: ids are positions of facts. Nothing here is durable; the mark says from where to emit again."""

    def __init__(
        self,
        link: Publisher,
        *,
        queue_max: int = 20_000,
        screen_gap_s: float = SCREEN_GAP_S,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.stats = OutboxStats()
        self._link, self._now_ms = link, now_ms
        self._queue_max = (
            queue_max  # when reached, emit waits: the dispatcher reads no more. One batch may overshoot it
        )
        self._gap_s = screen_gap_s
        self._burst_s = screen_gap_s * (SCREEN_BURST - 1)
        self._queue: deque[Outgoing] = deque()
        self._screens: dict[str, Screen] = {}
        self._ready: deque[Screen] = deque()
        self._resting: list[tuple[float, int, Screen]] = []
        self._again: deque[Screen] = deque()
        self._again_timer: asyncio.TimerHandle | None = None
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._marks: dict[str, Mark] = {}
        self._flying = 0
        self._waiting_screens = 0
        self._emitted = self._done = 0
        self._stamps: deque[tuple[int, float]] = deque()  # (emitted until then, when), for the age of the oldest
        self._eased = asyncio.Event()
        self._landed = asyncio.Event()
        link.attach(self)

    async def emit(self, messages: Sequence[Outgoing]) -> None:
        """Takes all of them at once; waits afterwards while the queue is above its bound."""
        queue, marks = self._queue, self._marks
        plain = 0
        for message in messages:
            if message.retain:
                self._paint(message)
                continue
            plain += 1
            queue.append(message)
            if message.n:
                mark = marks.get(message.hall)
                if mark is None:
                    mark = marks[message.hall] = Mark()
                mark.sent(message.n)
        if plain:
            self._stamp(plain)
        self.room()
        if len(queue) >= self._queue_max:
            await self._ease()

    async def _ease(self) -> None:
        """Until there is room. iotcore keeps our PUBACKs back while 100 of its messages lack theirs, and the dispatcher
        that waits here settles none: then one more batch may come in over the bound; its PUBACKs free ours."""
        self._link.wants_acks(True)
        try:
            while len(self._queue) >= self._queue_max:
                self._eased.clear()
                done = self._done
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._eased.wait()
                except TimeoutError:
                    if done == self._done and self._link.choked():
                        return
        finally:
            self._link.wants_acks(False)

    def _stamp(self, plain: int) -> None:
        self._emitted += plain
        self._stamps.append((self._emitted, asyncio.get_running_loop().time()))
        while self._stamps and self._stamps[0][0] <= self._done:
            self._stamps.popleft()

    def _paint(self, message: Outgoing) -> None:
        screen = self._screens.get(message.topic)
        if screen is None:
            screen = self._screens[message.topic] = Screen()
        if screen.pending is not None:
            self.stats.replaced += 1
            if screen.pending.pressed_s and not message.pressed_s:
                message = message._replace(pressed_s=screen.pending.pressed_s)  # the newer picture shows the call too
        else:
            self._waiting_screens += 1
        screen.pending = message
        if message.again and not screen.waits and not screen.flying:
            self._put_off(screen)
        elif not screen.flying and (screen.again > message.again or not screen.waits):
            screen.again = False
            self._line_up(screen)

    def _put_off(self, screen: Screen) -> None:
        screen.again = screen.waits = True
        self._again.append(screen)
        self._set_again_timer()

    def _set_again_timer(self) -> None:
        """Not while the link takes no more: `room` sets it then."""
        if self._again and not self._ready and self._again_timer is None:
            self._again_timer = asyncio.get_running_loop().call_later(AGAIN_STEP_S, self._paint_again)

    def _paint_again(self) -> None:
        """The next few, once nothing else waits for the link. What became new meanwhile has left the row."""
        self._again_timer, left = None, AGAIN_STEP
        while self._again and left and not self._ready:
            screen = self._again.popleft()
            if screen.again:
                screen.again = False
                self._line_up(screen)
                self.room()
                left -= 1
        self._set_again_timer()

    def _line_up(self, screen: Screen) -> None:
        """Ready, or resting until its gap is over."""
        screen.waits = True
        due = screen.rests_until - self._burst_s
        if due <= asyncio.get_running_loop().time():
            self._ready.append(screen)
            return
        self._order += 1
        heappush(self._resting, (due, self._order, screen))
        self._set_timer()

    def _set_timer(self) -> None:
        """One timer for all screens."""
        due = self._resting[0][0]
        if self._timer is not None and self._timer.when() > due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._rested)

    def _rested(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._resting and self._resting[0][0] <= now:
            self._ready.append(heappop(self._resting)[2])
        if self._resting:
            self._set_timer()
        self.room()

    # The link's side: Sender.

    def room(self) -> None:
        """Publish while the link takes it, a message and a screen by turns: neither starves the other."""
        queue, ready, publish = self._queue, self._ready, self._link.publish
        while queue or ready:
            if queue:
                message = queue[0]
                if not publish(message.topic, message.payload, False, message):
                    break
                queue.popleft()
                self._flying += 1
            if ready and not self._show(ready[0]):
                break
        if len(queue) < self._queue_max:
            self._eased.set()
        self._set_again_timer()

    def _show(self, screen: Screen) -> bool:
        message = screen.pending
        assert message is not None, "a ready screen has a picture"
        if not self._link.publish(message.topic, message.payload, True, message):
            return False
        self._ready.popleft()
        screen.pending, screen.waits, screen.flying = None, False, True
        screen.rests_until = max(screen.rests_until, asyncio.get_running_loop().time()) + self._gap_s
        self._waiting_screens -= 1
        self._flying += 1
        return True

    def published(self, token: object, refusal: str) -> None:
        """PUBACK. A refused message is lost and counted: repeating it would be refused again."""
        message = cast(Outgoing, token)
        self._flying -= 1
        if not self._flying:
            self._landed.set()
        counts, key = self.stats.published, message.topic.rpartition("/")[2]
        if refusal:
            counts, key = self.stats.lost, refusal
        counts[key] = counts.get(key, 0) + 1
        if message.kind:
            self._ordered(message, refusal)
        if message.retain:
            if message.pressed_s and not refusal:
                self.stats.press.observe(asyncio.get_running_loop().time() - message.pressed_s)
            screen = self._screens[message.topic]
            screen.flying = False
            if screen.pending is not None:
                self._line_up(screen)
            return
        self._done += 1
        if message.n:
            self._marks[message.hall].done(message.n)

    def _ordered(self, message: Outgoing, refusal: str) -> None:
        """An order that the broker had too late is ignored by its device: nobody did it."""
        late = message.until_ms and self._now_ms() > message.until_ms
        key = message.hall, message.kind, "lost" if refusal else "expired" if late else "acked"
        self.stats.down[key] = self.stats.down.get(key, 0) + 1

    def pending(self) -> int:
        """Messages and pictures without PUBACK."""
        return len(self._queue) + self._waiting_screens + self._flying

    # For the application.

    def marks(self) -> dict[str, int]:
        """By hall the n up to which every command has its PUBACK. Stored lazily; after a restart emit what is above."""
        return {hall: mark.now() for hall, mark in self._marks.items()}

    def heard(self, hall: str) -> bool:
        """Whether every order of a hall has its PUBACK."""
        mark = self._marks.get(hall)
        return mark is None or not mark.open

    def oldest_s(self) -> float:
        """Age of the oldest ack or command without PUBACK; 0 when there is none."""
        while self._stamps and self._stamps[0][0] <= self._done:
            self._stamps.popleft()
        return asyncio.get_running_loop().time() - self._stamps[0][1] if self._stamps else 0.0

    async def flush(self, timeout_s: float) -> bool:
        """Waits until everything has its PUBACK; False when it took too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.pending():
                    self._landed.clear()
                    await self._landed.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """No timer stays behind."""
        for timer in (self._timer, self._again_timer):
            if timer is not None:
                timer.cancel()
