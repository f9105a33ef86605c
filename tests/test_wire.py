"""devices/wire.py: bytes to commands — every row of the table of bad input, and anything at all never raises."""

import json
from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import commands as c
from core.refusals import Refusal
from core.window import DONE, SEEN, CalledAnswer, RefusedAnswer, TicketAnswer
from devices.wire import (
    MAX_BATCH,
    MAX_PAYLOAD,
    Ack,
    Bad,
    Beep,
    Event,
    Heard,
    Message,
    State,
    decode,
    decode_state,
    encode,
    result_of,
)

PHONE = "13812345678"
TAKE: dict[str, Any] = {"boot": "k7Qx21", "seq": 118, "sent_ms": 5, "body": {"type": "ticket.take", "service": "si"}}


def frame(**changes: Any) -> dict[str, Any]:
    """A good event with other fields; None takes one out."""
    return {name: value for name, value in {**TAKE, **changes}.items() if value is not None}


def body(**changes: Any) -> dict[str, Any]:
    return frame(body={**TAKE["body"], **changes})


def heard(payload: Any, device: str = "k1") -> Heard | Bad:
    (found,) = decode(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), device)
    return found


def bad(payload: Any) -> tuple[str, str, bool]:
    """Reason, count, whether the number of the device could be read."""
    found = heard(payload)
    assert isinstance(found, Bad), found
    return found.reason, found.counted, found.cause is not None


def test_a_good_event_is_a_command_with_its_cause() -> None:
    found = heard(frame(age_ms=7))
    assert isinstance(found, Heard)
    assert (found.command, found.sent_ms, found.age_ms, found.dropped) == (c.TakeTicket("si"), 5, 7, ())
    assert found.cause[:3] == ("k1", "k7Qx21", 118)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"   ",
        b"null ",
        b"hello",
        b"{",
        b"[",
        b"[{]",
        b"\xff\xfe",
        b'{"boot":"\xff"}',
        b'"\\ud800"',
        b"{'a':1}",
        b"[" * 8000,
        b'{"a":' * 3000,
        b"[" * 8000 + b"]" * 8000,
        json.dumps(TAKE).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(TAKE).encode(),
        json.dumps(TAKE).encode() + b"x",
        b"NaN",
        b'{"boot":"k7Qx21","seq":NaN}',
    ],
)
def test_row_1_what_is_no_json_is_a_fault(payload: bytes) -> None:
    reason, counted, readable = bad(payload)
    assert reason in ("not_json", "bad_field") and counted in ("syntax", "schema") and not readable


@pytest.mark.parametrize(
    "event",
    [
        frame(body=None),
        frame(body={}),
        frame(body=[]),
        frame(body=1),
        body(service=None),
        body(service=7),
        body(service=""),
        body(service="两个字"),
        body(service="si\n"),
        body(service="x" * 65),
        body(party=0),
        body(party=21),
        body(party=1.5),
        body(person_ref="xyz"),
        body(plan="tax"),
        body(visit=-1),
        body(visit=2**53),
        body(visit=10**30),
        frame(sent_ms="now"),
        frame(age_ms=1.5),
        frame(body={"type": "evaluation.submit", "level": 10**30}),
        frame(body={"type": "evaluation.submit", "key": -2}),
        frame(body={"type": "evaluation.submit", "options": ["x"] * 17}),
        frame(body={"type": "serving.finish", "outcome": "done\n"}),
        frame(body={"type": "staff.sign_on", "staff": "张三"}),
    ],
)
def test_row_2_a_wrong_field_is_refused_under_its_number(event: dict[str, Any]) -> None:
    assert bad(event) == ("bad_field", "schema", True)


@pytest.mark.parametrize(
    "event",
    [
        frame(seq=None),
        frame(seq=0),
        frame(seq=-1),
        frame(seq=2**53),
        frame(seq=10**30),
        frame(seq="1"),
        frame(seq=1.5),
        frame(seq=True),
        frame(boot=None),
        frame(boot="abc"),
        frame(boot="x" * 33),
        frame(boot="ab cd"),
        frame(boot="abcd\n"),
        frame(boot="引导引导"),
        frame(boot=5),
        {},
        5,
        "text",
        None,
    ],
)
def test_row_2_without_a_readable_number_it_is_a_fault(event: Any) -> None:
    assert bad(event) == ("bad_field", "schema", False)


@pytest.mark.parametrize("kind", ["ticket.eat", "tick", "policy.change", "device.hello", "x" * 300])
def test_row_3_an_unknown_type_is_refused(kind: str) -> None:
    """What only the shell may ask is unknown on the wire, too."""
    found = heard(frame(body={"type": kind}))
    assert isinstance(found, Bad)
    assert (found.reason, found.counted, found.type) == ("unknown_kind", "unknown_kind", "unknown")
    assert found.cause is not None


def test_row_4_in_an_array_the_good_apply_in_order() -> None:
    events = [frame(seq=1), frame(seq=2, body={"type": "ticket.eat"}), 7, frame(seq=4, sent_ms="x"), frame(seq=5)]
    found = decode(json.dumps(events).encode(), "k1")
    assert [type(one).__name__ for one in found] == ["Heard", "Bad", "Bad", "Bad", "Heard"]
    assert [one.cause.seq if one.cause else 0 for one in found] == [1, 2, 0, 4, 5]
    assert [one.reason for one in found if isinstance(one, Bad)] == ["unknown_kind", "bad_field", "bad_field"]


def test_row_4_an_array_holds_1_to_64() -> None:
    assert bad(b"[]") == ("bad_batch", "schema", False)
    small = {"boot": "boot", "body": {"type": "ticket.call_next"}}
    assert len(decode(json.dumps([{**small, "seq": n} for n in range(1, MAX_BATCH + 1)]).encode(), "k1")) == MAX_BATCH
    assert bad([{**small, "seq": n} for n in range(1, MAX_BATCH + 2)]) == ("bad_batch", "schema", False)
    assert bad([{}] * (MAX_BATCH + 1)) == ("bad_batch", "schema", False)


def test_row_5_above_16_kib_it_is_refused_under_its_number_or_a_fault() -> None:
    """Without the number a device would send it again for ever: one message is in flight at a time."""
    fits = json.dumps(frame(note="")).encode()
    padding = "x" * (MAX_PAYLOAD - len(fits))
    assert isinstance(heard(frame(note=padding)), Heard)
    assert bad(frame(note=padding + "x")) == ("too_large", "size", True)
    assert bad([frame(note=padding)]) == ("too_large", "size", False)
    assert bad(b"x" * (MAX_PAYLOAD + 1)) == ("too_large", "size", False)
    assert bad(frame(boot="x", note=padding + "xxxxxx")) == ("too_large", "size", False)


def test_row_10_a_comment_never_passes_but_the_rating_counts() -> None:
    found = heard(frame(body={"type": "evaluation.submit", "level": 2, "comment": f"call me {PHONE}"}))
    assert isinstance(found, Heard)
    assert (found.command, found.dropped) == (c.SubmitEvaluation(level=2), ("comment",))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ticket.take", "service": "si", "number": PHONE},
        {"type": "ticket.take", "service": "si", "assisted_by": PHONE},
        {"type": "ticket.cancel", "ticket": 1, "why": "11010519491231002X"},
        {"type": "staff.sign_on", "staff": PHONE},
        {"type": "evaluation.submit", "level": 5, "option_set": PHONE},
        {"type": "call.report", "call": 1, "zone": f"a-{PHONE}"},
        {"type": "serving.finish", "project_ref": PHONE},
    ],
)
def test_row_11_elsewhere_it_is_refused_and_its_text_kept_nowhere(event: dict[str, Any]) -> None:
    found = heard(frame(body=event))
    assert isinstance(found, Bad)
    assert (found.reason, found.counted, found.type) == ("personal_data", "personal_data", event["type"])
    assert found.cause is not None and PHONE not in repr(found)


def test_row_11_an_option_that_is_a_phone_number_is_left_out() -> None:
    found = heard(frame(body={"type": "evaluation.submit", "level": 5, "options": ["slow", PHONE]}))
    assert isinstance(found, Heard) and found.command == c.SubmitEvaluation(level=5, options=("slow",))


@pytest.mark.parametrize("age_ms", [-5, 10**15, 2**63])
def test_row_12_a_wrong_clock_is_no_bad_event(age_ms: int) -> None:
    assert isinstance(heard(frame(age_ms=age_ms, sent_ms=-(10**15))), Heard)


def test_unknown_fields_are_ignored_and_of_two_equal_keys_the_last_counts() -> None:
    assert isinstance(heard({**body(colour="red"), "later": {"x": [1]}}), Heard)
    twice = heard(b'{"boot":"boot1","seq":1,"seq":2,"body":{"type":"ticket.call_next"}}')
    assert isinstance(twice, Heard) and twice.cause.seq == 2


def test_a_resend_has_the_same_body_whatever_its_keys_order_and_clock() -> None:
    """Same boot, seq and body; fresh sent_ms and age_ms; spaces, order of keys and unknown fields do not matter."""
    first = heard(body(party=2, lang="zh"))
    again = heard(
        b' { "body": {"lang" : "zh", "party": 2, "service": "si", "type":"ticket.take", "new": 1},\n'
        b'"age_ms":90000, "sent_ms": 99, "seq":118, "boot":"k7Qx21"} '
    )
    other = heard(body(party=3, lang="zh"))
    assert first.cause == again.cause
    assert other.cause is not None and first.cause is not None and other.cause.body != first.cause.body


def test_a_resent_bad_event_has_the_same_body_too() -> None:
    assert heard(body(party=0)).cause == heard({**body(party=0), "sent_ms": 9}).cause


GOOD = [
    json.dumps(TAKE).encode(),
    json.dumps([TAKE, body(party=3)]).encode(),
    json.dumps(frame(body={"type": "evaluation.submit", "token": "t", "level": 2, "comment": "等"})).encode(),
]
KEYS = st.sampled_from([*TAKE, "type", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just(TAKE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def sound(payload: bytes) -> None:
    """Whatever it is, it becomes events or reasons, and what passes fits the journal."""
    found = decode(payload, "k1")
    assert 1 <= len(found) <= MAX_BATCH
    for one in found:
        assert isinstance(one, Heard | Bad)
        if one.cause is not None:
            assert one.cause.device == "k1" and 1 <= one.cause.seq < 2**53 and 0 <= one.cause.body < 2**32
        if isinstance(one, Bad):
            assert one.counted in ("syntax", "schema", "unknown_kind", "size", "personal_data")
            faults = ("not_json", "bad_batch", "bad_field", "too_large")
            assert one.reason in (faults if one.cause is None else set(Refusal))
    decode_state(payload)


@settings(max_examples=300, derandomize=True)
@given(st.binary(max_size=200))
def test_random_bytes_never_raise(payload: bytes) -> None:
    sound(payload)


@settings(max_examples=300, derandomize=True)
@given(JSON)
@example([[TAKE]])
@example({"boot": "\ud800abc", "seq": 1})
def test_random_json_never_raises(value: Any) -> None:
    sound(json.dumps(value).encode())


@settings(max_examples=500, derandomize=True)
@given(
    good=st.sampled_from(GOOD),
    edits=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4),
)
def test_mutated_good_events_never_raise(good: bytes, edits: list[tuple[int, bytes, int]]) -> None:
    for at, new, cut in edits:
        at %= len(good) + 1
        good = good[:at] + new + good[at + cut :]
    sound(good)


@settings(max_examples=200, derandomize=True)
@given(
    path=st.sampled_from(["boot", "seq", "sent_ms", "age_ms", "service", "class", "visit", "party", "plan", "number"]),
    value=st.one_of(
        st.integers(-(10**40), 10**40), st.floats(), st.text(max_size=70), st.none(), st.lists(st.text(max_size=3))
    ),
)
def test_any_value_in_any_field_never_raises(path: str, value: Any) -> None:
    event = frame(**{path: value}) if path in TAKE or path == "age_ms" else body(**{path: value})
    sound(json.dumps(event).encode())


# A device's own state.


def test_a_state_is_read_and_nothing_means_lost() -> None:
    birth = b'{"state":"ready","boot":"k7Qx21","link":4,"fw":"2.1.0","profile":"kiosk","faults":[]}'
    assert decode_state(birth) == State("ready", "k7Qx21", 4, "2.1.0", "kiosk")
    assert decode_state(b"") == State("lost")
    assert decode_state(b"{}") == Bad("bad_field", "schema")
    assert decode_state(b'{"state":"ready","faults":["a b"]}') == Bad("bad_field", "schema")
    assert decode_state(b"x") == Bad("not_json", "syntax")
    for text in (f'"fw":"{PHONE}"', f'"profile":"{PHONE}"', f'"faults":["ok","{PHONE}"]'):
        assert decode_state(f'{{"state":"ready",{text}}}'.encode()) == Bad("personal_data", "personal_data")
    assert decode_state(b" " * (MAX_PAYLOAD + 1)) == Bad("too_large", "size")


# What goes down.


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            TicketAnswer(812, "A012", 3, 540, 900),
            {"ok": {"type": "ticket", "ticket": 812, "number": "A012", "ahead": 3, "eta_s": 540, "eta_p90_s": 900}},
        ),
        (TicketAnswer(1, "A001", 0), {"ok": {"type": "ticket", "ticket": 1, "number": "A001", "ahead": 0}}),
        (
            CalledAnswer(990, 812, "A012", 3),
            {"ok": {"type": "called", "ticket": 812, "number": "A012", "call": 990, "counter": 3}},
        ),
        (DONE, {"ok": {"type": "done"}}),
        (SEEN, {"ok": {"type": "seen"}}),
        (RefusedAnswer(Refusal.NOTHING_ELIGIBLE), {"refused": "nothing_eligible"}),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_an_answer_reads_the_same_again(answer: Any, told: dict[str, Any], again: bool) -> None:
    ack = Ack("k7Qx21", 9, [result_of(4, answer, again=again)])
    expected = {"seq": 4, **told, **({"again": True} if again else {})}
    assert json.loads(encode(ack)) == {"boot": "k7Qx21", "now_ms": 9, "results": [expected]}


def test_orders_and_events_are_tagged() -> None:
    assert json.loads(encode(Message(7, 1, 2, Beep(2))))["body"] == {"type": "caller.beep", "times": 2}
    event = Event("boot1", 1, c.CallNext())
    assert heard(encode(event)).cause == ("k1", "boot1", 1, heard(encode(event)).cause[3])


@pytest.mark.parametrize("said", [{"type": "ticket.call_next"}, {"type": "evaluation.submit", "level": 2}])
def test_the_digest_of_a_body_covers_what_was_said_alone(said: dict[str, Any]) -> None:
    """A newer program knows more fields; a body sent before it and again behind it must still be the same body."""
    cause = heard(frame(body=said)).cause
    assert cause is not None and cause.body == crc32(msgspec.msgpack.encode(said))
