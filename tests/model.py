"""tests/model.py: a hall once more, plainly: dicts, lists and sorted(), from the words of the design.

It shares with `core` the commands and the policy document. `ask` and `due` say what must happen as `Said` or a reason.
In six files: model_room (tables, ranking), _tickets, _calls, _cases, _alarms; bookings, counters, days, time here.
"""

from typing import Any

from core import commands as c
from core.calendar import business_day
from core.policy import Policy, from_document
from tests.model_calls import Calls
from tests.model_cases import File
from tests.model_room import ABANDONED, CALLED, DAY, EXPIRED, HELD, MIN, MISSED, OPEN, SERVING, WAITING, No, Said

__all__ = ["Plain", "Said"]


class Plain(Calls):
    """The hall."""

    def __init__(self, policy: Policy, at: int) -> None:
        super().__init__(policy, at)
        self.files: dict[int, File] = {}
        self.codes: list[str] = []
        self.raised: list[str] = []
        self.marks: list[tuple[str, str]] = []
        self.scores: dict[str, int] = {}
        self.known_codes()

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
        self._one_open(booking["person"], booking["service"])
        rules, slot, part = self.policy.booking, booking["slot"], self.service(booking["service"])
        if slot >= self.day.next_cutover_ms:
            raise No("slot_other_day")
        if at - slot > rules.void_min * MIN or slot < self.day.day_start_ms:
            raise No("slot_over")
        self._numbers_left(part)
        on_time = at - slot <= rules.late_min * MIN
        early = slot - rules.early_min * MIN
        booking["state"] = "checked_in"
        T = slot - rules.credit_min * MIN if on_time else at
        cls = "booked" if on_time else "ordinary"
        visit, opened = self._errand(booking["person"], (), at) if booking["person"] else (0, [])
        taken = self._take(part, cls, at, T, visit, "booking", early=early if early > at else 0)
        self.slips[taken["ticket"]].person = booking["person"]
        if device:
            self.last_take[device] = (part.code, at)
        return [Said("BookingCheckedIn", booking=ask.booking), *opened, taken]

    # Counters and devices.

    def SignOnStaff(self, ask: c.SignOnStaff, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if desk.staff:
            raise No("counter_taken")
        if ask.staff in [one.staff for one in self.desks.values()]:
            raise No("staff_elsewhere")
        desk.staff = ask.staff
        return [Said("StaffSignedOn", counter=desk.no, staff=ask.staff), *self.somebody_sits(desk)]

    def SignOffStaff(self, ask: c.SignOffStaff, device: str, at: int) -> list[Said]:
        desk = self.desk(ask.counter, device)
        if not desk.staff:
            raise No("not_signed_on")
        if desk.ticket:
            raise No("counter_busy")
        staff, desk.staff, desk.paused, desk.closed = desk.staff, "", False, at
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
        self.rings = self.rings if policy.classes == self.policy.classes else {}
        self.raised = self.raised if policy.alerts == self.policy.alerts else []
        self.policy = policy
        self.known_codes()
        if self.pending is not None and self.pending.version <= policy.version:
            self.pending = None
        today = business_day(policy, at)
        self.periods = today.periods if today.day == self.day.day else self.periods
        for gone in [no for no in self.desks if no not in [part.no for part in policy.counters]]:
            del self.desks[gone]
        self._furnish()
        self.drop_rings()
        return Said("PolicyChanged", version=policy.version, periods=self.periods)

    def OpenDay(self, ask: c.OpenDay, device: str, at: int) -> list[Said]:
        if self.open:
            raise No("day_open")
        return [self._open(at)]

    def _open(self, at: int) -> Said:
        today = business_day(self.policy, at)
        if today.day != self.day.day:
            self.counts = dict.fromkeys(self.counts, 0)
            self.last_number, self.printed, self.taken_of, self.marks = {}, [], {}, []
            for desk in self.desks.values():
                desk.uncovered = False
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
        self.slips, self.visits, self.raised = {}, {}, []
        self.bookings = {no: one for no, one in self.bookings.items() if one["state"] == "made"}
        done = [r for r in self.ratings.values() if r.state not in ("opened", "appealed")]
        over = [r.call for r in done if max(r.due, r.appeal) <= at]
        self.ratings = {call: r for call, r in self.ratings.items() if call not in over}
        self.forgotten = max([self.forgotten, *over])
        self.forget_files(at)
        return said

    # Time.

    def deadlines(self) -> list[tuple[int, int, int]]:
        """(due, kind, id) of all that will happen by itself."""
        found = [(self.day.next_cutover_ms, 13, 0), *self.file_deadlines()]
        found += [*self.alert_deadlines(), *self.empty_deadlines()]
        for slip in self.slips.values():
            kind = {MISSED: 2, HELD: 3, CALLED: 4}.get(slip.state, 0)
            if slip.state == WAITING and slip.early:
                found.append((slip.early, 1, slip.ticket))
            if kind and slip.until:
                found.append((slip.until, kind, slip.ticket))
        found += [(b["lapse"], 5, no) for no, b in self.bookings.items() if b["state"] == "made"]
        found += [(r.due, 6, r.call) for r in self.ratings.values() if r.state == "opened"]
        if self.pending is not None:
            found.append((self.pending_at, 12, 0))
        return sorted(found)

    def due(self, at: int) -> list[Said] | None:
        """The next thing that time brings by `at`."""
        due, kind, ident = self.deadlines()[0]
        if due > at:
            return None
        self.now = max(self.now, due)
        if kind == 10:
            return self.empty_due(ident, due)
        if kind == 11:
            return self.alert_due(ident)
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
        if kind in (7, 8, 9):
            return self.file_overdue(kind, ident)
        if kind == 12:
            assert self.pending is not None
            if self._drops(self.pending):
                self.pending_at = self.day.next_cutover_ms + 1
                return [Said("PolicyScheduled", version=self.pending.version, effective_ms=self.pending_at)]
            return [self._change(self.pending, due)]
        goes_on = business_day(self.policy, at).day == self.day.day  # a policy has moved the day's end
        closing = self._close(due) if self.open and not goes_on else []
        return [*closing, self._open(at)]
