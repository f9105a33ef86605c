"""core/statistics.py: rates, intervals, ranks and tests for read models — the one file of core with floats.

No rule imports it. Formulas: Wilson 1927 (score interval); beta and gamma tails by Lentz' continued fraction as in
Numerical Recipes 6.2 and 6.4; Fisher 1922; Benjamini and Hochberg 1995. A rate keeps its numerator and denominator.
"""

from collections.abc import Iterable, Sequence
from math import erfc, exp, lgamma, log, sqrt
from typing import Final, NamedTuple

Z95: Final = 1.959963984540054
SHRINK: Final = 50
TOO_FEW: Final = 20
FOR_REFERENCE: Final = 52
RANKED: Final = 223
SMALLEST_CELL: Final = 5
TINY: Final = 1e-300
ROUNDS: Final = 500


class Rate(NamedTuple):
    """A share with its numerator and denominator; `value` None where nothing was counted."""

    num: int
    den: int

    @property
    def value(self) -> float | None:
        return self.num / self.den if self.den else None


class Levels(NamedTuple):
    """Active counted ratings N1..N5; `evaluable` servings and defaulted ones stand apart."""

    n: tuple[int, int, int, int, int]
    evaluable: int = 0
    defaulted: int = 0

    @property
    def active(self) -> int:
        return sum(self.n)

    @property
    def bad(self) -> int:
        return self.n[0] + self.n[1]

    @property
    def good(self) -> int:
        return self.n[2] + self.n[3] + self.n[4]


def rates(levels: Levels) -> dict[str, Rate]:
    """The published rates (主动评价率 ...), each as numerator and denominator."""
    active, weight = levels.active, sum(level * n for level, n in enumerate(levels.n, 1))
    return {
        "rated": Rate(active, levels.evaluable),
        "unrated": Rate(levels.evaluable - active, levels.evaluable),
        "good": Rate(levels.good, active),
        "bad": Rate(levels.bad, active),
        "good_with_defaults": Rate(levels.good + levels.defaulted, active + levels.defaulted),
        "satisfaction": Rate(100 * weight, 5 * active),
    }


def wilson(num: int, den: int, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share; (0, 1) of nothing."""
    if not den:
        return 0.0, 1.0
    p, zz = num / den, z * z
    middle, half = p + zz / (2 * den), z * sqrt(p * (1 - p) / den + zz / (4 * den * den))
    low, high = (middle - half) / (1 + zz / den), (middle + half) / (1 + zz / den)
    return (0.0 if num == 0 else low), (1.0 if num == den else high)


def shrunk(num: int, den: int, prior: float, weight: int = SHRINK) -> float:
    """A share drawn towards the prior, for display: small samples say little."""
    return (num + weight * prior) / (den + weight)


def confidence(active: int) -> str:
    """What a sample allows: `too_few` (样本不足), `reference` (仅供参考), `interval`, `ranked`."""
    if active < TOO_FEW:
        return "too_few"
    if active < FOR_REFERENCE:
        return "reference"
    return "ranked" if active >= RANKED else "interval"


def posterior_above(num: int, den: int, limit: float, prior: float, weight: int = SHRINK) -> float:
    """P(rate > limit) after num of den, the prior a beta of that weight: attention where it is above .95."""
    a, b = num + weight * prior, den - num + weight * (1 - prior)
    return 1.0 - beta_below(min(1.0, limit), a, b)


class Ranked(NamedTuple):
    """A place in an award list: those whose intervals overlap the group's first share it."""

    subject: str
    rank: int
    low: float
    high: float


def ties(shares: Iterable[tuple[str, int, int]]) -> list[Ranked]:
    """(subject, num, den) by the lower 95 % bound; one group, one rank, while intervals reach the first of it."""
    placed = sorted(((*wilson(num, den), subject) for subject, num, den in shares), key=lambda one: (-one[0], one[2]))
    found: list[Ranked] = []
    rank, floor = 0, 2.0
    for at, (low, high, subject) in enumerate(placed, 1):
        if high < floor:
            rank, floor = at, low
        found.append(Ranked(subject, rank, low, high))
    return found


def shown(count: int) -> int | None:
    """A cell of a table, or None where so few could be recognised."""
    return count if count >= SMALLEST_CELL or not count else None


# Tails.


def beta_below(x: float, a: float, b: float) -> float:
    """P(X <= x) of a beta."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _apart(1.0 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, ROUNDS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1.0 / _apart(1.0 + step * d), _apart(1.0 + step / c)
            total *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return total


def _apart(value: float) -> float:
    """Not zero."""
    return value if abs(value) > TINY else TINY


def gamma_above(a: float, x: float) -> float:
    """The upper regularised gamma Q(a, x): chi-square and Poisson tails."""
    if x <= 0.0:
        return 1.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:
        term = total = 1.0 / a
        for n in range(1, 10 * ROUNDS):
            term *= x / (a + n)
            total += term
            if term < total * 1e-16:
                break
        return 1.0 - front * total
    b = x + 1 - a
    c, d = 1.0 / TINY, 1.0 / b
    total = d
    for n in range(1, 10 * ROUNDS):
        step = -n * (n - a)
        b += 2
        d, c = 1.0 / _apart(step * d + b), _apart(b + step / c)
        total *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * total


def poisson_at_least(count: int, mean: float) -> float:
    """P(X >= count): a burst (R5)."""
    return 1.0 if count <= 0 else 1.0 - gamma_above(float(count), mean)


def chi_square_above(statistic: float, degrees: int) -> float:
    """P(X >= statistic)."""
    return gamma_above(degrees / 2, statistic / 2)


def normal_above(z: float) -> float:
    """P(Z >= z)."""
    return erfc(z / sqrt(2)) / 2


def independence(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Pearson's chi-square of a table and its p; rows and columns of nothing are left out (R8)."""
    rows = [row for row in table if sum(row)]
    columns = [at for at in range(len(rows[0]) if rows else 0) if sum(row[at] for row in rows)]
    if len(rows) < 2 or len(columns) < 2:
        return 0.0, 1.0
    total = sum(sum(row) for row in rows)
    across = [sum(row[at] for row in rows) for at in columns]
    statistic = 0.0
    for row in rows:
        for at, column in zip(columns, across, strict=True):
            expected = sum(row) * column / total
            statistic += (row[at] - expected) ** 2 / expected
    return statistic, chi_square_above(statistic, (len(rows) - 1) * (len(columns) - 1))


def two_shares(num: int, den: int, other_num: int, other_den: int) -> float:
    """The z of a difference of two shares, pooled (R11); 0 where nothing differs or nothing was counted."""
    if not den or not other_den:
        return 0.0
    pooled = (num + other_num) / (den + other_den)
    spread = sqrt(pooled * (1 - pooled) * (1 / den + 1 / other_den))
    return (num / den - other_num / other_den) / spread if spread else 0.0


def fewer_good(num: int, den: int, other_num: int, other_den: int) -> float:
    """P of so few good ones among the second, or fewer, if both are alike: Fisher's exact test. O(bad ones)."""
    bad, total = den - num + other_den - other_num, den + other_den
    whole = _choices(total, other_den)
    found = range(other_den - other_num, min(bad, other_den) + 1)
    return min(1.0, sum(exp(_choices(bad, k) + _choices(total - bad, other_den - k) - whole) for k in found))


def _choices(of: int, take: int) -> float:
    """The logarithm of how many ways there are to take so many; -inf where there is none."""
    return lgamma(of + 1) - lgamma(take + 1) - lgamma(of - take + 1) if 0 <= take <= of else float("-inf")


def discoveries(p_values: Sequence[float], q: float = 0.10) -> list[bool]:
    """Benjamini-Hochberg: which of many scans are reported, at most q of them false on average."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    last = max((k for k, at in enumerate(order, 1) if p_values[at] <= q * k / len(p_values)), default=0)
    kept = set(order[:last])
    return [at in kept for at in range(len(p_values))]


def variation(values: Sequence[int]) -> float:
    """Coefficient of variation of gaps (R4); infinite of fewer than two."""
    if len(values) < 2:
        return float("inf")
    mean = sum(values) / len(values)
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return spread / mean if mean else 0.0


# Flags of read models. Integers of what was counted come in, whether it is marked comes out.


def is_regular(gaps_ms: Sequence[int]) -> bool:
    """R4: 30 gaps with a variation below .15, or 10 of them within +-100 ms."""
    last = list(gaps_ms[-30:])
    if len(last) < 10:
        return False
    ascending = sorted(last)
    close = any(late - early <= 200 for early, late in zip(ascending, ascending[9:], strict=False))
    return close or (len(last) == 30 and variation(last) < 0.15)


def is_burst(count: int, mean_a_minute: float, open_hours: bool) -> bool:
    """R5: more in a minute than chance gives, or any out of hours."""
    return (count > 0 and not open_hours) or poisson_at_least(count, mean_a_minute) < 1e-4


def is_too_perfect(fives: int, active: int, peers_fives: float) -> bool:
    """R7: all of them 5, where peers would hardly have managed it."""
    return active > 0 and fives == active and peers_fives <= 0.95 and peers_fives**active < 0.001


def is_without_negatives(bad: int, expected: float) -> bool:
    """R9: none, where five or more are expected of hall, device or profile."""
    return bad == 0 and expected >= 5


def is_channel_gap(device: tuple[int, int], private: tuple[int, int]) -> bool:
    """R11: good shares at the counter far above those given in private; 30 of each at least."""
    if min(device[1], private[1]) < 30:
        return False
    return two_shares(*device, *private) > 3


def ewma(values: Iterable[int], weight: float = 0.1) -> float | None:
    """Of the logarithm of handling times, back as a time in ms; None of none."""
    level: float | None = None
    for value in values:
        level = smoothed(level, value, weight)
    return None if level is None else exp(level)


def smoothed(level: float | None, value: int, weight: float = 0.1) -> float:
    """One step of it: the next level, a logarithm; the first value is the first level."""
    step = log(max(1, value))
    return step if level is None else level + weight * (step - level)
