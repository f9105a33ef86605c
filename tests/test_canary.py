"""workers/canary.py: before each working day the bad levels are tried on the real path, and counted nowhere."""

import msgspec
import pytest

from core import facts as f
from core import facts_cases as fc
from core.hall import Hall
from core.state import HallState
from devices import wire
from tests.halls import HALL, MIN, POLICY, changed, clock, opened
from workers.canary import Canary, missing, probes
from workers.desk import Desk
from workers.tallies import Tallies
from workers.totals import Counter, Totals

EARLY = clock("2026-11-24 07:30")
EXPECTED = {("web", 2), ("web", 1), ("web", 5), ("pad", 2), ("pad", 1), ("pad", 5), ("keys4", 2), ("keys4", 5)}


def test_n29_each_profile_is_asked_for_the_bad_levels_that_it_can_say() -> None:
    assert {(one.profile, one.level) for one in probes(POLICY)} == EXPECTED


def test_n29_they_go_through_codec_desk_and_journal_and_are_counted_nowhere() -> None:
    hall = opened()
    hall.at_ms = EARLY
    hall.due()
    desk = Desk(hall.hall, Tallies())
    counter, before = Counter(Totals()), (hall.state.next_case, dict(hall.state.level_ms))
    facts = [fact for one in missing(hall.state, EARLY) for fact in desk.ask(one, EARLY)]
    assert {(one.profile, one.level) for one in facts if isinstance(one, fc.EvaluationProbed) and one.ok} == EXPECTED
    part = desk.part()
    assert part is not None and len(part.facts) == len(EXPECTED)
    for fact in facts:
        counter.note(HALL, fact, EARLY)
    assert counter.totals.halls == {} and (hall.state.next_case, hall.state.level_ms) == before
    assert not [fact for fact in facts if isinstance(fact, f.EvaluationSubmitted)]


def test_once_a_working_day_from_an_hour_before_it_opens() -> None:
    hall = opened()
    hall.at_ms = EARLY - 1
    hall.due()
    assert missing(hall.state, EARLY - 1) == []
    for one in missing(hall.state, EARLY):
        hall.at_ms = EARLY
        hall.ask(one)
    assert missing(hall.state, EARLY + MIN) == []
    hall.wait(24 * 60 * MIN)
    assert len(missing(hall.state, hall.at_ms)) == len(EXPECTED)
    hall.at_ms = clock("2026-11-28 10:00")
    hall.due()
    assert missing(hall.state, hall.at_ms) == [], "a Saturday"
    assert missing(HallState("new"), EARLY) == []


def test_it_looks_once_a_minute() -> None:
    hall = opened()
    canary = Canary()
    assert len(canary.due([hall.state], hall.at_ms)) == len(EXPECTED)
    assert canary.due([hall.state], hall.at_ms + MIN - 1) == []
    assert {name for name, _ in canary.due([hall.state], hall.at_ms + MIN)} == {HALL}
    assert canary.due([hall.state], hall.at_ms - 1), "the clock was set back"


def test_a_failed_probe_is_tried_again() -> None:
    """The key map of the hall is broken: key 0 means 4 now, and the profile says it could say 2 by another."""
    profiles = (POLICY.profiles[0], msgspec.structs.replace(POLICY.profiles[1], levels={"3": 5, "2": 2}))
    hall = opened()
    wrong = [one for one in probes(POLICY) if (one.profile, one.level) == ("keys4", 2)]
    hall.change(changed(hall.policy, profiles=profiles))
    hall.ask(wrong[0])
    assert not hall.only(fc.EvaluationProbed).ok
    assert ("keys4", 2) in {(one.profile, one.level) for one in missing(hall.state, hall.at_ms)}


def test_what_the_codec_garbles_is_a_failed_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels 1 and 2 that cannot be submitted, as was seen for a year and a half: found before the hall opens."""
    real = wire.decode

    def broken(payload: bytes, device: str) -> list[wire.Heard | wire.Bad]:
        dropped = b'"level":1' in payload or b'"level":2' in payload or b'"key":0' in payload
        return [wire.Bad("bad_field", "schema")] if dropped else real(payload, device)

    monkeypatch.setattr(wire, "decode", broken)
    hall = opened()
    failed = []
    for one in probes(POLICY):
        hall.ask(one)
        failed += [fact.level for fact in hall.facts if isinstance(fact, fc.EvaluationProbed) and not fact.ok]
    assert sorted(failed) == [1, 1, 2, 2, 2]
    assert hall.replayed(Hall(HallState(HALL))).state.digest() == hall.state.digest()


def test_a_codec_that_makes_bad_ratings_good_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = wire.decode

    def kind(payload: bytes, device: str) -> list[wire.Heard | wire.Bad]:
        return real(payload.replace(b'"level":1', b'"level":5'), device)

    monkeypatch.setattr(wire, "decode", kind)
    hall = opened()
    failed = []
    for one in probes(POLICY):
        hall.ask(one)
        failed += [
            (fact.profile, fact.level) for fact in hall.facts if isinstance(fact, fc.EvaluationProbed) and not fact.ok
        ]
    assert failed == [("web", 1), ("pad", 1)]
