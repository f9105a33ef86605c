"""workers/desk.py: identity and phone numbers through everything a device can say, and none gets in."""

import json
from hashlib import sha256
from typing import get_args

import msgspec
import pytest

from core import commands as c
from core.refusals import Refusal
from core.window import REACH
from devices import wire
from devices.profiles import ALLOWED
from tests.desks import AtWork, event, example
from tests.halls import HALL, MIN
from workers.desk import LETTER_MAX

PHONE, IDENTITY = "13812345678", "11010519491231002X"
PERSONAL = [PHONE, IDENTITY, "138-1234-5678", "+86 138 1234 5678", "１３８１２３４５６７８", "138\t1234\n5678"]
TEXTS = [
    (kind, one.encode_name)
    for kind in get_args(wire.Body)
    for one in msgspec.structs.fields(kind)
    if "str" in str(one.type)
]
assert len(TEXTS) >= 30, "the texts of the catalogue were found"


def everything(a: AtWork) -> bytes:
    """All that leaves the desk."""
    rows = b"".join(row.payload + f"{row.device} {row.boot}".encode() for row in a.rows)
    letters = b"".join(letter.payload + letter.topic.encode() + letter.reason.encode() for letter in a.letters)
    return rows + letters + b"".join(a.bytes_said) + a.state.snapshot()


@pytest.mark.parametrize("text", PERSONAL)
@pytest.mark.parametrize(("kind", "name"), TEXTS, ids=lambda what: getattr(what, "__name__", what))
def test_no_text_of_a_command_brings_personal_data_in(kind: type[msgspec.Struct], name: str, text: str) -> None:
    a = AtWork(before=(c.RegisterDevice("guide-1", "guide"),))
    device = next(
        {"kiosk": "kiosk-1", "caller": "caller-1", "evaluator": "ev-1", "board": "board-1", "guide": "guide-1"}[kind_of]
        for kind_of in ("kiosk", "caller", "evaluator", "board", "guide")
        if (c.SubmitEvaluation if kind is wire.Rate else kind) in ALLOWED[kind_of]
    )
    a.hear(event(1), "kiosk-2")
    a.hear(event(1, {"type": "ticket.call_next"}), "caller-1")
    a.at_ms += MIN
    (field_,) = [one for one in msgspec.structs.fields(kind) if one.encode_name == name]
    value = [text] if "tuple" in str(field_.type) else text
    results = a.hear(event(2, example(kind) | {name: value}), device)
    assert len(results) == 1, "answered in any case"
    left = everything(a)
    assert text.encode() not in left and PHONE.encode() not in left, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("text", PERSONAL)
@pytest.mark.parametrize("leaf", ["event", "state"])
def test_no_letter_brings_personal_data_in(leaf: str, text: str) -> None:
    a = AtWork()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in text)
    short = json.dumps(text, ensure_ascii=False)[1:-1]  # a tab between the groups of a number is two letters here
    for at, payload in enumerate(
        [
            f"call {text}!".encode(),
            f'{{"who":"{text}"}}'.encode(),
            f'{{"boot":"boot","seq":1,"body":{{"type":"x","who":"{text}"}}}}'.encode(),
            f'{{"boot":"boot","seq":3,"body":{{"type":"x","who":"{short}"}}}}'.encode(),
            f'{{"state":"ready","fw":"{text}"}}'.encode(),
            f'{{"state":"ready","faults":["{text}"]}}'.encode(),
            f'{{"state":"ready","profile":"{text}"}}'.encode(),
            b"x" * (LETTER_MAX - 11) + text.encode(),
            f'[{{"boot":"boot","seq":2,"body":{{"type":"evaluation.submit","comment":"{text}"}}}},3]'.encode(),
            f"? {escaped}".encode(),
        ]
    ):
        a.hear(payload, leaf=leaf)
        left = everything(a)
        assert not any(one.encode() in left for one in (text, PHONE, escaped, short)), at
    assert a.letters


def test_of_a_message_with_a_number_of_somebody_nothing_is_kept_wherever_it_stands() -> None:
    a = AtWork()
    payload = event(1, {"type": "ticket.hold", "x": "x" * 2 * LETTER_MAX, "why": PHONE})
    a.hear(payload, "caller-1")
    (letter,) = a.letters
    assert letter.payload == f"{len(payload)} bytes".encode()


@pytest.mark.parametrize("name", ["comment", "token", "\\u0063omment"])
@pytest.mark.parametrize("late", [True, False])
def test_no_letter_brings_a_comment_or_a_token_in(name: str, late: bool) -> None:
    """Letters know no `comments_days`: of a rating given up, or with a wrong field, the rest is kept for a person."""
    a = AtWork()
    a.hear(event(REACH + 100, {"type": "evaluation.submit", "level": 5}), "ev-1")
    words = "窗口的人说话很冲"
    body = {"type": "evaluation.submit", "call": 7 if late else -7, "level": 1}
    seq = 1 if late else REACH + 101
    payload = event(seq, body | {"x": words}).replace(b'"x"', f'"{name}"'.encode())
    (result,) = a.hear(payload, "ev-1")
    assert result.refused == ("seq_old" if late else "bad_field")
    (letter,) = a.letters
    assert letter.digest == sha256(payload).digest(), "of what came"
    assert json.loads(letter.payload) == json.loads(event(seq, body)), "neither applied nor lost"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"comment": "cut in the mid',
        b"comment=bad",
        b'{"boot": "b", "seq": 1, "body": [{"token": "x"}]}',
        b'{"body": {"type": "x", "more": {"comment": "x"}}}',
        b'{"comment": "x", "y": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'["token", "\\ud800"]',
    ],
)
def test_where_they_cannot_be_taken_out_the_letter_says_its_length(payload: bytes) -> None:
    a = AtWork()
    a.hear(payload, "ev-1")
    (letter,) = a.letters
    assert letter.payload == f"{len(payload)} bytes".encode()


@pytest.mark.parametrize("boot", [PHONE, IDENTITY, "138-1234-5678"])
def test_a_life_is_not_named_after_a_person(boot: str) -> None:
    a = AtWork()
    assert a.hear(event(1, boot=boot)) == [] and a.faults() == [("kiosk-1", "personal_data")]
    a.hear(json.dumps({"state": "ready", "boot": boot}).encode(), leaf="state")
    told = a.desk.stranger("kiosk-9", Refusal.DEVICE_UNKNOWN, "jh/v1/h1/kiosk-9/event", event(1, boot=boot), a.at_ms)
    a.commit()
    assert not told and not a.rows and boot.encode() not in everything(a)
    (result,) = a.hear(event(1, boot="a13812345678b"))
    assert result.ok is not None, "one that only looks so by chance is let alone"


def test_a_topic_that_is_a_phone_number_is_masked_in_its_letter() -> None:
    a = AtWork()
    a.desk.stranger(PHONE, Refusal.DEVICE_UNKNOWN, f"jh/v1/{HALL}/{PHONE}/event", b"{}", a.at_ms)
    a.desk.astray(f"jh/v1/{PHONE}/{'x' * 5000}", b"{}", a.at_ms)
    a.commit()
    assert [PHONE in letter.topic for letter in a.letters] == [False, False]
    assert len(a.letters[1].topic) == 256
