"""core/why.py: one readable sentence for each rule, in both languages, from the fact alone."""

import msgspec
import pytest

from core.why import RULES, SENTENCES, Head, Language, Why, alone, sentence

MIN = 60_000
NAMES = {1: "A003", 2: "B017", 3: "G001", 4: "Y001"}
CLASSES = ["green", "elderly", "ordinary", "booked"]
HEAD_STARTS = [0, 15 * MIN, 0, 0]
GREEN, ELDERLY, ORDINARY, BOOKED = range(4)


def told(rule: str, *heads: Head, used: int = 0, lang: Language = "en") -> str:
    return sentence(
        Why(rule, 1, heads, False, used),
        lang=lang,
        name_of=NAMES.__getitem__,
        class_name=CLASSES.__getitem__,
        head_start_ms=HEAD_STARTS.__getitem__,
    )


A003: Head = (ORDINARY, 1, 0, 80 * MIN, 1)
B017: Head = (ELDERLY, 2, 12 * MIN, 92 * MIN, 1)
G001: Head = (GREEN, 3, 15 * MIN, 20 * MIN, 1)
Y001: Head = (BOOKED, 4, 0, 80 * MIN, 1)

SAID = [
    ("score", (B017, A003), "B017 before A003: elderly, 15 min head start, came 12 min later."),
    ("score", (A003, B017), "A003 before B017: ordinary, came 12 min earlier."),
    ("score", (A003, Y001), "A003 before Y001: ordinary, came at the same time, the order of the classes decides."),
    ("score", ((ORDINARY, 4, 40_500, 9, 1), A003), "Y001 before A003: ordinary, ages faster, came 40 s later."),
    ("score", (A003,), "A003: first in line for this counter."),
    ("green", (G001, A003, B017), "G001 before A003: green go first."),
    ("green", (G001,), "G001: first in line for this counter."),
    (
        "cap",
        (A003, B017, G001),
        "A003 before G001: green held back, 1 of the latest calls here went to that class already.",
    ),
    (
        "overflow",
        ((ORDINARY, 4, 0, 1, 0),),
        "Y001: from the additional services of this counter; nobody waits for its own.",
    ),
    (
        "overflow",
        ((ORDINARY, 4, 0, 1, 0), A003),
        "Y001 before A003: from the additional services of this counter, waited long enough.",
    ),
    ("idle", (Y001,), "Y001: called before its time, because the counter would have stayed idle."),
    ("picked", (Y001, B017), "Y001 before B017: picked by hand, outside the order."),
    ("picked", (Y001,), "Y001: picked by hand, outside the order."),
]


@pytest.mark.parametrize(("rule", "heads", "said"), SAID)
def test_the_sentence_in_english(rule: str, heads: tuple[Head, ...], said: str) -> None:
    assert told(rule, *heads, used=1) == said


def test_every_rule_is_said_in_chinese_with_the_same_words_filled_in() -> None:
    assert {rule for rule, _, _ in SAID} == set(RULES)
    assert told("score", B017, A003, lang="zh") == "B017 先于 A003:elderly,优先提前量15分钟,晚到12分钟。"
    for rule, heads, english in SAID:
        chinese = told(rule, *heads, used=1, lang="zh")
        assert chinese != english and chinese.endswith("。") and "{" not in chinese
        assert [name in chinese for name in NAMES.values()] == [name in english for name in NAMES.values()]


def test_of_several_passed_the_one_who_came_first_is_named() -> None:
    assert told("score", B017, (BOOKED, 4, 5 * MIN, 9, 1), A003).startswith("B017 before A003")


def test_languages_have_the_same_sentences() -> None:
    assert SENTENCES["en"].keys() == SENTENCES["zh"].keys()


def test_a_why_is_small_and_survives_the_journal() -> None:
    why = Why("score", 3, ((ELDERLY, 70_000, 45_000_000, 180_000_000, 1),) * 7, False, 0)
    packed = msgspec.msgpack.encode(why)
    assert msgspec.msgpack.decode(packed, type=Why) == why
    assert len(packed) < 200
    assert alone("idle", 3, A003) == Why("idle", 3, (A003,), False, 0)
