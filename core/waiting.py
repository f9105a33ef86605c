"""core/waiting.py: how long it will take — the wait estimate of one pool, told as P50 and P90, and its own score.

W = (A + 1) gap: A tickets ahead, gap the mean time between completions while somebody waits. Later arrivals that may
still pass are added: W = (A + 1 + sum of lambda_c clamp((1 - b_o/b_c) W + (a_c - a_o)/b_c, 0, W)) gap, o my class.
While the pool is young the wait of the last ticket called (LES) stands in. Integers only; printed, never used to
choose.
"""

from typing import Final

import msgspec

from core.views import ClassRule

YOUNG: Final = 10  # completions before the pool's own rate is believed
MEMORY: Final = 32  # of the moving averages
FINE: Final = 8  # bits below a ms in the averages
PPM: Final = 1_000_000
BUCKETS: Final = 18
ROUNDS: Final = 24
SLOPE_MAX: Final = PPM * 9 // 10  # beyond, a small error of the rates is a large one of the wait: no estimate
MEDIAN_UP, MEDIAN_DOWN, TAIL_UP, TAIL_DOWN = 10_000, 10_000, 27_000, 3_000  # ppm
FACTOR_MIN, FACTOR_MAX = PPM // 20, 10 * PPM
assert TAIL_UP == 9 * TAIL_DOWN, "the steps balance when nine of ten waits stay within P90"


class Estimate(msgspec.Struct, frozen=True):
    """What a ticket may be told. `mean_ms` is W before the factors. `basis`: rate, last (LES) or free."""

    p50_ms: int
    p90_ms: int
    mean_ms: int
    basis: str


class Score(msgspec.Struct):
    """How the estimates told came out, in ms where summed. `bias_sum_ms`: told P50 less the wait."""

    scored: int = 0
    within_p50: int = 0
    within_p90: int = 0
    error_sum_ms: int = 0
    bias_sum_ms: int = 0

    def note(self, waited_ms: int, told_p50_ms: int, told_p90_ms: int) -> None:
        """One ticket was called for the first time."""
        self.scored += 1
        self.within_p50 += waited_ms <= told_p50_ms
        self.within_p90 += waited_ms <= told_p90_ms
        self.error_sum_ms += abs(told_p50_ms - waited_ms)
        self.bias_sum_ms += told_p50_ms - waited_ms


class Gap(msgspec.Struct):
    """A moving average of the time between events, 1/32 each, a plain mean at first."""

    count: int = 0
    last_ms: int = -1
    mean: int = 0  # ms << FINE

    def note(self, at_ms: int, counted: bool = True) -> None:
        """An event; the time since the last one enters the mean if it is `counted`."""
        if counted and self.last_ms >= 0:
            count = self.count = self.count + 1
            mean = self.mean
            over = count if count < MEMORY else MEMORY
            self.mean = mean + (((at_ms - self.last_ms) << FINE) - mean) // over
        self.last_ms = at_ms


class WaitModel(msgspec.Struct):
    """The estimate of one pool: plain data that lives in the hall's snapshot, folded from facts."""

    classes: tuple[ClassRule, ...]
    completions: Gap = msgspec.field(default_factory=Gap)
    arrivals: list[Gap] = []
    somebody_waits: bool = False
    last_wait_ms: int = -1  # LES; -1: nobody called yet
    f50: list[int] = msgspec.field(default_factory=lambda: [PPM] * BUCKETS)  # by log2 of tickets ahead + 1
    f90: list[int] = msgspec.field(default_factory=lambda: [8 * PPM // 5] * BUCKETS)
    score: Score = msgspec.field(default_factory=Score)

    # What happens.

    def set_classes(self, classes: tuple[ClassRule, ...]) -> None:
        """The class rules from now on."""
        self.classes = classes

    def renew(self) -> None:
        """The pool's counters or skills changed: its rate is unknown again. Factors and score stay."""
        self.completions = Gap()
        self.somebody_waits = False

    def note_arrival(self, at_ms: int, cls: int) -> None:
        """A ticket of this class joined the pool."""
        arrivals = self.arrivals
        while len(arrivals) <= cls:
            arrivals.append(Gap())
        arrivals[cls].note(at_ms)

    def note_completion(self, at_ms: int, anybody_waiting: bool) -> None:
        """A counter of the pool got free. A gap that began with nobody waiting does not count."""
        self.completions.note(at_ms, self.somebody_waits)
        self.somebody_waits = anybody_waiting

    def note_call(self, waited_ms: int, told_p50_ms: int, told_p90_ms: int, ahead: int) -> None:
        """The first call of a ticket that had been told these (0: nothing) with `ahead` before it."""
        self.last_wait_ms = waited_ms
        if not told_p50_ms or not told_p90_ms:
            return
        self.score.note(waited_ms, told_p50_ms, told_p90_ms)
        bucket = _bucket(ahead)
        _step(self.f50, bucket, MEDIAN_UP if waited_ms > told_p50_ms else -MEDIAN_DOWN)
        _step(self.f90, bucket, TAIL_UP if waited_ms > told_p90_ms else -TAIL_DOWN)

    # What may be told.

    def estimate(self, ahead_pool: int, cls: int, free_counter: bool) -> Estimate | None:
        """The wait of a ticket of class `cls` with `ahead_pool` before it, or None if nothing is known."""
        if free_counter:
            return Estimate(0, 0, 0, "free")
        if self.completions.count >= YOUNG:
            mean_ms = self.mean_wait_ms(ahead_pool, cls)
            basis = "rate"
        else:
            mean_ms = self.last_wait_ms if self.last_wait_ms >= 0 else None
            basis = "last"
        if mean_ms is None:
            return None
        bucket = _bucket(ahead_pool)
        p50_ms = mean_ms * self.f50[bucket] // PPM
        return Estimate(p50_ms, max(p50_ms, mean_ms * self.f90[bucket] // PPM), mean_ms, basis)

    def mean_wait_ms(self, ahead: int, cls: int) -> int | None:
        """W of the head of this file; None if later arrivals that pass come nearly as fast as completions."""
        base = (ahead + 1) * self.completions.mean
        wait, settled = base >> FINE, False
        passing, always = self._passing(cls)
        for _ in range(ROUNDS):
            slope, offset = always, 0
            for share, rate, faster, gain in passing:
                reach = (faster * wait + gain) // rate
                if reach >= wait:
                    slope += share
                else:
                    slope += share * faster // rate
                    offset += share * max(gain, 0) // rate
            if slope > SLOPE_MAX:  # nothing settles here; further on a bounded head start may have ended
                wait, settled = 2 * wait + self.completions.mean, False
                continue
            solved = max(self.completions.mean >> FINE, (base * PPM + (offset << FINE)) // (PPM - slope) >> FINE)
            settled = True
            if solved == wait:
                break
            wait = solved
        return wait if settled else None

    def _passing(self, mine: int) -> tuple[list[tuple[int, int, int, int]], int]:
        """Classes whose later arrivals may pass: (share in ppm of a completion, rate, rate above mine, gain).

        The second value is the share that passes however long the wait: of higher tiers, at most as the cap lets.
        """
        rule, mean = self.classes[mine], self.completions.mean
        passing: list[tuple[int, int, int, int]] = []
        always = 0
        for cls, gap in enumerate(self.arrivals):
            # (n - 1) / n: of a few gaps, 1 / mean is too high a rate.
            share = PPM * mean // gap.mean * (gap.count - 1) // gap.count if gap.count > 1 and gap.mean else 0
            other = self.classes[cls]
            faster = other.rate - rule.rate
            gain = other.rate * other.head_start_ms - rule.rate * rule.head_start_ms
            if other.tier > rule.tier:
                always += min(share, PPM * other.cap[0] // other.cap[1]) if other.cap else share
            elif other.tier == rule.tier and share and (faster or gain > 0):
                passing.append((share, other.rate, faster, gain))
        return passing, always


def _bucket(ahead: int) -> int:
    """Which factors a ticket with `ahead` before it uses: floor of log2(ahead + 1)."""
    return min((ahead + 1).bit_length() - 1, BUCKETS - 1)


def _step(factors: list[int], bucket: int, step: int) -> None:
    """Smaller where more are ahead: as many are told before the first of them is called, and all would push one way."""
    factor = factors[bucket] + (step >> bucket if step > 0 else -(-step >> bucket))
    factors[bucket] = FACTOR_MIN if factor < FACTOR_MIN else min(factor, FACTOR_MAX)
