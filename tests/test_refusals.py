"""core/refusals.py: stable words, and one situation one reason: envelope, permission, existence, state, limits."""

import re
from pathlib import Path

import pytest

from core import commands as c
from core.refusals import NEVER_SETTLES, Refusal
from tests.halls import MIN, clock, opened

ORDER = list(Refusal)


def test_words_are_their_names_and_never_change() -> None:
    assert all(re.fullmatch("[a-z_]+", reason) and reason == reason.name.lower() for reason in Refusal)


def test_only_answers_about_the_envelope_leave_the_numbers_as_they_were() -> None:
    assert {Refusal.SEQ_OLD, Refusal.SEQ_REUSED, Refusal.BOOT_RETIRED} == NEVER_SETTLES


# (why each holds, command, device, expected): at least two reasons apply to each.
SITUATIONS = [
    ("another's prefix, no such service", c.TakeTicket("none", number="A001"), "kiosk-1", "forbidden"),
    ("no such service, no such class", c.TakeTicket("none", "none"), "kiosk-1", "service_unknown"),
    ("no such class, no such visit", c.TakeTicket("si", "none", 99), "kiosk-1", "class_unknown"),
    ("an unknown step, a wrong class", c.TakeTicket("si", "none", plan=("none",)), "kiosk-1", "service_unknown"),
    ("closed, booked class", c.TakeTicket("si", "booked"), "kiosk-1", "hall_closed"),
    ("closed, class of another service", c.TakeTicket("id", "green"), "", "hall_closed"),
    ("another's counter, nothing called", c.RecallTicket(2), "caller-1", "forbidden"),
    ("another's counter, unknown ticket", c.ResumeTicket(2, 99), "caller-1", "forbidden"),
    ("unknown ticket, not signed on", c.ResumeTicket(1, 99), "caller-1", "ticket_unknown"),
    ("unknown ticket, not signed on", c.CallTicket(99, 1), "caller-1", "ticket_unknown"),
    ("unknown service, nothing called", c.TransferTicket("none"), "caller-1", "service_unknown"),
    ("unknown counter, unknown service", c.TransferTicket("none", counter=9), "", "counter_unknown"),
    ("unknown ticket, unknown service", c.TransferTicket("none", 99), "", "ticket_unknown"),
    ("unknown booking, closed", c.CheckInBooking(99), "kiosk-1", "booking_unknown"),
    ("not signed on, nothing called", c.FinishServing(1), "", "not_signed_on"),
    ("not signed on, nothing waits", c.CallNext(1), "", "not_signed_on"),
]


@pytest.mark.parametrize(("why", "command", "device", "reason"), SITUATIONS)
def test_of_two_reasons_the_earlier_is_told(why: str, command: c.Command, device: str, reason: str) -> None:
    hall = opened()
    for no in (1, 2, 3):
        hall.ask(c.SignOffStaff(no))
    hall.at_ms = clock("2026-11-23 18:00")
    assert hall.refused(command, device) == reason, why


def test_a_device_not_listened_to_hears_nothing_else() -> None:
    hall = opened()
    hall.ask(c.QuarantineDevice("kiosk-1"))
    for command in (c.TakeTicket("none"), c.CancelTicket(99), c.TakeTicket("si")):
        assert hall.refused(command, "kiosk-1") == "device_quarantined"


def test_limits_come_last() -> None:
    """A person with an open ticket is told so, even by the second press or when the quota is full."""
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    assert hall.refused(c.TakeTicket("si", person_ref="a" * 32), "kiosk-1") == "open_ticket_exists"
    assert hall.refused(c.TakeTicket("si", person_ref="b" * 32), "kiosk-1") == "pressed_twice"
    hall.wait(2 * MIN)
    assert hall.refused(c.TakeTicket("id", "green"), "kiosk-1") == "class_not_allowed"


def test_every_reason_is_given_somewhere_or_belongs_to_the_shell() -> None:
    """A reason that nobody gives is a word in the contract that lies; those here are given by the wire or the shell."""
    rules = "".join(path.read_text() for path in Path("core").glob("rules_*.py"))
    hall = Path("core/hall.py").read_text() + Path("core/window.py").read_text()
    given = {reason for reason in Refusal if f"Refusal.{reason.name}" in rules + hall}
    elsewhere = {"bad_field", "unknown_kind", "too_large", "personal_data", "device_unknown", "wrong_hall", "replaced"}
    later = {"service_closed"}
    assert {str(reason) for reason in set(Refusal) - given} <= elsewhere | later
