"""core/rules_watch.py: flags of the day mark and change nothing; the CUSUM step and its published run lengths."""

from random import Random

import pytest

from core import commands as c
from core import facts_cases as fc
from core.rules_watch import ALARM, DOWN, UP, cusum_step
from tests.halls import Driven, kinds, opened

SECOND = 1000
DAY = 24 * 3_600_000


def watched(*rules: str) -> Driven:
    return opened(evaluation={"watch": rules}, services=UNLIMITED)


UNLIMITED = opened().policy.services


def serving(hall: Driven, ms: int = 60 * SECOND, counter: int = 2, **take: str) -> int:
    hall.take("tax", **take)
    return hall.serve(counter, ms).call


def found(hall: Driven) -> list[tuple[str, str, int, int]]:
    return [(one.rule, one.subject, one.num, one.den) for one in hall.facts if isinstance(one, fc.FindingRaised)]


def test_r1_orphans_at_one_device() -> None:
    hall = watched("R1")
    told = []
    for _ in range(4):
        hall.ask(c.SubmitEvaluation(key=3), "ev-2")
        told.append(found(hall))
    assert told == [[], [("R1", "ev-2", 2, 2)], [], []]
    assert kinds(hall.facts) == ["EvaluationRejected"]


def test_r6_doubles_at_one_device_and_again_the_next_day() -> None:
    hall = watched("R6")
    call = serving(hall)
    for _ in range(3):
        hall.ask(c.SubmitEvaluation(call, 5), "ev-2")
    assert found(hall) == []
    hall.ask(c.SubmitEvaluation(call, 5), "ev-2")
    assert found(hall) == [("R6", "ev-2", 3, 3)]
    hall.wait(24 * 3_600_000)
    for _ in range(3):
        hall.ask(c.SubmitEvaluation(call, 5), "ev-2")
    assert found(hall) == [("R6", "ev-2", 3, 3)]


@pytest.mark.parametrize(("ms", "times", "flagged"), [(29_999, 3, True), (29_999, 2, False), (30_000, 3, False)])
def test_r2_servings_of_seconds(ms: int, times: int, flagged: bool) -> None:
    hall = watched("R2")
    for _ in range(times):
        hall.at_ms += 5000
        call = serving(hall, ms)
        hall.at_ms += 5000
        hall.ask(c.SubmitEvaluation(call, 5), "ev-2")
    assert found(hall) == ([("R2", "staff-2", 3, 3)] if flagged else [])


@pytest.mark.parametrize(
    ("channel", "ms", "flagged"),
    [("", 999, True), ("", 1000, False), ("pad", 2999, True), ("pad", 3000, False), ("sms", 0, False)],
)
@pytest.mark.parametrize("times", [2, 3])
def test_r3_answers_quicker_than_a_hand(channel: str, ms: int, flagged: bool, times: int) -> None:
    """Three times a day at one device."""
    hall = watched("R3")
    for _ in range(times):
        call = serving(hall)
        hall.at_ms += ms
        hall.ask(c.SubmitEvaluation(call, 5, channel=channel), "ev-2")
    assert bool(found(hall)) is (flagged and times == 3)


@pytest.mark.parametrize(("days", "flagged"), [((0, 0), False), ((0, 0, 0), True), ((0, 0, 1), False)])
def test_r10_one_person_and_one_clerk_more_than_twice_a_day(days: tuple[int, ...], flagged: bool) -> None:
    hall = watched("R10", "R12")
    person, start_ms = "a" * 32, hall.at_ms
    for day in days:
        hall.at_ms = max(hall.at_ms, start_ms + day * DAY)
        hall.due()
        hall.ask(c.SubmitEvaluation(serving(hall, person_ref=person), 5))
    assert found(hall) == ([("R10", f"{person}-staff-2", 3, 3)] if flagged else [])


@pytest.mark.parametrize(
    ("levels", "days", "flagged"),
    [
        ((2, 2), (0, 0), False),
        ((2, 1, 2), (0, 0, 0), True),
        ((2, 3, 2), (0, 0, 0), False),
        ((2, 2, 2), (0, 0, 1), False),
    ],
)
def test_r12_three_bad_ratings_of_one_person_a_day_over_counters(
    levels: tuple[int, ...], days: tuple[int, ...], flagged: bool
) -> None:
    hall = watched("R12")
    person, start_ms = "b" * 32, hall.at_ms
    for level, day, counter in zip(levels, days, (2, 1, 2), strict=False):
        hall.at_ms = max(hall.at_ms + 11 * 60 * SECOND, start_ms + day * DAY)
        hall.due()
        hall.ask(c.SubmitEvaluation(serving(hall, counter=counter, person_ref=person), level))
    assert found(hall) == ([("R12", person, 3, 3)] if flagged else [])
    assert {"EvaluationSubmitted", "CaseOpened"} <= set(kinds(hall.facts)) or 3 in levels, "a flag marks"


def test_a_flag_that_the_policy_does_not_watch_is_not_counted() -> None:
    hall = watched("R2")
    for _ in range(5):
        hall.ask(c.SubmitEvaluation(key=3), "ev-2")
    assert hall.state.noted == {}


def test_four_bad_ratings_in_a_row_raise_the_alarm_and_it_begins_anew() -> None:
    hall = watched("CUSUM")
    told = []
    for _ in range(5):
        hall.ask(c.SubmitEvaluation(serving(hall), 1))
        told.append([rule for rule, *_ in found(hall)])
    assert told == [[], [], [], ["CUSUM"] * 3, []]
    assert found(hall) == [] and set(hall.state.cusum.values()) == {UP}
    assert hall.replayed().state.digest() == hall.state.digest()


def test_a_clean_record_is_not_kept() -> None:
    hall = watched("CUSUM")
    hall.ask(c.SubmitEvaluation(serving(hall), 5))
    assert hall.state.cusum == {}


RUN_LENGTHS = {
    (4, 1): (8019, 150),
    (4, 3): (259, 1200),
    (4, 5): (112, 2000),
    (3, 1): (2680, 150),
    (3, 3): (179, 1200),
    (3, 5): (83, 2000),
    (5, 1): (22_400, 60),
    (5, 3): (338, 1000),
    (5, 5): (140, 1500),
}
"""(limit, % bad): mean ratings to the alarm as published, and how many runs are made here."""


@pytest.mark.parametrize(("limit", "share"), RUN_LENGTHS)
def test_the_run_lengths_of_the_page(limit: int, share: int) -> None:
    """Within three standard errors, of these runs and of the 1,500 published ones; the limit in use is 4."""
    published, runs = RUN_LENGTHS[limit, share]
    rng = Random(10 * limit + share)
    total = 0
    for _ in range(runs):
        score = 0
        while score < limit * 1_000_000:
            score = cusum_step(score, rng.randrange(100) < share)
            total += 1
    assert abs(total / runs - published) < 3 * published * (1 / runs + 1 / 1500) ** 0.5
    assert ALARM == 4_000_000


def test_the_steps_are_the_logarithms_they_are_said_to_be() -> None:
    from math import log

    assert (round(log(3) * 1e6), round(log(0.99 / 0.97) * 1e6)) == (UP, DOWN)
