"""workers/desk.py: ratings of devices: words stand beside the facts, and what a token proves counts."""

import pytest

from core import commands as c
from core.fact import Cause
from core.facts import CaseOpened, EvaluationSubmitted
from tests.desks import PROOFS, AtWork, event
from tests.halls import HALL
from workers.proofs import Proofs

PHONE = "13812345678"
RATE = {"type": "evaluation.submit", "call": 1, "level": 2}
SERVED = (c.TakeTicket("si"), c.CallNext(1), c.StartServing(1), c.FinishServing(1))


def test_words_stand_beside_the_facts_that_say_where() -> None:
    a = AtWork(SERVED)
    (result,) = a.hear(event(1, RATE | {"comment": " 等太久 ", "real_name": True}), "ev-1")
    (note,) = a.notes
    rated, case = a.facts()[:2]
    assert isinstance(rated, EvaluationSubmitted) and isinstance(case, CaseOpened)
    assert result.dropped == () and (note.text, note.at_ms) == ("等太久", a.at_ms)
    assert note.ref == rated.comment_ref == case.text_ref == a.state.cases[1].texts[0] and case.real_name
    assert "等太久".encode() not in b"".join(row.payload for row in a.rows) + a.state.snapshot()
    a.hear(event(1, RATE | {"comment": " 等太久 ", "real_name": True}), "ev-1")
    a.hear(event(2, RATE | {"comment": "再说一次"}), "ev-1")
    assert a.notes == [note], "neither of a resend nor of a rating that does not count"
    assert a.folded() == a.state.digest()


def test_the_words_of_a_person_without_a_device_are_kept_once() -> None:
    a = AtWork(SERVED)
    cause, rating = Cause("web", "page", 1, 7), c.SubmitEvaluation(1, 2, channel="qr")
    first = a.desk.perform(cause, rating, a.at_ms, "等太久")
    again = a.desk.perform(cause, rating, a.at_ms, "等太久")
    a.commit()
    assert (again.again, again.ok) == (True, first.ok) and first.ok is not None
    (note,) = a.notes
    assert note.text == "等太久" and note.ref == a.state.cases[1].texts[0]


@pytest.mark.parametrize("text", [f"谢谢 {PHONE}", "1" * 490 + " 11010519491231002X"])
def test_words_with_a_number_are_said_to_be_dropped_and_the_rating_counts(text: str) -> None:
    a = AtWork(SERVED)
    (result,) = a.hear(event(1, RATE | {"comment": text}), "ev-1")
    assert result.ok is not None and result.dropped == ("comment",)
    assert a.notes == [] and a.tallies.rejected["personal_data"] == 1 and a.letters == []
    assert "EvaluationSubmitted" in a.names() and "CaseOpened" in a.names()


def test_of_many_words_the_first_are_kept_and_the_rating_counts() -> None:
    a = AtWork(SERVED)
    assert a.hear(event(1, RATE | {"comment": "慢" * 2001}), "ev-1")[0].ok is not None
    assert a.notes[0].text == "慢" * 500


# The right to rate one serving.


@pytest.mark.parametrize("named", [0, 1])
def test_a_token_rates_its_serving_once(named: int) -> None:
    a = AtWork(SERVED)
    token = PROOFS.mint(HALL, 1, a.state.evaluations[1].due_ms)
    (first,) = a.hear(event(1, RATE | {"call": named, "token": token}), "ev-1")
    (second,) = a.hear(event(2, RATE | {"call": named, "token": token}), "ev-1")
    assert first.ok is not None and second.refused == "already_rated"
    assert a.state.evaluations[1].level == 2


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        PROOFS.mint("another", 1, 0),
        Proofs(b"x" * 32).mint(HALL, 1, 0),
        PROOFS.mint(HALL, 2, 0),
        PROOFS.mint(HALL, 1, 0)[:-1] + "!",
    ],
)
def test_a_token_that_is_not_ours_or_not_of_this_serving_is_refused(token: str) -> None:
    a = AtWork(SERVED)
    (result,) = a.hear(event(1, RATE | {"token": token, "comment": "坏"}), "ev-1")
    assert result.refused == "bad_token" and a.notes == [] and a.state.evaluations[1].level == 0


def test_a_token_whose_window_is_over_is_refused() -> None:
    a = AtWork(SERVED)
    token = PROOFS.mint(HALL, 1, a.state.evaluations[1].due_ms)
    a.at_ms = a.state.evaluations[1].due_ms
    assert a.hear(event(1, RATE | {"call": 0, "token": token}), "ev-1")[0].refused == "window_over"
