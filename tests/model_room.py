"""tests/model_room.py: what the plain model of a hall knows, who is next in it, and who may ask.

It shares with `core` the commands and the policy document. `ask` and `due` say what must happen as `Said` or a reason.
"""

from dataclasses import dataclass, field
from typing import Any

from core import commands as c
from core.calendar import business_day
from core.policy import DevicePart, Policy, ServicePart

MIN, DAY = 60_000, 86_400_000
WAITING, CALLED, SERVING, HELD, MISSED = OPEN = ("waiting", "called", "serving", "held", "missed")
SERVED, CANCELLED, ABANDONED, EXPIRED = CLOSED = ("served", "cancelled", "abandoned", "expired")


class Said(dict[str, Any]):
    """What a fact must say: its kind under "fact", the fields that the model knows beside it."""

    def __init__(self, fact: str, **fields: Any) -> None:
        super().__init__(fact=fact, **fields)


@dataclass
class Slip:
    """A ticket."""

    ticket: int
    number: str
    service: str
    cls: str
    taken: int
    T: int
    state: str = WAITING
    early: int = 0
    visit: int = 0
    person: str = ""
    counter: int = 0
    call: int = 0
    called: int = 0
    started: int = 0
    handled: int = 0
    recalls: int = 0
    announced: int = 0
    misses: int = 0
    holds: int = 0
    hops: int = 0
    until: int = 0
    reprints: int = 0
    waited: int = 0
    calls: int = 0


@dataclass
class Desk:
    """A counter."""

    no: int
    primary: tuple[str, ...]
    overflow: tuple[str, ...]
    theta: int
    staff: str = ""
    ticket: int = 0
    paused: bool = False
    pausing: bool = False
    last_call: int = 0
    newest_call: int = 0
    finished: int = 0
    held: list[int] = field(default_factory=list)
    closed: int = 0
    uncovered: bool = False


@dataclass
class Rating:
    """The right to rate a call."""

    call: int
    staff: str
    counter: int
    service: str
    opened: int
    due: int
    state: str = "opened"
    level: int = 0
    shown: int = 0
    case: int = 0
    appeal: int = 0
    by: str = ""
    added: bool = False
    person: str = ""
    handled: int = 0


def skills(desk: Desk) -> str:
    """Counters with the same skills share the cap of green calls."""
    return str((sorted(desk.primary), sorted(desk.overflow), desk.theta))


class No(Exception):
    """The hall says no."""


class Room:
    """Tables, ranking and guards."""

    def __init__(self, policy: Policy, at: int) -> None:
        self.policy, self.pending, self.pending_at = policy, None, 0
        self.day = business_day(policy, at)
        self.periods = self.day.periods
        self.open, self.now = True, at
        self.slips: dict[int, Slip] = {}
        self.next = dict.fromkeys(("ticket", "call", "visit", "booking", "case", "finding"), 1)
        self.counts: dict[str, int] = dict.fromkeys(("taken", *CLOSED), 0)
        self.last_number: dict[str, int] = {}
        self.printed: list[str] = []
        self.taken_of: dict[str, int] = {}
        self.visits: dict[int, dict[str, Any]] = {}
        self.bookings: dict[int, dict[str, Any]] = {}
        self.ratings: dict[int, Rating] = {}
        self.forgotten = 0
        self.quarantined: set[str] = set()
        self.last_take: dict[str, tuple[str, int]] = {}
        self.desks: dict[int, Desk] = {}
        self.devices: dict[str, DevicePart] = {}
        self.rings: dict[str, list[bool]] = {}
        self._furnish()

    def _furnish(self) -> None:
        self.devices.update({part.id: part for part in self.policy.devices})  # one left out is known still
        for part in self.policy.counters:
            desk = self.desks.setdefault(part.no, Desk(part.no, (), (), 0))
            theta = part.theta_min * MIN if part.overflow else 0
            desk.primary, desk.overflow, desk.theta = part.primary, part.overflow, theta

    # Who is next.

    def eligible(self, slip: Slip) -> bool:
        return slip.state == WAITING and not slip.early and not self.busy(slip.visit)

    def busy(self, visit: int) -> bool:
        tickets = [s for s in self.slips.values() if visit and s.visit == visit]
        return any(s.state in (CALLED, SERVING) for s in tickets)

    def order(self, slip: Slip, at: int) -> tuple[int, int, int, int, int]:
        """Ascending is rank order: tier, greater score, class, (T, ticket)."""
        codes = [cls.code for cls in self.policy.classes]
        cls = self.policy.classes[codes.index(slip.cls)]
        score = cls.rate * (cls.head_start_min * MIN + at - slip.T)
        return (-cls.tier, -score, codes.index(slip.cls), slip.T, slip.ticket)

    def ahead(self, slip: Slip, at: int) -> int:
        waiting = [s for s in self.slips.values() if self.eligible(s) and s.service == slip.service]
        return sum(self.order(s, at) < self.order(slip, at) for s in waiting if s is not slip)

    def ring_of(self, desk: Desk) -> list[bool]:
        return self.rings.setdefault(skills(desk), [])

    def drop_rings(self) -> None:
        held = [skills(desk) for desk in self.desks.values()]
        self.rings = {key: ring for key, ring in self.rings.items() if key in held}

    def choose(self, desk: Desk, at: int) -> tuple[Slip, bool] | None:
        """The ticket for a counter, and whether the call is contested: a green one while others are eligible."""
        caps = {cls.code: cls.cap for cls in self.policy.classes if cls.cap}
        waiting = [s for s in self.slips.values() if self.eligible(s)]
        heads = [s for s in waiting if s.service in desk.primary]
        over = [s for s in waiting if s.service in desk.overflow]
        heads += [s for s in over if not heads or at - s.T >= desk.theta] if heads else over
        plain = [s for s in heads if s.cls not in caps]
        if caps and plain:
            k, n = next(iter(caps.values()))
            recent = self.ring_of(desk)[-(n - 1) :] if n > 1 else []
            if sum(recent) >= k:
                heads = plain
        if not heads:
            return None
        best = sorted(heads, key=lambda s: self.order(s, at))[0]
        return best, best.cls in caps and bool(plain)

    # Asking.

    def ask(self, command: c.Command, device: str, at: int) -> str | list[Said]:
        """What the hall must say to a command; it is done at once. `more`: what it must say beside a reason."""
        self.now, self.more = at, []
        if device in self.quarantined:
            return "device_quarantined"
        try:
            found: list[Said] = getattr(self, type(command).__name__)(command, device, at)
        except No as no:
            if isinstance(command, c.SubmitEvaluation):
                self.more = self.flags_of_no(str(no), device)
            return str(no)
        return found

    def flags_of_no(self, reason: str, device: str) -> list[Said]:
        raise NotImplementedError

    def desk(self, no: int, device: str) -> Desk:
        own = self.devices[device].counter if device in self.devices else 0
        if no and own and no != own:
            raise No("forbidden")
        if (no or own) not in self.desks:
            raise No("counter_unknown")
        return self.desks[no or own]

    def free(self, desk: Desk, *, may_serve: bool = False) -> None:
        if not desk.staff:
            raise No("not_signed_on")
        if desk.paused:
            raise No("counter_paused")
        if desk.ticket and not (may_serve and self.slips[desk.ticket].state == SERVING):
            raise No("counter_busy")

    def current(self, no: int, device: str, state: str = "", reason: str = "wrong_state") -> tuple[Desk, Slip]:
        desk = self.desk(no, device)
        if not desk.staff:
            raise No("not_signed_on")
        if not desk.ticket:
            raise No("nothing_called")
        slip = self.slips[desk.ticket]
        if state and slip.state != state:
            raise No(reason)
        return desk, slip

    def slip(self, ticket: int, *states: str) -> Slip:
        if ticket not in self.slips:
            raise No("ticket_unknown")
        if states and self.slips[ticket].state not in states:
            raise No("wrong_state")
        return self.slips[ticket]

    def named(self, ticket: int, device: str) -> Slip:
        """A ticket named by a keypad: not one that another counter has."""
        slip = self.slip(ticket)
        own = self.devices[device].counter if device in self.devices else 0
        if own and slip.state in (CALLED, SERVING, HELD) and slip.counter != own:
            raise No("forbidden")
        return slip

    def service(self, code: str) -> ServicePart:
        for part in self.policy.services:
            if part.code == code:
                return part
        raise No("service_unknown")
