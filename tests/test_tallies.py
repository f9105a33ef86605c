"""workers/tallies.py: plain counters, complete from the start."""

import pytest

from core.facts import KINDS
from core.refusals import Refusal
from tests.halls import MORNING
from workers.ports import Letter, Part, Row
from workers.tallies import BUCKETS, REASONS, Buckets, Tallies


def test_everything_counts_from_nought() -> None:
    tallies = Tallies()
    assert tallies.refused == dict.fromkeys(Refusal, 0) and tallies.rejected == dict.fromkeys(REASONS, 0)
    assert len(tallies.facts) > max(KINDS) and not any(tallies.facts)
    assert tallies.retries == {"SQLITE_FULL": 0, "SQLITE_BUSY": 0}
    assert set(tallies.__slots__) == {name for name in dir(tallies) if not name.startswith("_")} - {
        "durable",
        "reject",
        "retry",
    }


def test_a_reason_that_is_none_is_our_mistake() -> None:
    tallies = Tallies()
    tallies.reject("syntax")
    assert tallies.rejected["syntax"] == 1
    with pytest.raises(KeyError):
        tallies.reject("weather")


def test_every_error_of_the_disk_has_its_count() -> None:
    tallies = Tallies()
    tallies.retry("SQLITE_FULL")
    tallies.retry("SQLITE_BUSY_SNAPSHOT")
    assert tallies.retries == {"SQLITE_FULL": 1, "SQLITE_BUSY": 0, "SQLITE_BUSY_SNAPSHOT": 1}


def test_durable_facts_are_counted_by_kind_and_letters_are_no_facts() -> None:
    tallies = Tallies()
    rows = [Row(MORNING, kind, 1, "", "", 0, b"") for kind in (3, 3, 44)]
    tallies.durable([Part("h1", 0, rows), Part("h2", 9, rows[:1], [Letter(0, "", "", b"", b"")])])
    assert (tallies.facts[3], tallies.facts[44], sum(tallies.facts)) == (3, 1, 4)


@pytest.mark.parametrize("value", [*BUCKETS, 0.0, 0.0011, 0.3, 0.51, 99.0])
def test_a_value_falls_below_the_first_limit_that_holds_it(value: float) -> None:
    buckets = Buckets()
    buckets.observe(value)
    slot = next((at for at, limit in enumerate(BUCKETS) if value <= limit), len(BUCKETS))
    assert buckets.counts[slot] == 1 == sum(buckets.counts) and buckets.total == value


def test_many_equal_values_are_one_observation() -> None:
    buckets = Buckets((1.0,))
    buckets.observe(0.5, 4)
    buckets.observe(2.0, 2)
    assert buckets.counts == [4, 2] and buckets.total == 6.0
