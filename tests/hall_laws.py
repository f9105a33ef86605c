"""tests/hall_laws.py: what a fact must say beside its model, and the laws that a whole journal obeys."""

from typing import Any

from core import facts as f
from core import facts_cases as fc
from core import facts_tickets as t
from core.fact import Fact
from core.record import decode
from core.state import HallState
from tests.halls import Line, kinds
from tests.model import Said


def says(facts: list[Fact], expected: list[Said]) -> None:
    """The facts are those that the model expects, in its fields."""
    assert kinds(facts) == [said["fact"] for said in expected], (facts, expected)
    for fact, said in zip(facts, expected, strict=True):
        told = {name: getattr(fact, name) for name in said if name not in ("fact", "contested")}
        if "contested" in said:
            told["contested"] = fact.why.contested
        assert {"fact": said["fact"], **told} == said


def watches(state: HallState, expected: dict[str, Any]) -> None:
    """Alerts, empty counters, the day's flags and the scores are those of the model; who waits is in the ranking."""
    for service in range(len(state.services)):
        assert state.waiting(service) == state.pool.length(state.pool.service_view(service))
    assert expected == {
        "alerts": sorted(state.alerts),
        "uncovered": [one.counter for one in state.counters.values() if one.uncovered],
        "noted": state.noted,
        "cusum": state.cusum,
    }


def texts_and_numbers(value: Any) -> list[Any]:
    """Everything in a decoded payload."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [leaf for one in value for leaf in texts_and_numbers(one)]
    return [value]


def journal_laws(journal: list[Line]) -> None:
    """I3, I5, I9 and I11 over the whole life of a hall."""
    facts = [decode_line(line) for line in journal]
    finished = {x.call: x.staff for x in facts if isinstance(x, t.ServingFinished)}
    rated = [(x.call, x.staff) for x in facts if isinstance(x, f.EvaluationSubmitted)]
    assert len(rated) == len(dict(rated)), "I5: one a call"
    assert all(finished[call] == staff != "" for call, staff in rated), "I5: the clerk who finished"
    taken = [x.ticket for x in facts if isinstance(x, t.TicketTaken)]
    assert taken == list(range(1, len(taken) + 1)), "I3: ids rise"
    overdue = [(x.case, x.stage, x.round) for x in facts if isinstance(x, fc.CaseOverdue)]
    assert len(overdue) == len(set(overdue)), "I11: once a stage and round"
    for line, fact in zip(journal, facts, strict=True):
        assert not isinstance(fact, fc.CaseOverdue) or line.at_ms >= fact.due_ms, "I11: none early"
    bad = [x.call for x in facts if isinstance(x, f.EvaluationSubmitted) and x.level <= 2]
    cases = [x.call for x in facts if isinstance(x, f.CaseOpened) and x.kind == "bad_review"]
    assert sorted(bad) == sorted(cases), "I5: exactly one case for each"
    called = {x.call for x in facts if isinstance(x, t.TicketCalled | t.TicketResumed)}
    assert called >= {x.call for x in facts if isinstance(x, t.CallAnnounced | t.CallAnnounceFailed)}, "I9"


def decode_line(line: Line) -> Fact:
    return decode(line.kind, line.v, line.payload)[0]
