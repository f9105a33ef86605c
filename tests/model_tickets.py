"""tests/model_tickets.py: the plain model: tickets away from counters, and the errands they belong to."""

from core import commands as c
from core.policy import ServicePart
from tests.model_room import CANCELLED, HELD, MIN, MISSED, OPEN, WAITING, No, Room, Said, Slip


class Tickets(Room):
    """Take, print, cancel, return."""

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
        if not ask.number:
            self._one_open(ask.person_ref, ask.service)
        self._class_allowed(part, ask.cls)
        last = self.last_take.get(device)
        if last and not ask.number and last[0] == ask.service and at - last[1] < self.policy.tickets.press_gap_ms:
            raise No("pressed_twice")
        if part.quota_day and not ask.number and self.taken_of.get(ask.service, 0) >= part.quota_day:
            raise No("quota_full")
        if ask.number in self.printed:
            raise No("number_taken")
        if not ask.number:
            self._numbers_left(part)
        said: list[Said] = []
        visit = ask.visit
        if not visit and (ask.person_ref or ask.plan):
            visit, said = self._errand(ask.person_ref, ask.plan, at)
        happened = max(self.day.day_start_ms, min(ask.happened_ms or at, at)) if ask.number else 0
        said.append(self._take(part, ask.cls, at, happened or at, visit, "kiosk" if device else "web", ask.number))
        slip = self.slips[said[-1]["ticket"]]
        slip.person, slip.taken = ask.person_ref, happened or at
        if device and not ask.number:
            self.last_take[device] = (ask.service, at)
        return said

    def _one_open(self, person: str, service: str) -> None:
        mine = [s for s in self.slips.values() if s.state in OPEN and person and person in (s.person, self._person(s))]
        if self.policy.tickets.one_open_per_person and service in [s.service for s in mine]:
            raise No("open_ticket_exists")

    def _class_allowed(self, part: ServicePart, cls: str) -> None:
        if cls == "booked" or (part.classes and cls not in part.classes):
            raise No("class_not_allowed")

    def _errand(self, person: str, plan: tuple[str, ...], at: int) -> tuple[int, list[Said]]:
        known = next((v for v, one in self.visits.items() if one["person"] == person != ""), 0)
        if known:
            return known, []
        visit = self._count("visit")
        self.visits[visit] = dict(person=person, started=at, plan=list(plan), sent_home=False)
        return visit, [Said("VisitOpened", visit=visit, person_ref=person)]

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
        self._class_allowed(self.service(slip.service), ask.cls)
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
