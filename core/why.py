"""core/why.py: why it was this ticket — what a call keeps of the choice, and the sentence that tells it."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

Head = tuple[int, int, int, int, int]  # class, serial, T, score after handicap, 1 if in the counter's primary set

SCORE, GREEN, CAP, OVERFLOW, IDLE, PICKED = RULES = ("score", "green", "cap", "overflow", "idle", "picked")


class Why(msgspec.Struct, frozen=True, array_like=True):
    """Every head compared, winner first. `rule`: score, green, cap (a green was held back), overflow, idle, picked."""

    rule: str
    policy_version: int
    heads: tuple[Head, ...]
    contested: bool
    cap_used: int


def alone(rule: str, policy_version: int, head: Head) -> Why:
    """A call that compared nothing: a booking taken early by an idle counter, or a picked ticket."""
    return Why(rule, policy_version, (head,), False, 0)


Language = Literal["zh", "en"]
SENTENCES: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "only": "{w}: first in line for this counter.",
        "head_start": "{w} before {o}: {c}, {h} head start, came {d} later.",
        "faster": "{w} before {o}: {c}, ages faster, came {d} later.",
        "earlier": "{w} before {o}: {c}, came {d} earlier.",
        "tie": "{w} before {o}: {c}, came at the same time, the order of the classes decides.",
        GREEN: "{w} before {o}: {c} go first.",
        CAP: "{w} before {o}: {oc} held back, {used} of the latest calls here went to that class already.",
        "overflow_alone": "{w}: from the additional services of this counter; nobody waits for its own.",
        OVERFLOW: "{w} before {o}: from the additional services of this counter, waited long enough.",
        IDLE: "{w}: called before its time, because the counter would have stayed idle.",
        PICKED: "{w}: picked by hand, outside the order.",
        "picked_before": "{w} before {o}: picked by hand, outside the order.",
        "min": "{n} min",
        "s": "{n} s",
    },
    "zh": {
        "only": "{w}:本窗口排在最前。",
        "head_start": "{w} 先于 {o}:{c},优先提前量{h},晚到{d}。",
        "faster": "{w} 先于 {o}:{c},优先级增长较快,晚到{d}。",
        "earlier": "{w} 先于 {o}:{c},早到{d}。",
        "tie": "{w} 先于 {o}:{c},同时到达,按类别次序。",
        GREEN: "{w} 先于 {o}:{c}优先办理。",
        CAP: "{w} 先于 {o}:{oc}暂缓,本窗口最近已优先叫号{used}次。",
        "overflow_alone": "{w}:本窗口兼办业务,主办业务无人等候。",
        OVERFLOW: "{w} 先于 {o}:本窗口兼办业务,等候已超过规定时间。",
        IDLE: "{w}:窗口空闲,提前叫号。",
        PICKED: "{w}:人工选呼,不按排序。",
        "picked_before": "{w} 先于 {o}:人工选呼,不按排序。",
        "min": "{n}分钟",
        "s": "{n}秒",
    },
}
assert SENTENCES["en"].keys() == SENTENCES["zh"].keys(), "a sentence in one language has its twin"


def sentence(
    why: Why,
    *,
    lang: Language,
    name_of: Callable[[int], str],
    class_name: Callable[[int], str],
    head_start_ms: Callable[[int], int],
) -> str:
    """Why the winner was called, in one sentence, from the fact and the policy of its version alone."""
    if not why.heads:
        return SENTENCES[lang]["picked" if why.rule == PICKED else "only"].format(w="")
    winner = why.heads[0]
    other = _rival(why)
    texts = SENTENCES[lang]
    if other is None:
        return texts[_lonely(why)].format(w=name_of(winner[1]))
    lead_ms = head_start_ms(winner[0]) - head_start_ms(other[0])
    return texts[_told(why, winner, other, lead_ms)].format(
        w=name_of(winner[1]),
        o=name_of(other[1]),
        c=class_name(winner[0]),
        oc=class_name(other[0]),
        h=_duration(head_start_ms(winner[0]), texts),
        d=_duration(abs(winner[2] - other[2]), texts),
        used=why.cap_used,
    )


def _rival(why: Why) -> Head | None:
    """Whom the sentence names: the green held back, else the first of those passed, else the next in order."""
    others = why.heads[1:]
    if not others or why.rule == IDLE:
        return None
    if why.rule == CAP:
        return others[-1]  # heads held back stand last
    if why.rule == PICKED:
        return others[0]
    if why.rule == OVERFLOW:
        return next((head for head in others if head[4]), None)
    passed = [head for head in others if head[2] < why.heads[0][2]]
    return min(passed, key=lambda head: (head[2], head[1])) if passed else others[0]


def _lonely(why: Why) -> str:
    """The sentence for a winner without a rival."""
    return {IDLE: IDLE, PICKED: PICKED, OVERFLOW: "overflow_alone"}.get(why.rule, "only")


def _told(why: Why, winner: Head, other: Head, lead_ms: int) -> str:
    """The sentence for a winner and its rival."""
    if why.rule == PICKED:
        return "picked_before"
    if why.rule in (GREEN, CAP, OVERFLOW):
        return why.rule
    later_ms = winner[2] - other[2]
    if later_ms > 0:
        return "head_start" if lead_ms > 0 else "faster"
    return "earlier" if later_ms else "tie"


def _duration(ms: int, texts: dict[str, str]) -> str:
    """Whole minutes, below one minute seconds."""
    return texts["min"].format(n=ms // 60_000) if ms >= 60_000 else texts["s"].format(n=ms // 1000)
