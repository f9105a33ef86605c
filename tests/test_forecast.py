"""core/forecast.py: what a ticket is told of the people ahead and of its wait, and from whom the estimate learns."""

from core import commands as c
from core import facts_tickets as t
from core.forecast import foresee
from core.state import restored
from tests.halls import MIN, Driven, opened


def told(hall: Driven, service: str = "si") -> t.TicketTaken:
    hall.take(service)
    return hall.only(t.TicketTaken)


def test_a_free_counter_means_no_wait_and_no_counter_means_no_estimate() -> None:
    assert (told(opened()).eta_s, told(opened()).eta_p90_s) == (0, 0)
    alone = Driven()
    assert (told(alone).eta_s, told(alone).eta_p90_s) == (None, None)


def test_people_ahead_of_the_service_and_of_the_largest_pool_that_serves_it() -> None:
    """Counter 2 serves tax and si together: whoever waits there for tax is ahead in the pool, not in the service."""
    hall = opened()
    for no in (1, 2, 3):
        hall.ask(c.PauseCounter(no))
    taken = [told(hall, service) for service in ("tax", "tax", "si", "si")]
    assert [(one.ahead, one.ahead_pool) for one in taken] == [(0, 0), (1, 1), (0, 2), (1, 3)]


def test_a_busy_hall_learns_from_its_own_servings_and_a_restart_forgets_nothing() -> None:
    hall = opened(tickets={"press_gap_ms": 0})
    hall.ask(c.SignOffStaff(1))
    hall.ask(c.SignOffStaff(3))
    for _ in range(15):
        hall.take("tax")
    for _ in range(12):
        hall.serve(2, 5 * MIN)
    hall.call(2)
    last = told(hall, "tax")
    assert last.eta_s is not None and last.eta_p90_s is not None
    assert last.ahead_pool == 2 and 5 * 60 <= last.eta_s <= last.eta_p90_s
    again = restored(hall.state.snapshot())
    state, at = hall.state, hall.state.t(hall.at_ms)
    assert foresee(again, 1, 3, at, at) == foresee(state, 1, 3, at, at)
