"""core/rules_journal.py: facts about the journal move the position of a hall and nothing else."""

import pytest

from core.fact import Fact
from core.facts import JournalErased, JournalRestored
from core.hall import Hall
from core.state import FIELDS
from tests.halls import opened

MOVED = ("n", "at_ms")


@pytest.mark.parametrize("fact", [JournalRestored("backup", 10, 12), JournalErased("2026-11-01", 3, ("2026-10",))])
def test_only_the_position_moves(fact: Fact) -> None:
    hall = Hall(opened().state)
    before = {name: repr(getattr(hall.state, name)) for name in FIELDS if name not in MOVED}
    n, at_ms = hall.state.n, hall.state.at_ms
    hall.evolve(fact, at_ms + 5)
    hall.react(fact)
    assert {name: repr(getattr(hall.state, name)) for name in FIELDS if name not in MOVED} == before
    assert (hall.state.n, hall.state.at_ms) == (n + 1, at_ms + 5)
    effects = hall.take_effects()
    assert not (effects.orders or effects.counters or effects.board)
