"""workers/desk.py: one hall at work, fed by hand: what is recorded, kept and answered for each kind of input."""

import json
from hashlib import sha256
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import commands as c
from core.hall import Hall
from core.refusals import Refusal
from core.state import HallState
from core.window import BOOTS, REACH
from devices import wire
from devices.profiles import ALLOWED
from tests.desks import TAKE, AtWork, event, example
from tests.halls import HALL, MIN, MORNING, opened
from workers.desk import FAULT_GAP_MS, LETTER_MAX, LETTERS_A_MINUTE, QUEUED_MS, RESULTS_MAX, Desk
from workers.ports import Letter
from workers.tallies import Tallies

PHONE = "13812345678"


# Good input.


def test_a_command_is_recorded_with_its_cause_and_answered() -> None:
    a = AtWork()
    (result,) = a.hear(event(1))
    assert result.ok is not None and (result.ok.type, result.ok.ticket, result.ok.number) == ("ticket", 1, "A001")
    assert "TicketTaken" in a.names() and {row[3:6] for row in a.rows} == {("kiosk-1", "boot", 1)}
    assert a.folded() == a.state.digest()


def test_an_array_is_answered_element_by_element() -> None:
    a = AtWork()
    second = {"type": "ticket.reprint", "ticket": 1}
    results = a.hear(b"[%s,%s,%s]" % (event(1), event(2, second), event(1)))
    assert [(one.seq, one.again) for one in results] == [(1, False), (2, False), (1, True)]
    assert results[2].ok == results[0].ok and a.tallies.duplicates == 1


def test_a_refusal_is_a_fact_and_the_same_answer_when_resent() -> None:
    a = AtWork()
    nothing = event(1, {"type": "ticket.call_next"})
    (first,) = a.hear(nothing, "caller-1")
    (again,) = a.hear(nothing, "caller-1")
    assert (first.refused, first.again) == ("nothing_eligible", False)
    assert (again.refused, again.again) == ("nothing_eligible", True)
    assert a.names() == ["Refused"] and a.tallies.refused["nothing_eligible"] == 1


def test_what_a_kind_of_device_may_not_send_is_refused_and_recorded() -> None:
    a = AtWork()
    (result,) = a.hear(event(1, {"type": "ticket.call_next"}))
    assert result.refused == "forbidden" and a.names() == ["Refused"]
    assert a.tallies.rejected["identity"] == 1 and a.tallies.refused["forbidden"] == 1 and not a.letters


@pytest.mark.parametrize("kind", sorted(ALLOWED))
def test_every_command_of_the_wire_is_either_a_kind_s_own_or_forbidden_to_it(kind: str) -> None:
    a = AtWork((c.RegisterDevice("dev", kind, counter=1),))
    for seq, body in enumerate(get_args(wire.Body), 1):
        (result,) = a.hear(event(seq, example(body)), "dev")
        command = c.SubmitEvaluation if body is wire.Rate else body
        assert (result.refused == "forbidden") is (command not in ALLOWED[kind]), body


def test_a_quarantined_device_is_answered_and_its_rating_keeps_its_level() -> None:
    a = AtWork((c.QuarantineDevice("kiosk-1"), c.QuarantineDevice("ev-1")))
    (take,) = a.hear(event(1))
    (rate,) = a.hear(event(1, {"type": "evaluation.submit", "level": 2}), "ev-1")
    assert take.refused == rate.refused == "device_quarantined"
    assert a.names() == ["Refused", "EvaluationRejected"] and a.tallies.refused["device_quarantined"] == 2


def test_what_a_kiosk_printed_offline_counts_from_when_it_happened() -> None:
    a = AtWork()
    a.at_ms += 30 * MIN
    (result,) = a.hear(event(1, TAKE | {"number": "X001"}, age_ms=10 * MIN))
    assert result.ok is not None and result.ok.number == "X001"
    assert a.state.tickets[1].taken_ms == a.at_ms - 10 * MIN


@pytest.mark.parametrize("age_ms", [-(2**63), -1, 0, 2**63, 2**64 - 1, 10**30])
def test_an_age_of_nonsense_is_clamped_or_refused_and_never_stops_the_hall(age_ms: int) -> None:
    a = AtWork()
    (result,) = a.hear(event(1, TAKE | {"number": "X001"}, age_ms=age_ms))
    assert result.ok is not None or result.refused == "bad_field"
    if result.ok is not None:
        assert MORNING - 1440 * MIN < a.state.tickets[1].taken_ms <= a.at_ms
    (after,) = a.hear(event(2, TAKE | {"number": "X002"}))
    assert after.ok is not None and a.folded() == a.state.digest()


# Numbers.


def test_a_number_with_another_body_is_refused_each_time_and_the_first_answer_stays() -> None:
    a = AtWork()
    (first,) = a.hear(event(1))
    for _ in range(2):
        (other,) = a.hear(event(1, TAKE | {"service": "tax"}))
        assert (other.refused, other.again) == ("seq_reused", False)
    (again,) = a.hear(event(1))
    assert again.ok == first.ok and again.again
    assert a.tallies.rejected["identity"] == 2 == a.tallies.refused["seq_reused"] and a.tallies.duplicates == 1
    assert a.folded() == a.state.digest()


OWN = TAKE | {"number": "X001", "replaces": 1}


def test_a_take_that_was_replaced_before_it_came_is_not_done() -> None:
    a = AtWork()
    assert a.hear(event(2, OWN))[0].ok is not None
    (late,) = a.hear(event(1))
    assert (late.refused, late.again) == ("replaced", True)
    assert [one.number for one in a.state.tickets.values()] == ["X001"] and a.folded() == a.state.digest()


def test_a_take_that_was_done_before_it_was_replaced_is_cancelled() -> None:
    a = AtWork()
    a.hear(event(1))
    (result,) = a.hear(event(2, OWN))
    assert result.ok is not None and result.ok.number == "X001"
    assert a.names() == ["TicketTaken", "TicketCancelled", "TicketTaken"] and a.folded() == a.state.digest()
    (again,) = a.hear(event(2, OWN))
    assert again.again and again.ok == result.ok and len(a.rows) == 3


def test_a_take_replaces_no_other_than_one_before_it() -> None:
    a = AtWork()
    (result,) = a.hear(event(1, OWN))
    assert result.ok is not None and a.names() == ["TicketTaken"]


def test_a_boot_of_long_ago_is_refused() -> None:
    a = AtWork()
    for life in range(BOOTS + 2):
        a.hear(event(1, {"type": "ticket.reprint", "ticket": 1}, boot=f"life-{life}"))
    (result,) = a.hear(event(2, boot="life-0"))
    assert result.refused == "boot_retired" and a.tallies.rejected["identity"] == 1


def test_a_number_given_up_is_refused_and_kept_whole() -> None:
    a = AtWork()
    a.hear(event(1))
    a.hear(event(REACH + 100, {"type": "ticket.reprint", "ticket": 1}))
    late = event(5, TAKE | {"unknown": "x" * 3000})
    (result,) = a.hear(late)
    assert (result.refused, result.again) == ("seq_old", False)
    (letter,) = a.letters
    assert (letter.reason, letter.payload) == ("seq_old", late), "neither applied nor lost"
    assert a.names()[-1] == "Refused" and a.folded() == a.state.digest()


# Bad input.


@pytest.mark.parametrize(
    ("payload", "fault", "counted"),
    [
        (b"", "not_json", "syntax"),
        (b"no json", "not_json", "syntax"),
        (b'{"boot":"\xff\xfe"}', "not_json", "syntax"),
        (b"[" * 10_000, "not_json", "syntax"),
        (b"[]", "bad_batch", "schema"),
        (b"[" + b",".join(event(seq) for seq in range(1, 66)) + b"]", "bad_batch", "schema"),
        (b'{"body":{"type":"ticket.take"}}', "bad_field", "schema"),
        (b"x" * 20_000, "too_large", "size"),
    ],
)
def test_what_has_no_number_is_a_fault_and_a_letter(payload: bytes, fault: str, counted: str) -> None:
    a = AtWork()
    digest = a.state.digest()
    assert a.hear(payload) == []
    assert a.faults() == [("kiosk-1", fault)] and a.tallies.rejected[counted] == 1
    (letter,) = a.letters
    assert letter == Letter(
        MORNING, f"jh/v1/{HALL}/kiosk-1/event", fault, sha256(payload).digest(), payload[:LETTER_MAX]
    )
    assert not a.rows and a.state.digest() == digest


@pytest.mark.parametrize(
    ("payload", "reason", "counted"),
    [
        (event(1, {"type": "ticket.take"}), "bad_field", "schema"),
        (event(1, {"type": "ticket.take", "service": 7}), "bad_field", "schema"),
        (event(1, {"type": "ticket.fly"}), "unknown_kind", "unknown_kind"),
        (event(1, TAKE | {"x": "y" * 20_000}), "too_large", "size"),
        (event(1, TAKE | {"number": PHONE}), "personal_data", "personal_data"),
    ],
)
def test_what_has_a_number_is_refused_settled_and_kept(payload: bytes, reason: str, counted: str) -> None:
    a = AtWork()
    (result,) = a.hear(payload)
    assert (result.seq, result.refused, result.again) == (1, reason, False)
    assert a.names() == ["Refused"] and a.tallies.rejected[counted] == 1 == a.tallies.refused[reason]
    assert [letter.reason for letter in a.letters] == [reason]
    (again,) = a.hear(payload)
    assert (again.refused, again.again) == (reason, True) and len(a.rows) == 1 and len(a.letters) == 2
    assert a.folded() == a.state.digest()


def test_one_bad_element_spoils_no_other() -> None:
    a = AtWork()
    bad = event(2, {"type": "ticket.take"})
    results = a.hear(b"[%s,%s,17,%s]" % (event(1), bad, event(3, {"type": "ticket.reprint", "ticket": 1})))
    assert [(one.seq, one.refused) for one in results] == [(1, None), (2, "bad_field"), (3, None)]
    assert a.faults() == [("kiosk-1", "bad_field")] and len(a.letters) == 2


def test_a_device_hears_of_at_most_one_fault_in_ten_seconds() -> None:
    a = AtWork()
    for _ in range(5):
        a.hear(b"?")
    assert len(a.faults()) == 1 and a.tallies.rejected["syntax"] == 5
    a.hear(b"?", "kiosk-2")
    a.at_ms += FAULT_GAP_MS
    a.hear(b"?")
    assert [device for device, _ in a.faults()] == ["kiosk-1", "kiosk-2", "kiosk-1"]


def test_ten_letters_a_minute_and_device() -> None:
    a = AtWork()
    for _ in range(30):
        a.hear(b"?")
    assert len(a.letters) == LETTERS_A_MINUTE
    a.hear(b"?", "kiosk-2")
    a.at_ms += MIN
    a.hear(b"?")
    assert len(a.letters) == LETTERS_A_MINUTE + 2


def test_ever_new_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.desk.SOURCES_MAX", 5)
    a = AtWork()
    for at in range(50):
        a.desk.stranger(f"x{at}", Refusal.DEVICE_UNKNOWN, f"jh/v1/{HALL}/x{at}/event", b"?", a.at_ms)
    a.commit()
    assert len(a.desk._quota) <= 5 and len(a.letters) == 50


# States.


def test_only_a_change_of_state_leaves_a_fact() -> None:
    a = AtWork()
    ready = b'{"state":"ready","boot":"boot","link":3,"fw":"1.2"}'
    for payload in (ready, ready, b'{"state":"lost","boot":"boot","link":2}', b'{"state":"lost","boot":"boot"}', b""):
        a.hear(payload, leaf="state")
    assert a.names() == ["DeviceOnline", "DeviceOffline"], "an older will means nothing"
    assert {row.device for row in a.rows} == {""} and not a.said and a.folded() == a.state.digest()


@pytest.mark.parametrize(
    ("payload", "fault"), [(b"?", "not_json"), (b"{}", "bad_field"), (b'{"state":"x"' + b" " * 16_384, "too_large")]
)
def test_a_state_that_is_none_is_a_fault(payload: bytes, fault: str) -> None:
    a = AtWork()
    a.hear(payload, leaf="state")
    assert a.faults() == [("kiosk-1", fault)] and len(a.letters) == 1 and not a.rows


# Time.


def test_time_brings_its_facts_before_the_input_is_decided() -> None:
    a = AtWork()
    a.hear(event(1))
    a.at_ms = a.state.deadlines.first_ms() + 5
    a.hear(event(2))
    due = [row for row in a.rows if not row.device]
    assert due and due[0].at_ms <= a.at_ms - 5 and a.rows[-1].device == "kiosk-1"
    assert a.folded() == a.state.digest()


def test_a_clock_set_back_does_not_set_the_hall_back() -> None:
    a = AtWork()
    a.hear(event(1))
    a.at_ms -= 60 * MIN
    a.hear(event(2))
    a.desk.ask(c.PauseCounter(1), a.at_ms)
    a.commit()
    stamps = [row.at_ms for row in a.rows]
    assert stamps == sorted(stamps) and a.tallies.clock_clamped == 2


def test_what_lay_in_the_inbox_while_time_went_on_is_no_clock_that_ran_back() -> None:
    a = AtWork()
    a.desk.ask(c.PauseCounter(1), a.at_ms + QUEUED_MS)
    a.hear(event(1))
    assert a.tallies.clock_clamped == 0 and a.rows[-1].at_ms == a.at_ms + QUEUED_MS
    a.at_ms -= 1
    a.hear(event(2))
    assert a.tallies.clock_clamped == 1


# Sizes.


def test_no_ack_is_larger_than_a_message_may_be() -> None:
    a = AtWork()
    for start in range(1, 301, 60):
        many = b",".join(
            event(seq, {"type": "ticket.reprint", "ticket": 2**53 - 1}) for seq in range(start, start + 60)
        )
        a.desk.event("kiosk-1", "t", b"[" + many + b"]", a.at_ms)
    acks = a.commit()
    assert [one.seq for _, ack in acks for one in ack.results] == list(range(1, 301))
    assert len(acks) == -(-300 // RESULTS_MAX) and max(map(len, a.bytes_said)) <= wire.MAX_PAYLOAD


def test_as_many_of_the_longest_results_as_are_put_together_fit_one_ack() -> None:
    most = 2**53 - 1
    longest = [
        wire.Result(most, ok=wire.Ok("ticket", 10**6, "XX" + "9" * 8, 0, 0, 9999, 99_999, 99_999), again=True),
        wire.Result(most, ok=wire.Ok("called", 10**6, "XX" + "9" * 8, 10**6, 999), again=True),
        wire.Result(most, refused=max(Refusal, key=len), again=True, keep=True),
    ]
    for one in longest:
        ack = wire.Ack("b" * 32, 10**13, [one] * RESULTS_MAX)
        assert len(wire.encode(ack)) <= wire.MAX_PAYLOAD, one


# Anything at all.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.one_of(
    st.sampled_from([example(kind) for kind in get_args(wire.Body)]),
    st.builds(
        lambda kind, more: example(kind) | more,
        st.sampled_from(get_args(wire.Body)),
        st.dictionaries(
            st.sampled_from(["ticket", "service", "class", "level", "counter", "number", "staff", "age_ms", "party"]),
            st.integers(-2, 5) | st.sampled_from(["si", "tax", "X001", "s1", "", 2**53 - 1, 2**63]) | JSON,
            max_size=3,
        ),
    ),
    JSON,
)
EVENTS = st.fixed_dictionaries(
    {"boot": st.sampled_from(["boot", "b007", "x", ""]), "seq": st.integers(-1, 6) | st.integers(1000, 3000)},
    optional={"body": BODIES, "age_ms": st.integers(-(2**64), 2**64), "sent_ms": JSON},
)
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    EVENTS.map(lambda one: json.dumps(one).encode()),
    st.lists(EVENTS, max_size=5).map(lambda many: json.dumps(many).encode()),
    st.tuples(EVENTS, st.integers(0, 80)).map(lambda two: json.dumps(two[0]).encode()[: two[1]]),
    JSON.map(lambda one: json.dumps(one).encode()),
)
INPUTS = st.tuples(
    st.sampled_from(["kiosk-1", "caller-1", "caller-2", "ev-1", "board-1"]),
    st.sampled_from(["event", "event", "event", "state"]),
    PAYLOADS,
    st.integers(-5 * MIN, 600 * MIN),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(INPUTS, max_size=12))
def test_whatever_is_heard_the_desk_goes_on_and_its_rows_are_its_state(
    inputs: list[tuple[str, str, bytes, int]],
) -> None:
    a = AtWork()
    for device, leaf, payload, later_ms in inputs:
        a.at_ms = max(0, a.at_ms + later_ms)
        rows, said, rejected = len(a.rows), len(a.said), sum(a.tallies.rejected.values())
        a.hear(payload, device, leaf=leaf)
        traces = len(a.rows) - rows + len(a.said) - said + sum(a.tallies.rejected.values()) - rejected
        assert traces or leaf == "state", "an event never vanishes"
    assert a.folded() == a.state.digest()
    stamps = [row.at_ms for row in a.rows]
    assert stamps == sorted(stamps)
    assert all(len(payload) <= wire.MAX_PAYLOAD for payload in a.bytes_said)
    a.at_ms += MIN
    (result,) = a.hear(event(1, boot="good-one"), "kiosk-2")
    assert result.ok is not None or result.refused in ("hall_closed", "service_closed", "quota_full", "day_closed")


def test_a_part_counts_towards_the_next_snapshot() -> None:
    a = AtWork()
    assert a.desk.part() is None and a.desk.since_snapshot == 0
    a.hear(event(1))
    assert a.desk.since_snapshot == len(a.rows) > 0


def test_who_is_known() -> None:
    desk = Desk(opened().hall, Tallies())
    assert desk.knows("kiosk-1") and not desk.knows("kiosk-9") and not Desk(Hall(HallState("x")), Tallies()).knows("")
