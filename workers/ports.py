"""workers/ports.py: the four seams of the shell. Another engine beneath passes the same suites.

Inbox ─▶ decide, evolve ─▶ Journal.append ─▶ Inbox.settle, Outbox.emit. Ownership says which halls are ours.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple, Protocol

from core.fact import unchecked


class Row(NamedTuple):
    """One fact as it is stored. `at_ms` UTC; (device, boot, dseq) is the cause, empty for facts of time."""

    at_ms: int
    kind: int
    v: int
    device: str
    boot: str
    dseq: int
    payload: bytes


Stored = tuple[int, int, int, str, str, int, bytes]  # the fields of a `Row`, where a million are read
new_row: Final[Callable[[Stored], Row]] = unchecked(Row)


class Letter(NamedTuple):
    """An input nobody could read (dead letter), kept for a person: at most 1 KiB of it, and its digest."""

    at_ms: int
    topic: str
    reason: str
    digest: bytes
    payload: bytes


class Note(NamedTuple):
    """What a person wrote (评价留言): kept beside the chain under the `*_ref` of a fact, so that it can go alone."""

    ref: str
    at_ms: int
    text: str


class Part(NamedTuple):
    """What one commit adds to one hall. The facts get n = expected + 1, expected + 2, ..."""

    hall: str
    expected: int
    facts: Sequence[Row]
    letters: Sequence[Letter] = ()
    notes: Sequence[Note] = ()


class Fenced(Exception):
    """Another writer has appended to these halls; no fact of theirs was written by this call. `by`: who, if known."""

    def __init__(self, halls: Sequence[str], by: str = "another writer") -> None:
        super().__init__(f"fenced: {by} has taken over\nhalls {', '.join(halls)}")
        self.halls = tuple(halls)


class JournalDamaged(Exception):
    """What is stored is not what was acknowledged. The message names the first bad row and what to do."""


class Missing(Exception):
    """Something needed is not there or not ours: data directory, broker, port, engine (exit 5; 4 when it is taken)."""


class Input(NamedTuple):
    """One message as the link received it. `at_ms` UTC, stamped once per read. `retain` as the broker sent it."""

    topic: str
    payload: bytes
    at_ms: int
    retain: bool


class Outgoing(NamedTuple):
    """One message to publish at QoS 1. `n` > 0: an effect of the fact n of `hall`, counted for the published mark.
    `retain`: a screen; a newer one to the same topic replaces one that waits. `pressed_s` > 0: when the call that it
    shows was received, on the loop's clock. `kind`: whose order it is; after `until_ms` it is of no use. `again`: a
    screen that shows nothing new and lets others go first."""

    topic: str
    payload: bytes
    retain: bool = False
    hall: str = ""
    n: int = 0
    pressed_s: float = 0.0
    kind: str = ""
    until_ms: int = 0
    again: bool = False


class Journal(Protocol):
    """The truth. `append` is durable on return and compares `expected` with the hall's last n (else Fenced)."""

    async def append(self, parts: Sequence[Part]) -> None: ...
    def replay(self, hall: str, after: int = 0) -> AsyncIterator[tuple[int, Row]]: ...


class Snapshots(Protocol):
    """Whole states, newest first; damaged ones are skipped."""

    async def save(self, hall: str, hall_seq: int, data: bytes) -> None: ...
    def newest(self, hall: str) -> AsyncIterator[tuple[int, bytes]]: ...


class Inbox(Protocol):
    """Inputs in order of receipt, at least once. `settle` only after `append`."""

    def batches(self) -> AsyncIterator[Sequence[Input]]: ...
    async def settle(self, batch: Sequence[Input]) -> None: ...


class Outbox(Protocol):
    """What the outside hears. Idempotent: ids are positions of facts. Waits when its bound is reached."""

    async def emit(self, messages: Sequence[Outgoing]) -> None: ...


class Acquired(NamedTuple):
    """From now on this hall is ours: fold it, paint it, then take its inputs."""

    hall: str


class Lost(NamedTuple):
    """Another has it, or may: nothing more of this hall is fetched, settled or emitted; its state is dropped."""

    hall: str


class Ownership(Protocol):
    """Whose halls are whose, told as it changes, a hall's changes by turns. Ends when nothing will change any more. It
    only saves work: what makes a second writer harmless is the comparison in `append`."""

    def changes(self) -> AsyncIterator[Acquired | Lost]: ...
