"""core/policy_parts.py: the tables of ratings, cases, conduct and alerts, and how durations are written."""

import msgspec
import pytest

from core.cases import PRESETS
from core.policy_parts import (
    AlertsPart,
    CasesPart,
    ConductPart,
    Duration,
    EvaluationPart,
    OptionSetPart,
    option_problems,
)


@pytest.mark.parametrize("text", ["4wh", "1wd", "15wd", "7d", "999d"])
def test_durations(text: str) -> None:
    assert msgspec.convert(text, Duration) == text


@pytest.mark.parametrize("text", ["", "0wd", "wd", "1h", "1 wd", "1wd\n", "-1d", "1000d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Duration)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_chosen(preset: str) -> None:
    assert msgspec.convert({"preset": preset}, CasesPart).preset == preset


@pytest.mark.parametrize("part", [EvaluationPart, CasesPart, ConductPart, AlertsPart, OptionSetPart])
def test_unknown_keys_are_mistakes(part: type) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"id": "gov@1", "colour": 1}, part)


def test_alerts_and_empty_counters_are_silent_until_a_hall_says_so() -> None:
    assert (AlertsPart(), ConductPart().uncovered_min, EvaluationPart().watch) == (AlertsPart(0, 0, 0), 0, ())


def test_option_sets() -> None:
    assert option_problems((OptionSetPart("gov@3", {"2": ("slow",)}), OptionSetPart("gov@4"))) == []
