"""core/rules_tickets.py: taking, printing, cancelling, returning.

Faults of deployed systems (F1-F20) are tested beside the rule that prevents them, the id in the test's name. For later
parts: the other half of F20 (a scan of the logs), F2 and F11 with a process that is killed.
"""

import msgspec
import pytest

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.hall import Hall
from core.state import restored
from core.ticket import State
from core.window import RefusedAnswer, TicketAnswer
from tests.halls import MIN, MORNING, POLICY, changed, clock, kinds, opened


def test_f2_numbers_are_unique_over_restarts() -> None:
    hall = opened()
    numbers = []
    for round_ in range(4):
        numbers += [hall.take("si").number, hall.take("tax").number]
        hall.hall = Hall(restored(hall.state.snapshot())) if round_ % 2 else hall.replayed()
    assert numbers == ["A001", "B001", "A002", "B002", "A003", "B003", "A004", "B004"]


def test_f20_ids_are_counted_not_read_from_a_clock() -> None:
    hall = opened()
    first, second = hall.take(), hall.take("tax")
    hall.at_ms += 1
    assert [first.ticket, second.ticket, hall.call(1).call, hall.call(2).call] == [1, 2, 1, 2]


def test_f10_a_double_press_is_one_ticket() -> None:
    hall = opened()
    assert isinstance(hall.send("kiosk-1", c.TakeTicket("si")), TicketAnswer)
    hall.at_ms += 1499
    assert hall.send("kiosk-1", c.TakeTicket("si")) == RefusedAnswer(reason="pressed_twice")
    assert isinstance(hall.send("kiosk-1", c.TakeTicket("tax")), TicketAnswer)
    assert isinstance(hall.send("kiosk-2", c.TakeTicket("si")), TicketAnswer)
    hall.at_ms += 1
    assert isinstance(hall.send("kiosk-2", c.TakeTicket("tax")), TicketAnswer)
    assert len(hall.state.tickets) == 4


def test_the_gap_between_presses_ends_to_the_ms() -> None:
    hall = opened()
    hall.send("kiosk-1", c.TakeTicket("si"))
    hall.at_ms += 1500
    assert isinstance(hall.send("kiosk-1", c.TakeTicket("si")), TicketAnswer)


def test_a_slip_of_the_kiosks_own_is_no_press_and_holds_nobody_back() -> None:
    hall = opened()
    hall.send("kiosk-1", c.TakeTicket("si", number="X001", happened_ms=MORNING - MIN))
    hall.at_ms += 1
    assert isinstance(hall.send("kiosk-1", c.TakeTicket("si")), TicketAnswer)


def test_f9_a_failed_print_is_a_fact_and_the_slip_can_be_printed_again() -> None:
    hall = opened()
    ticket = hall.take()
    assert hall.ask(c.ReportPrint(1, ok=False, fault="paper")) == [t.TicketPrintFailed(1, "paper")]
    assert ticket.state is State.WAITING
    hall.send("kiosk-1", c.ReprintTicket(1))
    assert hall.facts == [t.TicketReprinted(1, 1)]
    (order,) = hall.hall.take_effects().orders
    assert (order.device, order.ticket) == ("kiosk-1", 1)
    hall.ask(c.ReprintTicket(1))
    assert hall.refused(c.ReprintTicket(1)) == "reprint_limit"
    assert hall.ask(c.ReportPrint(1)) == [t.TicketPrinted(1)]


def test_a_failed_print_cancels_where_the_policy_says_so_and_ends_the_visit() -> None:
    hall = opened(tickets={"on_print_failed": "cancel"})
    ticket = hall.take(person_ref="a" * 32)
    assert kinds(hall.ask(c.ReportPrint(1, ok=False))) == ["TicketPrintFailed", "TicketCancelled", "VisitClosed"]
    assert (ticket.state, hall.state.visits) == (State.CANCELLED, {})


def test_f15_after_a_cancel_nothing_is_stuck_and_a_missed_ticket_comes_back() -> None:
    hall = opened()
    first, second = hall.take(), hall.take()
    hall.call(1)
    assert hall.refused(c.CancelTicket(first.ticket)) == "wrong_state"
    hall.ask(c.MissTicket(1))
    hall.ask(c.CancelTicket(second.ticket))
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"
    hall.ask(c.RequeueTicket(first.ticket))
    assert hall.call(1).ticket == first.ticket


def test_f17_yesterdays_ticket_does_not_block_today() -> None:
    hall = opened()
    person = "a" * 32
    hall.take(person_ref=person)
    assert hall.refused(c.TakeTicket("si", person_ref=person), "kiosk-2") == "open_ticket_exists"
    hall.at_ms = clock("2026-11-24 09:00")
    assert "TicketExpired" in kinds(hall.due())
    assert hall.take(person_ref=person).number == "A001"


def test_one_open_ticket_a_person_and_service_but_others_may_be_taken() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.take("tax", person_ref="a" * 32)
    hall.take("si", person_ref="b" * 32)
    hall.ask(c.CancelTicket(1))
    hall.take("si", person_ref="a" * 32)
    assert len(hall.state.visits) == 2


def test_the_quota_is_met_to_the_ticket_and_returns_do_not_count_again() -> None:
    hall = opened(tickets={"press_gap_ms": 0})
    for _ in range(40):
        hall.take("si")
    assert hall.refused(c.TakeTicket("si")) == "quota_full"
    hall.ask(c.CancelTicket(1))
    assert hall.refused(c.TakeTicket("si")) == "quota_full"
    assert hall.take("tax").number == "B001"


def test_numbers_end_with_their_digits() -> None:
    hall = opened(tickets={"digits": 2, "press_gap_ms": 0})
    for _ in range(99):
        last = hall.take("tax")
    assert last.number == "B99"
    assert hall.refused(c.TakeTicket("tax")) == "numbers_exhausted"


@pytest.mark.parametrize(
    ("at", "open_"),
    [("08:14:59", False), ("08:15:00", True), ("17:29:59", True), ("17:30:00", False), ("02:00:00", False)],
)
def test_numbers_are_given_from_a_little_before_opening_to_the_end(at: str, open_: bool) -> None:
    hall = opened()
    hall.at_ms = clock(f"2026-11-24 {at}")
    (fact,) = hall.ask(c.TakeTicket("si"))
    assert isinstance(fact, t.TicketTaken) is open_


def test_a_slip_printed_offline_counts_from_when_it_was_printed() -> None:
    hall = opened()
    later = hall.take("si", device="kiosk-2")
    printed = hall.take("si", number="X001", happened_ms=MORNING - 5 * MIN)
    assert (printed.number, printed.t_eff_ms, printed.taken_ms) == ("X001", MORNING - 5 * MIN, MORNING - 5 * MIN)
    assert hall.call(1).ticket == printed.ticket
    assert later.state is State.WAITING
    assert hall.refused(c.TakeTicket("tax", number="X001"), "kiosk-1") == "number_taken"


def test_an_offline_slip_comes_in_when_the_hall_has_closed() -> None:
    hall = opened()
    hall.at_ms = clock("2026-11-23 19:00")
    assert hall.take("si", number="X001", happened_ms=clock("2026-11-23 17:00")).t_eff_ms == clock("2026-11-23 17:00")


@pytest.mark.parametrize(
    ("told", "counted"), [("2026-11-20 09:00", "2026-11-23 00:00"), ("2026-11-23 12:00", "2026-11-23 08:30")]
)
def test_a_wrong_clock_is_clamped_to_the_day(told: str, counted: str) -> None:
    hall = opened()
    hall.at_ms = MORNING - 2000
    assert hall.take("si", number="X001", happened_ms=clock(told)).t_eff_ms == clock(counted)


@pytest.mark.parametrize("number", ["A001", "Y001", "XY001", "X", "X-1", "X1x", "x001"])
def test_only_the_kiosks_own_numbers_are_taken(number: str) -> None:
    assert opened().refused(c.TakeTicket("si", number=number), "kiosk-1") == "forbidden"


def test_a_kiosk_without_a_prefix_prints_nothing_on_its_own() -> None:
    hall = opened()
    for device in ("kiosk-2", "caller-1", ""):
        assert hall.refused(c.TakeTicket("si", number="X001"), device) == "forbidden"


def test_nobody_gets_ahead_by_claiming_an_earlier_time() -> None:
    """`happened_ms` counts for slips that were printed offline, not for a ticket that is taken now."""
    hall = opened()
    assert hall.take("si", happened_ms=MORNING - 60 * MIN).t_eff_ms == hall.at_ms


def test_a_step_of_a_plan_is_a_service_not_a_text() -> None:
    assert opened().refused(c.TakeTicket("si", plan=("13912345678",)), "kiosk-1") == "service_unknown"


def test_a_missed_ticket_comes_back_twice_then_no_more() -> None:
    hall = opened()
    ticket = hall.take()
    for _ in range(2):
        hall.call(1)
        hall.ask(c.MissTicket(1))
        hall.ask(c.RequeueTicket(1))
    hall.call(1)
    (missed,) = hall.ask(c.MissTicket(1))
    assert isinstance(missed, t.TicketMissed) and missed.return_until_ms == hall.at_ms
    assert hall.state.next_due_ms() == hall.at_ms
    assert hall.wait(0) == [t.TicketAbandoned(1, 0, "return_over")]
    assert ticket.state is State.ABANDONED


def test_the_time_to_come_back_ends() -> None:
    hall = opened()
    ticket = hall.take()
    hall.call(1)
    hall.ask(c.MissTicket(1))
    hall.wait(30 * MIN - 1)
    assert ticket.state is State.MISSED
    assert hall.wait(1) == [t.TicketAbandoned(1, 0, "return_over")]
    assert hall.refused(c.RequeueTicket(1)) == "wrong_state"


def test_with_no_time_to_return_a_miss_is_the_end() -> None:
    hall = opened(returns={"return_min": 0})
    hall.take()
    hall.call(1)
    hall.ask(c.MissTicket(1))
    assert kinds(hall.wait(0)) == ["TicketAbandoned"]


def test_the_first_return_is_behind_the_third_the_second_behind_the_sixth() -> None:
    hall = opened()
    tickets = [hall.take().ticket for _ in range(9)]
    order = []
    hall.call(1)
    hall.ask(c.MissTicket(1))
    hall.ask(c.RequeueTicket(tickets[0]))
    for _ in range(4):
        order.append(hall.call(1).ticket)
        hall.ask(c.FinishServing(1)) if order[-1] != tickets[0] else hall.ask(c.MissTicket(1))
    assert order == [2, 3, 4, 1]
    hall.ask(c.RequeueTicket(tickets[0]))
    while hall.state.tickets[1].state is State.WAITING:
        order.append(hall.call(1).ticket)
        hall.ask(c.FinishServing(1))
    assert order[4:] == [5, 6, 7, 8, 9, 1]


def test_a_change_of_class_keeps_number_and_time() -> None:
    hall = opened()
    ordinary, changing = hall.take(), hall.take()
    t_eff = changing.t_eff_ms
    assert hall.ask(c.ReclassTicket(changing.ticket, "care", "pregnant")) == [t.TicketReclassed(2, "care", "pregnant")]
    assert (changing.t_eff_ms, hall.call(1).ticket, ordinary.state) == (t_eff, changing.ticket, State.WAITING)


def test_a_class_that_the_service_does_not_know_is_not_allowed() -> None:
    hall = opened()
    assert hall.refused(c.TakeTicket("id", "green")) == "class_not_allowed"
    assert hall.refused(c.TakeTicket("si", "booked")) == "class_not_allowed"
    assert hall.take("id", cls="care").number == "C001"


def test_offline_numbers_and_the_quota_survive_a_policy_change() -> None:
    hall = opened()
    hall.take("si", number="X001")
    hall.change(changed(hall.policy))
    assert hall.refused(c.TakeTicket("si", number="X001"), "kiosk-1") == "number_taken"
    assert hall.state.taken_of[0] == 1


def test_a_change_of_class_asks_the_service_and_never_makes_a_booking() -> None:
    hall = opened()
    hall.take("id")
    hall.take("si")
    assert hall.refused(c.ReclassTicket(1, "green")) == "class_not_allowed"
    assert hall.refused(c.ReclassTicket(2, "booked")) == "class_not_allowed"
    assert kinds(hall.ask(c.ReclassTicket(1, "care"))) == ["TicketReclassed"]


def test_a_slip_in_somebodys_hand_is_taken_although_the_quota_is_full_or_a_ticket_is_open() -> None:
    hall = opened(services=(msgspec.structs.replace(POLICY.services[0], quota_day=1), *POLICY.services[1:]))
    hall.take("si", person_ref="a" * 32)
    hall.at_ms += 2000
    hall.send("kiosk-1", c.TakeTicket("si", number="X001", person_ref="a" * 32))
    assert hall.only(t.TicketTaken).number == "X001"
    hall.at_ms += 2000
    hall.send("kiosk-2", c.TakeTicket("si"))
    assert hall.only(f.Refused).reason == "quota_full"
