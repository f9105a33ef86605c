"""workers/canary.py: could a bad rating be given now? Synthetic ratings before each working day, never counted.

Per evaluator profile, and for the web form, the levels 2, 1 and 5 that it can say go through the codec that devices
use, then dispatcher, core and journal (EvaluationProbed). What the codec or the key map garbles is a failed probe.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from core.commands import SubmitEvaluation
from core.commands_cases import ProbeEvaluation
from core.policy import Policy, ProfilePart
from core.rules_appeals import PAGE
from core.state import HallState
from devices import wire

BEFORE_MS: Final = 60 * 60_000
LEVELS: Final = (2, 1, 5)
EVERY_MS: Final = 60_000
GARBLED: Final = 255  # a key that no profile has


def probes(policy: Policy) -> list[ProbeEvaluation]:
    """One for each profile and level that it can say, passed through the codec."""
    found = [_probe(PAGE, level, "level", level) for level in LEVELS]
    for profile in policy.profiles:
        if profile.kind == "evaluator":
            found += [_of(profile, level) for level in LEVELS if level in profile.levels.values()]
    return found


def _of(profile: ProfilePart, level: int) -> ProbeEvaluation:
    """As such a device would say it: a key box its key, a pad the level."""
    key = next(key for key, meant in profile.levels.items() if meant == level)
    return _probe(profile.id, level, "level", level) if profile.call_id else _probe(profile.id, level, "key", int(key))


def _probe(profile: str, level: int, name: str, value: int) -> ProbeEvaluation:
    body = {"type": "evaluation.submit", name: value}
    (heard,) = wire.decode(msgspec.json.encode({"boot": "canary", "seq": 1, "body": body}), "canary")
    if not isinstance(heard, wire.Heard) or not isinstance(heard.command, SubmitEvaluation):
        return ProbeEvaluation(profile, level, GARBLED)
    said = heard.command
    wrong = said.key < 0 and said.level != level
    return ProbeEvaluation(profile, level, GARBLED if wrong else said.key)


class Canary:
    """Asks once a minute which halls are to be probed: from an hour before they open until it went well today."""

    def __init__(self) -> None:
        self._looked_ms = 0

    def due(self, states: Iterable[HallState], now_ms: int) -> list[tuple[str, ProbeEvaluation]]:
        """(hall, command) of every probe that is missing. A clock that jumps back makes it look again."""
        if 0 <= now_ms - self._looked_ms < EVERY_MS:
            return []
        self._looked_ms = now_ms
        return [(state.hall, one) for state in states for one in missing(state, now_ms)]


def missing(state: HallState, now_ms: int) -> list[ProbeEvaluation]:
    """What was not probed well yet today, from an hour before the first period until the last one ends."""
    if state.policy is None or not state.periods:
        return []
    from_ms, to_ms = state.periods[0][0] - BEFORE_MS, state.periods[-1][1]
    if not from_ms <= now_ms < to_ms:
        return []
    return [one for one in probes(state.policy) if state.probes.get(f"{one.profile}:{one.level}", 0) < from_ms]
