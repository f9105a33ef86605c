"""devices/speech.py: a sentence per language, digits one by one, and a third language without a line of code."""

import msgspec
import pytest

from core.policy import PolicyError, parse
from devices import speech
from tests.halls import POLICY, TEXT, changed, opened

UG = {
    "say": {"ug": "{number} → {label}, {floor}-qewet"},
    "digits": {"ug": "nöl bir ikki üch töt besh alte yette sekkiz toqquz"},
}
LABEL = {"ug": "1-köznek", "zh": "一号台"}
LABELLED = (msgspec.structs.replace(POLICY.counters[0], zone="w1", label=LABEL), *POLICY.counters[1:])


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("zh", "请A零一二号到3号窗口"),
        ("en", "Number A zero one two, please come to counter 3"),
    ],
)
def test_a_call_is_said_with_its_digits_apart(lang: str, text: str) -> None:
    assert speech.sentence(opened().state, "A012", 3, lang) == text


def test_a_third_language_is_an_entry_of_the_policy() -> None:
    hall = opened(voice=UG, hall={"langs": ("zh", "ug")}, counters=LABELLED)
    assert hall.state.policy is not None
    assert speech.language(hall.state.policy, "ug") == "ug"
    assert speech.sentence(hall.state, "A10", 1, "ug") == "A bir nöl → 1-köznek, 1-qewet"
    assert speech.sentence(hall.state, "A10", 1, "zh") == "请A一零号到1号窗口", "the others are as they were"


def test_a_language_without_words_for_digits_has_them_apart_all_the_same() -> None:
    hall = opened(voice={"say": {"xx": "{number} {counter}"}})
    assert speech.sentence(hall.state, "AB207", 2, "xx") == "A B 2 0 7 2"


def test_a_hall_may_have_its_own_sentence() -> None:
    hall = opened(voice={"say": {"zh": "{number}号请到{label}"}}, counters=LABELLED)
    assert speech.sentence(hall.state, "A012", 1, "zh") == "A零一二号请到一号台"


def test_who_speaks_a_language_that_nobody_has_written_is_called_in_the_hall_s_first() -> None:
    assert speech.language(POLICY, "fr") == "zh"
    assert speech.language(changed(hall={"langs": ("en", "zh")}), "") == "en"
    assert speech.language(changed(hall={"langs": ("mn",)}), "mn") == "zh"


@pytest.mark.parametrize(
    ("voice", "path"),
    [
        ('say = { ug = "{number}" }', "$.voice.say.ug"),
        ('say = { ug = "{counter}" }', "$.voice.say.ug"),
        ('say = { ug = "{number} {counter} {name}" }', "$.voice.say.ug"),
        ('say = { ug = "{number} {label} {counter.no}" }', "$.voice.say.ug"),
        ('digits = { ug = "nöl bir" }', "$.voice.digits.ug"),
        ("times = 0", "$.voice.times"),
    ],
)
def test_a_sentence_that_cannot_be_said_is_a_problem_of_the_policy(voice: str, path: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse(f"voice = {{ {voice} }}\n{TEXT}")
    assert [path in problem for problem in refused.value.problems] == [True]
