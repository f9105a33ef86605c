"""devices/poll.py: everybody has a turn, one at a time; who is off costs the others little, and is not forgotten."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.poll import ANSWER_MS, FOREVER, RARELY_MS, SILENT_AFTER, Round

EVERY_MS = 200


def walk(
    round_: Round, until_ms: int, alive: set[int], *, from_ms: int = 0, answer_ms: int = 20
) -> list[tuple[int, int]]:
    """(when, who) of each question, where `alive` answer after `answer_ms`."""
    asked, now_ms = [], from_ms
    while now_ms < until_ms:
        address = round_.turn(now_ms)
        if address is not None:
            asked.append((now_ms, address))
            if address in alive:
                now_ms += answer_ms
                round_.heard(address, now_ms)
                continue
        now_ms = max(now_ms + 1, round_.next_ms)
    return asked


def test_each_is_asked_in_turn_and_again_after_its_time() -> None:
    asked = walk(Round([3, 5, 7], EVERY_MS), 500, {3, 5, 7})
    assert asked[:3] == [(0, 3), (20, 5), (40, 7)]
    assert [now_ms for now_ms, who in asked if who == 3] == [0, 220, 440]


def test_no_second_question_before_an_answer_or_its_time() -> None:
    round_ = Round([3, 5], EVERY_MS)
    assert round_.turn(0) == 3 and round_.turn(1) is None and round_.next_ms == ANSWER_MS
    round_.heard(5, 2)
    assert round_.turn(3) is None, "another's key is no answer"
    assert round_.turn(ANSWER_MS) is None, "3 has had its time; 5 spoke a moment ago, unasked"
    assert round_.turn(2 + EVERY_MS) == 5


def test_a_dead_address_is_asked_ever_more_rarely_and_is_silent_after_three() -> None:
    round_ = Round([3, 5], EVERY_MS)
    asked = walk(round_, 120_000, {3})
    dead = [now_ms for now_ms, who in asked if who == 5]
    gaps = [after - before for before, after in pairwise(dead)]
    assert gaps[:3] == sorted(gaps[:3]) and gaps[-1] <= RARELY_MS + 2 * ANSWER_MS and len(dead) < 14
    assert round_.silent() == [5]
    living = [now_ms for now_ms, who in asked if who == 3]
    assert max(after - before for before, after in pairwise(living)) <= EVERY_MS + 20 + ANSWER_MS
    round_.heard(5, 120_000)
    assert round_.silent() == []
    again = [now_ms for now_ms, who in walk(round_, 121_000, {3, 5}, from_ms=120_000) if who == 5]
    assert len(again) >= 3, "as often as the others"


def test_silence_counts_when_it_is_unbroken() -> None:
    round_ = Round([3], EVERY_MS)
    now_ms = 0
    for _ in range(SILENT_AFTER - 1):
        while round_.turn(now_ms) is None:
            now_ms += 10
        now_ms += ANSWER_MS
    round_.turn(now_ms)
    assert round_.silent() == []
    round_.heard(3, now_ms)
    walk(round_, now_ms + 500, set(), from_ms=now_ms)
    assert round_.silent() == []


def test_nobody_and_strangers() -> None:
    round_ = Round([], EVERY_MS)
    assert round_.turn(0) is None and round_.next_ms == FOREVER
    round_.heard(9, 0)
    assert round_.silent() == []


@given(
    st.sets(st.integers(0, 255), min_size=1, max_size=12),
    st.data(),
    st.integers(50, 2_000),
    st.integers(1, ANSWER_MS - 1),
)
@settings(max_examples=50, deadline=None)
def test_whoever_answers_is_never_starved(
    addresses: set[int], data: st.DataObject, every_ms: int, answer_ms: int
) -> None:
    alive = data.draw(st.sets(st.sampled_from(sorted(addresses))))
    asked = walk(Round(sorted(addresses), every_ms), 20_000, alive, answer_ms=answer_ms)
    worst_ms = every_ms + len(addresses) * ANSWER_MS + answer_ms
    for one in alive:
        times = [0, *(now_ms for now_ms, who in asked if who == one), 20_000]
        assert max(after - before for before, after in pairwise(times)) <= worst_ms
