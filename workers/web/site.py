"""workers/web/site.py: what all pages of a process share: the hub, who may do what, limits, keys, what was counted.

After each commit: facts mark pictures, due pictures are drawn, the ring takes its sample. All of it reads only.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from core.device import Device, DeviceState
from core.effects import Effects, Say
from core.state import HallState
from workers.clock import monotonic_s, utc_s
from workers.door import Desks, Door
from workers.proofs import Proofs
from workers.trail import Line
from workers.web import casework, drawings, guidance
from workers.web.access import Access, Grant
from workers.web.limits import Limits
from workers.web.ring import Ring
from workers.web.sse import ALIVE_S, COUNT_GAP_S, Hub, Topic

AGEING_S: Final = 2.0  # pictures in which time itself moves
AGEING: Final = ("guide", "ops", "cases")
AT_COUNTER: Final = ("console", "pad")
_JSON: Final = msgspec.json.Encoder()


Notes = Callable[[str, Sequence[str]], Awaitable[Mapping[str, str]]]
"""Text by ref; what is gone is not there."""


class Limit(NamedTuple):
    """Bounds of the pages. `public_url`: how phones reach us, where that is not the address we listen on."""

    sse_queue: int = 16
    sse_clients: int = 500
    body: int = 8192
    trusted_proxies: tuple[str, ...] = ()
    public_url: str = ""


class Site:
    """The pages of a process. `desks` is read between a commit and the next fold, and nowhere kept."""

    def __init__(
        self,
        door: Door,
        desks: Desks,
        *,
        grants: list[Grant],
        proofs: Proofs,
        now_ms: Callable[[], int],
        speed: int = 1,
        notes: Notes,
        limit: Limit | None = None,
        trail: Callable[[str], Awaitable[list[Line]]] | None = None,
    ) -> None:
        self.trail = trail  # the audit of a hall; None: there is no journal to read
        self.door, self._desks, self.proofs, self.now_ms, self.speed = door, desks, proofs, now_ms, speed
        self.limit, self.notes = limit or Limit(), notes
        self.limits = Limits(monotonic_s)
        self.access = Access(grants, proofs.derived("cookie"), utc_s)
        self.ring = Ring(monotonic_s, now_ms)
        self.hub = Hub(
            self._draw,
            self._stamp,
            wake=door.wake,
            now_s=monotonic_s,
            queue=self.limit.sse_queue,
            clients_max=self.limit.sse_clients,
        )
        self.refused: Tally[str] = Tally()
        self.requests: Tally[tuple[str, str]] = Tally()  # by route group and class of status
        self.seconds: dict[tuple[str, str], float] = {}
        self._timers: list[asyncio.TimerHandle] = []
        door.watcher = self

    def renew(self, grants: list[Grant]) -> None:
        """Other tokens from now on; cookies of those taken out are over."""
        self.access = Access(grants, self.proofs.derived("cookie"), utc_s)

    def request(self, group: str, kind: str, seconds: float) -> None:
        """One was answered."""
        self.requests[group, kind] += 1
        self.seconds[group, kind] = self.seconds.get((group, kind), 0.0) + seconds

    # Life.

    def start(self, base_url: str) -> None:
        """Time moves some pictures, and silence has to be told from a dead connection."""
        self.proofs.base_url = self.limit.public_url.rstrip("/") or base_url
        self._every(AGEING_S, self._age)
        self._every(ALIVE_S, self.hub.keep_alive)

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        at = len(self._timers)
        self._timers.append(loop.call_later(seconds, lambda: again()))

        def again() -> None:
            action()
            self._timers[at] = loop.call_later(seconds, again)

    def _age(self) -> None:
        self.hub.mark([topic for topic in self.hub.channels if topic.page in AGEING], COUNT_GAP_S)

    def stop(self) -> None:
        """Every stream ends."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.hub.close()

    # The loop: after each commit.

    def stale(self) -> bool:
        """Whether a picture or a sample is due."""
        return self.hub.stale() or self.ring.due()

    def committed(self, desks: Desks, heard: Mapping[str, Effects]) -> None:
        """Facts are durable: mark what they change, draw what is due."""
        if self.hub.channels:
            for hall, effects in heard.items():
                self._mark(hall, effects)
            self.hub.turn()
        if self.ring.due():
            self.ring.sample({name: desk.hall.state for name, desk in desks.items()})

    def _mark(self, hall: str, effects: Effects) -> None:
        here = [topic for topic in self.hub.channels if topic.hall == hall]
        if effects.counters:
            state = self._desks[hall].hall.state
            self.hub.mark(topic for topic in here if self._stands_at(state, topic, effects.counters))
        if any(isinstance(order, Say) for order in effects.orders):
            self.hub.mark(topic for topic in here if topic.page == "board")
        if effects.waiting or effects.kiosks or effects.counters or effects.board:
            self.hub.mark(here, COUNT_GAP_S)

    def _stands_at(self, state: HallState, topic: Topic, counters: Mapping[int, None]) -> bool:
        known = state.devices.get(topic.name) if topic.page in AT_COUNTER else None
        return known is not None and known.counter in counters

    def _draw(self, topic: Topic) -> bytes:
        desk = self._desks.get(topic.hall)
        state = desk.hall.state if desk is not None else None
        if state is None or state.policy is None:
            return b"null"
        return _JSON.encode(self._picture(state, topic))

    def _picture(self, state: HallState, topic: Topic) -> msgspec.Struct | None:
        if topic.page == "board":
            return drawings.board(state, topic.name)
        if topic.page == "ops":
            return drawings.overview(state, self._desks[topic.hall].vitals, self.now_ms())
        if topic.page == "cases":
            return casework.desk(state)
        if topic.page == "guide":
            return guidance.guide(state, topic.name, self.now_ms())
        device = self.device(state, topic.name)
        if device is None or device.counter not in state.counters:
            return None
        if topic.page == "console":
            return drawings.console(state, device)
        return drawings.pad(state, device, self._token(state, device))

    def _token(self, state: HallState, device: Device) -> str:
        """Minted after the commit that opened the rating, and only while the evaluator asks for it."""
        asked = drawings.rated_at(state, device)
        return self.proofs.mint(state.hall, *asked) if asked is not None else ""

    def _stamp(self, topic: Topic) -> tuple[int, int]:
        desk = self._desks.get(topic.hall)
        return (desk.hall.state.n if desk is not None else 0), self.now_ms()

    # What handlers ask. Kinds of devices and names of halls change by policy alone: read as they are.

    def halls(self) -> list[str]:
        """The halls of the process."""
        return list(self._desks)

    def state(self, hall: str) -> HallState | None:
        """A hall's state, for its registry and policy only."""
        desk = self._desks.get(hall)
        return desk.hall.state if desk is not None and desk.hall.state.policy is not None else None

    def device(self, state: HallState, name: str) -> Device | None:
        """A device that is registered here."""
        known = state.devices.get(name)
        return known if known is not None and known.state is not DeviceState.RETIRED else None

    def devices_of(self, grant: Grant) -> Iterable[tuple[str, Device]]:
        """(hall, device) of everything that this token may speak for."""
        for hall in grant.halls:
            state = self.state(hall)
            for device in state.devices.values() if state is not None else ():
                gone = device.state is DeviceState.RETIRED
                if not gone and grant.speaks_for(hall, device.device, device.kind):
                    yield hall, device
