"""devices/speech.py: the words of a call (叫号语音). Pure: a sentence a language, digits read singly."""

from typing import Final

from core.policy import Policy
from core.state import HallState

SAY: Final = {"zh": "请{number}号到{counter}号窗口", "en": "Number {number}, please come to counter {counter}"}
DIGITS: Final = {
    "zh": "零 一 二 三 四 五 六 七 八 九",
    "en": "zero one two three four five six seven eight nine",
}


def language(policy: Policy, wish: str) -> str:
    """The language of a ticket where there is a sentence in it, else the first of the hall that has one."""
    known = {**SAY, **policy.voice.say}
    return next((one for one in (wish, *policy.hall.langs) if one in known), "zh")


def spell(number: str, digits: str) -> str:
    """`A012` as it is said: letters as they are, digits one by one. `digits`: ten words; none: the digits as such."""
    words = digits.split() or list("0123456789")
    said = [words[int(one)] if one.isascii() and one.isdigit() else one for one in number]
    return ("" if digits and all(len(word) == 1 for word in words) else " ").join(said)


def sentence(state: HallState, number: str, counter: int, lang: str) -> str:
    """What is said of a call, in a language that `language` has chosen. See VoicePart for the fields."""
    policy = state.policy
    assert policy is not None, "nobody is called without a policy"
    part = state.rules.counters.get(counter)
    zone = next((one for one in policy.zones if part is not None and one.code == part.zone), None)
    fields = {
        "number": spell(number, policy.voice.digits.get(lang, DIGITS.get(lang, ""))),
        "counter": str(counter),
        "label": (part.label.get(lang, "") if part is not None else "") or str(counter),
        "floor": str(zone.floor) if zone is not None else "",
    }
    text = policy.voice.say.get(lang) or SAY[lang]
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return text
