"""core/window.py: numbers against a naive set; gaps, skipped numbers, boots, first answers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.refusals import Refusal
from core.window import (
    ANSWERS,
    BOOTS,
    DONE,
    REACH,
    RETIRED,
    SEEN,
    SKIPPED,
    UNKNOWN,
    CalledAnswer,
    DeviceWindows,
    RefusedAnswer,
    TicketAnswer,
    Window,
)

OLD, REUSED = RefusedAnswer(Refusal.SEQ_OLD), RefusedAnswer(Refusal.SEQ_REUSED)
TICKET, CALL = TicketAnswer(1, "A001", 0), CalledAnswer(1, 1, "A001", 1)


def settled(*seqs: int) -> Window:
    window = Window()
    for seq in seqs:
        assert window.judge(seq, 7) is None
        window.settle(seq, 7, DONE)
    return window


def test_a_number_that_comes_after_its_follower_is_not_lost() -> None:
    """A bare high-water mark says "seen" to 1 here: it lost 255 of 3,061 events."""
    window = settled(2, 3)
    assert (window.floor, window.above) == (0, [2, 3])
    assert window.judge(1, 7) is None
    window.settle(1, 7, DONE)
    assert (window.floor, window.above) == (3, [])


def test_the_first_answer_stands_and_another_body_is_refused() -> None:
    window = Window()
    window.settle(1, 7, TICKET)
    assert window.judge(1, 7) == TICKET
    assert window.judge(1, 8) == REUSED


def test_what_was_settled_before_it_came_is_itself_whatever_its_body() -> None:
    window, gone = Window(), RefusedAnswer(Refusal.REPLACED)
    window.settle(1, UNKNOWN, gone)
    assert window.judge(1, 7) == window.judge(1, 8) == gone and window.floor == 1


def test_of_one_command_the_last_telling_answer_stands() -> None:
    window = Window()
    for answer in (DONE, TICKET, CALL, DONE):
        window.settle(1, 7, answer)
    assert window.judge(1, 7) == CALL


def test_out_of_order_the_answer_64_numbers_back_goes_or_the_one_settled_first() -> None:
    window = settled(*range(1, ANSWERS - 1), ANSWERS, ANSWERS - 1)  # 64 came before 63
    window.settle(2 * ANSWERS, 7, DONE)
    assert ANSWERS not in window.answers and ANSWERS - 1 in window.answers
    window.settle(5 * ANSWERS, 7, DONE)  # nothing stands 64 numbers back
    assert 1 not in window.answers and len(window.answers) == ANSWERS


def test_only_the_last_64_answers_are_kept() -> None:
    window = settled(*range(1, ANSWERS + 2))
    assert window.judge(1, 7) == SEEN
    assert window.judge(1, 8) == SEEN
    assert window.judge(2, 7) == DONE


def test_a_number_just_within_reach_raises_nothing() -> None:
    window = settled(REACH)
    assert (window.floor, window.above, window.skipped) == (0, [REACH], [])
    assert window.settle(REACH + 1, 7, DONE) == 1
    assert (window.floor, window.skipped) == (1, [(1, 1)])
    assert window.judge(1, 7) == OLD
    assert window.judge(2, 7) is None


def test_the_floor_itself_is_seen_though_nobody_knows_its_answer_any_more() -> None:
    window = settled(1, *range(3, ANSWERS + 3))  # 2 is missing, 64 came after 1
    assert (window.floor, 1 in window.answers) == (1, False)
    assert window.judge(1, 7) == SEEN and window.judge(2, 7) is None


def test_what_follows_a_raised_floor_without_a_gap_is_below_it() -> None:
    window = settled(*range(2, REACH + 1))  # 1 alone is missing: all else within reach was seen
    assert window.settle(REACH + 1, 7, DONE) == 1
    assert (window.floor, window.above, window.skipped) == (REACH + 1, [], [(1, 1)])


def test_a_great_jump_gives_up_what_it_passes_and_says_so() -> None:
    window = settled(1, 3, 5, 900)
    assert window.settle(3000, 7, DONE) == (3000 - REACH) - 4
    assert window.floor == 3000 - REACH
    assert window.skipped == [(2, 2), (4, 4), (6, 899), (901, 3000 - REACH)]
    window.answers.clear()
    assert [window.judge(seq, 7) for seq in (1, 2, 3, 4, 900, 901, 3000)] == [SEEN, OLD, SEEN, OLD, SEEN, OLD, SEEN]


def test_only_the_last_16_ranges_are_remembered() -> None:
    window = settled(*range(2, 60, 2), 5000)
    assert len(window.skipped) == SKIPPED
    assert window.skipped[-1][1] == 5000 - REACH
    assert window.judge(1, 7) == SEEN


def test_the_greatest_number_is_no_trouble() -> None:
    window = settled(1, 2**53 - 1)
    assert window.floor == 2**53 - 1 - REACH
    assert window.judge(2**53 - 2, 7) is None


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.integers(1, 12),
            st.integers(1000, 1100),
            st.sampled_from([REACH, REACH + 1, REACH + 2, 2 * REACH, 5000]),
            st.integers(-1100, 1100),
        ),
        max_size=60,
    )
)
def test_a_window_is_a_set_of_seen_numbers_and_a_floor(steps: list[int]) -> None:
    """Steps are near small numbers, or relative to the greatest seen, so that both ends of the reach are met."""
    window, seen, lost, floor, top = Window(), set(), set(), 0, 0
    for step in steps:
        seq = step if 0 < step <= 12 else max(1, top + step)
        judged = window.judge(seq, 7)
        if seq in seen:
            assert judged in (DONE, SEEN)
            continue
        if seq in lost:
            assert judged == (OLD if any(a <= seq <= b for a, b in window.skipped) else SEEN)
            continue
        assert judged is None
        given_up = 0
        if seq > floor + REACH:
            passed = set(range(floor + 1, seq - REACH + 1)) - seen
            lost |= passed
            given_up, floor = len(passed), seq - REACH
        seen.add(seq)
        top = max(top, seq)
        while floor + 1 in seen:
            floor += 1
        assert window.settle(seq, 7, DONE) == given_up
        assert window.floor == floor
        assert window.above == sorted(one for one in seen if one > floor)
        assert len(window.answers) <= ANSWERS


def test_boots_have_windows_of_their_own_and_the_oldest_is_retired() -> None:
    windows = DeviceWindows()
    for boot in range(BOOTS + 1):
        assert windows.judge(f"boot{boot}", 1, 7) is None
        windows.open(f"boot{boot}").settle(1, 7, DONE)
    assert list(windows.boots) == ["boot1", "boot2", "boot3", "boot4"]
    assert windows.judge("boot0", 2, 7) == RefusedAnswer(Refusal.BOOT_RETIRED)
    assert windows.judge("boot1", 2, 7) is None


def test_only_the_last_64_retired_boots_are_known() -> None:
    windows = DeviceWindows()
    for boot in range(RETIRED + BOOTS + 1):
        windows.open(f"boot{boot}").settle(1, 7, DONE)
    assert len(windows.retired) == RETIRED
    assert windows.judge("boot0", 2, 7) is None
    assert windows.judge("boot1", 2, 7) == RefusedAnswer(Refusal.BOOT_RETIRED)
