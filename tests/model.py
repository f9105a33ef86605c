"""tests/model.py: a hall once more, plainly: dicts, lists and sorted(), from the words of the design.

It shares with `core` the commands and the policy document. `ask` and `due` say what must happen as `Said` or a reason.
"""

from dataclasses import dataclass, field
from typing import Any

from core import commands as c
from core.calendar import business_day
from core.policy import DevicePart, Policy, ServicePart, from_document

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


def skills(desk: Desk) -> str:
    """Counters with the same skills share the cap of green calls."""
    return str((sorted(desk.primary), sorted(desk.overflow), desk.theta))


class No(Exception):
    """The hall says no."""


class Plain:
    """The hall."""

    def __init__(self, policy: Policy, at: int) -> None:
        self.policy, self.pending, self.pending_at = policy, None, 0
        self.day = business_day(policy, at)
        self.periods = self.day.periods
        self.open = True
        self.slips: dict[int, Slip] = {}
        self.next = dict.fromkeys(("ticket", "call", "visit", "booking", "case"), 1)
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
        self.rings = {}
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
        """What the hall must say to a command; it is done at once."""
        if device in self.quarantined:
            return "device_quarantined"
        try:
            found: list[Said] = getattr(self, type(command).__name__)(command, device, at)
        except No as no:
            return str(no)
        return found

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

    def service(self, code: str) -> ServicePart:
        for part in self.policy.services:
            if part.code == code:
                return part
        raise No("service_unknown")

    # Tickets.

    def TakeTicket(self, ask: c.TakeTicket, device: str, at: int) -> list[Said]:
        known = self.devices.get(device)
        if ask.number:
            own = known.offline_prefix if known else ""
            if not own or not ask.number.startswith(own) or not ask.number[len(own) :].isdigit():
                raise No("forbidden")
        part = self.service(ask.service)
        for step in ask.plan:
            self.service(step)
        if ask.cls not in [cls.code for cls in self.policy.classes]:
            raise No("class_unknown")
        if ask.visit and ask.visit not in self.visits:
            raise No("visit_closed" if ask.visit < self.next["visit"] else "visit_unknown")
        if ask.visit and ask.person_ref and self.visits[ask.visit]["person"] != ask.person_ref:
            raise No("visit_unknown")
        early = self.policy.tickets.take_early_min * MIN
        inside = any(a - early <= at < b for a, b in self.periods)
        if not self.open or not (inside or ask.number):
            raise No("hall_closed")
        mine = [s for s in self.slips.values() if s.state in OPEN and s.person and s.person == ask.person_ref]
        mine += [s for s in self.slips.values() if s.state in OPEN and s.visit and self._person(s) == ask.person_ref]
        if self.policy.tickets.one_open_per_person and ask.person_ref and ask.service in [s.service for s in mine]:
            raise No("open_ticket_exists")
        if ask.cls == "booked" or (part.classes and ask.cls not in part.classes):
            raise No("class_not_allowed")
        last = self.last_take.get(device)
        if last and not ask.number and last[0] == ask.service and at - last[1] < self.policy.tickets.press_gap_ms:
            raise No("pressed_twice")
        if part.quota_day and self.taken_of.get(ask.service, 0) >= part.quota_day:
            raise No("quota_full")
        if ask.number in self.printed:
            raise No("number_taken")
        if not ask.number:
            self._numbers_left(part)
        said: list[Said] = []
        visit = ask.visit or next((v for v, one in self.visits.items() if one["person"] == ask.person_ref != ""), 0)
        if not visit and (ask.person_ref or ask.plan):
            visit = self._count("visit")
            self.visits[visit] = dict(person=ask.person_ref, started=at, plan=list(ask.plan), sent_home=False)
            said.append(Said("VisitOpened", visit=visit, person_ref=ask.person_ref))
        happened = max(self.day.day_start_ms, min(ask.happened_ms or at, at)) if ask.number else 0
        said.append(self._take(part, ask.cls, at, happened or at, visit, "kiosk" if device else "web", ask.number))
        slip = self.slips[said[-1]["ticket"]]
        slip.person, slip.taken = ask.person_ref, happened or at
        if device and not ask.number:
            self.last_take[device] = (ask.service, at)
        return said

    def _person(self, slip: Slip) -> str:
        return str(self.visits[slip.visit]["person"]) if slip.visit in self.visits else ""

    def _numbers_left(self, part: ServicePart) -> None:
        if self.last_number.get(part.prefix, 0) + 1 >= 10**self.policy.tickets.digits:
            raise No("numbers_exhausted")

    def _count(self, what: str) -> int:
        self.next[what] += 1
        return self.next[what] - 1

    def _take(
        self, part: ServicePart, cls: str, at: int, T: int, visit: int, origin: str, number: str = "", early: int = 0
    ) -> Said:
        if number:
            self.printed.append(number)
        else:
            self.last_number[part.prefix] = self.last_number.get(part.prefix, 0) + 1
            number = part.prefix + str(self.last_number[part.prefix]).zfill(self.policy.tickets.digits)
        slip = Slip(self._count("ticket"), number, part.code, cls, at, T, visit=visit, early=early)
        ahead = self.ahead(slip, at)
        self.slips[slip.ticket] = slip
        self.counts["taken"] += 1
        self.taken_of[part.code] = self.taken_of.get(part.code, 0) + 1
        if origin == "step":
            plan = self.visits[visit]["plan"]
            del plan[: plan.index(part.code) + 1]
        return Said(
            "TicketTaken",
            ticket=slip.ticket,
            number=number,
            service=part.code,
            cls=cls,
            t_eff_ms=T,
            ahead=ahead,
            visit=visit,
            eligible_ms=early,
            origin=origin,
            day=self.day.day,
        )

    def _end(self, slip: Slip, state: str, at: int, *, done: bool = False) -> list[Said]:
        """The ticket ends; then its errand: the next step if this one is done, or the end."""
        self._leave(slip)
        slip.state = state
        self.counts[state] += 1
        visit = self.visits.get(slip.visit)
        if visit is None or any(s.visit == slip.visit and s.state in OPEN for s in self.slips.values()):
            return []
        if visit["plan"] and done:
            part = self.service(visit["plan"][0])
            return [self._take(part, slip.cls, at, visit["started"], slip.visit, "step")]
        del self.visits[slip.visit]
        return [Said("VisitClosed", visit=slip.visit, once_done=done and not visit["sent_home"])]

    def _leave(self, slip: Slip) -> None:
        """The ticket is no longer at or held at a counter; a pause that was asked for begins."""
        for desk in self.desks.values():
            if slip.ticket in desk.held:
                desk.held.remove(slip.ticket)
            if desk.ticket == slip.ticket:
                desk.ticket = 0
                desk.paused, desk.pausing = desk.pausing, False

    def ReportPrint(self, ask: c.ReportPrint, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket)
        if ask.ok:
            return [Said("TicketPrinted", ticket=slip.ticket)]
        said = [Said("TicketPrintFailed", ticket=slip.ticket, fault=ask.fault)]
        if slip.state == WAITING and self.policy.tickets.on_print_failed == "cancel":
            said += [Said("TicketCancelled", ticket=slip.ticket, why="print_failed"), *self._end(slip, CANCELLED, at)]
        return said

    def ReprintTicket(self, ask: c.ReprintTicket, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket, *OPEN)
        if slip.reprints >= self.policy.tickets.reprints:
            raise No("reprint_limit")
        slip.reprints += 1
        return [Said("TicketReprinted", ticket=slip.ticket, times=slip.reprints)]

    def CancelTicket(self, ask: c.CancelTicket, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket, WAITING, HELD, MISSED)
        return [Said("TicketCancelled", ticket=slip.ticket), *self._end(slip, CANCELLED, at)]

    def ReclassTicket(self, ask: c.ReclassTicket, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket)
        if ask.cls not in [cls.code for cls in self.policy.classes]:
            raise No("class_unknown")
        self.slip(ask.ticket, WAITING)
        slip.cls = ask.cls
        return [Said("TicketReclassed", ticket=slip.ticket, cls=ask.cls)]

    def RequeueTicket(self, ask: c.RequeueTicket, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket, MISSED)
        after = self.policy.returns.after
        if slip.misses > len(after):
            raise No("requeue_limit")
        if at >= slip.until:
            raise No("return_over")
        tiers = {cls.code: cls.tier for cls in self.policy.classes}
        peers = [s for s in self.slips.values() if self.eligible(s) and s.service == slip.service]
        peers = sorted((s for s in peers if tiers[s.cls] == tiers[slip.cls]), key=lambda s: self.order(s, at))
        if peers[: after[slip.misses - 1]]:
            last = self.order(peers[: after[slip.misses - 1]][-1], at)
            cls = next(cls for cls in self.policy.classes if cls.code == slip.cls)
            # The first T of its own at which it scores less than the N-th.
            slip.T = max(slip.T, at + cls.head_start_min * MIN + (last[1] // cls.rate) + 1)
        slip.state = WAITING
        return [Said("TicketRequeued", ticket=slip.ticket, t_eff_ms=slip.T, times=slip.misses)]

    # Calls.

    def CallNext(self, ask: c.CallNext, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        self.free(desk, may_serve=self.policy.calling.next_while_serving == "finish")
        if desk.ticket and desk.pausing:
            raise No("counter_paused")
        chosen = self.choose(desk, at)
        early = [s for s in self.slips.values() if s.state == WAITING and s.early and s.service in desk.primary]
        early = sorted((s for s in early if not self.busy(s.visit)), key=lambda s: (s.T, s.ticket))
        if chosen is None and not early:
            raise No("nothing_eligible")
        said = self._finish(desk, self.slips[desk.ticket], at, "done") if desk.ticket else []
        if chosen is None:
            early[0].early = 0
            said.append(Said("TicketEligible", ticket=early[0].ticket, idle=True))
            return [*said, self._call(desk, early[0], at, "TicketCalled", picked=False, contested=False)]
        self.ring_of(desk).append(chosen[1])
        return [*said, self._call(desk, chosen[0], at, "TicketCalled", picked=False, contested=chosen[1])]

    def CallTicket(self, ask: c.CallTicket, device: str, at: int) -> list[Said]:
        if not self.policy.calling.picking:
            raise No("picking_forbidden")
        desk = self.desk(ask.counter, device)
        slip = self.slip(ask.ticket)
        self.free(desk)
        self.slip(ask.ticket, WAITING)
        if self.busy(slip.visit):
            raise No("visit_busy")
        if slip.service not in (*desk.primary, *desk.overflow):
            raise No("not_skilled")
        said = [Said("TicketEligible", ticket=slip.ticket)] if slip.early else []
        slip.early = 0
        return [*said, self._call(desk, slip, at, "TicketCalled", picked=True, contested=False)]

    def _call(self, desk: Desk, slip: Slip, at: int, kind: str, **more: Any) -> Said:
        call = self._count("call")
        if kind == "TicketCalled":
            waited = at - slip.taken
            slip.waited = waited if not slip.calls else slip.waited
            more["first"] = not slip.calls
        else:
            waited = slip.waited
        slip.state, slip.counter, slip.call, slip.called, slip.started = CALLED, desk.no, call, at, 0
        slip.recalls, slip.announced, slip.calls = 0, at, slip.calls + 1
        slip.until = at + self.policy.calling.arrive_timeout_s * 1000 if self.policy.calling.arrive_timeout_s else 0
        desk.ticket, desk.newest_call = slip.ticket, call
        contested = more.pop("contested", None)
        said = Said(
            kind,
            call=call,
            ticket=slip.ticket,
            number=slip.number,
            counter=desk.no,
            staff=desk.staff,
            service=slip.service,
            waited_ms=waited,
            **more,
        )
        if contested is not None:
            said["contested"] = contested
        return said

    def RecallTicket(self, ask: c.RecallTicket, device: str, at: int) -> list[Said]:
        _, slip = self.current(ask.counter, device, CALLED, "nothing_called")
        if slip.recalls >= self.policy.calling.max_recalls:
            raise No("recall_limit")
        if at - slip.announced < self.policy.calling.recall_gap_s * 1000:
            raise No("recall_too_soon")
        slip.recalls, slip.announced = slip.recalls + 1, at
        return [Said("TicketRecalled", call=slip.call, ticket=slip.ticket, recalls=slip.recalls)]

    def ReportCall(self, ask: c.ReportCall, device: str, at: int) -> list[Said]:
        if not 0 < ask.call < self.next["call"]:
            raise No("call_unknown")
        if ask.call not in [s.call for s in self.slips.values() if s.state in (CALLED, SERVING)]:
            raise No("call_over")
        return [Said("CallAnnounced" if ask.ok else "CallAnnounceFailed", call=ask.call)]

    def MissTicket(self, ask: c.MissTicket, device: str, at: int) -> list[Said]:
        _, slip = self.current(ask.counter, device, CALLED)
        return [self._miss(slip, at, timeout=False)]

    def _miss(self, slip: Slip, at: int, *, timeout: bool) -> Said:
        slip.misses += 1
        final = slip.misses > len(self.policy.returns.after)
        slip.until = at if final else at + self.policy.returns.return_min * MIN
        self._leave(slip)
        slip.state = MISSED
        return Said("TicketMissed", ticket=slip.ticket, times=slip.misses, return_until_ms=slip.until, timeout=timeout)

    def ReleaseTicket(self, ask: c.ReleaseTicket, device: str, at: int) -> list[Said]:
        _, slip = self.current(ask.counter, device, CALLED)
        self._leave(slip)
        slip.state = WAITING
        return [Said("TicketReleased", ticket=slip.ticket, call=slip.call)]

    def AbandonTicket(self, ask: c.AbandonTicket, device: str, at: int) -> list[Said]:
        slip = self.slip(ask.ticket) if ask.ticket else self.current(ask.counter, device)[1]
        self.slip(slip.ticket, CALLED, HELD, MISSED)
        counter = slip.counter if slip.state == CALLED else 0
        return [Said("TicketAbandoned", ticket=slip.ticket, counter=counter), *self._end(slip, ABANDONED, at)]

    def HoldTicket(self, ask: c.HoldTicket, device: str, at: int) -> list[Said]:
        desk, slip = self.current(ask.counter, device)
        if len(desk.held) >= self.policy.returns.holds:
            raise No("hold_limit")
        self._pause_clock(slip, at)
        self._leave(slip)
        slip.state, slip.holds = HELD, slip.holds + 1
        slip.until = at + self.policy.returns.hold_max_min * MIN
        desk.held.append(slip.ticket)
        return [Said("TicketHeld", ticket=slip.ticket, counter=desk.no, holds=slip.holds, until_ms=slip.until)]

    def _pause_clock(self, slip: Slip, at: int) -> None:
        slip.handled += at - slip.started if slip.started else 0
        slip.started = 0

    def ResumeTicket(self, ask: c.ResumeTicket, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if ask.ticket:
            self.slip(ask.ticket)
        self.free(desk)
        if not ask.ticket and not desk.held:
            raise No("nothing_eligible")
        slip = self.slip(ask.ticket or desk.held[0], HELD)
        if slip.ticket not in desk.held:
            raise No("held_elsewhere")
        if self.busy(slip.visit):
            raise No("visit_busy")
        self._leave(slip)
        return [self._call(desk, slip, at, "TicketResumed")]

    def TransferTicket(self, ask: c.TransferTicket, device: str, at: int) -> list[Said]:
        if ask.ticket:
            self.slip(ask.ticket)
        else:
            self.desk(ask.counter, device)
        self.service(ask.to_service)
        if ask.to_counter and ask.to_counter not in self.desks:
            raise No("counter_unknown")
        slip = self.slips[ask.ticket] if ask.ticket else self.current(ask.counter, device)[1]
        self.slip(slip.ticket, WAITING, CALLED, SERVING, HELD)
        if slip.service == ask.to_service:
            raise No("same_target")
        mine = [s for s in self.slips.values() if s.state in OPEN and s.visit and self._person(s) == slip.person != ""]
        if self.policy.tickets.one_open_per_person and ask.to_service in [s.service for s in mine]:
            raise No("open_ticket_exists")
        if slip.hops + 1 > self.policy.returns.max_hops:
            raise No("transfer_limit")
        counter = slip.counter if slip.state in (CALLED, SERVING) else 0
        self._pause_clock(slip, at)
        self._leave(slip)
        slip.hops += 1
        slip.T = slip.T if slip.hops <= self.policy.returns.senior_hops else max(slip.T, at)
        slip.state, slip.service = WAITING, ask.to_service
        return [
            Said(
                "TicketTransferred",
                ticket=slip.ticket,
                counter=counter,
                service=ask.to_service,
                t_eff_ms=slip.T,
                hops=slip.hops,
            )
        ]

    # Servings and ratings.

    def StartServing(self, ask: c.StartServing, device: str, at: int) -> list[Said]:
        _, slip = self.current(ask.counter, device, CALLED)
        slip.state, slip.started = SERVING, at
        return [Said("ServingStarted", call=slip.call, ticket=slip.ticket, implied=False)]

    def FinishServing(self, ask: c.FinishServing, device: str, at: int) -> list[Said]:
        desk, slip = self.current(ask.counter, device)
        if slip.state == CALLED and self.policy.calling.start == "explicit":
            raise No("wrong_state")
        return self._finish(desk, slip, at, ask.outcome)

    def _finish(self, desk: Desk, slip: Slip, at: int, outcome: str) -> list[Said]:
        said: list[Said] = []
        implied = slip.state == CALLED
        if implied:
            slip.started = slip.called
            said.append(Said("ServingStarted", call=slip.call, ticket=slip.ticket, implied=True))
        self._pause_clock(slip, at)
        home = outcome in ("need_material", "declined")
        if slip.visit in self.visits:
            self.visits[slip.visit]["sent_home"] |= home
        due = at + self.policy.evaluation.window_days * DAY
        self.ratings[slip.call] = Rating(slip.call, desk.staff, desk.no, slip.service, at, due)
        desk.last_call, desk.finished = slip.call, at
        said.append(
            Said(
                "ServingFinished",
                call=slip.call,
                ticket=slip.ticket,
                counter=desk.no,
                staff=desk.staff,
                service=slip.service,
                handling_ms=slip.handled,
                waited_ms=slip.waited,
                outcome=outcome,
                implied=implied,
            )
        )
        said.append(Said("EvaluationOpened", call=slip.call, staff=desk.staff, counter=desk.no, due_ms=due))
        return [*said, *self._end(slip, SERVED, at, done=not home)]

    def SubmitEvaluation(self, ask: c.SubmitEvaluation, device: str, at: int) -> list[Said]:
        known = self.devices.get(device)
        call, prompt_over = ask.call, False
        if not call and known and known.counter in self.desks:
            desk = self.desks[known.counter]
            call = desk.last_call
            prompt_over = bool(call) and at - desk.finished > self.policy.evaluation.keypad_window_s * 1000
        level = ask.level
        if ask.key >= 0:
            profile = next((p for p in self.policy.profiles if known and p.id == known.profile), None)
            if profile and ask.key in profile.ignore:
                raise No("default_key")
            level = profile.levels.get(str(ask.key), 0) if profile else 0
        if not 1 <= level <= 5:
            raise No("level_unknown")
        if ask.proof == "bad":
            raise No("bad_token")
        if prompt_over:
            raise No("prompt_over")
        rating = self.ratings.get(call)
        if rating is None:
            raise No("window_over" if 0 < call <= self.forgotten else "no_serving")
        if rating.state == "submitted":
            raise No("already_rated")
        if rating.state != "opened" or at >= rating.due:
            raise No("window_over")
        rating.state, rating.level = "submitted", level
        moved_on = rating.counter not in self.desks or self.desks[rating.counter].newest_call > call
        late = moved_on or (ask.channel or "device") not in ("device", "pad")
        said = [
            Said(
                "EvaluationSubmitted",
                call=call,
                level=level,
                staff=rating.staff,
                counter=rating.counter,
                service=rating.service,
                latency_ms=at - (rating.shown or rating.opened),
                late=late,
            )
        ]
        if level <= 2:
            case = self._count("case")
            said.append(Said("CaseOpened", case=case, kind="bad_review", call=call, staff=rating.staff))
        return said

    def ReportShown(self, ask: c.ReportShown, device: str, at: int) -> list[Said]:
        rating = self.ratings.get(ask.call)
        if rating is None:
            raise No("call_unknown")
        if rating.state != "opened":
            raise No("wrong_state")
        rating.shown = at
        return [Said("EvaluationShown", call=ask.call)]

    # Bookings.

    def MakeBooking(self, ask: c.MakeBooking, device: str, at: int) -> list[Said]:
        self.service(ask.service)
        rules = self.policy.booking
        if not at < ask.slot_ms <= at + rules.days_ahead * DAY:
            raise No("slot_past")
        made = [b for b in self.bookings.values() if b["state"] == "made"]
        if len([b for b in made if (b["service"], b["slot"]) == (ask.service, ask.slot_ms)]) >= rules.slot_places:
            raise No("slot_full")
        mine = [b for b in made if ask.person_ref and b["person"] == ask.person_ref]
        if len([b for b in mine if abs(b["slot"] - ask.slot_ms) < DAY]) >= rules.per_person_day:
            raise No("booked_already")
        booking = self._count("booking")
        lapse = ask.slot_ms + rules.void_min * MIN
        self.bookings[booking] = dict(
            state="made", service=ask.service, slot=ask.slot_ms, person=ask.person_ref, lapse=lapse
        )
        return [Said("BookingMade", booking=booking, service=ask.service, slot_ms=ask.slot_ms)]

    def _booking(self, booking: int, *, service: bool = False) -> dict[str, Any]:
        if booking not in self.bookings:
            raise No("booking_unknown")
        if service:
            self.service(self.bookings[booking]["service"])
        if self.bookings[booking]["state"] != "made":
            raise No("wrong_state")
        return self.bookings[booking]

    def CancelBooking(self, ask: c.CancelBooking, device: str, at: int) -> list[Said]:
        booking = self._booking(ask.booking)
        if booking["slot"] - at < self.policy.booking.cancel_min * MIN:
            raise No("too_late")
        booking["state"] = "cancelled"
        return [Said("BookingCancelled", booking=ask.booking)]

    def CheckInBooking(self, ask: c.CheckInBooking, device: str, at: int) -> list[Said]:
        booking = self._booking(ask.booking, service=True)
        if not self.open:
            raise No("hall_closed")
        rules, slot, part = self.policy.booking, booking["slot"], self.service(booking["service"])
        if at - slot > rules.void_min * MIN:
            raise No("slot_over")
        self._numbers_left(part)
        on_time = at - slot <= rules.late_min * MIN
        early = slot - rules.early_min * MIN
        booking["state"] = "checked_in"
        T = slot - rules.credit_min * MIN if on_time else at
        cls = "booked" if on_time else "ordinary"
        taken = self._take(part, cls, at, T, 0, "booking", early=early if early > at else 0)
        if device:
            self.last_take[device] = (part.code, at)
        return [Said("BookingCheckedIn", booking=ask.booking), taken]

    # Counters and devices.

    def SignOnStaff(self, ask: c.SignOnStaff, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if desk.staff:
            raise No("counter_taken")
        if ask.staff in [one.staff for one in self.desks.values()]:
            raise No("staff_elsewhere")
        desk.staff = ask.staff
        return [Said("StaffSignedOn", counter=desk.no, staff=ask.staff)]

    def SignOffStaff(self, ask: c.SignOffStaff, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if not desk.staff:
            raise No("not_signed_on")
        if desk.ticket:
            raise No("counter_busy")
        staff, desk.staff, desk.paused = desk.staff, "", False
        return [Said("StaffSignedOff", counter=desk.no, staff=staff)]

    def PauseCounter(self, ask: c.PauseCounter, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if not desk.staff:
            raise No("not_signed_on")
        if desk.paused or desk.pausing:
            raise No("counter_paused")
        if desk.ticket and not ask.after_current:
            raise No("counter_busy")
        desk.paused, desk.pausing = not desk.ticket, bool(desk.ticket)
        return [Said("CounterPaused", counter=desk.no, pending=desk.pausing)]

    def ResumeCounter(self, ask: c.ResumeCounter, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if not desk.paused:
            raise No("not_paused")
        desk.paused = False
        return [Said("CounterResumed", counter=desk.no)]

    def SetSkills(self, ask: c.SetSkills, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if not ask.primary:
            raise No("service_unknown")
        for code in (*ask.primary, *ask.overflow):
            self.service(code)
        desk.primary = ask.primary
        desk.overflow = tuple(code for code in ask.overflow if code not in ask.primary)
        desk.theta = ask.theta_min * MIN if desk.overflow else 0
        self.drop_rings()
        return [Said("CounterSkillsSet", counter=desk.no, primary=ask.primary, overflow=desk.overflow)]

    def QuarantineDevice(self, ask: c.QuarantineDevice, device: str, at: int) -> list[Said]:
        if ask.device in self.quarantined:
            raise No("wrong_state")
        self.quarantined.add(ask.device)
        return [Said("DeviceQuarantined", device=ask.device)]

    def ReadmitDevice(self, ask: c.ReadmitDevice, device: str, at: int) -> list[Said]:
        if ask.device not in self.quarantined:
            raise No("wrong_state")
        self.quarantined.remove(ask.device)
        return [Said("DeviceReadmitted", device=ask.device)]

    # Days and policies.

    def ChangePolicy(self, ask: c.ChangePolicy, device: str, at: int) -> list[Said]:
        policy = from_document(ask.document)
        if self._drops(policy):
            raise No("policy_invalid")
        if policy.version <= self.policy.version:
            raise No("version_not_newer")
        if ask.effective_ms > at:
            self.pending, self.pending_at = policy, ask.effective_ms
            return [Said("PolicyScheduled", version=policy.version, effective_ms=ask.effective_ms)]
        return [self._change(policy, at)]

    def _drops(self, policy: Policy) -> bool:
        kept = [part.code for part in policy.services], [part.code for part in policy.classes]
        counters = [0, *(part.no for part in policy.counters)]
        return any(
            s.service not in kept[0] or s.cls not in kept[1] or s.counter not in counters
            for s in self.slips.values()
            if s.state in OPEN
        )

    def _change(self, policy: Policy, at: int) -> Said:
        self.policy = policy
        if self.pending is not None and self.pending.version <= policy.version:
            self.pending = None
        today = business_day(policy, at)
        self.periods = today.periods if today.day == self.day.day else self.periods
        for gone in [no for no in self.desks if no not in [part.no for part in policy.counters]]:
            del self.desks[gone]
        self._furnish()
        return Said("PolicyChanged", version=policy.version, periods=self.periods)

    def OpenDay(self, ask: c.OpenDay, device: str, at: int) -> list[Said]:
        if self.open:
            raise No("day_open")
        return [self._open(at)]

    def _open(self, at: int) -> Said:
        today = business_day(self.policy, at)
        if today.day != self.day.day:
            self.counts = dict.fromkeys(self.counts, 0)
            self.last_number, self.printed, self.taken_of = {}, [], {}
        self.day, self.periods, self.open = today, today.periods, True
        return Said("DayOpened", day=today.day, next_cutover_ms=today.next_cutover_ms)

    def CloseDay(self, ask: c.CloseDay, device: str, at: int) -> list[Said]:
        if not self.open:
            raise No("day_closed")
        return self._close(at)

    def _close(self, at: int) -> list[Said]:
        said = []
        for slip in [s for s in self.slips.values() if s.state in OPEN]:
            at_counter = slip.counter if slip.state in (CALLED, SERVING) else 0
            said.append(Said("TicketExpired", ticket=slip.ticket, counter=at_counter))
            self._leave(slip)
            slip.state = EXPIRED
            self.counts[EXPIRED] += 1
        said.append(Said("DayClosed", day=self.day.day, **self.counts))
        self.open = False
        self.slips, self.visits = {}, {}
        self.bookings = {no: one for no, one in self.bookings.items() if one["state"] == "made"}
        over = [r.call for r in self.ratings.values() if r.state != "opened" and r.due <= at]
        self.ratings = {call: r for call, r in self.ratings.items() if call not in over}
        self.forgotten = max([self.forgotten, *over])
        return said

    # Time.

    def deadlines(self) -> list[tuple[int, int, int]]:
        """(due, kind, id) of all that will happen by itself."""
        found = [(self.day.next_cutover_ms, 8, 0)]
        for slip in self.slips.values():
            kind = {MISSED: 2, HELD: 3, CALLED: 4}.get(slip.state, 0)
            if slip.state == WAITING and slip.early:
                found.append((slip.early, 1, slip.ticket))
            if kind and slip.until:
                found.append((slip.until, kind, slip.ticket))
        found += [(b["lapse"], 5, no) for no, b in self.bookings.items() if b["state"] == "made"]
        found += [(r.due, 6, r.call) for r in self.ratings.values() if r.state == "opened"]
        if self.pending is not None:
            found.append((self.pending_at, 7, 0))
        return sorted(found)

    def due(self, at: int) -> list[Said] | None:
        """The next thing that time brings by `at`."""
        due, kind, ident = self.deadlines()[0]
        if due > at:
            return None
        if kind == 1:
            self.slips[ident].early = 0
            return [Said("TicketEligible", ticket=ident, idle=False)]
        if kind in (2, 3):
            why = "return_over" if kind == 2 else "hold_over"
            end = self._end(self.slips[ident], ABANDONED, due)
            return [Said("TicketAbandoned", ticket=ident, counter=0, why=why), *end]
        if kind == 4:
            return [self._miss(self.slips[ident], due, timeout=True)]
        if kind == 5:
            self.bookings[ident]["state"] = "lapsed"
            return [Said("BookingLapsed", booking=ident)]
        if kind == 6:
            by_default = self.policy.evaluation.unrated == "default3"
            self.ratings[ident].state = "defaulted" if by_default else "expired"
            more = [Said("EvaluationDefaulted", call=ident, level=3)] if by_default else []
            return [Said("EvaluationExpired", call=ident), *more]
        if kind == 7:
            assert self.pending is not None
            if self._drops(self.pending):
                self.pending_at = self.day.next_cutover_ms + 1
                return [Said("PolicyScheduled", version=self.pending.version, effective_ms=self.pending_at)]
            return [self._change(self.pending, due)]
        closing = self._close(due) if self.open else []
        return [*closing, self._open(at)]
