"""core/auditor.py: recomputes a choice from the fact alone — was the winner first, was anybody passed too far.

It shares no code with the ranking, so a mistake there shows here. Bound: let x (class c) be called at t while j (class
o) waits, same tier, j's service in the primary set, T_x > T_j. Then with rates b and leads a = b times the head start
b_c (T_x - T_j) <= (b_c - b_o) (t - T_j) + (a_c - a_o).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from core.why import CAP, IDLE, PICKED, Head, Why


class Rule(Protocol):
    """What the auditor reads of a class."""

    @property
    def rate(self) -> int: ...
    @property
    def head_start_ms(self) -> int: ...
    @property
    def tier(self) -> int: ...
    @property
    def cap(self) -> tuple[int, int] | None: ...


class Verdict(msgspec.Struct, frozen=True):
    """What the fact of a call proves. `overtaken`: heads that came before the winner and were passed."""

    overtaken: int
    bound_broken: bool
    argmax_ok: bool


def audit(why: Why, t: int, classes: Sequence[Rule]) -> Verdict:
    """Judge one call by its fact, the moment and the class rules then in force. Picked and idle calls claim nothing."""
    if why.rule in (PICKED, IDLE) or not why.heads:
        return Verdict(0, False, True)
    winner, *others = why.heads
    rule = classes[winner[0]]
    overtaken = broken = 0
    for head in others:
        other = classes[head[0]]
        held_back = why.rule == CAP and other.cap is not None
        if not head[4] or held_back or other.tier != rule.tier or winner[2] <= head[2]:
            continue
        overtaken += 1
        allowed = (rule.rate - other.rate) * (t - head[2])
        allowed += rule.rate * rule.head_start_ms - other.rate * other.head_start_ms
        broken += rule.rate * (winner[2] - head[2]) > allowed
    return Verdict(overtaken, broken > 0, _scores_ok(why.heads, t, classes) and _first_ok(why, classes))


def _scores_ok(heads: Sequence[Head], t: int, classes: Sequence[Rule]) -> bool:
    """Scores follow from class, T and t; in overflow they are less by one handicap, the same for all."""
    handicaps = []
    for cls, _, t_eff, score, primary in heads:
        short = classes[cls].rate * (classes[cls].head_start_ms + t - t_eff) - score
        if primary and short:
            return False
        if not primary:
            handicaps.append(short)
    return not handicaps or (min(handicaps) == max(handicaps) and handicaps[0] >= 0)


def _first_ok(why: Why, classes: Sequence[Rule]) -> bool:
    """The winner is first in order among those that the cap left in the running."""
    open_heads = [head for head in why.heads if classes[head[0]].cap is None]
    capped = [head for head in why.heads if classes[head[0]].cap is not None]
    cap = next((rule.cap for rule in classes if rule.cap is not None), None)
    full = cap is not None and why.cap_used >= cap[0]
    held_back = bool(full and open_heads and capped)
    running = open_heads if held_back else [*open_heads, *capped]
    first = min(running, key=lambda head: (-classes[head[0]].tier, -head[3], head[0], head[2], head[1]))
    took_from_others = classes[why.heads[0][0]].cap is not None and bool(open_heads)
    return first == why.heads[0] and held_back == (why.rule == CAP) and why.contested == took_from_others
