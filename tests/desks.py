"""tests/desks.py: a desk, and a dispatcher, fed by hand: nothing real around them, everything they do is kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core import commands as c
from core.fact import Cause, Fact
from core.hall import Hall
from core.record import decode
from core.state import HallState
from devices import topics, wire
from tests.halls import HALL, MORNING, Driven, opened
from workers.desk import Desk
from workers.dispatcher import Dispatcher
from workers.ports import Input, Letter, Note, Outgoing, Part, Row
from workers.proofs import Proofs
from workers.tallies import Tallies

TAKE = {"type": "ticket.take", "service": "si"}
TAKEN = '"type":"ticket.take","service":"si"'
PROOFS = Proofs(b"k" * 32)
ACK = msgspec.json.Decoder(wire.Ack)


def event(seq: int, body: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps({"boot": "boot", "seq": seq, "body": body or TAKE} | more).encode()


def example(kind: type[msgspec.Struct], **texts: str) -> dict[str, Any]:
    """A body of this kind with what it requires."""
    filled: dict[str, Any] = {"type": kind.__struct_config__.tag}
    for one in msgspec.structs.fields(kind):
        if one.required:
            filled[one.encode_name] = "si" if one.type is c.Id else 1
    return filled | texts


@dataclass
class AtWork:
    """A desk, what it has recorded since the start, and what it has said. `before`: what was asked before it."""

    before: tuple[c.Command, ...] = ()
    at_ms: int = MORNING
    rows: list[Row] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    said: list[tuple[str, wire.Ack]] = field(default_factory=list)
    bytes_said: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driven = opened()
        for command in self.before:
            self.driven.ask(command)
        self.desk = Desk(self.driven.hall, Tallies(), PROOFS)
        self.tallies = self.desk.tallies
        self.start = self.driven.state.n

    @property
    def state(self) -> HallState:
        return self.driven.state

    def hear(self, payload: bytes, device: str = "kiosk-1", *, leaf: str = "event") -> list[wire.Result]:
        """One message and its commit; the results for the device."""
        into = self.desk.event if leaf == "event" else self.desk.status
        into(device, f"jh/v1/{HALL}/{device}/{leaf}", payload, self.at_ms)
        return [result for who, ack in self.commit() if who == device for result in ack.results]

    def commit(self) -> list[tuple[str, wire.Ack]]:
        part = self.desk.part()
        if part is not None:
            assert part.expected == self.start + len(self.rows)
            self.rows += part.facts
            self.letters += part.letters
            self.notes += part.notes
        outgoing = self.desk.answers(lambda: self.at_ms)
        new = [(one.topic.split("/")[3], ACK.decode(one.payload)) for one in outgoing]
        self.bytes_said += [one.payload for one in outgoing]
        assert not any(one.retain or one.n for one in outgoing)
        self.said += new
        return new

    def faults(self) -> list[tuple[str, str]]:
        return [(device, ack.fault) for device, ack in self.said if ack.fault]

    def facts(self) -> list[Fact]:
        return [decode(row.kind, row.v, row.payload)[0] for row in self.rows]

    def names(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts()]

    def folded(self) -> str:
        """The digest of the opening and of the recorded rows alone."""
        hall = self.driven.replayed()
        for row in self.rows:
            fact, body, _ = decode(row.kind, row.v, row.payload)
            hall.evolve(fact, row.at_ms, Cause(row.device, row.boot, row.dseq, body) if row.device else None)
        return hall.state.digest()


def said(device: str, seq: int, body: str = TAKEN, *, hall: str = HALL, at_ms: int = MORNING) -> Input:
    payload = f'{{"boot":"boot","seq":{seq},"body":{{{body}}}}}'
    return Input(topics.build(hall, device, topics.EVENT), payload.encode(), at_ms, False)


@dataclass
class Around:
    """Inbox, journal, outbox and upkeep of one dispatcher; everything it does to them, in order, is `log`."""

    halls: Sequence[Hall]
    batches_: list[Sequence[Input]] = field(default_factory=list)
    log: list[tuple[str, Any]] = field(default_factory=list)
    now_ms: int = MORNING
    fails: Exception | None = None
    before_batch: Callable[[int], None] = lambda at: None

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(
            self.halls,
            inbox=self,
            journal=self,
            outbox=self,
            upkeep=self.upkeep,
            now_ms=lambda: self.now_ms,
            epoch=1,
            tallies=Tallies(),
        )

    async def batches(self) -> AsyncIterator[Sequence[Input]]:
        for at, batch in enumerate(self.batches_):
            self.before_batch(at)
            self.log.append(("batch", batch))
            yield batch

    async def append(self, parts: Sequence[Part]) -> None:
        self.log.append(("append", list(parts)))
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.log.append(("durable", None))

    async def replay(self, hall: str, after: int = 0) -> AsyncIterator[tuple[int, Row]]:
        raise AssertionError("the dispatcher never reads")
        yield  # an async generator

    async def settle(self, batch: Sequence[Input]) -> None:
        self.log.append(("settle", batch))

    async def emit(self, messages: Sequence[Outgoing]) -> None:
        self.log.append(("emit", list(messages)))

    async def upkeep(self, idle: bool) -> None:
        self.log.append(("upkeep", idle))

    def serve(self, *batches: Sequence[Input]) -> list[tuple[str, Any]]:
        """Everything that happened."""
        self.batches_, self.log = list(batches), []
        asyncio.run(self.dispatcher.serve())
        return self.log

    def steps(self) -> list[str]:
        return [step for step, _ in self.log]

    def all(self, step: str) -> list[Any]:
        return [what for name, what in self.log if name == step]

    def parts(self) -> list[Part]:
        return [part for parts in self.all("append") for part in parts]

    def messages(self, leaf: str = "") -> list[Outgoing]:
        """What was said, of one leaf or of all."""
        emitted = [one for messages in self.all("emit") for one in messages]
        return [one for one in emitted if one.topic.endswith(leaf)]

    def results(self, device: str, hall: str = HALL) -> list[wire.Result]:
        topic = topics.build(hall, device, topics.ACK)
        return [result for one in self.messages() if one.topic == topic for result in ACK.decode(one.payload).results]


def around(*driven: Driven, **more: Any) -> Around:
    halls = [one.hall for one in driven or (opened(),)]
    for hall in halls:
        hall.take_effects()  # of the opening, long said
    return Around(halls, **more)
