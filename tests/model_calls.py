"""tests/model_calls.py: the plain model: calls, holds, transfers, servings and their ratings."""

from typing import Any

from core import commands as c
from tests.model_alarms import Alarms
from tests.model_cases import Cases, after_days
from tests.model_room import (
    ABANDONED,
    CALLED,
    DAY,
    HELD,
    MIN,
    MISSED,
    OPEN,
    SERVED,
    SERVING,
    WAITING,
    Desk,
    No,
    Rating,
    Said,
    Slip,
)
from tests.model_tickets import Tickets


class Calls(Tickets, Cases, Alarms):
    """What happens at a counter, and after it."""

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
        slip = self.named(ask.ticket, device) if ask.ticket else self.current(ask.counter, device)[1]
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
            self.named(ask.ticket, device)
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
        rating = self.ratings[slip.call] = Rating(slip.call, desk.staff, desk.no, slip.service, at, due)
        rating.person = slip.person or (self.visits[slip.visit]["person"] if slip.visit in self.visits else "")
        rating.handled = slip.handled
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
        if rating.level:
            raise No("already_rated")
        if rating.state != "opened" or at >= rating.due:
            raise No("window_over")
        rating.state, rating.level, rating.appeal = "submitted", level, after_days(self.policy, at, 5)
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
            case = rating.case = self._count("case")
            self.open_file(case, rating.staff, call, at)
            due = self.files[case].dues[0]
            said.append(
                Said("CaseOpened", case=case, kind="bad_review", call=call, staff=rating.staff, verify_due_ms=due)
            )
        return [*said, *self.flags_of(rating, ask, device, at)]

    def ReportShown(self, ask: c.ReportShown, device: str, at: int) -> list[Said]:
        rating = self.ratings.get(ask.call)
        if rating is None:
            raise No("call_unknown")
        if rating.state != "opened":
            raise No("wrong_state")
        rating.shown = at
        return [Said("EvaluationShown", call=ask.call)]
