"""workers/web/guidance.py: who is ahead, how long, where it is quicker."""

import msgspec

from core import commands as c
from tests.halls import MIN, POLICY, Driven, opened
from workers.web import guidance


def served(count: int, after: int) -> Driven:
    """A hall whose pool has learnt how fast it is, with some still waiting."""
    driven = opened()
    for _ in range(count + after):
        driven.take()
    for _ in range(count):
        driven.serve(1, 3 * MIN)
    return driven


def test_those_ahead_are_named_in_order() -> None:
    driven = opened()
    for _ in range(4):
        driven.take()
    driven.take("si", cls="green")
    found = guidance.find(driven.state, "A004", driven.at_ms)
    assert found is not None
    assert (found.state, found.ahead, found.before) == ("waiting", 4, ["A005", "A001", "A002", "A003"])
    assert found.service_name == {"zh": "si", "en": "si"} and found.cls_name["zh"] == "普通"


def test_only_so_many_are_named() -> None:
    driven = opened()
    for _ in range(12):
        driven.take()
    found = guidance.find(driven.state, "A012", driven.at_ms)
    assert found is not None and found.ahead == 11 and len(found.before) == guidance.NAMED


def test_a_wait_is_told_once_the_pool_knows_its_rate() -> None:
    driven = served(12, 5)
    found = guidance.find(driven.state, "A017", driven.at_ms)
    assert found is not None and found.eta_s is not None and found.eta_p90_s is not None
    assert found.ahead == 4 and 60 <= found.eta_s <= found.eta_p90_s
    page = guidance.guide(driven.state, "guide-1", driven.at_ms)
    place = page.services[0]
    assert place.code == "si" and place.waiting == place.ahead == 5 and place.eta_p90_s and place.left == 40 - 17


def test_nobody_is_told_that_it_is_at_once_while_others_wait() -> None:
    driven = opened()
    driven.take()
    driven.call(1)
    driven.call(2) if driven.state.pool.length(0) else None
    driven.take()
    found = guidance.find(driven.state, "A002", driven.at_ms)
    assert found is not None and found.ahead == 0
    driven.take()
    later = guidance.find(driven.state, "A003", driven.at_ms)
    assert later is not None and later.eta_p90_s != 0


def test_an_unknown_number_is_none_and_an_ended_one_is_found() -> None:
    driven = served(1, 0)
    assert guidance.find(driven.state, "Z999", driven.at_ms) is None
    found = guidance.find(driven.state, "A001", driven.at_ms)
    assert found is not None and (found.state, found.ahead, found.before, found.eta_s) == ("served", 0, [], None)


def test_who_was_missed_may_be_sent_back() -> None:
    driven = opened()
    driven.take()
    driven.call(1)
    driven.ask(c.MissTicket(1))
    (missed,) = guidance.guide(driven.state, "", driven.at_ms).missed
    assert missed.number == "A001" and missed.until_ms > driven.at_ms


def test_the_classes_are_those_that_may_be_asked_for() -> None:
    page = guidance.guide(opened().state, "", opened().at_ms)
    codes = [one.code for one in page.classes]
    assert "ordinary" in codes and "booked" not in codes
    assert {one.code: one.classes for one in page.services}["id"] == ["ordinary", "care"]


def test_a_much_shorter_wait_of_the_same_kind_is_advised() -> None:
    driven = opened()
    page = guidance.guide(driven.state, "", driven.at_ms)
    slow = msgspec.structs.replace(page.services[0], eta_s=1200, open_counters=1)
    quick = msgspec.structs.replace(page.services[1], eta_s=300, open_counters=1)
    same = tuple(msgspec.structs.replace(one, department="x", kind="accept") for one in POLICY.services)
    driven.change(msgspec.structs.replace(POLICY, version=2, services=same))
    assert [one.advice for one in guidance._advised(driven.state, [slow, quick])] == ["tax", ""]
    closed = msgspec.structs.replace(quick, open_counters=0)
    assert [one.advice for one in guidance._advised(driven.state, [slow, closed])] == ["", ""]
    assert [one.advice for one in guidance._advised(opened().state, [slow, quick])] == ["", ""], "another department"
