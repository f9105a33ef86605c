"""bench/pairs.py: comparisons that can be believed — interleaved pairs, a ratio each, a spread, a verdict or none.

A number without its baseline from the same run says little on a shared machine. Two subjects are timed in turn, AB BA
AB ...; each pair gives one ratio, the first pair is thrown away. What varies too much is inconclusive, never a verdict.
"""

import enum
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from bench import machine as here
from bench.goals import baseline_of

PAIRS: Final = 7
SPREAD_MAX: Final = 0.25  # of throughput and CPU ratios; tails use SPREAD_MAX_TAIL
SPREAD_MAX_TAIL: Final = 0.50
STOLEN_MAX: Final = 0.10  # of the machine's time, by its neighbours, during a pair
EXIT_PASSED, EXIT_MISSED, EXIT_INCONCLUSIVE = 0, 1, 3

Subject = Callable[[], float]  # runs once, returns what it cost (or reached): one positive number
T = TypeVar("T")
U = TypeVar("U")


class Void(Exception):
    """Every pair of a comparison was disturbed: nothing can be said."""


class Options(msgspec.Struct, frozen=True):
    """What every suite understands. `seconds` and `pairs` 0: the suite's own default."""

    quick: bool = False
    json: bool = False
    seed: int = 1
    pairs: int = 0
    seconds: float = 0.0
    force: bool = False


class Ratio(msgspec.Struct, frozen=True):
    """numerator / denominator over interleaved pairs; the raw values are kept."""

    median: float
    low: float
    high: float
    q1: float
    q3: float
    spread: float  # (q3 - q1) / median
    raw: list[tuple[float, float]]


class Gate(msgspec.Struct, frozen=True):
    """One promise: `value` against `goal`. `ok` is None when there is no verdict; `note` then says why."""

    name: str
    value: float | None
    goal: float
    ok: bool | None
    spread: float | None
    at_least: bool = True
    note: str = ""
    raw: list[tuple[float, float]] = []


class Report(msgspec.Struct):
    """What a suite returns. `extra` stands at the top level of the JSON document, `rows` in the terminal's table."""

    suite: str
    gates: list[Gate]
    extra: dict[str, Any] = {}
    rows: Sequence[tuple[str, ...]] = ()
    notes: list[str] = []


class Verdict(enum.IntEnum):
    """The exit codes."""

    PASSED = EXIT_PASSED
    MISSED = EXIT_MISSED
    INCONCLUSIVE = EXIT_INCONCLUSIVE


def ratio_of(raw: list[tuple[float, float]]) -> Ratio:
    """Median, range, quartiles and spread of the pair ratios."""
    ratios = sorted(numerator / denominator for numerator, denominator in raw)
    middle = statistics.median(ratios)
    q1, _, q3 = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else (middle,) * 3
    return Ratio(middle, ratios[0], ratios[-1], q1, q3, (q3 - q1) / middle, raw)


def interleave(
    numerator: Callable[[], T], denominator: Callable[[], U], pairs: int, *, discard: bool = True
) -> list[tuple[T, U]]:
    """`pairs` pairs after one discarded: AB BA AB ... A pair of which neighbours stole too much is run again.

    Void: none was left of twice as many.
    """
    raw: list[tuple[T, U]] = []
    for turn in range(1 - discard, 2 * pairs + 1):
        before = here.jiffies()
        if turn % 2:
            below = denominator()
            above = numerator()
        else:
            above = numerator()
            below = denominator()
        if turn and here.stolen(before, here.jiffies()) <= STOLEN_MAX:
            raw.append((above, below))
        if len(raw) == pairs:
            break
    if not raw:
        raise Void(f"more than {STOLEN_MAX:.0%} of the machine's time was stolen in every pair")
    return raw


def repeated(
    numerator: Callable[[], T],
    denominator: Callable[[], U],
    pairs: int,
    ratios: Callable[[list[tuple[T, U]]], Sequence[Ratio]],
    *,
    discard: bool = True,
) -> list[tuple[T, U]]:
    """Interleaved pairs of whole runs; they double once if one of their `ratios` has too wide a spread."""
    found = interleave(numerator, denominator, pairs, discard=discard)
    if any(one.spread > SPREAD_MAX for one in ratios(found)):
        found += interleave(numerator, denominator, pairs, discard=False)  # warm by now
    return found


def compare(
    numerator: Subject,
    denominator: Subject,
    *,
    pairs: int = PAIRS,
    spread_max: float = SPREAD_MAX,
    doubling: bool = True,
) -> Ratio:
    """The ratio of two subjects. The pairs double once if the spread is above `spread_max`."""
    raw = interleave(numerator, denominator, pairs)
    ratio = ratio_of(raw)
    if doubling and ratio.spread > spread_max:
        ratio = ratio_of(raw + interleave(numerator, denominator, pairs, discard=False))
    return ratio


def gate(name: str, ratio: Ratio, goal: float, *, at_least: bool = True, spread_max: float = SPREAD_MAX) -> Gate:
    """Hold a ratio against its goal. Too wide a spread: no verdict. Within its own spread of the goal: said so."""
    if ratio.spread > spread_max:
        note = f"inconclusive: spread {ratio.spread:.2f} above {spread_max:.2f}"
        return Gate(name, ratio.median, goal, None, ratio.spread, at_least, note, ratio.raw)
    ok = ratio.median >= goal if at_least else ratio.median <= goal
    marginal = abs(ratio.median - goal) <= ratio.spread * ratio.median
    return Gate(name, ratio.median, goal, ok, ratio.spread, at_least, "marginal" if marginal else "", ratio.raw)


def not_run(name: str, goal: float, why: str, *, at_least: bool = True) -> Gate:
    """A gate whose baseline is missing here: named, and not passed."""
    return Gate(name, None, goal, None, None, at_least, f"not run: {why}")


def verdict(gates: list[Gate]) -> Verdict:
    """Missed if any gate is missed, else inconclusive if any has no verdict: what was not run is not passed."""
    if any(one.ok is False for one in gates):
        return Verdict.MISSED
    if any(one.ok is None for one in gates):
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED


def wrong(gates: list[Gate]) -> bool:
    """Whether a count that must be 0 is not. That is judged in the shortest run, and on any machine."""
    return any(one.goal == 0 and not one.at_least and one.ok is False for one in gates)


def document(report: Report, options: Options, machine: Mapping[str, Any], arguments: list[str]) -> str:
    """The one line of JSON that a run ends with."""
    code = verdict(report.gates)
    body = {
        "v": 1,
        "suite": report.suite,
        "arguments": arguments,
        "seed": options.seed,
        "verdict": "no verdict: --quick" if options.quick else code.name.lower(),
        "machine": machine,
        "gates": [msgspec.to_builtins(one) | {"baseline": baseline_of(one.name)} for one in report.gates],
        "notes": report.notes,
        **report.extra,
    }
    return json.dumps(body, ensure_ascii=False)
