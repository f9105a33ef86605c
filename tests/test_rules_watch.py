"""core/rules_watch.py: flags of the day mark and change nothing; the CUSUM step and its published run lengths."""

from random import Random

import pytest

from core import commands as c
from core import facts_cases as fc
from core.rules_watch import ALARM, DOWN, UP, cusum_step
from tests.halls import Driven, kinds, opened

SECOND = 1000


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


@pytest.mark.parametrize(("ms", "flagged"), [(29_999, True), (30_000, False)])
def test_r2_servings_of_seconds(ms: int, flagged: bool) -> None:
    hall = watched("R2")
    for _ in range(3):
        hall.at_ms += 5000
        call = serving(hall, ms)
        hall.at_ms += 5000
        hall.ask(c.SubmitEvaluation(call, 5), "ev-2")
    assert found(hall) == ([("R2", "staff-2", 3, 3)] if flagged else [])


@pytest.mark.parametrize(
    ("channel", "ms", "flagged"),
    [("", 999, True), ("", 1000, False), ("pad", 2999, True), ("pad", 3000, False), ("sms", 0, False)],
)
def test_r3_answers_quicker_than_a_hand(channel: str, ms: int, flagged: bool) -> None:
    hall = watched("R3")
    for _ in range(3):
        call = serving(hall)
        hall.at_ms += ms
        hall.ask(c.SubmitEvaluation(call, 5, channel=channel), "ev-2")
    assert bool(found(hall)) is flagged


def test_r10_one_person_and_one_clerk_more_than_twice_a_day() -> None:
    hall = watched("R10", "R12")
    person = "a" * 32
    for _ in range(3):
        hall.ask(c.SubmitEvaluation(serving(hall, person_ref=person), 5))
    assert found(hall) == [("R10", f"{person}-staff-2", 3, 3)]


def test_r12_three_bad_ratings_of_one_person_a_day_over_counters() -> None:
    hall = watched("R12")
    person = "b" * 32
    for counter in (2, 1, 2):
        hall.at_ms += 11 * 60 * SECOND
        hall.ask(c.SubmitEvaluation(serving(hall, counter=counter, person_ref=person), 2))
    assert found(hall) == [("R12", person, 3, 3)]
    assert "EvaluationSubmitted" in kinds(hall.facts) and "CaseOpened" in kinds(hall.facts), "a flag marks"


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


@pytest.mark.parametrize(("share", "published", "runs"), [(1, 8019, 150), (3, 259, 1200), (5, 112, 2000)])
def test_the_run_lengths_of_the_page(share: int, published: int, runs: int) -> None:
    """Mean ratings to the alarm at 1, 3 and 5 % bad: within three standard errors of what the page says."""
    rng = Random(share)
    total = 0
    for _ in range(runs):
        score = 0
        while score < ALARM:
            score = cusum_step(score, rng.randrange(100) < share)
            total += 1
    mean = total / runs
    assert abs(mean - published) < 3 * published / runs**0.5 + published * 0.03, mean


def test_the_steps_are_the_logarithms_they_are_said_to_be() -> None:
    from math import log

    assert (round(log(3) * 1e6), round(log(0.99 / 0.97) * 1e6)) == (UP, DOWN)
