"""core/rules_effects.py: which screens, words and slips follow from a fact. Speaking changes nothing."""

import pytest

from core import commands as c
from core.effects import Effects, Print, Say
from core.rules_effects import REACT
from tests.halls import EXAMPLES, Driven, changed, kinds, opened

QUIET = """
EvaluationProbed CounterUncovered CounterCovered QueueAlertRaised QueueAlertCleared QueueDiverted ZoneCounted
VolunteerServiceRecorded FacilityUseStarted FacilityUseEnded DeviceHelpCalled EvaluationSupplemented EvaluationAppealed
EvaluationUpheld EvaluationExcluded CaseAssigned CaseVerified CaseRectified CaseReplied CaseRevisited CaseClosed
CaseReopened CaseExtended CaseOverdue ConductRecorded ConductVoided ConductWarned FindingRaised FindingReviewed
FindingWithdrawn StaffPosted StaffRotated StaffReturned InspectionRecorded HonorGranted HonorRevoked
VisitOpened VisitClosed TicketPrinted TicketPrintFailed CallAnnounced CallAnnounceFailed EvaluationShown
EvaluationRejected EvaluationExpired EvaluationDefaulted CaseOpened BookingMade BookingCancelled BookingCheckedIn
BookingLapsed DeviceRegistered DeviceOnline DeviceOffline DeviceStatusChanged DeviceRetired DeviceQuarantined
DeviceReadmitted PolicyScheduled Refused JournalErased JournalRestored
"""


def after(hall: Driven, *commands: c.Command) -> Effects:
    hall.hall.take_effects()
    for command in commands:
        hall.ask(command)
        assert kinds(hall.facts) != ["Refused"], hall.facts
    return hall.hall.take_effects()


def test_facts_that_show_nothing_are_known() -> None:
    known = {kind.__name__ for kind in EXAMPLES}
    assert {kind.__name__ for kind in EXAMPLES.keys() - REACT.keys()} == set(QUIET.split()) & known


def test_a_call_is_shown_and_said_in_its_zone_and_language() -> None:
    hall = opened()
    hall.take("tax", lang="en")
    effects = after(hall, c.CallNext(2))
    assert effects.orders == [Say(hall.state.n, hall.at_ms, 1, "B001", 2, "w1", "en")]
    assert (list(effects.counters), effects.board, effects.waiting, effects.kiosks) == ([2], True, True, False)


def test_a_recall_is_said_again_and_a_call_back_is_a_call() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.at_ms += 20_000
    (again,) = after(hall, c.RecallTicket(1)).orders
    assert isinstance(again, Say) and (again.call, again.lang) == (1, "zh")
    after(hall, c.HoldTicket(1))
    (back,) = after(hall, c.ResumeTicket(1)).orders
    assert isinstance(back, Say) and back.call == 2


@pytest.mark.parametrize(
    "command",
    [c.MissTicket(1), c.ReleaseTicket(1), c.AbandonTicket(1), c.HoldTicket(1), c.TransferTicket("id", counter=1)],
)
def test_whatever_frees_a_counter_paints_it(command: c.Command) -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    effects = after(hall, command)
    assert (list(effects.counters), effects.board, effects.waiting) == ([1], True, True)


def test_a_finish_asks_for_a_rating_on_the_counters_screens() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    assert list(after(hall, c.FinishServing(1)).counters) == [1]


def test_a_rating_paints_the_evaluator_only_while_it_still_asks_for_it() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.serve(1)
    assert list(after(hall, c.SubmitEvaluation(1, 5)).counters) == [1]
    hall.take()
    hall.serve(1)
    hall.serve(1)
    assert list(after(hall, c.SubmitEvaluation(2, 5)).counters) == []


def test_a_take_only_changes_how_many_wait() -> None:
    effects = after(opened(), c.TakeTicket("si"))
    assert (effects.counters, effects.board, effects.kiosks, effects.waiting) == ({}, False, False, True)


def test_a_new_policy_and_a_new_day_paint_everything() -> None:
    hall = opened()
    hall.hall.take_effects()
    hall.change(changed())
    effects = hall.hall.take_effects()
    assert (list(effects.counters), effects.board, effects.kiosks) == ([1, 2, 3], True, True)
    assert after(hall, c.CloseDay()).kiosks


def test_a_slip_is_printed_where_it_was_asked_for() -> None:
    hall = opened()
    hall.take()
    hall.hall.take_effects()
    hall.send("kiosk-2", c.ReprintTicket(1))
    assert hall.hall.take_effects().orders == [Print(hall.state.n, hall.at_ms, "kiosk-2", 1)]
    assert after(hall, c.ReprintTicket(1)).orders == []


def test_speaking_changes_nothing() -> None:
    hall = opened()
    hall.take()
    facts = hall.ask(c.CallNext(1))
    before = hall.state.digest()
    for fact in facts:
        hall.hall.react(fact)
    assert hall.state.digest() == before
