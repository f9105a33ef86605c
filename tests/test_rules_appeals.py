"""core/rules_appeals.py: supplement, appeal and its decision, probes — and what they leave alone."""

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as fc
from core.policy_parts import OptionSetPart
from tests.halls import MIN, Driven, changed, clock, kinds, opened

DAY = 1440 * MIN


def rated(level: int = 1, **parts: object) -> Driven:
    hall = opened(**parts)
    hall.take()
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(1, level))
    return hall


def test_reasons_are_added_once_and_the_level_stays() -> None:
    hall = rated(2)
    hall.ask(cc.SupplementEvaluation(1, ("slow",), "gov@3", "c-7"))
    assert hall.facts == [fc.EvaluationSupplemented(1, ("slow",), "gov@3", "c-7")]
    assert hall.state.evaluations[1].level == 2
    assert hall.refused(cc.SupplementEvaluation(1)) == "already_rated"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (cc.SupplementEvaluation(1, proof="bad"), "bad_token"),
        (cc.SupplementEvaluation(9), "no_serving"),
        (cc.SupplementEvaluation(1, option_set="gov@9"), "option_set_unknown"),
        (cc.AppealEvaluation(9, "staff-1"), "call_unknown"),
        (cc.DecideAppeal(9, "upheld", "boss"), "call_unknown"),
        (cc.DecideAppeal(1, "upheld", "boss"), "wrong_state"),
    ],
)
def test_what_cannot_be_is_refused(command: c.Command, reason: str) -> None:
    assert rated().refused(command) == reason


def test_where_the_policy_knows_no_supplement_there_is_none_nor_before_a_rating_nor_after_the_window() -> None:
    assert rated(evaluation={"supplement": False}).refused(cc.SupplementEvaluation(1)) == "forbidden"
    hall = opened()
    hall.take()
    hall.serve(1)
    assert hall.refused(cc.SupplementEvaluation(1)) == "wrong_state"
    hall = rated(evaluation={"appeal": "30wd"})
    hall.at_ms = hall.state.evaluations[1].due_ms
    assert hall.refused(cc.SupplementEvaluation(1)) == "window_over"


@pytest.mark.parametrize(
    ("decision", "state", "case"),
    [("upheld", "UPHELD", "ASSIGNED"), ("mistaken", "EXCLUDED", "EXPLAINING"), ("malicious", "EXCLUDED", "EXPLAINING")],
)
def test_an_appeal_is_decided_and_the_case_goes_on(decision: str, state: str, case: str) -> None:
    hall = rated()
    hall.ask(cc.AppealEvaluation(1, "staff-1", "mixed_up"))
    assert (hall.state.evaluations[1].state.name, hall.state.cases[1].state.name) == ("APPEALED", "IN_REVIEW")
    assert hall.refused(cc.AppealEvaluation(1, "staff-1")) == "wrong_state"
    assert hall.refused(cc.AssignCase(1, "boss")) == "wrong_state"
    for party in ("staff-1",):
        assert hall.refused(cc.DecideAppeal(1, decision, party)) == "reviewer_is_party"
    hall.ask(cc.DecideAppeal(1, decision, "boss"))
    assert (hall.state.evaluations[1].state.name, hall.state.cases[1].state.name) == (state, case)
    assert hall.refused(cc.DecideAppeal(1, decision, "boss")) == "wrong_state"


def test_who_appealed_for_somebody_else_does_not_decide_it() -> None:
    hall = rated()
    hall.ask(cc.AppealEvaluation(1, "boss"))
    assert hall.refused(cc.DecideAppeal(1, "mistaken", "boss")) == "reviewer_is_party"
    assert kinds(hall.ask(cc.DecideAppeal(1, "mistaken", "boss-2"))) == ["EvaluationExcluded"]


def test_a_good_rating_may_be_appealed_too_and_has_no_case() -> None:
    hall = rated(5)
    assert kinds(hall.ask(cc.AppealEvaluation(1, "staff-1"))) == ["EvaluationAppealed"]
    assert kinds(hall.ask(cc.DecideAppeal(1, "malicious", "boss"))) == ["EvaluationExcluded"]


def test_the_time_to_appeal_is_in_working_days_and_ends_to_the_ms() -> None:
    for late, answer in ((-1, "EvaluationAppealed"), (0, "Refused")):
        hall = rated()
        hall.at_ms = clock("2026-11-30 17:30") + late
        assert kinds(hall.ask(cc.AppealEvaluation(1, "staff-1"))) == [answer]
    hall.wait(9 * DAY)
    assert hall.refused(cc.AppealEvaluation(1, "staff-1")) == "appeal_over"
    assert 1 not in hall.state.evaluations


def test_an_undecided_appeal_is_not_forgotten() -> None:
    hall = rated()
    hall.ask(cc.AppealEvaluation(1, "staff-1"))
    for _ in range(20):
        hall.wait(DAY)
    assert kinds(hall.ask(cc.DecideAppeal(1, "upheld", "boss"))) == ["EvaluationUpheld"]


def test_a_case_that_was_judged_is_not_reviewed_any_more() -> None:
    hall = rated()
    hall.ask(cc.AssignCase(1, "boss"))
    hall.ask(cc.VerifyCase(1, "substantiated"))
    assert hall.refused(cc.AppealEvaluation(1, "staff-1")) == "wrong_state"


def test_a_case_is_kept_although_its_rating_is_excluded() -> None:
    """I5: as many cases as bad ratings, whatever is decided later."""
    hall = rated(2)
    hall.ask(cc.AppealEvaluation(1, "staff-1"))
    hall.ask(cc.DecideAppeal(1, "malicious", "boss"))
    assert hall.ask(c.SubmitEvaluation(1, 5))[0].reason == "already_rated"
    assert list(hall.state.cases) == [1] and hall.state.evaluations[1].level == 2


# Option sets.


@pytest.mark.parametrize(("option_set", "accepted"), [("gov@3", True), ("gov@4", True), ("", True), ("gov@9", False)])
def test_option_sets_are_known_by_version(option_set: str, accepted: bool) -> None:
    hall = opened(option_sets=(OptionSetPart("gov@4", {"2": ("slow", "rude")}),))
    hall.take()
    hall.serve(1)
    (fact, *_) = hall.ask(c.SubmitEvaluation(1, 5, option_set=option_set))
    assert isinstance(fact, f.EvaluationSubmitted) is accepted
    assert accepted or fact.reason == "option_set_unknown"


def test_an_older_set_is_accepted_for_servings_of_its_time_only() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.serve(1)
    hall.at_ms += MIN
    hall.change(changed(hall.policy, evaluation={"options": "gov@4"}))
    hall.at_ms += MIN
    hall.serve(1)
    (late,) = hall.ask(c.SubmitEvaluation(2, 5, option_set="gov@3"))
    assert late.reason == "option_set_unknown"
    assert kinds(hall.ask(c.SubmitEvaluation(1, 5, option_set="gov@3"))) == ["EvaluationSubmitted"]
    assert kinds(hall.ask(c.SubmitEvaluation(2, 5, option_set="gov@4"))) == ["EvaluationSubmitted"]
    hall.wait(70 * DAY)
    hall.change(changed(hall.state.policy or hall.policy, evaluation={"options": "gov@5"}))
    assert list(hall.state.retired_sets) == ["gov@4"], "older ones are forgotten when no window can reach them"


# The negative path.


@pytest.mark.parametrize(
    ("profile", "level", "key", "ok"),
    [
        ("pad", 1, -1, True),
        ("pad", 2, -1, True),
        ("keys4", 2, 0, True),
        ("keys4", 2, 3, False),
        ("keys4", 5, 1, False),
        ("web", 1, -1, True),
    ],
)
def test_a_probe_goes_the_way_of_a_rating_and_is_never_counted(profile: str, level: int, key: int, ok: bool) -> None:
    hall = rated(5)
    before = (hall.state.level_ms, hall.state.evaluations[1].level, hall.state.next_case)
    hall.ask(cc.ProbeEvaluation(profile, level, key, "ev-2"))
    assert hall.facts == [fc.EvaluationProbed(profile, level, ok, "ev-2")]
    assert (hall.state.level_ms, hall.state.evaluations[1].level, hall.state.next_case) == before


@pytest.mark.parametrize(
    ("profile", "level", "reason"),
    [("keys4", 1, "level_not_expressible"), ("pad", 9, "level_not_expressible"), ("none", 1, "profile_mismatch")],
)
def test_what_a_profile_cannot_say_is_not_probed(profile: str, level: int, reason: str) -> None:
    assert opened().refused(cc.ProbeEvaluation(profile, level)) == reason


def test_when_each_level_was_last_given_is_known() -> None:
    hall = rated(5)
    first = hall.at_ms
    hall.take()
    hall.at_ms += MIN
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(2, 1))
    assert hall.state.level_ms == {5: first, 1: hall.at_ms}
