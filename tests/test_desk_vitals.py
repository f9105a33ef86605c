"""workers/desk.py: what it notices of a device beside the facts: clock, gaps, mistakes, stale wills."""

import pytest

from core.window import REACH
from tests.desks import TAKE, AtWork, event
from tests.halls import MIN
from workers.desk import LETTERS_A_MINUTE

PHONE = "13812345678"


def test_a_clock_that_is_off_is_counted_and_refuses_nothing() -> None:
    a = AtWork()
    (first,) = a.hear(event(1, sent_ms=a.at_ms + 3 * MIN))
    (second,) = a.hear(event(2, TAKE | {"service": "tax"}, sent_ms=a.at_ms))
    assert first.ok is not None and second.ok is not None
    assert a.tallies.clock_skewed == 1, "the second was sent by a clock set right"
    assert a.desk.vitals.skew_ms("kiosk-1") == -3 * MIN and a.folded() == a.state.digest()


def test_an_array_counts_its_clock_once() -> None:
    a = AtWork()
    late = a.at_ms + 3 * MIN
    a.hear(b"[%s,%s]" % (event(1, sent_ms=late), event(2, {"type": "ticket.reprint", "ticket": 1}, sent_ms=late)))
    assert a.tallies.clock_skewed == 1


@pytest.mark.parametrize("age_ms", [-1, 10**12])
def test_an_age_that_cannot_be_is_counted(age_ms: int) -> None:
    a = AtWork()
    a.hear(event(1, age_ms=age_ms))
    assert a.tallies.clock_skewed == 1
    a.hear(event(2, {"type": "ticket.reprint", "ticket": 1}, age_ms=1))
    assert a.tallies.clock_skewed == 1


def test_numbers_given_up_are_counted_for_their_kind() -> None:
    a, given_up = AtWork(), []
    for seq in (1, 1 + REACH, 11 + 2 * REACH):
        a.hear(event(seq, {"type": "ticket.reprint", "ticket": 9}))
        given_up.append(a.desk.counts.totals["device_gaps"]["kiosk",])
    assert given_up == [0, 0, 9 + REACH], "what stays within reach may still come"


@pytest.mark.parametrize(
    ("second", "suspect"),
    [
        (event(1, TAKE | {"service": "tax"}), True),
        (event(2, TAKE | {"number": PHONE}), True),
        (event(2, {"type": "ticket.fly"}), False),
        (event(2, {"type": "ticket.call_next"}), False),
    ],
    ids=["seq_reused", "personal_data", "unknown_kind", "forbidden"],
)
def test_one_grave_rejection_makes_suspect(second: bytes, suspect: bool) -> None:
    a = AtWork()
    a.hear(event(1))
    a.hear(second)
    assert a.desk.vitals.suspects(a.at_ms) == (["kiosk-1"] if suspect else [])


def test_twenty_small_rejections_make_suspect_and_what_is_good_counts_on() -> None:
    a = AtWork()
    for _ in range(20):
        a.hear(b"?")
    assert a.desk.vitals.suspects(a.at_ms) == ["kiosk-1"]
    (result,) = a.hear(event(1))
    assert result.ok is not None and len(a.letters) == LETTERS_A_MINUTE


def test_a_stale_will_is_counted_and_changes_nothing() -> None:
    a = AtWork()
    a.hear(b'{"state":"ready","boot":"boot","link":2}', leaf="state")
    digest = a.state.digest()
    a.hear(b'{"state":"lost","boot":"boot","link":1}', leaf="state")
    assert (a.tallies.unusual["stale_will"], a.state.digest()) == (1, digest)
    a.hear(b'{"state":"lost","boot":"boot","link":2}', leaf="state")
    a.hear(b'{"state":"lost","boot":"boot","link":2}', leaf="state")
    assert a.tallies.unusual["stale_will"] == 1, "a true one is none, nor is one repeated"


def test_degraded_without_a_fault_is_degraded_all_the_same() -> None:
    a = AtWork()
    a.hear(b'{"state":"degraded","boot":"boot","link":1}', leaf="state")
    assert a.state.devices["kiosk-1"].state.name == "DEGRADED"
