"""workers/mix.py: what is usual for a service is that of the days before; what is expected is what the work brings."""

from random import Random

import pytest

from workers.mix import EDGES, PPM, SETTLED, Mix, bucket, edge_ms


@pytest.mark.parametrize("place", range(EDGES))
def test_a_place_begins_at_its_edge(place: int) -> None:
    assert bucket(edge_ms(place) + 1) == place and edge_ms(place) < edge_ms(place + 1)


def test_places_end_somewhere() -> None:
    assert bucket(-5) == bucket(0) == 0 and bucket(10**12) == EDGES - 1


def test_tenths_of_waiting_are_those_of_the_days_before() -> None:
    mix, rng = Mix(), Random(5)
    assert mix.serve(3_600_000, 60_000) == 0, "nothing is known on the first day"
    waits = [rng.randrange(0, 3_600_000) for _ in range(5000)]
    for wait in waits:
        mix.serve(wait, 60_000)
    mix.settle()
    shares = [0] * 10
    for wait in waits:
        shares[mix.serve(wait, 60_000)] += 1
    assert len(mix.limits) == 9 and mix.limits == sorted(mix.limits)
    assert mix.serve(0, 1) == 0 and mix.serve(3_599_000, 1) == 9
    assert all(450 < share < 550 for share in shares)


@pytest.mark.parametrize(("served", "settled"), [(SETTLED - 1, False), (SETTLED, True)])
def test_the_shortest_hundredth_needs_a_thousand_servings(served: int, settled: bool) -> None:
    mix = Mix()
    for at in range(served):
        mix.serve(0, 20_000 if at < 5 else 300_000)
    mix.settle()
    assert bool(mix.early_ms) is settled
    if settled:
        assert 20_000 < mix.early_ms <= 300_000 and mix.early_ppm == 5 * PPM // SETTLED


def test_nothing_is_settled_before_anybody_came() -> None:
    mix = Mix()
    mix.settle()
    assert mix == Mix()


def test_what_is_expected_is_the_share_of_the_stratum_drawn_to_the_service() -> None:
    """Computed apart: 50 ratings' weight of the service, itself drawn to 1 % by 50."""
    mix = Mix()
    assert mix.rate(3, True) == 10_000
    usual = (1 + 0.5) / 51
    assert mix.rate(3, False) == round(PPM * (1 + 50 * usual) / 51)
    usual = (1 + 0.5) / 52
    assert mix.rate(7, False) == round(PPM * usual)
    before = [*mix.strata], mix.rated, mix.bad
    mix.rate(7, True)
    mix.take_back(7, True)
    assert ([*mix.strata], mix.rated, mix.bad) == before


def test_observed_comes_to_expected_where_the_work_alone_decides() -> None:
    """The first hours are bad for everybody: a clerk who works only then is expected to be rated so."""
    mix, rng = Mix(), Random(2)
    seen, expected = {"early": 0, "late": 0}, {"early": 0, "late": 0}
    for _ in range(40_000):
        who, stratum, share = ("early", 8, 0.05) if rng.randrange(2) else ("late", 15, 0.01)
        bad = rng.random() < share
        expected[who] += mix.rate(stratum, bad)
        seen[who] += bad
    for who in seen:
        assert seen[who] * PPM / expected[who] == pytest.approx(1.0, abs=0.15)
