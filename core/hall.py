"""core/hall.py: one hall, joined from its rules. `decide` reads, `evolve` writes, `react` speaks; replay only evolves.

No lock, no await, no I/O between a command and its facts. One writer per hall.
"""

from collections.abc import Callable
from typing import Final

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as fc
from core import facts_tickets as t
from core import (
    rules_appeals,
    rules_bookings,
    rules_calls,
    rules_cases,
    rules_conduct,
    rules_counters,
    rules_day,
    rules_devices,
    rules_holds,
    rules_journal,
    rules_ratings,
    rules_records,
    rules_servings,
    rules_staff,
    rules_tickets,
    rules_visits,
)
from core.device import DeviceState
from core.effects import Effects
from core.fact import Cause, CauseFields, Fact
from core.refusals import NEVER_SETTLES, Refusal
from core.rules_effects import REACT
from core.rules_seats import Decision
from core.state import HallState
from core.window import DONE, Answer, CalledAnswer, DeviceWindows, RefusedAnswer, TicketAnswer

# The rules differ in the kind they take, which is the key; a test holds keys and annotations together.
Decide = Callable[..., Decision]  # type: ignore[explicit-any]  # a table keyed by type has no narrower one
Evolve = Callable[..., None]  # type: ignore[explicit-any]  # as above

DECIDE: Final[dict[type[c.Command], Decide]] = {
    c.TakeTicket: rules_tickets.take,
    c.ReportPrint: rules_tickets.report_print,
    c.ReprintTicket: rules_tickets.reprint,
    c.CancelTicket: rules_tickets.cancel,
    c.ReclassTicket: rules_tickets.reclass,
    c.RequeueTicket: rules_tickets.requeue,
    c.CallNext: rules_calls.call_next,
    c.CallTicket: rules_calls.call_ticket,
    c.RecallTicket: rules_calls.recall,
    c.ReportCall: rules_calls.report_call,
    c.MissTicket: rules_calls.miss,
    c.ReleaseTicket: rules_calls.release,
    c.AbandonTicket: rules_calls.abandon,
    c.HoldTicket: rules_holds.hold,
    c.ResumeTicket: rules_holds.resume,
    c.TransferTicket: rules_holds.transfer,
    c.StartServing: rules_servings.start,
    c.FinishServing: rules_servings.finish,
    c.MakeBooking: rules_bookings.make,
    c.CancelBooking: rules_bookings.cancel,
    c.CheckInBooking: rules_bookings.check_in,
    c.SignOnStaff: rules_counters.sign_on,
    c.SignOffStaff: rules_counters.sign_off,
    c.PauseCounter: rules_counters.pause,
    c.ResumeCounter: rules_counters.resume,
    c.SetSkills: rules_counters.set_skills,
    c.SubmitEvaluation: rules_ratings.submit,
    c.ReportShown: rules_ratings.report_shown,
    c.RegisterDevice: rules_devices.register,
    c.RetireDevice: rules_devices.retire,
    c.QuarantineDevice: rules_devices.quarantine,
    c.ReadmitDevice: rules_devices.readmit,
    c.HelloDevice: rules_devices.hello,
    c.LoseDevice: rules_devices.lose,
    c.ChangePolicy: rules_day.change_policy,
    c.OpenDay: rules_day.open_day,
    c.CloseDay: rules_day.close_day,
    cc.SupplementEvaluation: rules_appeals.supplement,
    cc.AppealEvaluation: rules_appeals.appeal,
    cc.DecideAppeal: rules_appeals.decide_appeal,
    cc.ProbeEvaluation: rules_appeals.probe,
    cc.OpenCase: rules_cases.open_case,
    cc.AssignCase: rules_cases.assign,
    cc.VerifyCase: rules_cases.verify,
    cc.RectifyCase: rules_cases.rectify,
    cc.ReplyCase: rules_cases.reply,
    cc.RevisitCase: rules_cases.revisit,
    cc.CloseCase: rules_cases.close,
    cc.ReopenCase: rules_cases.reopen,
    cc.ExtendCase: rules_cases.extend,
    cc.RecordConduct: rules_conduct.record,
    cc.VoidConduct: rules_conduct.void,
    cc.RaiseFinding: rules_conduct.raise_finding,
    cc.ReviewFinding: rules_conduct.review,
    cc.PostStaff: rules_staff.post,
    cc.RotateStaff: rules_staff.rotate,
    cc.ReturnStaff: rules_staff.send_back,
    cc.RecordInspection: rules_records.inspect,
    cc.GrantHonor: rules_records.grant,
    cc.RevokeHonor: rules_records.revoke,
    cc.DivertQueue: rules_records.divert,
    cc.CountZone: rules_records.count_zone,
    cc.RecordVolunteer: rules_records.record_volunteer,
    cc.StartFacilityUse: rules_records.start_use,
    cc.EndFacilityUse: rules_records.end_use,
    cc.CallHelp: rules_records.call_help,
}
EVOLVE: Final[dict[type[Fact], Evolve]] = {
    t.VisitOpened: rules_visits.visit_opened,
    t.VisitClosed: rules_visits.visit_closed,
    t.TicketTaken: rules_tickets.ticket_taken,
    t.TicketPrinted: rules_tickets.printed,
    t.TicketPrintFailed: rules_tickets.printed,
    t.TicketReprinted: rules_tickets.reprinted,
    t.TicketCancelled: rules_tickets.cancelled,
    t.TicketReclassed: rules_tickets.reclassed,
    t.TicketRequeued: rules_tickets.requeued,
    t.TicketEligible: rules_tickets.eligible,
    t.TicketCalled: rules_calls.ticket_called,
    t.TicketRecalled: rules_calls.recalled,
    t.CallAnnounced: rules_calls.announced,
    t.CallAnnounceFailed: rules_calls.announced,
    t.TicketMissed: rules_calls.missed,
    t.TicketReleased: rules_calls.released,
    t.TicketAbandoned: rules_calls.abandoned,
    t.TicketHeld: rules_holds.held,
    t.TicketResumed: rules_holds.resumed,
    t.TicketTransferred: rules_holds.transferred,
    t.TicketExpired: rules_day.ticket_expired,
    t.ServingStarted: rules_servings.started,
    t.ServingFinished: rules_servings.finished,
    f.EvaluationOpened: rules_ratings.opened,
    f.EvaluationShown: rules_ratings.shown,
    f.EvaluationSubmitted: rules_ratings.submitted,
    f.EvaluationRejected: rules_ratings.rejected,
    f.EvaluationExpired: rules_ratings.expired,
    f.EvaluationDefaulted: rules_ratings.defaulted,
    f.CaseOpened: rules_cases.opened,
    f.BookingMade: rules_bookings.made,
    f.BookingCancelled: rules_bookings.cancelled,
    f.BookingCheckedIn: rules_bookings.checked_in,
    f.BookingLapsed: rules_bookings.lapsed,
    f.StaffSignedOn: rules_counters.signed_on,
    f.StaffSignedOff: rules_counters.signed_off,
    f.CounterPaused: rules_counters.paused,
    f.CounterResumed: rules_counters.resumed,
    f.CounterSkillsSet: rules_counters.skills_set,
    f.DeviceRegistered: rules_devices.registered,
    f.DeviceOnline: rules_devices.online,
    f.DeviceOffline: rules_devices.moved,
    f.DeviceStatusChanged: rules_devices.moved,
    f.DeviceRetired: rules_devices.moved,
    f.DeviceQuarantined: rules_devices.moved,
    f.DeviceReadmitted: rules_devices.moved,
    f.PolicyScheduled: rules_day.policy_scheduled,
    f.PolicyChanged: rules_day.policy_changed,
    f.DayOpened: rules_day.day_opened,
    f.DayClosed: rules_day.day_closed,
    f.Refused: rules_day.refused,
    f.JournalRestored: rules_journal.kept,
    f.JournalErased: rules_journal.kept,
    fc.EvaluationProbed: rules_appeals.probed,
    fc.EvaluationSupplemented: rules_appeals.supplemented,
    fc.EvaluationAppealed: rules_appeals.appealed,
    fc.EvaluationUpheld: rules_appeals.decided,
    fc.EvaluationExcluded: rules_appeals.decided,
    fc.CaseAssigned: rules_cases.assigned,
    fc.CaseVerified: rules_cases.verified,
    fc.CaseRectified: rules_cases.moved,
    fc.CaseReplied: rules_cases.moved,
    fc.CaseRevisited: rules_cases.moved,
    fc.CaseClosed: rules_cases.closed,
    fc.CaseReopened: rules_cases.reopened,
    fc.CaseExtended: rules_cases.extended,
    fc.CaseOverdue: rules_cases.overdue,
    fc.ConductRecorded: rules_conduct.recorded,
    fc.ConductVoided: rules_conduct.voided,
    fc.ConductWarned: rules_conduct.warned,
    fc.FindingRaised: rules_conduct.raised,
    fc.FindingReviewed: rules_conduct.reviewed,
    fc.FindingWithdrawn: rules_conduct.withdrawn,
    fc.StaffPosted: rules_staff.posted,
    fc.StaffRotated: rules_staff.rotated,
    fc.StaffReturned: rules_staff.returned,
    fc.CounterUncovered: rules_staff.uncovered,
    fc.CounterCovered: rules_staff.covered,
    fc.InspectionRecorded: rules_records.inspected,
    fc.HonorGranted: rules_records.granted,
    fc.HonorRevoked: rules_records.revoked,
    fc.QueueDiverted: rules_records.kept,
    fc.ZoneCounted: rules_records.counted,
    fc.VolunteerServiceRecorded: rules_records.kept,
    fc.DeviceHelpCalled: rules_records.kept,
    fc.FacilityUseStarted: rules_records.used,
    fc.FacilityUseEnded: rules_records.used,
    fc.QueueAlertRaised: rules_records.alert_raised,
    fc.QueueAlertCleared: rules_records.alert_cleared,
}


def _ticket(fact: t.TicketTaken) -> Answer:
    return TicketAnswer(fact.ticket, fact.number, fact.ahead, fact.eta_s, fact.eta_p90_s)


def _called(fact: t.TicketCalled | t.TicketResumed) -> Answer:
    return CalledAnswer(fact.call, fact.ticket, fact.number, fact.counter)


def _refused(fact: f.Refused | f.EvaluationRejected) -> Answer:
    return RefusedAnswer(fact.reason)


Reply = Callable[..., Answer]  # type: ignore[explicit-any]  # as Decide
ANSWERS: Final[dict[type[Fact], Reply]] = {
    t.TicketTaken: _ticket,
    t.TicketCalled: _called,
    t.TicketResumed: _called,
    f.Refused: _refused,
    f.EvaluationRejected: _refused,
}
"""What the device hears of a fact; of all others: done."""

FOLDS: Final = {kind: (rule, ANSWERS.get(kind)) for kind, rule in EVOLVE.items()}
"""Both of a fact in one look-up."""

assert DECIDE.keys() | {c.Tick} == set(c.COMMANDS), "every command has its rule; Tick has `due`"
assert EVOLVE.keys() == set(f.KIND_OF), "every fact has its fold"
assert REACT.keys() <= EVOLVE.keys()


class Hall:
    """The writer of one hall. Order of use: `due` until None, `judge`, `decide`, then `evolve` and `react` per fact."""

    __slots__ = ("effects", "state")

    def __init__(self, state: HallState) -> None:
        self.state = state
        self.effects = Effects()

    def judge(self, cause: Cause) -> Answer | None:
        """The first answer of a command that was settled before; None if it is fresh."""
        device, boot, seq, body = cause
        windows = self.state.windows.get(device)
        if windows is None:
            return None
        window = windows.boots.get(boot)
        if window is not None and seq == window.floor + 1:
            return None  # the next in order, as nearly always
        return windows.judge(boot, seq, body)

    def settled(self, cause: Cause) -> Answer:
        """The answer to a command that has just been folded. KeyError if it was not."""
        return self.state.windows[cause.device].boots[cause.boot].answers[cause.seq][1]

    def decide(self, command: c.Command, at_ms: int, device: str = "") -> list[Fact]:
        """The facts that follow: at least one where a device asks, since a refusal is a fact. Reads only."""
        known = self.state.devices.get(device)
        if known is not None and known.state is DeviceState.QUARANTINED:
            return self.refuse(command, Refusal.DEVICE_QUARANTINED, device)
        outcome = DECIDE[type(command)](self.state, command, at_ms, device)
        return self.refuse(command, outcome, device) if isinstance(outcome, Refusal) else outcome

    def refuse(self, command: c.Command, reason: Refusal, device: str = "") -> list[Fact]:
        """The fact of a refusal; a rating that cannot be counted keeps its level."""
        if isinstance(command, c.SubmitEvaluation):
            level = command.level if 1 <= command.level <= 5 else 0
            return [f.EvaluationRejected(reason, level, command.channel, device, command.call, command.key)]
        return self.refuse_type(c.TYPE_OF[type(command)], reason)

    def refuse_type(self, kind: str, reason: Refusal) -> list[Fact]:
        """As `refuse`, for a command that could not be read."""
        return [f.Refused(kind, reason)]

    def due(self, at_ms: int) -> tuple[int, list[Fact]] | None:
        """The facts of the next deadline due by `at_ms`, and their time; None if nothing is. Call until None."""
        due_ms = self.state.next_due_ms()
        if due_ms > at_ms:
            return None
        return max(due_ms, self.state.at_ms), rules_day.due_facts(self.state, at_ms)

    def evolve(self, fact: Fact, at_ms: int, cause: CauseFields | None = None) -> None:
        """Fold one fact: the only way the state changes. The window of the device learns from its cause."""
        state = self.state
        state.n += 1
        state.at_ms = at_ms
        rule, make = FOLDS[type(fact)]
        rule(state, fact, at_ms)
        if cause is None:
            return
        (device, boot, seq, body), answer = cause, DONE
        if make is not None:
            answer = make(fact)
            if type(answer) is RefusedAnswer and answer.reason in NEVER_SETTLES:
                return
            if type(fact) is t.TicketTaken and not fact.offline:
                taker = state.devices.get(device)
                if taker is not None:
                    taker.last_take_ms = at_ms
                    taker.last_service = state.rules.services[fact.service][0]
        windows = state.windows.get(device)
        if windows is None:
            windows = state.windows[device] = DeviceWindows()
        window = windows.boots.get(boot)
        given_up = (windows.open(boot) if window is None else window).settle(seq, body, answer)
        if given_up:
            state.given_up += given_up

    def react(self, fact: Fact, cause: Cause | None = None) -> None:
        """Note what the outside must show or do because of a fact just folded."""
        rule = REACT.get(type(fact))
        if rule is not None:
            rule(self.state, fact, self.effects, cause)

    def take_effects(self) -> Effects:
        """What gathered since the last call."""
        effects, self.effects = self.effects, Effects()
        return effects
