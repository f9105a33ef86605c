"""workers/trail.py: the audit trail (审计) of a hall: who changed what stands, newest first, read from the journal.

Audit is no log: each line is a fact, and is looked for among the last 300,000 rows and the month before by a connection
that cannot write. What is told of a fact is a list here: numbers and codes, never a text, never a whole policy.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from core import facts as f
from core import facts_cases as k
from core import facts_tickets as t
from core import record
from core.fact import Fact
from core.facts import KIND_OF
from workers import reading, recovery
from workers.engine import Connection

LINES_MAX: Final = 100
ROWS_MAX: Final = 300_000
TOLD: Final[dict[type[Fact], tuple[str, ...]]] = {
    f.PolicyScheduled: ("version",),
    f.PolicyChanged: ("version",),
    t.TicketReclassed: ("ticket", "cls"),
    t.TicketCalled: ("number", "counter"),  # only where the clerk picked it
    k.QueueDiverted: ("from_service", "to_service", "count"),
    k.EvaluationUpheld: ("call", "reviewer"),
    k.EvaluationExcluded: ("call", "reason", "reviewer"),
    k.CaseExtended: ("case", "stage"),
    k.CaseReopened: ("case", "handler"),
    k.ConductRecorded: ("entry", "staff", "kind", "on_day"),
    k.ConductVoided: ("entry",),
    k.FindingReviewed: ("finding", "decision", "reviewer"),
    k.StaffReturned: ("staff", "finding"),
    f.DeviceQuarantined: ("device",),
    f.DeviceReadmitted: ("device",),
    f.JournalRestored: ("last",),
    f.JournalErased: ("before", "facts"),
}
_KINDS: Final = msgspec.json.encode([KIND_OF[one] for one in TOLD]).decode()
_ROWS: Final = (
    "SELECT hall_seq, at_ms, kind, v, device, payload FROM journal WHERE hall = ? AND seq > ? "
    "AND kind IN (SELECT value FROM json_each(?)) ORDER BY seq DESC"
)


class Line(Struct, frozen=True):
    """One act. `by`: the device or token it came through; empty: the process itself. `what`: numbers and codes."""

    n: int
    at_ms: int
    kind: str
    by: str
    what: tuple[str, ...]


async def read(directory: Path, hall: str) -> list[Line]:
    """The last lines of a hall, at most 100, in two months. A look of some 0.2 s at worst, in a thread."""
    found: list[Line] = []
    for path in reversed(recovery.files(directory)[-2:]):
        found += await reading.once(path, partial(_lines, hall=hall, room=LINES_MAX - len(found)))
    return found


def _lines(db: Connection, *, hall: str, room: int) -> list[Line]:
    return list(islice(_told(db, hall), room))


def _told(db: Connection, hall: str) -> Iterator[Line]:
    words = ["", *(text for (text,) in db.execute("SELECT text FROM word ORDER BY id"))]
    if hall not in words:
        return
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
    for n, at_ms, kind, v, device, payload in db.execute(_ROWS, (words.index(hall), last - ROWS_MAX, _KINDS)):
        fact = record.decode(kind, v, payload)[0]
        if isinstance(fact, t.TicketCalled) and not fact.picked:
            continue
        what = tuple(str(getattr(fact, name)) for name in TOLD[type(fact)])
        yield Line(n, at_ms, type(fact).__name__, words[device], what)
