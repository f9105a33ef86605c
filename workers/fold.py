"""workers/fold.py: from a journal back to halls: newest snapshot, then every fact after it, by `evolve` alone."""

from collections.abc import Mapping
from typing import NamedTuple

from core import record
from core.fact import Cause, Fact
from core.hall import Hall
from core.state import HallState, restored
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Row


class Folded(NamedTuple):
    """The halls of a journal, and how many facts were applied."""

    halls: dict[str, Hall]
    facts: int
    skipped: list[str]


def apply(hall: Hall, n: int, row: Row, *, speaks: bool = False) -> Fact:
    """Fold one stored fact and return it; `speaks` also collects what the outside must hear of it."""
    assert n == hall.state.n + 1, f"{hall.state.hall}: fact {n} after {hall.state.n}"
    fact, body, _ = record.decode(row.kind, row.v, row.payload)
    cause = Cause(row.device, row.boot, row.dseq, body) if row.device else None
    hall.evolve(fact, row.at_ms, cause)
    if speaks:
        hall.react(fact, cause)
    return fact


async def recover(journal: SqliteJournal) -> Folded:
    """Every hall of the journal as it was. Effects above the published mark are collected again.

    JournalDamaged when a seal does not fit, record.UnknownFact when a newer program wrote it.
    """
    start = await journal.start()
    halls = {name: Hall(restored(found.data)) for name, found in start.snapshots.items()}
    marks: Mapping[str, int] = journal.marks()
    facts = 0
    async for block in journal.replay_all(start.after):
        for name, n, row in block:
            hall = halls.get(name)
            if hall is None:
                hall = halls[name] = Hall(HallState(name))
            if n > hall.state.n:
                fact = apply(hall, n, row, speaks=n > marks.get(name, 0))
                journal.views.of(hall.state).note(fact, row.at_ms)
                facts += 1
    for name, head in journal.heads().items():
        if name in halls and halls[name].state.n != head:
            raise JournalDamaged(f"hall {name} ends at {halls[name].state.n}, the journal at {head}")
    return Folded(halls, facts, list(start.skipped))
