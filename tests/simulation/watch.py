"""tests/simulation/watch.py: what is checked while a run goes on, and of screens and orders at its end.

Nothing may be heard outside before it is durable: PUBACKs, acks, pictures and orders are looked at where they leave the
process and where they reach the broker. `mirror` is the fold of what is durable, `ledger` knows no rules.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from core import record
from core.fact import Cause
from core.hall import Hall
from core.state import HallState
from devices import pictures, topics, wire
from tests.halls import HALL, MORNING
from tests.simulation.devices import Agent, Answer
from tests.simulation.disk import Disk
from tests.simulation.invariants import ENVELOPE, Ledger
from tests.simulation.loop import NS, Owner, VirtualLoop
from tests.simulation.network import Broker, Message
from tests.simulation.plan import Plan
from workers.ports import Input, Outgoing, Row

SAY_S = 30.0
SECRET = b"13800138000"


class Watch:
    """One run as seen from outside. The first failure ends it."""

    disk: Disk
    broker: Broker
    agents: dict[str, Agent]

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.trace: list[str] = []
        self.failures: list[str] = []
        self.ledger = Ledger()
        self.mirror = Hall(HallState(HALL))
        self.asked: dict[tuple[tuple[str, str, int], int], Any] = {}
        self._causes: dict[bytes, list[Cause]] = {}
        self.spoken: set[int] = set()
        self.answered = 0
        self.spans: list[tuple[float, float]] = []  # when a process was connected, seconds of the loop

    def note(self, text: str) -> None:
        self.trace.append(f"{self.loop.now_ns / NS:10.4f} {text}")

    def fail(self, text: str) -> None:
        """The run ends here."""
        self.failures.append(text)
        self.note(f"FAILED {text}")
        self.loop.stopped = True

    # The process reaches out.

    def may_write(self, owner: Owner) -> bool:
        """Whether it is the one dispatcher."""
        raise NotImplementedError

    def committed(self, owner: Owner, hall: str, n: int, row: Row) -> None:
        """A fact is durable."""
        if hall != HALL:
            return self.fail(f"a fact of a hall that is not there: {hall}")
        if not self.may_write(owner):
            self.fail(f"{owner.name} has written fact {n}, though another has taken over")
        if row.device:
            self.disk.causes.setdefault((row.device, row.boot, row.dseq), n)
        self.ledger.read(n, row)
        fact, digest, _ = record.decode(row.kind, row.v, row.payload)
        cause = Cause(row.device, row.boot, row.dseq, digest) if row.device else None
        self.note(f"fact {n} {type(fact).__name__} {row.device} {row.dseq or ''}")
        self.mirror.evolve(fact, row.at_ms, cause)
        if SECRET in row.payload:
            self.fail(f"fact {n} carries a phone number")
        if self.ledger.wrong:
            self.fail(self.ledger.wrong[0])
        return None

    def settles(self, batch: Sequence[Input]) -> None:
        """The dispatcher says that it has done with these."""
        for one in batch:
            self._durable("settled", one.topic, one.payload)

    def confirmed(self, message: Message) -> None:
        """The broker forgets this: the dispatcher has acknowledged it."""
        self._durable("PUBACK of", message.topic, message.payload)

    def _durable(self, what: str, topic: str, payload: bytes) -> None:
        parts = topics.split(topic)
        if parts is None or parts.leaf != topics.EVENT or parts.hall != HALL or parts.device not in self.agents:
            return
        if parts.device not in self.mirror.state.devices:
            return  # told to keep it
        for cause in self._causes_of(parts.device, payload):
            if self.ledger.confused(cause[:3], cause.body):
                return self.fail(
                    f"{what} {'/'.join(map(str, cause[:3]))}, taken for something else that had its number"
                )
            if not self.disk.holds(cause[:3]):
                return self.fail(f"{what} {'/'.join(map(str, cause[:3]))}, which is not in the journal")

    def _causes_of(self, device: str, payload: bytes) -> list[Cause]:
        found = self._causes.get(payload)
        if found is None:
            found = self._causes[payload] = [one.cause for one in wire.decode(payload, device) if one.cause is not None]
        return found

    def emits(self, messages: Sequence[Outgoing]) -> None:
        """The dispatcher hands out what the outside is to hear."""
        state = self.mirror.state
        self.check(self.ledger.conserved(state.tally))
        for one in messages:
            if not one.retain:
                continue
            picture = msgspec.json.decode(one.payload)
            device = state.devices[one.topic.split("/")[3]]
            if picture["revision"] != state.n:
                self.fail(f"{device.device} is to show revision {picture['revision']}, the journal ends at {state.n}")
            elif bare(picture["body"]) != drawn(state, device):
                self.fail(f"{device.device} is to show {picture['body']}, the journal says {drawn(state, device)}")

    def published(self, topic: str, payload: bytes, retain: bool) -> None:
        """The broker has it."""
        _, _, hall, device, leaf = topic.split("/")
        if SECRET in payload:
            self.fail(f"{topic} carries a phone number")
        if leaf == topics.ACK and hall == HALL:
            self._acked(device, msgspec.json.decode(payload))
        elif leaf == topics.COMMAND:
            said = msgspec.json.decode(payload)
            self.spoken.add(said["id"])
            if said["id"] > self.mirror.state.n:
                self.fail(f"order {said['id']} to {device}, the journal ends at {self.mirror.state.n}")
        elif leaf == topics.SCREEN:
            self._shows(device, msgspec.json.decode(payload))

    def _acked(self, device: str, ack: dict[str, Any]) -> None:
        for result in ack["results"]:
            if result.get("keep"):
                continue
            cause = (device, ack["boot"], result["seq"])
            self.note(f"ack {'/'.join(map(str, cause))} {result}")
            if result.get("refused") in ENVELOPE:
                continue
            wrong = self.ledger.misheard(cause, result)
            if wrong:
                self.fail(f"{'/'.join(map(str, cause))}: {wrong}")

    def _shows(self, device: str, said: dict[str, Any]) -> None:
        if said["revision"] > self.mirror.state.n:
            self.fail(f"{device} shows revision {said['revision']}, the journal ends at {self.mirror.state.n}")

    # Devices tell.

    def sends(self, device: str, payload: bytes) -> None:
        """Remembered, so that the model can be asked."""
        for one in wire.decode(payload, device):
            if isinstance(one, wire.Heard):
                self.asked[one.cause[:3], one.cause.body] = one.command

    def heard(self, answer: Answer) -> None:
        """A device has accepted an answer."""
        self.answered += 1

    # At any time, and at the end.

    def check(self, wrong: Sequence[str]) -> None:
        if wrong:
            self.fail(wrong[0])

    def screens(self) -> list[str]:
        """What the broker keeps and what each device shows is the fold; counters by the ledger, too."""
        wrong = []
        for device in self.mirror.state.devices.values():
            picture = drawn(self.mirror.state, device)
            if picture is None:
                continue
            kept = self.broker.retained.get(topics.build(HALL, device.device, topics.SCREEN))
            shown = self.agents[device.device].screen
            if kept is None or bare(msgspec.json.decode(kept)["body"]) != picture or bare(shown) != picture:
                wrong.append(f"{device.device} shows {shown}, kept {kept!r}, the journal says {picture}")
            if device.kind in ("caller", "counter_screen"):
                ticket = self.ledger.holder.get(device.counter, 0)
                if picture["number"] != self.ledger.number_of.get(ticket, ""):
                    wrong.append(f"{device.device} shows {drawn['number']}, ticket {ticket} is there")
        return wrong

    def unsaid(self) -> list[str]:
        """A call is spoken, unless nobody was connected for three seconds while it was of any use."""
        if any(fault.kind == "clock" for fault in self.plan.faults):
            return []
        wrong = []
        for n, at_ms in self.ledger.orders.items():
            at_s = (at_ms - MORNING) / 1000
            over_s = at_s + SAY_S - 1.0
            if n in self.ledger.over_ms:
                over_s = min(over_s, (self.ledger.over_ms[n] - MORNING) / 1000)
            spans = [(max(since, at_s), min(until, over_s)) for since, until in self.spans]
            if n not in self.spoken and any(until - since > 4.0 for since, until in spans):
                wrong.append(f"call of fact {n} was never spoken")
        return wrong


def bare(body: Any) -> Any:
    """A picture as the state alone draws it: a token of the serving that is asked for is no part of it."""
    if not body or not body.get("token"):
        return body
    named = f".{HALL}.{body['call']}." in body["token"] and body["address"].endswith(body["token"])
    return body | {"token": "", "address": ""} if named else body


def drawn(state: HallState, device: Any) -> Any:
    """The picture of a device as a plain object."""
    picture = pictures.draw(state, device)
    return None if picture is None else msgspec.json.decode(msgspec.json.encode(picture))
