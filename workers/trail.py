"""workers/trail.py: the audit trail (审计) of a hall: who changed what stands, newest first, read from the journal.

Audit is no log: each line is a fact, and is looked for among the last 300,000 rows and the month before by a connection
that cannot write. What is told of a fact is a list here: numbers and codes, never a text, never a whole policy.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

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
    f.JournalErased: ("before", "facts", "row"),
}
_KINDS: Final = msgspec.json.encode([KIND_OF[one] for one in TOLD]).decode()
_ROWS: Final = (
    "SELECT hall_seq, at_ms, kind, v, device, payload FROM journal WHERE hall = ? AND seq > ? AND seq <= ? "
    "AND kind IN (SELECT value FROM json_each(?)) ORDER BY seq DESC"
)


class Line(Struct, frozen=True):
    """One act. `by`: the device or token it came through; empty: the process itself. `what`: numbers and codes."""

    n: int
    at_ms: int
    kind: str
    by: str
    what: tuple[str, ...]


class _Kept(NamedTuple):
    """What was read of a hall: its lines, newest first; of each file, by name, its inode and the last seq read."""

    lines: list[Line]
    ends: dict[str, tuple[int, int]]


class Trail:
    """The audit of the halls somebody looks at. Viewers share one look at a time; the next reads what came since."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[str, _Kept] = {}
        self._looks: dict[str, asyncio.Task[list[Line]]] = {}

    async def read(self, hall: str) -> list[Line]:
        """The last lines of a hall, at most 100, in two months. The first look takes some 0.2 s a month at worst, in a
        thread."""
        look = self._looks.get(hall)
        if look is None:
            look = self._looks[hall] = asyncio.create_task(self._look(hall))
            look.add_done_callback(lambda _: self._looks.pop(hall))
        return await asyncio.shield(look)  # who goes away takes it from nobody

    async def _look(self, hall: str) -> list[Line]:
        files = {path: path.stat().st_ino for path in recovery.files(self._directory)[-2:]}
        lines, ends = self._kept.get(hall, _Kept([], {}))
        if any(ends.get(path.name, (inode, 0))[0] != inode for path, inode in files.items()):
            lines, ends = [], {}  # a month erased or archived is a new file
        reached: dict[str, tuple[int, int]] = {}
        for path, inode in files.items():
            after = ends.get(path.name, (inode, 0))[1]
            new, last = await reading.once(path, partial(_lines, hall=hall, after=after))
            lines, reached[path.name] = (new + lines)[:LINES_MAX], (inode, last)
        if lines:  # a hall that is none is not kept
            self._kept[hall] = _Kept(lines, reached)
        return lines


def _lines(db: Connection, *, hall: str, after: int) -> tuple[list[Line], int]:
    """The newest behind a seq, and the last seq there is."""
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
    return list(islice(_told(db, hall, max(after, last - ROWS_MAX), last), LINES_MAX)), last


def _told(db: Connection, hall: str, after: int, last: int) -> Iterator[Line]:
    words = ["", *(text for (text,) in db.execute("SELECT text FROM word ORDER BY id"))]
    if hall not in words:
        return
    for n, at_ms, kind, v, device, payload in db.execute(_ROWS, (words.index(hall), after, last, _KINDS)):
        fact = record.decode(kind, v, payload)[0]
        if isinstance(fact, t.TicketCalled) and not fact.picked:
            continue
        what = tuple(str(getattr(fact, name)) for name in TOLD[type(fact)])
        yield Line(n, at_ms, type(fact).__name__, words[device], what)
