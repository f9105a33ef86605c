"""workers/web/ring.py: two hours of samples, one hall a turn."""

from core import commands as c
from tests.halls import MIN, opened
from workers.web.ring import EVERY_S, HALLS_MAX, KEPT, Ring, sampled


def test_a_sample_is_what_the_hall_is() -> None:
    driven = opened()
    driven.take()
    driven.take("tax")
    driven.call(1)
    driven.ask(c.StartServing(1))
    driven.at_ms += MIN
    found = sampled(driven.state, driven.at_ms)
    assert (found.waiting, found.called, found.serving, found.idle) == (1, 0, 1, 2)
    assert (found.taken, found.served, found.oldest_s) == (2, 0, 60) and found.facts == driven.state.n


def test_it_samples_at_its_pace_and_keeps_two_hours() -> None:
    clock, driven = [0.0], opened()
    ring = Ring(lambda: clock[0], lambda: int(clock[0] * 1000))
    states = {"h1": driven.state}
    for _ in range(KEPT + 10):
        assert ring.due()
        ring.sample(states)
        ring.sample(states)
        assert not ring.due()
        clock[0] += EVERY_S
    series = ring.series("h1")
    assert len(series) == KEPT and series[-1].at_ms - series[0].at_ms == (KEPT - 1) * EVERY_S * 1000
    assert KEPT * EVERY_S == 7200 and ring.series("h9") == []


def test_many_halls_take_turns_and_a_centre_keeps_a_few() -> None:
    ring = Ring(lambda: 1.0, lambda: 1)
    states = {f"h{at}": opened().state for at in range(3)}
    for state in states.values():
        state.hall = next(name for name, one in states.items() if one is state)
    ring.sample(states)
    assert sum(len(ring.series(hall)) for hall in states) == 1 and ring.due()
    ring.sample(states)
    ring.sample(states)
    assert [len(ring.series(hall)) for hall in states] == [1, 1, 1] and not ring.due()
    assert HALLS_MAX * KEPT < 50_000
