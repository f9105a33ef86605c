"""core/rules_ratings.py: one rating a serving, the right clerk, every rejection a fact."""

import pytest

from core import commands as c
from core import facts as f
from core.refusals import Refusal
from tests.halls import MIN, Driven, changed, clock, kinds, opened

DAY = 1440 * MIN
APPEAL = clock("2026-11-30 17:30")  # five working days after Monday


def served(counter: int = 1, **parts: object) -> Driven:
    """One serving finished at the counter."""
    hall = opened(**parts)
    hall.take({1: "si", 2: "tax", 3: "id"}[counter])
    hall.serve(counter)
    return hall


def rejected(hall: Driven, command: c.SubmitEvaluation, device: str = "") -> str:
    (fact,) = hall.ask(command, device)
    assert isinstance(fact, f.EvaluationRejected)
    return str(fact.reason)


def test_a_rating_tells_who_served_where_and_how_long_the_press_took() -> None:
    hall = served()
    hall.at_ms += 900
    hall.ask(c.ReportShown(1))
    hall.at_ms += 4000
    hall.send("ev-1", c.SubmitEvaluation(1, 5, options=("kind",), option_set="gov@3", comment_ref="c-1"))
    assert hall.facts == [
        f.EvaluationSubmitted(
            1, 5, "staff-1", 1, "si", "hrss", "device", 4000, False, ("kind",), "gov@3", "c-1", "ev-1", APPEAL
        )
    ]


def test_f3_a_rating_after_the_next_call_is_late_and_the_clerks_who_served() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.serve(1)
    hall.call(1)
    hall.ask(c.FinishServing(1))
    hall.ask(c.SignOffStaff(1))
    hall.ask(c.SignOnStaff("staff-9", 1))
    hall.ask(c.SubmitEvaluation(1, 4))
    rating = hall.only(f.EvaluationSubmitted)
    assert (rating.staff, rating.late) == ("staff-1", True)


@pytest.mark.parametrize("then", [c.MissTicket(1), c.ReleaseTicket(1), c.FinishServing(1), None])
def test_late_is_late_whatever_became_of_the_next_call(then: c.Command | None) -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.serve(1)
    hall.call(1)
    if then is not None:
        hall.ask(then)
    hall.ask(c.SubmitEvaluation(1, 5))
    assert hall.only(f.EvaluationSubmitted).late


@pytest.mark.parametrize(("channel", "late"), [("", False), ("device", False), ("pad", False), ("sms", True)])
def test_another_channel_is_late(channel: str, late: bool) -> None:
    hall = served()
    hall.ask(c.SubmitEvaluation(1, 5, channel=channel))
    assert hall.only(f.EvaluationSubmitted).late is late


def test_f4_a_key_box_rating_has_its_clerk() -> None:
    hall = served(2)
    hall.send("ev-2", c.SubmitEvaluation(key=3))
    assert (hall.only(f.EvaluationSubmitted).staff, hall.only(f.EvaluationSubmitted).level) == ("staff-2", 5)


def test_f4_without_a_serving_there_is_nobody_to_rate() -> None:
    assert rejected(opened(), c.SubmitEvaluation(key=3), "ev-2") == "no_serving"


def test_f5_a_second_rating_is_rejected_and_kept_as_a_fact() -> None:
    hall = served()
    hall.ask(c.SubmitEvaluation(1, 5))
    assert hall.ask(c.SubmitEvaluation(1, 1), "ev-1") == [
        f.EvaluationRejected(Refusal.ALREADY_RATED, 1, "device", "ev-1", 1)
    ]
    assert (hall.state.evaluations[1].level, hall.state.next_case) == (5, 1)


@pytest.mark.parametrize(("key", "level"), [(3, 5), (2, 4), (0, 2)])
def test_f6_keys_become_levels_by_the_profile(key: int, level: int) -> None:
    hall = served(2)
    hall.send("ev-2", c.SubmitEvaluation(key=key))
    assert hall.only(f.EvaluationSubmitted).level == level


@pytest.mark.parametrize(
    ("command", "device", "reason"),
    [
        (c.SubmitEvaluation(key=1), "ev-2", "default_key"),
        (c.SubmitEvaluation(key=9), "ev-2", "level_unknown"),
        (c.SubmitEvaluation(1, key=3), "kiosk-1", "level_unknown"),
        (c.SubmitEvaluation(1, 0), "ev-2", "level_unknown"),
        (c.SubmitEvaluation(1, 6), "ev-2", "level_unknown"),
        (c.SubmitEvaluation(1, 5, proof="bad"), "", "bad_token"),
        (c.SubmitEvaluation(0, 5), "", "no_serving"),
        (c.SubmitEvaluation(9, 5), "", "no_serving"),
    ],
)
def test_every_rejection_names_its_reason(command: c.SubmitEvaluation, device: str, reason: str) -> None:
    assert rejected(served(2), command, device) == reason


@pytest.mark.parametrize(("level", "cases"), [(1, 1), (2, 1), (3, 0), (4, 0), (5, 0)])
def test_a_bad_rating_opens_a_case_in_the_same_decision(level: int, cases: int) -> None:
    hall = served()
    hall.ask(c.SubmitEvaluation(1, level))
    assert kinds(hall.facts) == ["EvaluationSubmitted", "CaseOpened"][: 1 + cases]
    if cases:
        case = hall.only(f.CaseOpened)
        assert (case.case, case.kind, case.call, case.counter, case.staff) == (1, "bad_review", 1, 1, "staff-1")
        assert (case.service, case.department, case.source) == ("si", "hrss", "device")


def test_a_press_without_a_call_counts_for_two_minutes() -> None:
    hall = served(2)
    hall.at_ms += 120_000
    assert kinds(hall.ask(c.SubmitEvaluation(key=3), "ev-2")) == ["EvaluationSubmitted"]
    hall = served(2)
    hall.at_ms += 120_001
    assert rejected(hall, c.SubmitEvaluation(key=3), "ev-2") == "prompt_over"


def test_a_press_without_a_call_belongs_to_the_last_finished_serving() -> None:
    hall = opened()
    hall.take("tax")
    hall.take("tax")
    hall.serve(2)
    hall.call(2)
    hall.ask(c.SubmitEvaluation(key=3), "ev-2")
    assert (hall.only(f.EvaluationSubmitted).call, hall.only(f.EvaluationSubmitted).late) == (1, True)
    hall.ask(c.FinishServing(2))
    hall.ask(c.SubmitEvaluation(key=0), "ev-2")
    assert hall.only(f.EvaluationSubmitted).call == 2


def test_the_window_ends_and_an_unrated_serving_is_said_to_be_unrated() -> None:
    hall = served()
    due_ms = hall.state.evaluations[1].due_ms
    hall.at_ms = due_ms - 1
    hall.due()
    assert hall.state.evaluations[1].state.name == "OPENED"
    (late,) = hall.hall.decide(c.SubmitEvaluation(1, 1), due_ms)
    assert late.reason == "window_over"
    assert f.EvaluationExpired(1) in hall.wait(1)
    assert rejected(hall, c.SubmitEvaluation(1, 1)) == "window_over"
    assert hall.refused(c.ReportShown(1)) == "wrong_state"
    hall.wait(DAY)
    assert 1 not in hall.state.evaluations
    assert rejected(hall, c.SubmitEvaluation(1, 1)) == "window_over"
    assert hall.refused(c.ReportShown(1)) == "call_unknown"


def test_by_policy_an_unrated_serving_is_defaulted_and_opens_no_case() -> None:
    hall = served(evaluation={"unrated": "default3"})
    facts = [fact for fact in hall.wait(7 * DAY) if isinstance(fact, f.EvaluationExpired | f.EvaluationDefaulted)]
    assert facts == [f.EvaluationExpired(1), f.EvaluationDefaulted(1, 3)]
    assert (hall.state.evaluations[1].level, hall.state.next_case) == (0, 1)


def test_a_rating_of_yesterday_is_counted_today() -> None:
    hall = served()
    hall.wait(DAY)
    hall.ask(c.SubmitEvaluation(1, 2, channel="sms"))
    assert kinds(hall.facts) == ["EvaluationSubmitted", "CaseOpened"]


def test_a_quarantined_evaluators_rating_is_kept_with_its_level() -> None:
    hall = served()
    hall.ask(c.QuarantineDevice("ev-1"))
    hall.send("ev-1", c.SubmitEvaluation(1, 1, channel="pad"))
    assert hall.facts == [f.EvaluationRejected(Refusal.DEVICE_QUARANTINED, 1, "pad", "ev-1", 1)]


def test_a_rating_of_a_counter_that_is_gone_is_counted() -> None:
    hall = served(3)
    policy = changed(
        hall.policy,
        counters=hall.policy.counters[:2],
        services=hall.policy.services[:2],
        devices=hall.policy.devices[:4],
    )
    assert kinds(hall.change(policy)) == ["PolicyChanged"]
    hall.ask(c.SubmitEvaluation(1, 1))
    assert (hall.only(f.EvaluationSubmitted).late, hall.only(f.CaseOpened).staff) == (True, "staff-3")


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("channel", ["", "device", "pad", "kiosk", "qr", "sms", "hotline", "paper", "web"])
def test_a_bad_rating_from_any_channel_opens_one_case(channel: str, level: int) -> None:
    hall = served()
    assert kinds(hall.ask(c.SubmitEvaluation(1, level, channel=channel))) == ["EvaluationSubmitted", "CaseOpened"]
    assert hall.only(f.CaseOpened).source == (channel or "device")
