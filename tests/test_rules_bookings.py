"""core/rules_bookings.py: slots — made, given back, checked in early, on time, late, too late."""

import pytest

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from tests.halls import MIN, MORNING, Driven, changed, clock, kinds, opened

SLOT = clock("2026-11-23 10:00")
DAY = 1440 * MIN


def booked() -> Driven:
    hall = opened()
    assert hall.ask(c.MakeBooking("si", SLOT, "a" * 32)) == [f.BookingMade(1, "si", SLOT, "a" * 32)]
    return hall


def checked_in(hall: Driven, at: str) -> t.TicketTaken:
    hall.at_ms = clock(f"2026-11-23 {at}")
    assert kinds(hall.ask(c.CheckInBooking(1), "kiosk-1")) == ["BookingCheckedIn", "VisitOpened", "TicketTaken"]
    return hall.only(t.TicketTaken)


@pytest.mark.parametrize(
    ("at", "cls", "t_eff", "eligible"),
    [
        ("08:30", "booked", "09:40", "09:45"),
        ("09:45", "booked", "09:40", None),
        ("10:10", "booked", "09:40", None),
        ("10:11", "ordinary", "10:11", None),
        ("10:59", "ordinary", "10:59", None),
    ],
)
def test_on_time_counts_from_before_the_slot_however_early(at: str, cls: str, t_eff: str, eligible: str | None) -> None:
    taken = checked_in(booked(), at)
    assert (taken.cls, taken.t_eff_ms) == (cls, clock(f"2026-11-23 {t_eff}"))
    assert taken.eligible_ms == (clock(f"2026-11-23 {eligible}") if eligible else 0)
    assert (taken.origin, taken.booking, taken.number) == ("booking", 1, "A001")


def test_an_early_one_waits_until_its_time() -> None:
    hall = booked()
    checked_in(hall, "09:00")
    other = hall.take("si")
    assert hall.call(1).ticket == other.ticket
    hall.at_ms = clock("2026-11-23 09:45") - 1
    assert hall.due() == []
    assert hall.wait(1) == [t.TicketEligible(1)]
    assert hall.call(2).ticket == 1


def test_an_early_one_is_called_sooner_only_by_a_counter_that_would_stay_idle() -> None:
    hall = booked()
    checked_in(hall, "09:00")
    assert hall.refused(c.CallNext(3)) == "nothing_eligible"
    hall.ask(c.CallNext(1))
    assert hall.facts[0] == t.TicketEligible(1, idle=True)
    assert hall.only(t.TicketCalled).why.rule == "idle"
    assert not any(any(ring) for ring in hall.state.pool.rings().values())


def test_an_early_one_whose_person_is_at_a_counter_is_not_called_to_another() -> None:
    hall = booked()
    checked_in(hall, "09:00")
    hall.take("id", person_ref="a" * 32)
    assert hall.call(3).number == "C001"
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"


def test_of_two_early_ones_the_slot_decides_not_who_came_first() -> None:
    hall = booked()
    hall.ask(c.MakeBooking("si", SLOT - 15 * MIN, "b" * 32))
    checked_in(hall, "09:00")
    hall.ask(c.CheckInBooking(2), "kiosk-1")
    assert hall.call(1).ticket == 2


def test_too_late_is_void() -> None:
    hall = booked()
    hall.at_ms = SLOT + 60 * MIN - 1
    assert hall.due() == []
    assert hall.wait(1) == [f.BookingLapsed(1)]
    assert hall.refused(c.CheckInBooking(1)) == "wrong_state"


def test_a_slot_over_is_said_when_the_rule_has_become_stricter() -> None:
    hall = booked()
    hall.change(changed(hall.policy, booking={"void_min": 20}))
    hall.at_ms = SLOT + 21 * MIN
    assert hall.refused(c.CheckInBooking(1)) == "slot_over"


def test_a_slot_has_so_many_places() -> None:
    hall = opened()
    for person in "abcd":
        hall.ask(c.MakeBooking("si", SLOT + DAY, person * 32))
    assert hall.refused(c.MakeBooking("si", SLOT + DAY, "e" * 32)) == "slot_full"
    hall.ask(c.MakeBooking("tax", SLOT + DAY, "e" * 32))
    hall.ask(c.CancelBooking(1))
    assert kinds(hall.ask(c.MakeBooking("si", SLOT + DAY, "f" * 32))) == ["BookingMade"]


@pytest.mark.parametrize(("slot", "reason"), [(MORNING, "slot_past"), (MORNING + 3 * DAY + 1, "slot_past")])
def test_slots_lie_in_the_days_to_come(slot: int, reason: str) -> None:
    assert opened().refused(c.MakeBooking("si", slot)) == reason
    assert kinds(opened().ask(c.MakeBooking("si", MORNING + 3 * DAY))) == ["BookingMade"]


def test_one_booking_a_person_and_day() -> None:
    hall = booked()
    assert hall.refused(c.MakeBooking("tax", SLOT + 60 * MIN, "a" * 32)) == "booked_already"
    assert kinds(hall.ask(c.MakeBooking("tax", SLOT + DAY, "a" * 32))) == ["BookingMade"]
    assert kinds(hall.ask(c.MakeBooking("tax", SLOT))) == ["BookingMade"]
    assert hall.refused(c.MakeBooking("none", SLOT)) == "service_unknown"


def test_a_booking_is_given_back_in_time_or_not() -> None:
    early, late = booked(), booked()
    early.at_ms = SLOT - 120 * MIN
    early.hall.state.at_ms = early.at_ms
    assert early.ask(c.CancelBooking(1)) == [f.BookingCancelled(1)]
    assert early.refused(c.CancelBooking(1)) == "wrong_state"
    late.at_ms = SLOT - 120 * MIN + 1
    assert late.refused(c.CancelBooking(1)) == "too_late"
    assert late.refused(c.CancelBooking(2)) == "booking_unknown"


def test_numbers_of_bookings_end_with_their_digits() -> None:
    hall = opened(tickets={"digits": 2, "press_gap_ms": 0})
    hall.state.numbers["A"] = 99
    hall.ask(c.MakeBooking("si", SLOT))
    assert hall.refused(c.CheckInBooking(1)) == "numbers_exhausted"


def test_the_end_of_the_day_keeps_bookings_to_come_and_forgets_the_others() -> None:
    hall = booked()
    hall.ask(c.MakeBooking("si", SLOT + DAY))
    hall.ask(c.MakeBooking("si", SLOT + DAY))
    hall.ask(c.CancelBooking(2))
    hall.wait(DAY - 60 * MIN)
    assert list(hall.state.bookings) == [3]
    hall.at_ms = SLOT + DAY
    assert kinds(hall.ask(c.CheckInBooking(3))) == ["BookingCheckedIn", "TicketTaken"]


def test_a_check_in_is_the_persons_ticket_and_errand() -> None:
    hall = booked()
    taken = checked_in(hall, "10:00")
    assert (taken.person_ref, taken.visit) == ("a" * 32, 1)
    assert hall.state.visits[1].tickets == [1]
    hall.at_ms += 2000
    hall.send("kiosk-1", c.TakeTicket("si", person_ref="a" * 32))
    assert hall.only(f.Refused).reason == "open_ticket_exists"
    assert hall.take("tax", person_ref="a" * 32).visit == 1


def test_who_has_an_open_ticket_for_the_service_does_not_check_in_to_a_second() -> None:
    hall = booked()
    hall.take("si", person_ref="a" * 32)
    hall.at_ms = SLOT
    assert hall.refused(c.CheckInBooking(1)) == "open_ticket_exists"
    hall.ask(c.CancelTicket(1))
    assert kinds(hall.ask(c.CheckInBooking(1))) == ["BookingCheckedIn", "VisitOpened", "TicketTaken"]


def test_a_slot_of_another_day_is_not_checked_in_today() -> None:
    hall = opened(booking={"void_min": 1440})
    hall.ask(c.MakeBooking("si", SLOT + DAY))
    assert hall.refused(c.CheckInBooking(1)) == "slot_other_day"
    hall.at_ms = SLOT + DAY - 60 * MIN
    assert "TicketTaken" in kinds(hall.ask(c.CheckInBooking(1)))
    hall.ask(c.MakeBooking("si", hall.at_ms + MIN))
    hall.at_ms += 18 * 60 * MIN
    assert hall.refused(c.CheckInBooking(2)) == "slot_over"
