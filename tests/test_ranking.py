"""core/ranking.py: the pool against a brute-force oracle that shares no code with it, and the worked example."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bench.peers import ListScan
from core.auditor import audit
from core.ranking import ClassRule, RankingPool, Skills, ViewTable

MIN = 60_000
GREEN, CARE, MILITARY, ORDINARY, BOOKED = range(5)
CLASSES = (
    ClassRule(tier=1, cap=(1, 3)),
    ClassRule(head_start_ms=15 * MIN),
    ClassRule(head_start_ms=15 * MIN),
    ClassRule(),
    ClassRule(),
)

# Few values, so that equal T, equal scores and T just beside each other are common; negative and future ones too.
times = st.one_of(st.integers(-6, 30), st.sampled_from([-40 * MIN, 0, 7, 8, 10**7, 86_400_000]))
services = st.integers(0, 4)
some_services = st.lists(services, min_size=0, max_size=5).map(tuple)
skills = st.builds(Skills, some_services.filter(bool), some_services, st.sampled_from([0, 5, 9]), st.integers(0, 9))
cap_numbers = st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@st.composite
def class_lists(draw: st.DrawFn) -> list[ClassRule]:
    """Three to five classes: equal rates or mixed, head starts, sometimes tiers, sometimes a cap (above or level)."""
    count = draw(st.integers(3, 5))
    even = draw(st.booleans())
    cap = draw(st.none() | cap_numbers)
    rules = [
        ClassRule(4 if even else draw(st.sampled_from([1, 2, 3, 4, 8])), draw(st.sampled_from([0, 0, 3, 8, 15 * MIN])))
        for _ in range(count)
    ]
    rules[0] = msgspec.structs.replace(rules[0], tier=draw(st.sampled_from([0, 1, 1])), cap=cap)
    rules[-1] = msgspec.structs.replace(rules[-1], tier=draw(st.sampled_from([0, 0, 0, 1, 2])))
    return rules


class PoolAgainstOracle(RuleBasedStateMachine):
    """Every way to change a pool; after each step every answer equals the oracle's."""

    @initialize(
        rules=class_lists(),
        team=st.lists(skills, min_size=2, max_size=4),
        early=st.lists(st.tuples(services, st.integers(0, 2), times), min_size=4, max_size=12),
    )
    def start(self, rules: list[ClassRule], team: list[Skills], early: list[tuple[int, int, int]]) -> None:
        self.pool = RankingPool(rules)
        self.oracle = ListScan(rules, [])
        self.counters: dict[int, int] = {}
        self.t = 0
        self.next_serial = 1
        self.gone: list[tuple[int, int, int, int]] = []
        for counter, new in enumerate(team):
            self.sign_on(counter, new)
        for ticket in early:
            self.take(*ticket)

    @rule(service=services, cls=st.integers(0, 2), t_eff=times)
    def take(self, service: int, cls: int, t_eff: int) -> None:
        self._add(self.next_serial, service, cls, t_eff)
        self.next_serial += 1

    def _add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        self.pool.add(serial, service, cls, t_eff)
        self.oracle.add(serial, service, cls, t_eff)

    @precondition(lambda self: self.oracle.tickets)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._remove(data.draw(st.sampled_from(sorted(self.oracle.tickets))))

    def _remove(self, serial: int) -> None:
        self.gone.append((serial, *self.oracle.tickets[serial]))
        self.pool.remove(serial)
        self.oracle.remove(serial)
        assert serial not in self.pool

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), t_eff=times)
    def come_back_senior(self, data: st.DataObject, t_eff: int) -> None:
        """A ticket that was away comes back with another T, often older than those that wait."""
        serial, service, cls, _ = self.gone.pop(data.draw(st.integers(0, len(self.gone) - 1)))
        self._add(serial, service, cls, t_eff)

    @precondition(lambda self: self.oracle.tickets)
    @rule(data=st.data(), service=services, cls=st.integers(0, 2))
    def transfer_or_reclass(self, data: st.DataObject, service: int, cls: int) -> None:
        serial = data.draw(st.sampled_from(sorted(self.oracle.tickets)))
        _, _, t_eff = self.oracle.tickets[serial]
        self._remove(serial)
        self.gone.pop()
        self._add(serial, service, cls, t_eff)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), n=st.integers(1, 4))
    def come_back_missed(self, data: st.DataObject, n: int) -> None:
        serial, service, cls, t_eff = self.gone.pop(data.draw(st.integers(0, len(self.gone) - 1)))
        self.pool.add_service(service)
        new_t = self.pool.reentry_t(service, cls, t_eff, self.t, n)
        tier = self.oracle.classes[cls].tier
        peers = [
            s
            for s in self.oracle.order([service], self.t)
            if self.oracle.classes[self.oracle.tickets[s][1]].tier == tier
        ]
        self._add(serial, service, cls, new_t)
        if not peers:
            assert new_t == t_eff
            return
        behind = self.oracle.rank(peers[min(n, len(peers)) - 1], self.t)
        assert new_t >= t_eff and self.oracle.rank(serial, self.t) < behind
        # Nothing earlier would do: one ms less is not below it any more, or is before its own T.
        earlier = ListScan(self.oracle.classes, [])
        earlier.add(serial, service, cls, new_t - 1)
        assert new_t == t_eff or earlier.rank(serial, self.t)[:2] >= behind[:2]

    @rule(counter=st.integers(0, 3), new=skills)
    def sign_on(self, counter: int, new: Skills) -> None:
        profile = self.pool.set_profile(counter, new)
        if profile == len(self.oracle.profiles):
            self.oracle.profiles.append(new)
            self.oracle.calls.append([])
        self.counters[counter] = profile
        assert self.pool.profile_of(counter) == profile

    @precondition(lambda self: self.counters)
    @rule(data=st.data())
    def sign_off(self, data: st.DataObject) -> None:
        counter = data.draw(st.sampled_from(sorted(self.counters)))
        del self.counters[counter]
        self.pool.drop_profile(counter)

    @precondition(lambda self: self.counters)
    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        profile = self.counters[data.draw(st.sampled_from(sorted(self.counters)))]
        expected = self.oracle.choose(profile, self.t)
        serial = self.pool.peek(profile, self.t)
        if expected is None:
            assert serial is None
            return
        assert serial == expected[0]
        contested = self.pool.contested(profile, self.t, serial)
        assert contested == expected[1]
        self.gone.append((serial, *self.oracle.tickets[serial]))
        assert self.oracle.call_next(profile, self.t) == serial
        self.pool.note_call(profile, contested)
        self.pool.remove(serial)

    @rule(step=st.sampled_from([1, 3, 5, 9, MIN, 20 * MIN]))
    def time_passes(self, step: int) -> None:
        self.t += step

    @rule(rules=class_lists())
    def policy_changes(self, rules: list[ClassRule]) -> None:
        caps = [old.cap for old in self.oracle.classes if old.cap], [new.cap for new in rules if new.cap]
        self.pool.set_classes(rules)
        self.oracle.classes = list(rules)
        if caps[0] != caps[1]:  # the ring keeps the last n - 1 of the rules in force
            n = caps[1][0][1] if caps[1] else 1
            self.oracle.calls = [calls[len(calls) - min(len(calls), n - 1) :] for calls in self.oracle.calls]

    @rule()
    def restart(self) -> None:
        table = msgspec.msgpack.decode(msgspec.msgpack.encode(self.pool.profiles()), type=ViewTable)
        waiting = [(serial, *ticket) for serial, ticket in self.oracle.tickets.items()]
        other = RankingPool.rebuilt(self.oracle.classes, table, waiting)
        other.restore_rings(self.pool.rings())
        assert other.contents() == self.pool.contents()
        assert other.snapshot(self.t) == self.pool.snapshot(self.t)
        self.pool = other

    @invariant()
    def peek_and_why_are_the_oracles_choice(self) -> None:
        for profile in sorted(set(self.counters.values())):
            expected = self.oracle.choose(profile, self.t)
            assert self.pool.peek(profile, self.t) == (expected and expected[0])
            if expected is None:
                continue
            why = self.pool.why(profile, self.t, 7)
            assert (why.heads[0][1], why.contested) == expected
            assert why.cap_used == sum(self.pool.rings()[profile])
            judged = audit(why, self.t, self.oracle.classes)
            assert judged.argmax_ok and not judged.bound_broken

    @invariant()
    def ahead_and_top_are_the_full_sort(self) -> None:
        views = {
            self.pool.view_of(profile): self.oracle.profiles[profile].primary for profile in self.counters.values()
        }
        for view, primary in views.items():
            order = self.oracle.order(primary, self.t)
            assert self.pool.top(view, len(order), self.t) == order
            assert self.pool.top(view, 2, self.t) == order[:2]
            for place, serial in enumerate(order):
                assert self.pool.ahead(serial, view, self.t) == place
                by_class = [0] * len(self.oracle.classes)
                for before in order[:place]:
                    by_class[self.oracle.tickets[before][1]] += 1
                assert self.pool.ahead_by_class(serial, view, self.t) == tuple(by_class)

    @invariant()
    def lists_hold_exactly_who_waits(self) -> None:
        assert len(self.pool) == len(self.oracle.tickets)
        for _, served, lanes in self.pool.contents()[0]:
            for cls, lane in enumerate(lanes):
                here = [(t, s) for s, (service, c, t) in self.oracle.tickets.items() if service in served and c == cls]
                assert [(key >> 24, key & (1 << 24) - 1) for key in lane] == sorted(here)


TestPoolAgainstOracle = PoolAgainstOracle.TestCase
TestPoolAgainstOracle.settings = settings(max_examples=100, stateful_step_count=40, derandomize=True, deadline=None)


@pytest.mark.slow
def test_more_ways_to_change_a_pool() -> None:
    run_state_machine_as_test(PoolAgainstOracle, settings=settings(TestPoolAgainstOracle.settings, max_examples=350))


def a_pool(skills: Skills | None = None) -> tuple[RankingPool, int]:
    pool = RankingPool(CLASSES)
    return pool, pool.set_profile(1, skills or Skills((1,)))


EXAMPLE = {  # number: class, T in minutes
    "A001": (ORDINARY, 0),
    "A002": (ORDINARY, 2),
    "A003": (ORDINARY, 5),
    "B001": (CARE, 12),
    "A004": (ORDINARY, 13),
    "Y001": (BOOKED, 0),
    "J001": (MILITARY, 22),
}


def test_the_worked_example_is_called_in_its_order() -> None:
    pool, profile = a_pool()
    names = dict(enumerate(EXAMPLE, 1))
    for serial, number in names.items():
        cls, minute = EXAMPLE[number]
        pool.add(serial, 1, cls, minute * MIN)
    called = [names[pool.call_next(profile, 22 * MIN) or 0] for _ in EXAMPLE]
    assert called == ["B001", "A001", "Y001", "A002", "A003", "J001", "A004"]


def test_the_worked_example_after_a_no_show() -> None:
    """A002 returns at 25, N = 3: behind A004, T at 13 min + 1 ms; care at 29 stays behind."""
    pool, profile = a_pool()
    for serial, number in ((3, "A003"), (7, "J001"), (5, "A004")):
        cls, minute = EXAMPLE[number]
        pool.add(serial, 1, cls, minute * MIN)
    t_eff = pool.reentry_t(1, ORDINARY, 2 * MIN, 25 * MIN, 3)
    assert t_eff == 13 * MIN + 1
    pool.add(2, 1, ORDINARY, t_eff)
    pool.add(8, 1, CARE, 29 * MIN)
    assert pool.top(pool.view_of(profile), 9, 29 * MIN) == [3, 7, 5, 2, 8]


def test_reentry_without_anybody_waiting_keeps_t() -> None:
    pool, _ = a_pool()
    assert pool.reentry_t(1, ORDINARY, 5, 100, 3) == 5


def test_a_ticket_waits_once_and_serials_have_a_range() -> None:
    pool, _ = a_pool()
    pool.add(1, 1, ORDINARY, 0)
    for serial in (1, 0, 1 << 24):
        with pytest.raises(AssertionError, match="out of range or waits already"):
            pool.add(serial, 1, ORDINARY, 0)
    with pytest.raises(KeyError):
        pool.remove(2)


def test_two_caps_or_a_rate_of_nothing_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match="one cap"):
        RankingPool([ClassRule(cap=(1, 3)), ClassRule(cap=(1, 4))])
    with pytest.raises(AssertionError, match="rate is positive"):
        RankingPool([ClassRule(rate=0)])


def test_a_class_with_tickets_cannot_go_but_new_ones_can_come() -> None:
    pool, profile = a_pool()
    pool.add(1, 1, BOOKED, 0)
    with pytest.raises(AssertionError, match="dropped while"):
        pool.set_classes(CLASSES[:-1])
    pool.set_classes((*CLASSES, ClassRule(head_start_ms=99 * MIN)))
    pool.add(2, 1, 5, 10)
    assert pool.call_next(profile, 20) == 2


def test_a_picked_ticket_stands_first_in_why_and_is_not_in_the_ring() -> None:
    pool, profile = a_pool(skills=Skills((1,), (2,), 10 * MIN))
    pool.add(1, 1, ORDINARY, 0)
    pool.add(2, 2, GREEN, 5)
    why = pool.why(profile, 20, 3, "picked", picked=2)
    heads = ((GREEN, 2, 5, 60, 0), (ORDINARY, 1, 0, 80, 1))
    assert (why.rule, why.heads, why.contested) == ("picked", heads, False)
    pool.add(3, 1, ORDINARY, 7)
    assert [serial for _, serial, *_ in pool.why(profile, 20, 3, picked=1).heads] == [1], "a head that is picked: once"
    assert [serial for _, serial, *_ in pool.why(profile, 20, 3, picked=3).heads] == [3, 1]


@pytest.mark.parametrize(
    ("tickets", "used", "rule_told"),
    [
        ([(1, ORDINARY, 0)], 0, "score"),
        ([(1, GREEN, 0), (1, ORDINARY, 0)], 0, "green"),
        ([(1, GREEN, 0), (1, ORDINARY, 0)], 1, "cap"),
        ([(1, GREEN, 0)], 1, "green"),
        ([(2, ORDINARY, 5)], 0, "overflow"),
    ],
)
def test_why_names_the_rule(tickets: list[tuple[int, int, int]], used: int, rule_told: str) -> None:
    pool, profile = a_pool(skills=Skills((1,), (2,), 10 * MIN))
    for serial, (service, cls, t_eff) in enumerate(tickets, 1):
        pool.add(serial, service, cls, t_eff)
    for _ in range(used):
        pool.note_call(profile, True)
    assert pool.why(profile, 20, 1).rule == rule_told


def test_why_of_an_empty_hall_is_a_key_error() -> None:
    pool, profile = a_pool()
    assert pool.peek(profile, 0) is None
    with pytest.raises(KeyError):
        pool.why(profile, 0, 1)
