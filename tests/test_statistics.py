"""core/statistics.py: against scipy, against the figures of the design; the flags one step below and at their limit."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.statistics import (
    Levels,
    Rate,
    beta_below,
    chi_square_above,
    confidence,
    discoveries,
    ewma,
    fewer_good,
    gamma_above,
    independence,
    is_burst,
    is_channel_gap,
    is_regular,
    is_too_perfect,
    is_without_negatives,
    normal_above,
    poisson_at_least,
    posterior_above,
    rates,
    shown,
    shrunk,
    ties,
    two_shares,
    variation,
    wilson,
)

MANY = settings(max_examples=150, derandomize=True, deadline=None)


@MANY
@given(den=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_is_scipys(den: int, share: float) -> None:
    num = round(den * share)
    low, high = stats.binomtest(num, den).proportion_ci(method="wilson")
    assert wilson(num, den) == pytest.approx((low, high), abs=1e-9)


@MANY
@given(x=st.floats(0.001, 0.999), a=st.floats(0.2, 400), b=st.floats(0.2, 400))
def test_beta_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_below(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-9)


@MANY
@given(a=st.floats(0.3, 300), x=st.floats(0.0, 600))
def test_gamma_is_scipys(a: float, x: float) -> None:
    assert gamma_above(a, x) == pytest.approx(stats.gamma.sf(x, a), abs=1e-9)


@MANY
@given(count=st.integers(0, 60), mean=st.floats(0.01, 40), z=st.floats(-6, 6), degrees=st.integers(1, 40))
def test_tails_are_scipys(count: int, mean: float, z: float, degrees: int) -> None:
    assert poisson_at_least(count, mean) == pytest.approx(stats.poisson.sf(count - 1, mean), abs=1e-9)
    assert normal_above(z) == pytest.approx(stats.norm.sf(z), abs=1e-12)
    assert chi_square_above(mean, degrees) == pytest.approx(stats.chi2.sf(mean, degrees), abs=1e-9)


@MANY
@given(st.lists(st.lists(st.integers(1, 60), min_size=3, max_size=3), min_size=2, max_size=5))
def test_independence_is_scipys(table: list[list[int]]) -> None:
    theirs = stats.chi2_contingency(table, correction=False)
    assert independence(table) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)


@MANY
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_false_discoveries_are_scipys(p_values: list[float]) -> None:
    adjusted = stats.false_discovery_control(p_values, method="bh")
    assert discoveries(p_values) == [p <= 0.10 + 1e-12 for p in adjusted]


def test_false_discoveries_stay_below_q() -> None:
    """Of 200 scans where 20 are real, at most a tenth of what is reported is false, on average."""
    rng, false, reported = Random(7), 0, 0
    for _ in range(60):
        p_values = [rng.random() for _ in range(180)] + [rng.random() * 1e-4 for _ in range(20)]
        kept = discoveries(p_values)
        false += sum(kept[:180])
        reported += sum(kept)
    assert false / reported < 0.12


@MANY
@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_fewer_good_is_scipys_exact_test(den: int, other: int, share: float, other_share: float) -> None:
    num, other_num = round(den * share), round(other * other_share)
    table = [[num, den - num], [other_num, other - other_num]]
    theirs = stats.fisher_exact(table, alternative="greater").pvalue
    assert fewer_good(num, den, other_num, other) == pytest.approx(theirs, rel=1e-6, abs=1e-12)


def test_two_shares_squared_is_the_chi_square_of_the_table() -> None:
    z = two_shares(190, 200, 150, 190)
    assert z**2 == pytest.approx(independence([[190, 10], [150, 40]])[0])
    assert two_shares(1, 0, 1, 1) == two_shares(5, 5, 5, 5) == 0.0


@pytest.mark.parametrize(
    ("num", "den", "low", "drawn"),
    [(5, 5, 0.566, 0.986), (198, 200, 0.964, 0.989), (980, 1000, 0.969, 0.980), (4900, 5000, 0.976, 0.980)],
)
def test_the_figures_of_the_design(num: int, den: int, low: float, drawn: float) -> None:
    assert round(wilson(num, den)[0], 3) == low
    assert round(shrunk(num, den, 0.985), 3) == drawn


def test_rates_have_numerators_and_denominators() -> None:
    levels = Levels((1, 3, 6, 30, 60), evaluable=250, defaulted=40)
    assert rates(levels) == {
        "rated": Rate(100, 250),
        "unrated": Rate(150, 250),
        "good": Rate(96, 100),
        "bad": Rate(4, 100),
        "good_with_defaults": Rate(136, 140),
        "satisfaction": Rate(100 * (1 + 6 + 18 + 120 + 300), 500),
    }
    assert rates(levels)["satisfaction"].value == 89.0
    assert Rate(0, 0).value is None and wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("active", "said"),
    [
        (0, "too_few"),
        (19, "too_few"),
        (20, "reference"),
        (51, "reference"),
        (52, "interval"),
        (222, "interval"),
        (223, "ranked"),
    ],
)
def test_a_small_sample_is_said_to_be_small(active: int, said: str) -> None:
    assert confidence(active) == said


@pytest.mark.parametrize(("count", "seen"), [(0, 0), (1, None), (4, None), (5, 5)])
def test_cells_in_which_somebody_could_be_recognised_are_not_shown(count: int, seen: int | None) -> None:
    assert shown(count) == seen


def test_overlapping_intervals_are_a_tie() -> None:
    found = ties([("a", 990, 1000), ("b", 985, 1000), ("c", 900, 1000), ("d", 5, 5), ("e", 895, 1000)])
    assert [(one.subject, one.rank) for one in found] == [("a", 1), ("b", 1), ("c", 3), ("e", 3), ("d", 3)]
    assert ties([]) == []


def test_attention_is_a_matter_of_evidence() -> None:
    """Twice the usual share of bad ratings: five of a hundred are worth a look at 1.5 % usual, one of five not."""
    assert posterior_above(10, 100, 0.03, 0.015) > 0.95
    assert posterior_above(1, 5, 0.03, 0.015) < 0.95
    assert posterior_above(10, 100, 0.03, 0.015) == pytest.approx(stats.beta.sf(0.03, 10.75, 139.25), abs=1e-9)


# Flags.


def test_r4_regular() -> None:
    rng = Random(3)
    assert is_regular([5000] * 10) and not is_regular([5000] * 9)
    assert is_regular([rng.randrange(40_000, 60_000) for _ in range(30)]), "a variation of .12"
    assert not is_regular([rng.randrange(1000, 600_000) for _ in range(30)])
    assert not is_regular([rng.randrange(40_000, 60_000) for _ in range(29)])


def test_r5_burst() -> None:
    assert (is_burst(7, 1.0, True), is_burst(6, 1.0, True)) == (True, False)
    assert (is_burst(1, 9.0, False), is_burst(0, 9.0, False)) == (True, False)
    assert poisson_at_least(7, 1.0) < 1e-4 < poisson_at_least(6, 1.0)


def test_r7_too_perfect() -> None:
    assert (is_too_perfect(135, 135, 0.95), is_too_perfect(134, 134, 0.95)) == (True, False)
    assert not is_too_perfect(500, 500, 0.96) and not is_too_perfect(499, 500, 0.5) and not is_too_perfect(0, 0, 0.5)


def test_r8_selective_asking() -> None:
    even = [[90, 10], [91, 9], [89, 11]]
    falls = [[95, 5], [80, 20], [60, 40]]
    assert independence(even)[1] > 0.5 and independence(falls)[1] < 1e-6
    assert independence([]) == independence([[5, 0], [7, 0]]) == (0.0, 1.0)


def test_r9_no_negatives() -> None:
    assert (is_without_negatives(0, 5), is_without_negatives(0, 4.99), is_without_negatives(1, 9)) == (
        True,
        False,
        False,
    )


def test_r11_channel_gap() -> None:
    assert is_channel_gap((300, 300), (250, 300)) and not is_channel_gap((29, 29), (1, 300))
    assert not is_channel_gap((250, 300), (300, 300)) and not is_channel_gap((299, 300), (297, 300))


def test_variation_and_the_moving_average_of_handling_times() -> None:
    assert variation([2, 4]) == pytest.approx(stats.variation([2, 4], ddof=1))
    assert variation([1]) == float("inf") and variation([0, 0]) == 0.0
    assert ewma([]) is None and ewma([60_000] * 5) == pytest.approx(60_000)
    assert 60_000 < (ewma([60_000, 120_000]) or 0) < 70_000
