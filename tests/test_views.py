"""core/views.py: who shares what, which ids are given, and what a change of skills leaves behind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.ranking import ClassRule, RankingPool, Skills

CLASSES = [ClassRule(tier=1, cap=(1, 3)), ClassRule(head_start_ms=5), ClassRule()]
tickets = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(-5, 20)), max_size=25)
some_services = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple)


def test_counters_with_equal_skills_share_a_profile_whatever_the_order() -> None:
    pool = RankingPool(CLASSES)
    assert pool.set_profile(1, Skills((2, 1, 2), (3,))) == pool.set_profile(2, Skills((1, 2), (3, 1))) == 0
    assert pool.set_profile(3, Skills((1, 2))) == 1
    assert pool.view_of(0) == pool.view_of(1)


def test_overflow_terms_without_overflow_make_no_other_profile() -> None:
    pool = RankingPool(CLASSES)
    assert pool.set_profile(1, Skills((1,), (), 5, 6)) == pool.set_profile(2, Skills((1,)))


def test_ids_are_dense_and_never_come_back() -> None:
    pool = RankingPool(CLASSES)
    assert [pool.set_profile(1, Skills(primary)) for primary in ((1,), (2,), (1,))] == [0, 1, 2]
    pool.drop_profile(1)
    pool.drop_profile(1)
    assert pool.set_profile(1, Skills((1, 2))) == 3
    views = [pool.service_view(1), pool.service_view(2), pool.view_of(3)]
    pool.set_profile(1, Skills((1,)))
    assert pool.set_profile(1, Skills((1, 2))) == 5
    assert views == [0, 1, 2] and pool.view_of(5) == 3


def test_a_profile_lives_while_a_counter_has_it_and_so_does_its_ring() -> None:
    pool = RankingPool(CLASSES)
    first = pool.set_profile(1, Skills((1, 2)))
    pool.set_profile(2, Skills((2, 1)))
    pool.note_call(first, True)
    pool.drop_profile(1)
    assert pool.set_profile(1, Skills((1, 2))) == first and pool.rings() == {first: [0, 1]}
    pool.drop_profile(1)
    pool.drop_profile(2)
    assert pool.rings() == {} and pool.views_with(1) == (pool.service_view(1),)


def test_the_ring_follows_a_new_cap() -> None:
    pool = RankingPool([ClassRule(cap=(1, 5)), ClassRule()])
    profile = pool.set_profile(1, Skills((1,)))
    for contested in (True, True, False, True):
        pool.note_call(profile, contested)
    assert pool.rings() == {profile: [1, 1, 0, 1]}
    pool.set_classes([ClassRule(cap=(1, 3)), ClassRule()])
    assert pool.rings() == {profile: [0, 1]}
    pool.restore_rings({profile: [1, 1, 0]})
    assert pool.rings() == {profile: [1, 0]}


def test_views_with_a_service_in_order() -> None:
    pool = RankingPool(CLASSES)
    for counter, primary in enumerate(((1, 2), (2, 3), (1, 3))):
        pool.set_profile(counter, Skills(primary))
    assert pool.views_with(1) == (pool.service_view(1), pool.view_of(0), pool.view_of(2))


@settings(derandomize=True, deadline=None)
@given(tickets=tickets, primary=some_services, other=some_services, overflow=some_services)
def test_skills_there_and_back_change_nothing_and_late_skills_equal_early_ones(
    tickets: list[tuple[int, int, int]], primary: tuple[int, ...], other: tuple[int, ...], overflow: tuple[int, ...]
) -> None:
    early, late = RankingPool(CLASSES), RankingPool(CLASSES)
    for pool in (early, late):
        for service in range(5):
            pool.add_service(service)
    early.set_profile(1, Skills(primary, overflow, 5, 2))
    for pool in (early, late):
        for serial, ticket in enumerate(tickets, 1):
            pool.add(serial, *ticket)
    late.set_profile(1, Skills(primary, overflow, 5, 2))
    assert late.contents() == early.contents()
    before = [served[1:] for served in early.contents()[0]]
    early.set_profile(1, Skills(other))
    early.set_profile(1, Skills(primary, overflow, 5, 2))
    assert [served[1:] for served in early.contents()[0]] == before
    for serial in range(1, len(tickets) + 1):
        early.remove(serial)
    assert not any(lane for _, _, lanes in early.contents()[0] for lane in lanes)
