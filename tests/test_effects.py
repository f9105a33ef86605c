"""core/effects.py: what gathers until the commit."""

from core.effects import Effects


def test_counters_are_an_ordered_set() -> None:
    effects = Effects()
    for counter in (3, 1, 3):
        effects.counters[counter] = None
    assert list(effects.counters) == [3, 1]


def test_all_screens_is_every_counter_and_what_all_share() -> None:
    effects = Effects()
    effects.all_screens([1, 2])
    assert (list(effects.counters), effects.board, effects.kiosks, effects.waiting) == ([1, 2], True, True, True)
    assert effects.orders == []
