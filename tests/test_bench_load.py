"""bench/load.py, scopes.py, rush.py, plan.py: a day is a function of its seed and has the shares of the model."""

from collections import Counter

import pytest

from bench import plan
from bench.load import days, digest, opening
from bench.rush import Rush, lanes, presses
from bench.scopes import LUNCH_MS, MIXES, SCOPES, TABLE, Scope, clock_ms, offers, scope_policy
from core import policy
from devices import people, wire

SMALL = Scope("small", 20, 400, kiosks=3)


def test_equal_seeds_give_equal_days_and_others_others() -> None:
    first, again, other = (days(SCOPES["tiny"], seed) for seed in (3, 3, 4))
    assert first[0].said == again[0].said and digest(first) == digest(again) != digest(other)
    assert plan.day(first, 60, 8).digest == plan.day(again, 60, 8).digest != plan.day(other, 60, 8).digest


def test_a_day_has_the_shares_of_the_model() -> None:
    (day,) = days(SMALL, 1)
    events = [one for one in day.said if one.topic.endswith("/event")]
    heard = [one for said in events for one in wire.decode(said.payload, said.topic.split("/")[3])]
    assert all(isinstance(one, wire.Heard) for one in heard), "every byte of it is of the wire"
    kinds = Counter(type(one.command).__name__ for one in heard if isinstance(one, wire.Heard))
    assert 0.10 < kinds["CheckInBooking"] / 400 < 0.20 and kinds["SubmitEvaluation"] > 100
    assert kinds["FinishServing"] >= 380 and kinds["MissTicket"] > 5 and kinds["TransferTicket"] > 3
    assert 0.8 < kinds["RecallTicket"] / 400 < 1.8 and kinds["PauseCounter"] > 20
    resent = len(events) - len({one.payload for one in events})
    assert 0.003 < resent / len(events) < 0.02
    assert any(said.payload.startswith(b"[") for said in events), "a kiosk was cut off and catches up"
    assert {one.payload.split(b'"')[3] for one in day.said if one.topic.endswith("/state")} == {b"lost", b"ready"}
    assert [one.at_ms for one in day.said] == sorted(one.at_ms for one in day.said)
    assert len(day.expected.waits) >= 395


def test_a_plan_that_starts_at_the_door_has_everything_else_before_it() -> None:
    whole = plan.day([opening(one, 20) for one in days(SCOPES["tiny"], 1)], 1, 8)
    door_ns = 120 * 10**9
    cut = plan.since(whole, door_ns)
    assert [len(a) + len(b) for a, b in zip(cut.before, cut.timed, strict=True)] == [len(one) for one in whole.timed]
    assert sum(map(len, cut.before)) > 0 and cut.timed_events > 0
    assert all(one[0] < door_ns for lane in cut.before for one in lane)
    assert sorted(one[0] + door_ns for lane in cut.timed for one in lane) == sorted(
        one[0] for lane in whole.timed for one in lane if one[0] >= door_ns
    )
    assert cut.events == whole.events and cut.causes == whole.causes


def test_the_opening_of_a_day_is_its_beginning() -> None:
    (day,) = days(SMALL, 1)
    first = opening(day, 20)
    assert (
        first.said == day.said[: len(first.said)]
        and first.said[-1].at_ms < 20 * 60_000 <= day.said[len(first.said)].at_ms
    )
    assert 0 < len(first.expected.waits) < len(day.expected.waits) and first.policy == day.policy


def test_the_curve_and_the_mixes_are_those_of_the_page() -> None:
    assert people.CURVE[:4] == (62, 48, 50, 56) and sum(people.CURVE[:14]) == 600 and sum(people.CURVE) == 1000
    assert clock_ms(0) == 0 and clock_ms(14 * people.QUARTER_MS) == 14 * people.QUARTER_MS + LUNCH_MS
    services = [f"s{at}" for at in range(20)]
    means = {name: sum(one.mean_ms * one.weight for one in offers(services, name)) for name in MIXES}
    assert means["usual"] / 100 == pytest.approx(8.55 * 60_000) and means["heavy"] / 100 == pytest.approx(
        10.75 * 60_000
    )


def test_scopes_are_halls_that_can_open_and_the_table_names_them() -> None:
    assert all(policy.problems(scope_policy(scope, "h1")) == [] for scope in SCOPES.values())
    assert [row[0] for row in TABLE] == ["county", "city", "hall", "province-sample", "province", "nation"]


def test_a_rush_counts_per_device_and_has_the_count_asked_for() -> None:
    found = lanes(3, 100, 1)
    assert sum(map(len, found)) == 100 and found == lanes(3, 100, 1) != lanes(3, 100, 2)
    planned = plan.rush(found)
    assert planned.events == 100 and len({(name, *one) for name, some in planned.causes.items() for one in some}) == 100


def test_presses_come_evenly_and_say_what_must_be_seen() -> None:
    found = presses(halls=2, counters=3, rate=60, seconds=4, seed=1, connections=5)
    timed = sorted(one for lane in found.timed for one in lane)
    assert len(found.timed) == 5 and 180 <= len(timed) <= 240 and timed[-1].due_ns <= 4.2e9
    assert Counter(one.status for one in timed if one.status) == dict.fromkeys(
        ("calling", "serving", "idle"), len(timed) // 4
    )
    assert all(
        one.screen == one.topic.replace("caller", "screen").replace("event", "screen") for one in timed if one.status
    )
    assert len(found.before[0]) == len(Rush("h0", 1, counters=3).sign_ons()) + 9


def test_a_plan_comes_back_from_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]  # a fixture of pytest
    planned = plan.presses(presses(halls=1, counters=2, rate=20, seconds=4, seed=1, connections=2))
    assert plan.read(plan.write(planned, tmp_path / "plan")) == (planned.before, planned.timed)


def test_heads_are_read_from_one_event_and_from_many() -> None:
    assert plan.heads(b'{"boot":"b","seq":3,"body":{}}') == [("b", 3)]
    assert plan.heads(b'[{"boot":"b","seq":3},{"boot":"b","seq":4}]') == [("b", 3), ("b", 4)]
