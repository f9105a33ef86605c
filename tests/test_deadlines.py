"""core/deadlines.py: the next thing that is due, and that still holds."""

from core.deadlines import NEVER, Deadlines, Due, Entry


def drained(deadlines: Deadlines, dead: tuple[int, ...] = ()) -> list[Entry]:
    found: list[Entry] = []
    while deadlines.next_ms(lambda entry: entry[2] not in dead and entry not in found) != NEVER:
        found.append(deadlines.head())
    return found


def test_earlier_first_and_at_one_time_the_days_end_last() -> None:
    deadlines = Deadlines([(5, Due.CUTOVER, 1), (5, Due.ELIGIBLE, 9)])
    deadlines.add(3, Due.EVALUATION_OVER, 4)
    deadlines.add(5, Due.POLICY, 0)
    assert [what.name for _, what, _ in drained(deadlines)] == ["EVALUATION_OVER", "ELIGIBLE", "POLICY", "CUTOVER"]


def test_what_no_longer_holds_is_dropped() -> None:
    deadlines = Deadlines([(1, Due.HOLD_OVER, 1), (2, Due.HOLD_OVER, 2)])
    assert drained(deadlines, dead=(1,)) == [(2, Due.HOLD_OVER, 2)]


def test_nothing_is_due_in_an_empty_hall() -> None:
    assert Deadlines([]).next_ms(lambda _: True) == NEVER
