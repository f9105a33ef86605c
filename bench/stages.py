"""bench/stages.py: where each microsecond of an event goes, stage by stage, on the load of `ingest`.

One thread, no broker: the stages are called as the process calls them, and the clock's own cost is taken off. What is
left to the figure of `ingest` is the loop, the sockets, the hand-over between threads and the kernel.
"""

import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast

import mqtt5

from bench import plan, runs
from bench.pairs import Options, Report
from bench.rush import hall_policy, lanes
from core import commands as c
from core import policy, record
from core.hall import Hall
from core.state import HallState
from devices import wire
from workers import chain, engine, opening, recovery, writer
from workers.chain import START, Columns, Head
from workers.desk import Desk
from workers.ports import Outgoing, Part, Row
from workers.speaker import Speaker
from workers.tallies import Tallies
from workers.writer import Batch, Words

HALLS: Final = 64
BATCH: Final = 500
NOW_MS: Final = 1_795_480_200_000
STAGES: Final = (
    "link: read packets",
    "decode",
    "judge",
    "decide",
    "evolve",
    "react",
    "encode row",
    "answer kept",
    "journal: columns of a batch",
    "journal: seal",
    "journal: insert and commit",
    "settle: PUBACKs",
    "answers: acks encoded",
    "pictures and orders",
    "publish: packets encoded",
)


class Spent:
    """Nanoseconds by stage; each `lap` has cost one reading of the clock."""

    def __init__(self) -> None:
        self.ns = dict.fromkeys(STAGES, 0)
        self.laps = dict.fromkeys(STAGES, 0)

    def lap(self, stage: str, begin: int) -> int:
        """Since `begin`; returns now."""
        now = time.perf_counter_ns()
        self.ns[stage] += now - begin
        self.laps[stage] += 1
        return now

    def us(self, events: int, clock_ns: float) -> dict[str, float]:
        """Per event, the clock taken off."""
        return {one: max(0.0, self.ns[one] - self.laps[one] * clock_ns) / events / 1000 for one in STAGES}


def clock_ns() -> float:
    """What one lap costs by itself."""
    best = float("inf")
    for _ in range(9):
        spent = Spent()
        begin = start = time.perf_counter_ns()
        for _ in range(1_000):
            start = spent.lap("judge", start)
        best = min(best, (time.perf_counter_ns() - begin) / 1_000)
    return best


class Line:
    """The stages in a row, batch by batch."""

    def __init__(self, place: Path) -> None:
        self.spent = Spent()
        self.halls: dict[str, tuple[Hall, Desk, Speaker]] = {}
        for at in range(HALLS):
            hall, tallies = Hall(HallState(f"h{at}")), Tallies()
            one = hall_policy(f"h{at}")
            self.fold(hall, c.ChangePolicy(1, policy.digest(one), policy.document(one)))
            speaker = Speaker(hall, 1, lambda: NOW_MS, lambda: time.monotonic_ns() // 1_000_000)
            self.halls[f"h{at}"] = (hall, Desk(hall, tallies), speaker)
        path = place / "stages.db"
        with closing(engine.writer(path)) as first:
            recovery.migrate(first, path)
            opening.presize_wal(first, opening.Options().presize)
            first.execute("INSERT OR REPLACE INTO meta VALUES('epoch', 1)")
        self.db = engine.writer(path)
        self.seal, self.last, self.words = START, 0, Words([""])
        self.waiting = 0

    @staticmethod
    def fold(hall: Hall, command: c.Command) -> None:
        """Without a cause."""
        for fact in hall.decide(command, NOW_MS):
            hall.evolve(fact, NOW_MS)
        hall.take_effects()

    def batch(self, data: bytes, at_ms: int) -> int:
        """Everything that `data` holds, from bytes to bytes; how many events."""
        spent, begin = self.spent, time.perf_counter_ns()
        packets, at, view = list[mqtt5.PublishPacket](), 0, memoryview(data)
        while at < len(data):
            packet, size = mqtt5.read(view[at:])
            packets.append(cast(mqtt5.PublishPacket, packet))
            at += size
        spent.lap("link: read packets", begin)
        rows: dict[str, list[Row]] = {}
        answers: dict[tuple[str, str, str], list[wire.Result]] = {}
        for packet in packets:
            _, _, name, device, _ = packet.topic.split("/")
            found = rows.setdefault(name, [])
            self._event(name, device, packet.payload, at_ms, found, answers)
        self._store(rows)
        begin = time.perf_counter_ns()
        b"".join([mqtt5.PubAckPacket(packet.packet_id or 1).write() for packet in packets])
        begin = spent.lap("settle: PUBACKs", begin)
        out = [
            Outgoing(f"jh/v1/{hall}/{device}/ack", wire.encode(wire.Ack(boot, at_ms, results)))
            for (hall, device, boot), results in answers.items()
        ]
        begin = spent.lap("answers: acks encoded", begin)
        for name in rows:
            hall, _, speaker = self.halls[name]
            out += speaker.messages(hall.take_effects())
        begin = spent.lap("pictures and orders", begin)
        for one in out:
            mqtt5.PublishPacket(
                one.topic, one.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=one.retain, packet_id=1
            ).write()
        spent.lap("publish: packets encoded", begin)
        return len(packets)

    def _event(self, name: str, device: str, payload: bytes, at_ms: int, rows: list[Row], answers: Any) -> None:
        """As workers/desk.py does it, with a clock between the stages."""
        hall, lap = self.halls[name][0], self.spent.lap
        begin = time.perf_counter_ns()
        (heard,) = wire.decode(payload, device)
        assert isinstance(heard, wire.Heard)
        begin = lap("decode", begin)
        hall.judge(heard.cause)
        begin = lap("judge", begin)
        facts = hall.decide(heard.command, at_ms, device)
        begin = lap("decide", begin)
        for fact in facts:
            hall.evolve(fact, at_ms, heard.cause)
            begin = lap("evolve", begin)
            hall.react(fact, heard.cause)
            begin = lap("react", begin)
            kind, v, body = record.encode(fact, heard.cause)
            rows.append(Row(at_ms, kind, v, device, heard.cause.boot, heard.cause.seq, body))
            begin = lap("encode row", begin)
        result = wire.result_of(heard.cause.seq, hall.settled(heard.cause))
        answers.setdefault((name, device, heard.cause.boot), []).append(result)
        lap("answer kept", begin)

    def _store(self, rows: dict[str, list[Row]]) -> None:
        """As workers/journal.py and its writer's thread."""
        begin, ids = time.perf_counter_ns(), self.words
        parts = [Part(name, 0, some) for name, some in rows.items() if some]
        facts, numbers = Columns([], [], []), list[int]()
        for name, n, some, *_ in parts:
            facts.halls.extend([name] * len(some))
            facts.ns.extend(range(n + 1, n + 1 + len(some)))
            facts.rows.extend(some)
            numbers.extend([ids[name]] * len(some))
        devices, boots = [ids[row[3]] for row in facts.rows], [ids[row[4]] for row in facts.rows]
        head = Head(self.last + 1, self.last + len(numbers), 1, NOW_MS)
        batch = Batch(head, self.seal, facts, numbers, devices, boots, tuple(ids.fresh))
        begin = self.spent.lap("journal: columns of a batch", begin)
        batch.seal = chain.seal(batch.before, head, facts)
        begin = self.spent.lap("journal: seal", begin)
        writer.write(self.db, batch)
        self.spent.lap("journal: insert and commit", begin)
        self.seal, self.last = batch.seal, head.last
        del ids.fresh[:]


def measured(count: int, seed: int) -> dict[str, float]:
    """One pass over the load: µs an event by stage."""
    frames = [
        plan.frame(topic, payload, at)
        for lane in lanes(HALLS, count, seed, 1)
        for at, (topic, payload) in enumerate(lane)
    ]
    with runs.workplace() as place:
        line, events = Line(place), 0
        for turn, first in enumerate(range(0, len(frames), BATCH)):
            if turn == 2:
                line.spent, events = Spent(), 0  # warm
            events += line.batch(b"".join(frames[first : first + BATCH]), NOW_MS + turn * 50)
        line.db.close()
    return line.spent.us(events, clock_ns())


def run(options: Options, rest: list[str]) -> Report:
    """The table of bench/README.md: the best of some passes, stage by stage."""
    assert not rest, f"no such argument: {rest}"
    passes = [measured(4_000 if options.quick else 20_000, options.seed) for _ in range(2 if options.quick else 7)]
    found = {stage: min(one[stage] for one in passes) for stage in STAGES}
    total = sum(found.values())
    ingest = sum(cost for stage, cost in found.items() if stage not in STAGES[12:])
    rows = [(f"{stage:<30}", f"{cost:>7.2f} us", f"{cost / total:>6.1%}") for stage, cost in found.items()]
    rows.append((f"{'all':<30}", f"{total:>7.2f} us", f"of which ingest {ingest:.2f} us"))
    notes = [f"batches of {BATCH}, {HALLS} halls; the commit is wall time, with its fdatasync"]
    return Report("stages", [], {"stages_us": found, "total_us": total, "ingest_us": ingest}, rows, notes)
