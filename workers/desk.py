"""workers/desk.py: one hall at work: inputs become facts, rows and answers. No await, no I/O; the dispatcher commits.

Per input: what time has brought ─▶ window ─▶ decide ─▶ evolve, react, row, fact by fact ─▶ answer.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from core import commands as c
from core import record
from core.commands_cases import SupplementEvaluation
from core.device import DeviceState
from core.fact import Cause, Fact
from core.facts import EvaluationRejected, EvaluationSubmitted, Refused
from core.facts_cases import EvaluationSupplemented
from core.facts_tickets import TicketCalled
from core.hall import Hall
from core.refusals import NEVER_SETTLES, Refusal
from core.window import UNKNOWN, Answer, RefusedAnswer, TicketAnswer
from devices import topics, wire
from devices.privacy import MARGIN, SHORTEST, bare, masked, personal
from devices.profiles import ALLOWED
from workers import fold
from workers.audit import Audit
from workers.counts import HallCounts
from workers.ports import Letter, Note, Outgoing, Part, Row, new_row
from workers.proofs import Proofs
from workers.tallies import Tallies
from workers.views import Touched
from workers.vitals import Vitals

NOBODY: Final = ("", "", 0)
LETTER_MAX: Final = 1024
TOPIC_MAX: Final = 256
FAULT_GAP_MS: Final = 10_000
QUEUED_MS: Final = 5_000  # held back by less it lay in the inbox while time brought something: no clock ran back
LETTERS_A_MINUTE: Final = 10
SOURCES_MAX: Final = 10_000
MINUTE_MS: Final = 60_000
RESULTS_BYTES: Final = 180  # at most, of one result: so many fit 16 KiB
RESULTS_MAX: Final = wire.MAX_PAYLOAD // RESULTS_BYTES
GRAVE: Final = (Refusal.SEQ_REUSED, Refusal.PERSONAL_DATA)  # one of these and the device is suspect


def telling(boot: str) -> bool:
    """Whether the name of a life is an identity or phone number and nothing else; one at random is let alone."""
    return len(boot) >= SHORTEST and not boot.strip("0123456789-_Xx") and personal(boot)


class Desk:
    """The writer of one hall, and what gathered in it since the last commit."""

    __slots__ = (
        "_answers",
        "_faults",
        "_letters",
        "_notes",
        "_proofs",
        "_quota",
        "_rows",
        "_start",
        "audit",
        "counts",
        "hall",
        "pressed",
        "since_snapshot",
        "tallies",
        "touched",
        "vitals",
    )

    def __init__(self, hall: Hall, tallies: Tallies, proofs: Proofs | None = None) -> None:
        self.hall, self._proofs = hall, proofs
        self.tallies = tallies
        self.audit = Audit()
        self.counts = HallCounts(hall.state)
        self.vitals = Vitals()
        self.pressed: dict[int, int] = {}  # counter -> when its call was received, until its screen is drawn
        self.since_snapshot = 0
        self.touched: Touched | None = None  # where the rows of its tables are looked after
        self._rows: list[Row] = []
        self._start = hall.state.n
        self._letters: list[Letter] = []
        self._notes: list[Note] = []
        self._answers: dict[tuple[str, str], list[wire.Result]] = {}
        self._faults: dict[str, tuple[int, str]] = {}
        self._quota: dict[str, tuple[int, int]] = {}

    # What comes in.

    def advance(self, at_ms: int) -> int:
        """Everything that time has brought, and the stamp to use: never earlier than the hall's last fact."""
        state = self.hall.state
        while state.deadlines.first_ms() <= at_ms:
            due = self.hall.due(at_ms)
            if due is None:
                break
            for fact in due[1]:
                self._fold(fact, due[0], None)
        if at_ms < state.at_ms:
            self.tallies.clock_clamped += state.at_ms - at_ms > QUEUED_MS
            return state.at_ms
        return at_ms

    def ask(self, command: c.Command, at_ms: int, comment: str = "") -> list[Fact]:
        """A command of the shell: no cause, no answer kept. `comment`: of a rating, fit to be kept."""
        at_ms = self.advance(at_ms)
        command = self._referring(command, comment)
        facts = self.hall.decide(command, at_ms)
        self._note(facts, comment, at_ms)
        for fact in facts:
            self._fold(fact, at_ms, None)
        return facts

    def event(self, device: str, topic: str, payload: bytes, at_ms: int) -> None:
        """One message of a known device: every event in it, good or bad."""
        state = self.hall.state
        if at_ms < state.at_ms or state.deadlines.first_ms() <= at_ms:
            at_ms = self.advance(at_ms)
        events = wire.decode(payload, device)
        first = events[0]  # the clock of the device is looked at once a message; 0: it says none
        if type(first) is wire.Heard and first.sent_ms and self.vitals.stamped(device, at_ms - first.sent_ms):
            self.tallies.clock_skewed += 1
        for one in events:
            if one.cause is not None and telling(one.cause.boot):
                self._bad(wire.Bad(Refusal.PERSONAL_DATA, "personal_data"), device, topic, payload, at_ms)
            elif type(one) is wire.Heard:
                self._heard(one, topic, payload, at_ms)
            else:
                assert isinstance(one, wire.Bad)
                self._bad(one, device, topic, payload, at_ms)

    def _reject(self, counted: str, device: str, at_ms: int, reason: str) -> None:
        self.tallies.reject(counted)
        self.vitals.mistaken(device, at_ms, grave=reason in GRAVE)

    def submit(self, device: str, payload: bytes, at_ms: int) -> wire.Result | None:
        """As `event` for one event of a page: its answer is handed back, not published. None: no seq could be read."""
        kept, self._answers = self._answers, {}
        self.event(device, topics.build(self.hall.state.hall, device, topics.EVENT), payload, at_ms)
        answers, self._answers = self._answers, kept
        results = [result for (_, boot), found in answers.items() if boot for result in found]
        return results[0] if results else None

    def perform(self, cause: Cause, command: c.Command, at_ms: int, comment: str = "") -> wire.Result:
        """What a person without a device asks, through the same window as devices: sent again, the first answer."""
        at_ms = self.advance(at_ms)
        answer = self.hall.judge(cause)
        if answer is None:
            facts = self.hall.decide(self._referring(command, comment), at_ms)
            self._note(facts, comment, at_ms)
            self._record(facts, at_ms, cause)
            return wire.result_of(cause.seq, self.hall.settled(cause))
        settles = not isinstance(answer, RefusedAnswer) or answer.reason not in NEVER_SETTLES
        self.tallies.duplicates += settles
        return wire.result_of(cause.seq, answer, again=settles)

    def status(self, device: str, topic: str, payload: bytes, at_ms: int) -> None:
        """A device's own state; only a change leaves a fact."""
        said = wire.decode_state(payload)
        if isinstance(said, wire.State) and telling(said.boot):
            said = wire.Bad(Refusal.PERSONAL_DATA, "personal_data")
        if isinstance(said, wire.Bad):
            return self._bad(said, device, topic, payload, at_ms)
        if said.state in ("lost", "closed"):
            there = self.hall.state.devices[device].state in (DeviceState.ONLINE, DeviceState.DEGRADED)
            if not self.ask(c.LoseDevice(device, said.boot, said.link), at_ms) and there:
                self.tallies.unusual["stale_will"] += 1
        else:
            faults = said.faults or (("degraded",) if said.state == "degraded" else ())
            self.ask(c.HelloDevice(device, said.boot, said.link, said.fw, said.profile, faults), at_ms)
        return None

    def _heard(self, heard: wire.Heard, topic: str, payload: bytes, at_ms: int) -> None:
        cause, command, hall = heard.cause, heard.command, self.hall
        answer = hall.judge(cause)
        if answer is not None:
            return self._known(answer, cause, c.TYPE_OF[type(command)], topic, payload, at_ms)
        known = hall.state.devices[cause.device]
        if type(command) not in ALLOWED.get(known.kind, ()):
            self._reject("identity", cause.device, at_ms, Refusal.FORBIDDEN)
            facts = hall.refuse(command, Refusal.FORBIDDEN, cause.device)
        else:
            if heard.age_ms and not 0 <= heard.age_ms <= at_ms - hall.state.day_start_ms:
                self.tallies.clock_skewed += 1  # what it says is cut where it is used
            if heard.age_ms and type(command) is c.TakeTicket and command.number:
                command = msgspec.structs.replace(command, happened_ms=max(1, at_ms - heard.age_ms))
            if type(command) is c.TakeTicket and 0 < command.replaces < cause.seq:
                self._replace(cause, command.replaces, at_ms)
            if heard.token:
                command = self._proven(command, heard.token)
            if heard.comment:
                command = self._referring(command, heard.comment)
            facts = hall.decide(command, at_ms, cause.device)
            if heard.comment:
                self._note(facts, heard.comment, at_ms)
            if heard.dropped:
                self.tallies.reject("personal_data")
            self.tallies.commands[c.TYPE_OF[type(command)]] += 1
        self._record(facts, at_ms, cause)
        return self._answer(cause, wire.result_of(cause.seq, hall.settled(cause), dropped=heard.dropped))

    def _replace(self, cause: Cause, seq: int, at_ms: int) -> None:
        """A take whose answer did not come in time, so that nobody holds its slip: its ticket is cancelled, or it is
        settled before it comes. One that is at a counter already stays."""
        hall, before = self.hall, Cause(cause.device, cause.boot, seq, UNKNOWN)
        if hall.judge(before) is None:
            return self._record(hall.refuse_type("ticket.take", Refusal.REPLACED), at_ms, before)
        kept = hall.state.windows[cause.device].boots[cause.boot].answers.get(seq)
        if kept is not None and isinstance(kept[1], TicketAnswer):
            facts = hall.decide(c.CancelTicket(kept[1].ticket, "replaced"), at_ms, cause.device)
            if type(facts[0]) is not Refused:
                self._record(facts, at_ms, cause)
        return None

    def _bad(self, bad: wire.Bad, device: str, topic: str, payload: bytes, at_ms: int) -> None:
        """Counted, answered where there is somebody to answer, kept where a person could make sense of it."""
        self._reject(bad.counted, device, at_ms, bad.reason)
        self._keep(topic, bad.reason, payload, at_ms, device, secret=bad.counted == "personal_data")
        if bad.cause is None:
            return self._fault(device, bad.reason, at_ms)
        answer = self.hall.judge(bad.cause)
        if answer is not None:
            return self._known(answer, bad.cause, bad.type, topic, payload, at_ms)
        self._record(self.hall.refuse_type(bad.type, Refusal(bad.reason)), at_ms, bad.cause)
        return self._answer(bad.cause, wire.result_of(bad.cause.seq, self.hall.settled(bad.cause)))

    def _known(self, answer: Answer, cause: Cause, kind: str, topic: str, payload: bytes, at_ms: int) -> None:
        """A number that was seen: its first answer. One that cannot be told apart leaves a fact; one given up, all."""
        if not isinstance(answer, RefusedAnswer) or answer.reason not in NEVER_SETTLES:
            self.tallies.duplicates += 1
            self.counts.add("device_resent", self.hall.state.devices[cause.device].kind)
            return self._answer(cause, wire.result_of(cause.seq, answer, again=True))
        if answer.reason is Refusal.SEQ_OLD:
            self._keep(topic, answer.reason, payload, at_ms, cause.device, most=wire.MAX_PAYLOAD)
        else:
            self._reject("identity", cause.device, at_ms, answer.reason)
        self._record(self.hall.refuse_type(kind, answer.reason), at_ms, cause)
        return self._answer(cause, wire.result_of(cause.seq, answer))

    def astray(self, topic: str, payload: bytes, at_ms: int) -> None:
        """A topic that is none of ours: there is nobody to answer."""
        self.tallies.reject("topic")
        self._keep(topic, "topic", payload, at_ms, "")

    def stranger(self, device: str, reason: Refusal, topic: str, payload: bytes, at_ms: int) -> list[Outgoing]:
        """A device that is not ours: nothing is recorded but a letter; it is told to keep its events."""
        self.tallies.reject("identity")
        self._keep(topic, reason, payload, at_ms, device)
        if personal(topic):
            return []  # its name is said nowhere, not even to itself
        told: dict[str, list[wire.Result]] = {}
        for one in wire.decode(payload, device):
            if one.cause is not None and not telling(one.cause.boot):
                told.setdefault(one.cause.boot, []).append(wire.Result(one.cause.seq, refused=reason, keep=True))
        hall = topic.split("/")[2]
        return [_ack(hall, device, boot, at_ms, results) for boot, results in told.items()]

    def _proven(self, command: c.Command, token: str) -> c.Command:
        """A rating with its token looked at: one that is not ours, or of another serving, names no call."""
        assert isinstance(command, c.SubmitEvaluation)
        claim = self._proofs.read(token) if self._proofs is not None else None
        good = claim is not None and claim.sound and claim.hall == self.hall.state.hall
        if claim is None or not good or command.call not in (0, claim.call):
            return msgspec.structs.replace(command, call=0, proof="bad")
        return msgspec.structs.replace(command, call=claim.call, proof="token")

    # Comments: their text stands beside the chain, the fact of the same commit says where.

    def _referring(self, command: c.Command, comment: str) -> c.Command:
        """The command with the place of its comment: the position of the first fact that will follow."""
        if not comment:
            return command
        assert isinstance(command, c.SubmitEvaluation | SupplementEvaluation), "only who rates comments"
        state = self.hall.state
        return msgspec.structs.replace(command, comment_ref=f"{state.hall}-{state.n + 1}")

    def _note(self, facts: list[Fact], comment: str, at_ms: int) -> None:
        """Kept if the rating counts."""
        if comment:
            first = facts[0]
            if isinstance(first, EvaluationSubmitted | EvaluationSupplemented):
                self._notes.append(Note(first.comment_ref, at_ms, comment))

    # Facts and answers.

    def _record(self, facts: list[Fact], at_ms: int, cause: Cause) -> None:
        given_up = self.hall.state.given_up
        for fact in facts:
            self._fold(fact, at_ms, cause)
        skipped = self.hall.state.given_up - given_up
        if skipped and cause.device in self.hall.state.devices:
            self.counts.add("device_gaps", self.hall.state.devices[cause.device].kind, times=skipped)

    def _fold(self, fact: Fact, at_ms: int, cause: Cause | None) -> None:
        """Evolve, react, one row."""
        hall = self.hall
        self.counts.note(fact, at_ms)
        hall.evolve(fact, at_ms, cause)
        hall.react(fact, cause)
        if self.touched is not None:
            self.touched.note(fact, at_ms)
        kind, v, payload = record.encode(fact, cause)
        device, boot, seq = NOBODY if cause is None else cause[:3]
        self._rows.append(new_row((at_ms, kind, v, device, boot, seq, payload)))
        if type(fact) is Refused or type(fact) is EvaluationRejected:
            self.tallies.refused[fact.reason] += 1
        elif type(fact) is TicketCalled:
            self.audit.note(fact, self.hall.state)
            self.pressed[fact.counter] = at_ms

    def _answer(self, cause: Cause, result: wire.Result) -> None:
        key = (cause.device, cause.boot)
        found = self._answers.get(key)
        if found is None:
            self._answers[key] = [result]
        else:
            found.append(result)

    def _fault(self, device: str, reason: str, at_ms: int) -> None:
        """At most one fault in 10 s and device."""
        last_ms, _ = self._faults.get(device, (-FAULT_GAP_MS, ""))
        if at_ms - last_ms >= FAULT_GAP_MS:
            self._faults[device] = (at_ms, reason)
            self._answers.setdefault((device, ""), [])

    def _keep(
        self,
        topic: str,
        reason: str,
        payload: bytes,
        at_ms: int,
        device: str,
        *,
        secret: bool = False,
        most: int = LETTER_MAX,
    ) -> None:
        """A dead letter, at most 10 a minute and device, without comment and token. Where personal data may stand in
        it: its digest and length."""
        if len(self._quota) >= SOURCES_MAX:
            self._quota.clear()  # nobody fills the memory by ever new names; the journal keeps 10,000 letters in all
        since_ms, count = self._quota.get(device, (at_ms, 0))
        if at_ms - since_ms >= MINUTE_MS:
            since_ms, count = at_ms, 0
        self._quota[device] = (since_ms, count + 1)
        if count >= LETTERS_A_MINUTE:
            return
        rest = None if secret else bare(payload, most)
        kept = f"{len(payload)} bytes".encode() if rest is None else rest
        topic = topic[: TOPIC_MAX + MARGIN]
        topic = masked(topic) if personal(topic) else topic
        self._letters.append(Letter(at_ms, topic[:TOPIC_MAX], str(reason), sha256(payload).digest(), kept))

    # What goes out.

    def part(self) -> Part | None:
        """What this commit adds; None if nothing."""
        if not self._rows and not self._letters:
            return None
        part = Part(self.hall.state.hall, self._start, self._rows, self._letters, self._notes)
        self.since_snapshot += len(self._rows)
        self._rows, self._letters, self._notes, self._start = [], [], [], self.hall.state.n
        return part

    def follow(self, part: Part) -> None:
        """Facts that were appended between two batches; the next commit adds behind them."""
        for n, row in enumerate(part.facts, part.expected + 1):
            fold.apply(self.hall, n, row)
        self.since_snapshot += len(part.facts)
        self._start = self.hall.state.n

    def answers(self, now_ms: Callable[[], int]) -> list[Outgoing]:
        """The acknowledgements of this commit: grouped by device and boot, none above 16 KiB. Its facts are counted."""
        self.counts.settle()
        if not self._answers:
            return []
        answers, self._answers = self._answers, {}
        hall, at_ms, found = self.hall.state.hall, now_ms(), []
        for (device, boot), results in answers.items():
            if not boot:
                fault = self._faults[device][1]
                payload = wire.encode(wire.Ack("", at_ms, [], fault))
                found.append(Outgoing(topics.build(hall, device, topics.ACK), payload))
                continue
            pieces = [results[at : at + RESULTS_MAX] for at in range(0, len(results), RESULTS_MAX)]
            found += [_ack(hall, device, boot, at_ms, piece) for piece in pieces]
        return found

    def knows(self, device: str) -> bool:
        """Whether the device is registered here."""
        known = self.hall.state.devices.get(device)
        return known is not None and known.state is not DeviceState.RETIRED


def _ack(hall: str, device: str, boot: str, at_ms: int, results: list[wire.Result]) -> Outgoing:
    return Outgoing(topics.build(hall, device, topics.ACK), wire.encode(wire.Ack(boot, at_ms, results)))
