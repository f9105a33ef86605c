"""devices/people.py: the same seed gives the same people, and they come and behave as the load model says."""

from collections import Counter
from itertools import islice
from random import Random
from statistics import mean, median, pstdev

import pytest

from devices import people
from devices.people import CURVE, DAY_MS, QUARTER_MS, Habits

CLASSES = ("green", "care", "ordinary")


def a_crowd(seed: int, count: int, habits: Habits | None = None) -> list[people.Person]:
    offers = people.offers([f"s{at}" for at in range(10)])
    return list(islice(people.crowd(Random(seed), habits or Habits(), offers, CLASSES), count))


def test_equal_seeds_give_equal_people() -> None:
    assert a_crowd(7, 500) == a_crowd(7, 500)
    assert a_crowd(7, 500) != a_crowd(8, 500)


def test_arrivals_ascend_for_ever() -> None:
    times = list(islice(people.arrivals(Random(3), Habits(visits_day=500)), 2_000))
    assert times == sorted(times)
    assert times[-1] > 3 * DAY_MS


def test_arrivals_follow_the_curve() -> None:
    habits = Habits(visits_day=100_000, kiosks=1_000)
    times = [at for at in islice(people.arrivals(Random(1), habits), 120_000) if at < DAY_MS]
    slots = Counter(at // QUARTER_MS for at in times)
    assert sum(slots.values()) == pytest.approx(100_000, abs=200)
    for slot, permille in enumerate(CURVE):
        assert slots[slot] == pytest.approx(permille * 100, rel=0.02, abs=30)


def test_the_door_bursts_as_fast_as_kiosks_print() -> None:
    many = [at for at in islice(people.arrivals(Random(1), Habits(visits_day=10_000, kiosks=1_000)), 620)]
    assert sum(at < people.BURST_MS for at in many) == pytest.approx(0.4 * 620, abs=5)
    few = list(islice(people.arrivals(Random(1), Habits(visits_day=10_000, kiosks=2)), 620))
    assert sum(at < people.BURST_MS for at in few) <= 0.15 * 2 * 30 + 1


def test_service_times_have_the_mean_and_the_spread() -> None:
    rng = Random(2)
    times = [people.service_time(rng, 8 * people.MINUTE_MS) for _ in range(40_000)]
    assert mean(times) == pytest.approx(8 * people.MINUTE_MS, rel=0.03)
    assert pstdev(times) / mean(times) == pytest.approx(0.9, rel=0.06)
    assert min(times) >= people.SHORTEST_MS
    assert max(times) <= people.LONGEST_MS


def test_the_mix_gives_the_mean_of_the_model() -> None:
    offers = people.offers([f"s{at}" for at in range(20)])
    assert sum(offer.weight for offer in offers) == pytest.approx(100)
    crowd = a_crowd(5, 40_000)
    assert mean(person.service_ms for person in crowd) / people.MINUTE_MS == pytest.approx(8.6, rel=0.05)


def test_shares_are_those_of_the_habits() -> None:
    crowd = a_crowd(6, 40_000)
    count = len(crowd)
    assert sum(not one.shows_up for one in crowd) / count == pytest.approx(0.04, abs=0.005)
    assert sum(bool(one.transfer_to) for one in crowd) / count == pytest.approx(0.03, abs=0.004)
    assert sum(one.is_held for one in crowd) / count == pytest.approx(0.02, abs=0.004)
    assert mean(one.recalls for one in crowd) == pytest.approx(1.3, abs=0.02)
    assert sum(one.cls == "care" for one in crowd) / count == pytest.approx(0.06, abs=0.005)
    assert all(one.transfer_to != one.service for one in crowd)
    rated = [one for one in crowd if one.level]
    assert len(rated) / count == pytest.approx(0.7, abs=0.01)
    levels = Counter(one.level for one in rated)
    assert levels[5] / len(rated) == pytest.approx(0.9, abs=0.01)
    assert (levels[2] + levels[1]) / len(rated) == pytest.approx(0.01, abs=0.003)
    assert median(one.rating_ms for one in rated) == pytest.approx(6_000, rel=0.12)
    assert sum(one.rating_ms >= people.MINUTE_MS for one in rated) / len(rated) == pytest.approx(0.05, abs=0.01)


def test_a_class_the_hall_does_not_know_is_ordinary() -> None:
    offers = people.offers(["s1"])
    crowd = islice(people.crowd(Random(1), Habits(), offers, ("ordinary",)), 500)
    assert {person.cls for person in crowd} == {"ordinary"}


def test_faults_come_once_a_day_or_never() -> None:
    rng = Random(4)
    assert mean(people.until_fault(rng, 1.0) for _ in range(5_000)) == pytest.approx(DAY_MS, rel=0.05)
    assert people.until_fault(rng, 0.0) == float("inf")
