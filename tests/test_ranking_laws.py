"""core/ranking.py: what must hold for any hall — order, invariances, the bound, the cap, readers, flat cost."""

import random
import subprocess
import sys
import threading
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.peers import ListScan
from core.auditor import audit
from core.ranking import ClassRule, RankingPool, Skills
from core.why import GREEN

MIN = 60_000
calm = settings(derandomize=True, deadline=None, max_examples=150)
tickets = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-9, 30)), min_size=1, max_size=25)
rates = st.lists(st.integers(1, 5), min_size=4, max_size=4)
heads = st.lists(st.integers(0, 12), min_size=4, max_size=4)
ALL = Skills((0, 1, 2, 3))


def a_pool(
    rules: list[ClassRule], waiting: list[tuple[int, int, int]], skills: Skills = ALL
) -> tuple[RankingPool, int]:
    """Tickets (service, class, T) get serials from 1."""
    pool = RankingPool(rules)
    profile = pool.set_profile(1, skills)
    for serial, ticket in enumerate(waiting, 1):
        pool.add(serial, *ticket)
    return pool, profile


def calls(pool: RankingPool, profile: int, t: int) -> list[int]:
    """Everybody in the order called at one moment."""
    return [serial for _ in range(len(pool)) if (serial := pool.call_next(profile, t)) is not None]


@calm
@given(waiting=tickets, rates=rates, heads=heads, t=st.integers(-5, 60))
def test_top_is_what_uncapped_calls_return_and_each_call_moves_everybody_up_one(
    waiting: list[tuple[int, int, int]], rates: list[int], heads: list[int], t: int
) -> None:
    pool, profile = a_pool([ClassRule(*rule) for rule in zip(rates, heads, strict=True)], waiting)
    view = pool.view_of(profile)
    order = pool.top(view, len(waiting), t)
    ahead = {serial: pool.ahead(serial, view, t) for serial in order}
    for called in order:
        assert pool.call_next(profile, t) == called
        del ahead[called]
        for serial in ahead:
            ahead[serial] -= 1
            assert pool.ahead(serial, view, t) == ahead[serial]


@calm
@given(waiting=tickets, rates=rates, heads=heads, t=st.integers(-5, 60), shift=st.integers(-99, 99))
def test_shifting_all_times_changes_nothing(
    waiting: list[tuple[int, int, int]], rates: list[int], heads: list[int], t: int, shift: int
) -> None:
    rules = [ClassRule(*rule) for rule in zip(rates, heads, strict=True)]
    moved = [(service, cls, t_eff + shift) for service, cls, t_eff in waiting]
    assert calls(*a_pool(rules, waiting), t) == calls(*a_pool(rules, moved), t + shift)


@calm
@given(waiting=tickets, rates=rates, heads=heads, t=st.integers(-5, 60), scale=st.integers(1, 9))
def test_scaling_rates_changes_nothing(
    waiting: list[tuple[int, int, int]], rates: list[int], heads: list[int], t: int, scale: int
) -> None:
    rules = [ClassRule(*rule) for rule in zip(rates, heads, strict=True)]
    scaled = [ClassRule(rule.rate * scale, rule.head_start_ms) for rule in rules]
    assert calls(*a_pool(rules, waiting), t) == calls(*a_pool(scaled, waiting), t)


@calm
@given(waiting=tickets, t=st.integers(-5, 60))
def test_equal_rates_without_head_starts_are_first_come_and_huge_ones_are_strict(
    waiting: list[tuple[int, int, int]], t: int
) -> None:
    numbered = {serial: ticket for serial, ticket in enumerate(waiting, 1)}
    fcfs = calls(*a_pool([ClassRule()] * 4, waiting), t)
    assert fcfs == sorted(numbered, key=lambda s: (numbered[s][2], numbered[s][1], s))
    strict = calls(*a_pool([ClassRule(head_start_ms=10**9 * (3 - cls)) for cls in range(4)], waiting), t)
    assert strict == sorted(numbered, key=lambda s: (numbered[s][1], numbered[s][2], s))


@calm
@given(waiting=tickets, rates=rates, heads=heads, t=st.integers(-5, 60), later=st.integers(0, 500))
def test_tickets_of_one_class_never_change_order(
    waiting: list[tuple[int, int, int]], rates: list[int], heads: list[int], t: int, later: int
) -> None:
    """With equal rates nobody does, in one class nobody ever."""
    pool, profile = a_pool([ClassRule(*rule) for rule in zip(rates, heads, strict=True)], waiting)
    view = pool.view_of(profile)
    now, then = pool.top(view, len(waiting), t), pool.top(view, len(waiting), t + later)
    for cls in range(4):
        mine = [serial for serial in now if waiting[serial - 1][1] == cls]
        assert mine == [serial for serial in then if waiting[serial - 1][1] == cls]
        assert mine == sorted(mine, key=lambda serial: (waiting[serial - 1][2], serial))
    if len(set(rates)) == 1:
        assert now == then


@calm
@given(waiting=tickets, rates=rates, heads=heads, n=st.integers(1, 6), own_t=st.integers(-9, 30))
def test_a_missed_ticket_comes_back_behind_the_nth(
    waiting: list[tuple[int, int, int]], rates: list[int], heads: list[int], n: int, own_t: int
) -> None:
    """Ahead: min(N, waiting) and those within one ms of the N-th, or more only because its T was later already."""
    t, cls = 40, 2
    waiting = [(0, c, t_eff) for _, c, t_eff in waiting]
    rules = [ClassRule(*rule) for rule in zip(rates, heads, strict=True)]
    pool, _ = a_pool(rules, waiting)
    t_eff = pool.reentry_t(0, cls, own_t, t, n)
    assert t_eff >= own_t
    pool.add(99, 0, cls, t_eff)
    oracle = ListScan(rules, [])
    for serial, ticket in enumerate(waiting, 1):
        oracle.add(serial, *ticket)
    scores = sorted((oracle.rank(serial, t)[1] for serial in oracle.tickets), reverse=True)
    nth = scores[min(n, len(scores)) - 1]
    within = sum(nth - rates[cls] <= score <= nth for score in scores)
    ahead = pool.ahead(99, pool.service_view(0), t)
    assert min(n, len(waiting)) <= ahead
    assert t_eff == own_t or ahead <= min(n, len(waiting)) + within


@settings(calm, max_examples=600)
@given(
    waiting=tickets,
    rates=st.sampled_from([[4, 4, 4, 4], [1, 2, 3, 4]]),
    heads=heads,
    tier=st.integers(0, 1),
    used=st.integers(0, 2),
    skills=st.builds(
        Skills, st.just((0,)), st.sampled_from([(1,), (1, 2, 3)]), st.integers(0, 9), st.sampled_from([0, 3, 4])
    ),
    t=st.integers(20, 32),
)
def test_overflow_counts_after_theta_or_when_no_primary_waits(
    waiting: list[tuple[int, int, int]],
    rates: list[int],
    heads: list[int],
    tier: int,
    used: int,
    skills: Skills,
    t: int,
) -> None:
    rules = [ClassRule(*rule) for rule in zip(rates, heads, strict=True)]
    rules[0] = ClassRule(rates[0], heads[0], tier, (1, 3))
    pool, profile = a_pool(rules, waiting, skills)
    oracle = ListScan(rules, [skills])
    for serial, ticket in enumerate(waiting, 1):
        oracle.add(serial, *ticket)
    for contested in [True] * used:
        pool.note_call(profile, contested)
        oracle.calls[0].append(contested)
    while (expected := oracle.choose(0, t)) is not None:
        assert pool.peek(profile, t) == expected[0]
        assert pool.call_next(profile, t) == oracle.call_next(0, t)
    assert pool.peek(profile, t) is None


@pytest.mark.parametrize("rules", [[ClassRule()] * 2, [ClassRule(), ClassRule(5)]], ids=["equal rates", "mixed rates"])
def test_an_overflow_head_counts_from_theta_on(rules: list[ClassRule]) -> None:
    for theta, chosen in ((4, 2), (5, 2), (6, 1)):
        pool, profile = a_pool(rules, [(0, 0, 28), (1, 0, 25)], Skills((0,), (1,), theta))
        assert pool.peek(profile, 30) == chosen == pool.why(profile, 30, 1).heads[0][1]


def test_a_handicap_takes_score_from_overflow_heads() -> None:
    """One ms older is 4 of score: less 0 or 4 (a tie: the older first) overflow wins, less 5 or 8 it does not."""
    for handicap, chosen in ((0, 2), (4, 2), (5, 1), (8, 1)):
        pool, profile = a_pool([ClassRule()], [(0, 0, 26), (1, 0, 25)], Skills((0,), (1,), 0, handicap))
        assert pool.peek(profile, 30) == chosen == pool.why(profile, 30, 1).heads[0][1]


DAYS = [
    pytest.param(
        [ClassRule(tier=1, cap=(1, 3)), ClassRule(head_start_ms=15 * MIN), ClassRule(), ClassRule()], id="head starts"
    ),
    pytest.param(
        [ClassRule(9, tier=1, cap=(2, 5)), ClassRule(6, 15 * MIN), ClassRule(4), ClassRule(3, 5 * MIN)],
        id="mixed rates",
    ),
]


@pytest.mark.parametrize("rules", DAYS)
@pytest.mark.parametrize("seed", range(6))
def test_a_day_keeps_bound_cap_and_nobody_idles(rules: list[ClassRule], seed: int) -> None:
    """Random hall: every call is audited, every window of n calls is counted, no counter idles beside the eligible."""
    rng = random.Random(seed)
    pool = RankingPool(rules)
    counters = {
        1: Skills((0, 1)),
        2: Skills((1, 2), (3,), 10 * MIN, 7),
        3: Skills((0, 1, 2, 3)),
        4: Skills((3,), (0,), 4),
    }
    for counter, skills in counters.items():
        pool.set_profile(counter, skills)
    oracle_waiting: dict[int, int] = {}
    history: dict[int, list[bool]] = {}
    t = overtaken = 0
    for serial in range(1, 400):
        t += rng.randrange(0, 40_000)
        cls = rng.choice([0, 0, 1, 2, 2, 2, 3])
        service = rng.randrange(4)
        pool.add(serial, service, cls, t - rng.choice([0, 0, 0, 20 * MIN, -3 * MIN]))
        oracle_waiting[serial] = service
        if rng.random() < 0.02:
            counters[1] = Skills((rng.randrange(4), 1))
            pool.set_profile(1, counters[1])
        counter = rng.choice([1, 2, 3, 4])
        skills, profile = counters[counter], pool.profile_of(counter)
        chosen = pool.peek(profile, t)
        if chosen is None:
            assert not [s for s in oracle_waiting.values() if s in skills.primary + skills.overflow]
            continue
        if rng.random() < 0.15:
            continue  # the clerk makes a pause: queues grow
        why = pool.why(profile, t, 1)
        judged = audit(why, t, rules)
        assert judged.argmax_ok and not judged.bound_broken and why.heads[0][1] == chosen
        overtaken += judged.overtaken
        history.setdefault(profile, []).append(why.contested)
        assert why.rule != GREEN or why.heads[0][0] == 0
        pool.note_call(profile, why.contested)
        pool.remove(chosen)
        del oracle_waiting[chosen]
    k, n = rules[0].cap or (0, 0)
    for contested in history.values():
        assert all(sum(contested[start : start + n]) <= k for start in range(len(contested)))
    assert overtaken > 0, "a day without an overtaking proves nothing"


WRITES = 60_000


class Torn:
    """The positive control: three fields that belong together, written one after the other with calls between."""

    def __init__(self) -> None:
        self.version = self.second = self.third = 0

    def write(self, number: int) -> None:
        self.version = number
        breathe()
        self.second = number
        breathe()
        self.third = number

    def read(self) -> tuple[int, int, int]:
        first = self.version
        breathe()
        second = self.second
        breathe()
        return first, second, self.third


def breathe() -> None:
    """A call: the interpreter may switch threads here."""


def test_readers_of_snapshots_see_no_torn_one_and_the_control_is_caught() -> None:
    pool, profile = a_pool([ClassRule()], [(0, 0, 0)], Skills((0,)))
    control = Torn()
    published = [pool.snapshot(1)]  # the moment is the sum of the serials shown: the fields belong together
    torn = {"control": 0, "snapshot": 0, "backwards": 0, "reads": 0}
    stop = threading.Event()

    def reader() -> None:
        last = -1
        while not stop.is_set():
            first, second, third = control.read()
            torn["control"] += not first == second == third
            seen = published[0]  # once, into a local
            (row,) = seen.views
            torn["snapshot"] += row.lengths[0] != len(row.first[0]) or seen.t != sum(row.first[0])
            torn["backwards"] += seen.version < last
            last = seen.version
            torn["reads"] += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=reader)
    try:
        thread.start()
        number = 1
        while number < WRITES or (not torn["control"] and number < 100 * WRITES):
            number += 1
            control.write(number)
            pool.add(number, 0, 0, number)
            if len(pool) > 8:
                pool.call_next(profile, number)
            published[0] = pool.snapshot(sum(pool.top(0, 10, number)))
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert torn["reads"] > 0 and torn["control"] > 0, "the test has no power: the mutant escaped"
    assert (torn["snapshot"], torn["backwards"]) == (0, 0)


def test_versions_of_snapshots_never_go_back_and_grow_with_every_change() -> None:
    pool, profile = a_pool([ClassRule()], [])
    seen = [pool.snapshot(0).version]
    for change in (
        lambda: pool.add(1, 0, 0, 0),
        lambda: pool.set_profile(2, Skills((1,))),
        lambda: pool.call_next(profile, 5),
        lambda: pool.drop_profile(2),
        lambda: pool.set_classes([ClassRule(8)]),
        lambda: pool.add_service(77),
    ):
        change()
        seen.append(pool.snapshot(0).version)
    assert seen == sorted(set(seen))


STORY = """
import hashlib, msgspec
from core.ranking import ClassRule, RankingPool, Skills
pool = RankingPool([ClassRule(tier=1, cap=(1, 3)), ClassRule(head_start_ms=9), ClassRule()])
for step in range(400):
    pool.set_profile(step % 5, Skills((step % 7, step % 3), (step % 4,), 3))
    pool.add(step + 1, step % 7, step % 3, step - step % 11)
    if step % 2:
        pool.call_next(pool.profile_of(step % 5), step)
print(hashlib.sha256(msgspec.msgpack.encode((pool.contents(), pool.snapshot(400), pool.profiles()))).hexdigest())
"""


def test_the_same_story_has_the_same_digest_under_any_hash_seed() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", STORY], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    ]
    assert len(told[0]) == 65 and len(set(told)) == 1


def test_a_snapshot_has_lengths_and_the_first_ten_of_each_class() -> None:
    pool, _ = a_pool([ClassRule(), ClassRule()], [(0, 0, t) for t in range(12)] + [(0, 1, 3)], Skills((0,)))
    assert pool.snapshot(5).t == 5
    (row,) = pool.snapshot(5).views
    assert (row.view, row.lengths) == (0, (12, 1))
    assert row.first == (tuple(range(1, 11)), (13,))


def lines_run(pool: RankingPool, profile: int) -> int:
    """How many lines of Python fifty takes, counts and calls run."""
    ran = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal ran
        ran += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for serial in range(100, 150):
            pool.add(serial, 0, 1, serial)
            pool.ahead(serial, pool.view_of(profile), serial)
            pool.call_next(profile, serial)
    finally:
        sys.settrace(before)
    return ran


@pytest.mark.parametrize(("services", "changes"), [(50, 0), (500, 0), (1, 30)])
def test_cost_depends_on_the_views_of_a_service_now_and_on_nothing_else(services: int, changes: int) -> None:
    """Counted, not timed: not on the other services of the hall, nor on the skills that somebody once had."""

    def a_hall(services: int, changes: int) -> tuple[RankingPool, int]:
        pool, profile = a_pool(
            [ClassRule(), ClassRule(head_start_ms=9)], [(0, n % 2, n) for n in range(99)], Skills((0,))
        )
        for service in range(1, services):
            pool.add_service(service)
        for change in range(changes):
            pool.set_profile(2, Skills((0, 1 + change)))
        pool.drop_profile(2)
        return pool, profile

    assert 0 < lines_run(*a_hall(services, changes)) < 1.1 * lines_run(*a_hall(1, 0))
