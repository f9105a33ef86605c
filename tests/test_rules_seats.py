"""core/rules_seats.py: which counter is meant, and that a device of one counter speaks for no other."""

import pytest

from core import commands as c
from core.rules_seats import own_counter
from tests.halls import opened


@pytest.mark.parametrize(
    ("no", "device", "meant"),
    [
        (0, "caller-1", 1),
        (1, "caller-1", 1),
        (2, "caller-1", "forbidden"),
        (9, "caller-1", "forbidden"),
        (2, "", 2),
        (0, "", "counter_unknown"),
        (9, "", "counter_unknown"),
        (0, "kiosk-1", "counter_unknown"),
        (0, "nobody", "counter_unknown"),
    ],
)
def test_the_counter_meant(no: int, device: str, meant: int | str) -> None:
    found = own_counter(opened().state, no, device)
    assert (found if isinstance(found, str) else found.counter) == meant


def test_a_visit_is_at_one_counter_at_a_time() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.take("tax", person_ref="a" * 32)
    hall.call(1)
    assert hall.refused(c.CallNext(2)) == "nothing_eligible"
    assert hall.refused(c.CallTicket(2, 2)) == "visit_busy"
    hall.take("id", person_ref="a" * 32)
    assert hall.refused(c.CallNext(3)) == "nothing_eligible"
    hall.ask(c.MissTicket(1))
    assert hall.call(2).ticket == 2
    hall.ask(c.RequeueTicket(1))
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"
    hall.ask(c.FinishServing(2))
    assert hall.call(1).ticket == 1


def test_a_held_ticket_of_a_busy_visit_is_not_called_back() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.take("id", person_ref="a" * 32)
    hall.call(1)
    hall.ask(c.HoldTicket(1))
    hall.call(3)
    assert hall.refused(c.ResumeTicket(1)) == "visit_busy"
