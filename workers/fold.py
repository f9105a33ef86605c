"""workers/fold.py: from a journal back to halls: newest snapshot, then every fact after it, by `evolve` alone."""

from contextlib import aclosing
from typing import NamedTuple

from core import record
from core.fact import Cause, Fact
from core.hall import Hall
from core.state import HallState, restored
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Stored
from workers.views import Touched


class Folded(NamedTuple):
    """The halls of a journal, and how many facts were applied."""

    halls: dict[str, Hall]
    facts: int
    skipped: list[str]


class _Folding(NamedTuple):
    """A hall on its way back, and what each of its facts asks for. `mark`: up to here it was heard outside."""

    hall: Hall
    state: HallState
    mark: int
    touched: Touched

    @classmethod
    def of(cls, hall: Hall, journal: SqliteJournal) -> "_Folding":
        """Of the journal that is read."""
        state = hall.state
        return cls(hall, state, journal.marks().get(state.hall, 0), journal.views.of(state))


def apply(hall: Hall, n: int, row: Stored, speaks: bool = False) -> Fact:
    """Fold one stored fact and return it; `speaks` also collects what the outside must hear of it."""
    assert n == hall.state.n + 1, f"{hall.state.hall}: fact {n} after {hall.state.n}"
    at_ms, kind, v, device, boot, seq, payload = row
    fact, body, _ = record.READERS[kind, v](payload)
    hall.evolve(fact, at_ms, (device, boot, seq, body) if device else None)
    if speaks:
        hall.react(fact, Cause(device, boot, seq, body) if device else None)
    return fact


async def recover(journal: SqliteJournal) -> Folded:
    """Every hall of the journal as it was. Effects above the published mark are collected again.

    JournalDamaged when a seal does not fit, record.UnknownFact when a newer program wrote it.
    """
    start = await journal.start()
    halls = {name: Hall(restored(found.data)) for name, found in start.snapshots.items()}
    folds = {name: _Folding.of(hall, journal) for name, hall in halls.items()}
    seq, pictured, facts = start.after, journal.views.proj_seq, 0
    async with aclosing(journal.replay_all(start.after)) as found:  # who stops half-way ends its thread
        async for block in found:
            last = ""
            for at, (name, n, row) in enumerate(block, seq + 1):
                if name != last:
                    one = folds.get(name)
                    if one is None:
                        halls[name] = Hall(HallState(name))
                        one = folds[name] = _Folding.of(halls[name], journal)
                    last, (hall, state, mark, touched) = name, one
                if n > state.n:
                    fact = apply(hall, n, row, n > mark)
                    if at > pictured:  # the rows of what came before are written
                        touched.note(fact, row[0])
                    facts += 1
            seq += len(block)
    for name, head in journal.heads().items():
        if name in halls and halls[name].state.n != head:
            raise JournalDamaged(f"hall {name} ends at {halls[name].state.n}, the journal at {head}")
    return Folded(halls, facts, list(start.skipped))
