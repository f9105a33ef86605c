"""core/facts_tickets.py: what the most important facts say, from one serving."""

from core import commands as c
from core import facts_tickets as t
from tests.halls import MIN, MORNING, opened


def test_a_serving_tells_its_whole_story() -> None:
    """F8: 65 minutes are 3,900,000 ms, not 5 minutes; waiting ends at the first call."""
    hall = opened()
    hall.take()
    assert hall.only(t.TicketTaken) == t.TicketTaken(
        1, "A001", 20261123, "si", "ordinary", MORNING + 2000, 0, eta_s=0, eta_p90_s=0
    )
    hall.wait(5 * MIN)
    called = hall.call(1)
    assert (called.waited_ms, called.first, called.picked, called.why.rule) == (5 * MIN, True, False, "score")
    hall.wait(MIN)
    hall.ask(c.StartServing(1))
    hall.wait(65 * MIN)
    hall.ask(c.FinishServing(1, "consulted"))
    assert hall.only(t.ServingFinished) == t.ServingFinished(
        1, 1, 1, "staff-1", "si", "hrss", "consulted", 3_900_000, 5 * MIN
    )


def test_an_implied_start_began_with_the_call() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.wait(3 * MIN)
    started, finished, _ = hall.ask(c.FinishServing(1))
    assert started == t.ServingStarted(1, 1, 1, implied=True)
    assert isinstance(finished, t.ServingFinished)
    assert (finished.implied, finished.handling_ms, finished.waited_ms) == (True, 3 * MIN, 0)


def test_handling_is_summed_over_holds_without_the_time_on_hold() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.ask(c.StartServing(1))
    hall.wait(4 * MIN)
    hall.ask(c.HoldTicket(1))
    hall.wait(30 * MIN)
    hall.ask(c.ResumeTicket(1))
    assert hall.only(t.TicketResumed).call == 2
    hall.ask(c.StartServing(1))
    hall.wait(2 * MIN)
    hall.ask(c.FinishServing(1))
    assert hall.only(t.ServingFinished).handling_ms == 6 * MIN


def test_people_ahead_are_those_of_the_own_service() -> None:
    hall = opened()
    told = [hall.take(service) and hall.only(t.TicketTaken).ahead for service in ("si", "tax", "si", "si")]
    assert told == [0, 0, 1, 2]
