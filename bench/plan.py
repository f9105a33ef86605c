"""bench/plan.py: a load ready to be sent: frames by connection with their times, the events in it, its digest.

Made once for all runs of a suite and handed over as a file, so that the generator only sends.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import mqtt5
import msgspec

from bench.load import Day
from bench.rush import Presses

PACKET_IDS: Final = 65_535
Frame = tuple[int, bytes, str, str]  # due in ns after the start, bytes, topic and status of the picture it must bring
Cause = tuple[str, str, int]


class Head(msgspec.Struct):
    """What names an event."""

    boot: str
    seq: int


_HEADS: Final = msgspec.json.Decoder(Head | list[Head])


class Plan(msgspec.Struct):
    """`before`: as fast as the window lets, and acknowledged before the clock starts; `timed`: at their times."""

    before: list[list[Frame]]
    timed: list[list[Frame]]
    causes: dict[str, list[Cause]]
    digest: str

    @property
    def events(self) -> int:
        """Messages in all."""
        return sum(map(len, (*self.before, *self.timed)))

    @property
    def timed_events(self) -> int:
        """Messages with a time."""
        return sum(map(len, self.timed))


def rush(lanes: Sequence[Sequence[tuple[str, bytes]]]) -> Plan:
    """No times: as the window lets."""
    return _planned([], [[(0, topic, payload, "", "") for topic, payload in lane] for lane in lanes])


def presses(found: Presses) -> Plan:
    """As `bench.rush.presses` has it."""
    before = [[(0, topic, payload, "", "") for topic, payload in lane] for lane in found.before]
    return _planned(before, [list(map(tuple, lane)) for lane in found.timed])


def timed(lanes: Sequence[Sequence[tuple[int, str, bytes]]]) -> Plan:
    """At these times (ns after the start), a connection a lane."""
    return _planned([], [[(due_ns, topic, payload, "", "") for due_ns, topic, payload in lane] for lane in lanes])


def day(days: Sequence[Day], speed: int, connections: int) -> Plan:
    """A connection a hall, or more where the hall is large: then a device stays on its connection."""
    share = max(1, connections // len(days))
    lanes: list[list[tuple[int, str, bytes, str, str]]] = [[] for _ in range(share * len(days))]
    start_ms = min(one.at_ms for hall in days for one in hall.said[:1])
    for at, hall in enumerate(days):
        for one in hall.said:
            device = one.topic.split("/")[3]
            lane = at * share + int(hashlib.sha256(device.encode()).hexdigest()[:8], 16) % share
            due_ns = (one.at_ms - start_ms) * 1_000_000 // speed
            lanes[lane].append((due_ns, one.topic, one.payload, one.screen, one.status))
    return _planned([], [lane for lane in lanes if lane])


def since(made: Plan, start_ns: int) -> Plan:
    """What was due earlier comes before the clock, which starts there."""
    before = [[one for one in lane if one[0] < start_ns] for lane in made.timed]
    timed = [[(one[0] - start_ns, *one[1:]) for one in lane if one[0] >= start_ns] for lane in made.timed]
    return Plan([*made.before, *before], timed, made.causes, made.digest)


def _planned(before: Any, timed: Any) -> Plan:
    """Frames, causes and digest of (due, topic, payload, screen, status)."""
    total, causes = hashlib.sha256(), dict[str, list[Cause]]()
    made: list[list[list[Frame]]] = []
    for lanes in (before, timed):
        made.append([])
        for lane in lanes:
            frames: list[Frame] = []
            for at, (due_ns, topic, payload, screen, status) in enumerate(lane):
                total.update(b"%d %s %s\n" % (due_ns, topic.encode(), payload))
                hall, device, leaf = topic.split("/")[2:]
                if leaf == "event":
                    causes.setdefault(hall, []).extend((device, boot, seq) for boot, seq in heads(payload))
                frames.append((due_ns, frame(topic, payload, at), screen, status))
            made[-1].append(frames)
    return Plan(made[0], made[1], causes, total.hexdigest())


def heads(payload: bytes) -> Iterable[tuple[str, int]]:
    """(boot, seq) of the events in a message."""
    found = _HEADS.decode(payload)
    return [(one.boot, one.seq) for one in (found if isinstance(found, list) else [found])]


def frame(topic: str, payload: bytes, at: int) -> bytes:
    """A QoS 1 publish, packet ids by turns."""
    once = mqtt5.QoS.AT_LEAST_ONCE
    return mqtt5.PublishPacket(topic, payload, qos=once, packet_id=at % PACKET_IDS + 1).write()


def write(plan: Plan, path: Path) -> Path:
    """For the generator."""
    path.write_bytes(msgspec.msgpack.encode((plan.before, plan.timed)))
    return path


def read(path: Path) -> tuple[list[list[Frame]], list[list[Frame]]]:
    """Back again: before, timed."""
    found = msgspec.msgpack.decode(path.read_bytes(), type=tuple[list[list[Frame]], list[list[Frame]]])
    return found[0], found[1]
