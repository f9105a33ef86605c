"""workers/web/limits.py: a bucket that fills at a rate."""

import pytest

from workers.web import limits
from workers.web.limits import Limits, Rate

ONE = {"one": Rate(2, 3), "other": Rate(1, 1)}


def test_a_burst_then_the_rate() -> None:
    clock = [0.0]
    found = Limits(lambda: clock[0], ONE)
    assert [found.take("one", "a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]
    clock[0] = 0.5
    assert [found.take("one", "a") for _ in range(2)] == [0, pytest.approx(0.5)]
    clock[0] = 100.0
    assert [found.take("one", "a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)], (
        "it fills to the burst, no further"
    )


def test_everybody_has_their_own() -> None:
    found = Limits(lambda: 0.0, ONE)
    assert found.take("other", "a") == 0 and found.take("other", "a") == 1.0
    assert found.take("other", "b") == 0 and found.take("one", "a") == 0


def test_it_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KNOWN_MAX", 3)
    found = Limits(lambda: 0.0, ONE)
    for who in "abcd":
        found.take("other", who)
    assert len(found._buckets) == 3
    assert found.take("other", "b") == 1.0, "the one unused for longest was forgotten, not this one"
