"""core/policy_parts.py: the form of a table of the policy, and the tables of ratings, cases, conduct and alerts.

Durations: `4wh` working hours, `1wd` working days, `7d` natural days (`core/worktime.py` says when they end).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Ident = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
OptionSet = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,48}@\d{1,6}$(?!\n)")]
Natural = Annotated[int, Meta(ge=0, le=10**9)]
Days = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d(/\d{4}-\d\d-\d\d)?$")]
Duration = Annotated[str, Meta(pattern=r"^[1-9]\d{0,2}(wh|wd|d)$(?!\n)")]
Flag = Literal["R1", "R2", "R3", "R6", "R10", "R12", "CUSUM"]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the document: unknown keys are mistakes, not extensions."""


class EvaluationPart(Part, frozen=True):
    """Ratings. A keypad press without a call id belongs to the last finished serving for `keypad_window_s`.

    `options`: the set shown now; `appeal`: how long a clerk may object; `watch`: which flags become findings at once.
    """

    window_days: Annotated[int, Meta(ge=1, le=60)] = 7
    unrated: Literal["expire", "default3"] = "expire"
    prompt_s: Annotated[int, Meta(ge=5, le=600)] = 45
    keypad_window_s: Annotated[int, Meta(ge=5, le=3600)] = 120
    supplement: bool = True
    options: OptionSet = "gov@3"
    appeal: Duration = "5wd"
    watch: tuple[Flag, ...] = ()


class OptionSetPart(Part, frozen=True):
    """A versioned set of reasons per level (评价选项): level -> codes. A set that was shown is not changed."""

    id: OptionSet
    options: dict[str, tuple[Ident, ...]] = {}


class CasesPart(Part, frozen=True):
    """Follow-up. `preset`: the clocks of a place; assisted service and complaints always owe a reply."""

    preset: Literal["national", "liaoning", "dezhou", "sichuan", "city7"] = "liaoning"
    reopen_days: Annotated[int, Meta(ge=0, le=90)] = 15
    extensions: Annotated[int, Meta(ge=0, le=9)] = 1
    bad_review_counts_as_complaint: bool = False
    assist_reply: Duration = "5wd"
    complaint_reply: Duration = "15wd"


class ConductPart(Part, frozen=True):
    """The ledger. `late_early`: 30 together, or 30 of either; `uncovered_min` 0: an empty counter is not reported."""

    year: Literal["calendar"] = "calendar"
    late_early: Literal["sum", "each"] = "sum"
    min_posting_months: Annotated[int, Meta(ge=0, le=240)] = 24
    uncovered_min: Annotated[int, Meta(ge=0, le=600)] = 0


class AlertsPart(Part, frozen=True):
    """When a queue is too long: people waiting for a service, minutes told, people a seat (ppm). 0: no such alert."""

    waiting: Natural = 0
    eta_min: Natural = 0
    seats_ppm: Natural = 0


class VoicePart(Part, frozen=True):
    """What is said of a call (语音播报), by language; zh and en are known, any other stands here.

    `say`: a sentence with {number}, {counter} or {label} (its name), perhaps {floor}. `digits`: ten words, for the
    digits of a number are read singly. `times`: how often.
    """

    times: Annotated[int, Meta(ge=1, le=5)] = 2
    say: dict[str, Annotated[str, Meta(min_length=1, max_length=300)]] = {}
    digits: dict[str, str] = {}


def voice_problems(voice: VoicePart) -> list[str]:
    """A sentence names the number and the counter, and nothing that is unknown; digits are ten."""
    found = []
    for lang, text in voice.say.items():
        if "{number}" not in text or not ("{counter}" in text or "{label}" in text):
            found.append(f"a sentence needs {{number}}, and {{counter}} or {{label}} - at $.voice.say.{lang}")
        for field in ("{number}", "{counter}", "{label}", "{floor}"):
            text = text.replace(field, "")
        if "{" in text or "}" in text:
            found.append(f"unknown field in {text!r} - at $.voice.say.{lang}")
    return found + [
        f"ten words are needed - at $.voice.digits.{lang}"
        for lang, words in voice.digits.items()
        if len(words.split()) != 10
    ]


def option_problems(sets: tuple[OptionSetPart, ...]) -> list[str]:
    """A set stands once; its levels are 1-5."""
    names = [one.id for one in sets]
    found = [f"{name!r} stands twice - at $.option_sets[].id" for name in dict.fromkeys(names) if names.count(name) > 1]
    return found + [
        f"{level!r} is no level - at $.option_sets[{i}].options"
        for i, one in enumerate(sets)
        for level in one.options
        if level not in ("1", "2", "3", "4", "5")
    ]
