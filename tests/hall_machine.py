"""tests/hall_machine.py: a hall beside its plain model (tests/model.py) — every command, restarts, resends, time.

The invariants I1-I8 and I12 of the domain hold after every step; the journal replays to the same digest.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_tickets as t
from core.fact import Cause, Fact
from core.hall import ANSWERS, Hall
from core.policy import digest, document
from core.record import encode
from core.refusals import Refusal
from core.state import restored
from core.ticket import AT_COUNTER, OPEN
from core.window import DONE, Answer, RefusedAnswer
from devices.privacy import personal
from tests.hall_laws import journal_laws, says, texts_and_numbers, watches
from tests.halls import MIN, MORNING, VARIANTS, Driven
from tests.model import Plain

PEOPLE = ("", "a" * 32, "b" * 32)
SERVICES = ("si", "tax", "id", "none")
CLASSES = ("ordinary", "ordinary", "green", "care", "booked", "none")
COUNTERS = (1, 2, 3, 9)


class HallAgainstModel(RuleBasedStateMachine):
    """Two kiosks, three keypads, evaluators, supervisors and the clock."""

    @initialize(
        which=st.sampled_from([0, 1, 2, 3, 4, 5, 5, 5, 6, 7]), staffed=st.sampled_from([(1, 2, 3), (1,), (2, 3)])
    )
    def start(self, which: int, staffed: tuple[int, ...]) -> None:
        policy = VARIANTS[which]
        self.driven = Driven(policy)
        self.plain = Plain(policy, MORNING)
        self.answers: dict[tuple[str, int], tuple[Answer, c.Command]] = {}
        self.holes: list[tuple[str, int]] = []
        self.numbers: list[tuple[int, str]] = []
        self.T: dict[int, int] = {}
        self.loose = False
        self.rated = {"bad": 0, "cases": 0, "submits": 0, "answers": 0}
        for no in staffed:
            self.ask(c.SignOnStaff(f"staff-{no}", no))

    # What every step checks.

    def ask(self, command: c.Command, device: str = "", cause: Cause | None = None) -> list[Fact]:
        self.time()
        hall, at = self.driven.hall, self.driven.at_ms
        before = hall.state.digest()
        facts = hall.decide(command, at, device)
        assert facts == hall.decide(command, at, device) and hall.state.digest() == before, "decide only reads"
        expected = self.plain.ask(command, device, at)
        if isinstance(expected, str):
            no, *more = facts
            says(more, self.plain.more)
            assert isinstance(no, f.EvaluationRejected if isinstance(command, c.SubmitEvaluation) else f.Refused)
            assert no.reason == expected, (command, facts, expected)
        else:
            says(facts, expected)
        self.rated["submits"] += isinstance(command, c.SubmitEvaluation)
        self.fold(facts, at, cause)
        return facts

    def time(self) -> None:
        """What time brings, on both sides."""
        while (expected := self.plain.due(self.driven.at_ms)) is not None:
            due = self.driven.hall.due(self.driven.at_ms)
            assert due is not None, expected
            says(due[1], expected)
            self.fold(due[1], due[0])
        assert self.driven.hall.due(self.driven.at_ms) is None

    def fold(self, facts: list[Fact], at_ms: int, cause: Cause | None = None) -> None:
        self.driven.fold(facts, at_ms, cause)
        for fact in facts:
            payload = msgspec.msgpack.decode(encode(fact)[2], strict=False)
            for leaf in texts_and_numbers(payload):
                assert not isinstance(leaf, float), fact
                assert not (isinstance(leaf, str) and personal(leaf)), fact
            if isinstance(fact, t.TicketTaken):
                assert (fact.day, fact.number) not in self.numbers, "I3"
                self.numbers.append((fact.day, fact.number))
            self.rated["bad"] += isinstance(fact, f.EvaluationSubmitted) and fact.level <= 2
            self.rated["cases"] += isinstance(fact, f.CaseOpened)
            self.rated["answers"] += isinstance(fact, f.EvaluationSubmitted | f.EvaluationRejected)

    def send(self, data: st.DataObject, device: str, command: c.Command) -> None:
        """From a device, with a number of its own: the next, or one that was left out before."""
        holes = [hole for hole in self.holes if hole[0] == device]
        if holes and data.draw(st.booleans()):
            seq = holes[0][1]
            self.holes.remove(holes[0])
        else:
            seq = self.driven.seqs.get(device, 0) + data.draw(st.sampled_from([1, 1, 1, 2]))
            self.holes += [(device, left) for left in range(self.driven.seqs.get(device, 0) + 1, seq)]
            self.driven.seqs[device] = seq
        cause = Cause(device, "boot", seq, 7)
        assert self.driven.hall.judge(cause) is None
        facts = self.ask(command, device, cause)
        answer = self.driven.hall.judge(cause)
        telling = [ANSWERS[type(fact)](fact) for fact in facts if type(fact) in ANSWERS]
        assert answer == (telling[-1] if telling else DONE)
        assert answer is not None
        self.answers[device, seq] = answer, command

    # Who asks what. Most of it succeeds; `anything` asks wildly.

    @rule(data=st.data(), device=st.sampled_from(["kiosk-1", "kiosk-2"]), person=st.sampled_from(PEOPLE + ("",) * 3))
    def people_come(self, data: st.DataObject, device: str, person: str) -> None:
        """In the morning, if the hall has closed."""
        self.driven.at_ms += 2000
        while not any(a <= self.driven.at_ms < b for a, b in self.plain.periods):
            self.driven.at_ms += 30 * MIN
            self.time()
        if not self.plain.open:
            self.ask(c.OpenDay(0))
        plan = data.draw(st.sampled_from([(), (), ("tax",), ("tax", "si")]))
        cls = data.draw(st.sampled_from(["ordinary", "ordinary", "green", "care"]))
        self.send(data, device, c.TakeTicket(data.draw(st.sampled_from(["si", "si", "tax"])), cls, 0, plan, person))

    @rule(data=st.data(), no=st.sampled_from([1, 2]), ms=st.sampled_from([0, 2000, 25_000]))
    def work(self, data: st.DataObject, no: int, ms: int) -> None:
        """What a clerk would do now."""
        self.driven.at_ms += ms
        self.time()
        desk = self.plain.desks[no]
        slip = self.plain.slips.get(desk.ticket)
        other = "tax" if slip and slip.service == "si" else "si"
        away, hop = c.PauseCounter(after_current=True), c.TransferTicket(other)
        if not desk.staff:
            choice: list[c.Command] = [c.SignOnStaff(f"staff-{no}")]
        elif desk.paused:
            choice = [c.ResumeCounter(), c.ResumeCounter(), c.SignOffStaff()]
        elif slip is None:
            choice = [*[c.CallNext()] * 6, c.ResumeTicket(), away]
        elif slip.state == "called":
            gone = [c.MissTicket(), c.MissTicket(), c.ReleaseTicket(), c.AbandonTicket(), c.HoldTicket(), hop]
            choice = [*[c.StartServing(), c.FinishServing()] * 3, *gone, c.RecallTicket(), away]
        else:
            choice = [*[c.FinishServing(), c.CallNext()] * 3, c.HoldTicket(), hop, away]
        self.send(data, f"caller-{no}", data.draw(st.sampled_from(choice)))

    work_on = work

    @rule(no=st.sampled_from([1, 2]), level=st.sampled_from([1, 1, 2, 5]), person=st.sampled_from(PEOPLE))
    def somebody_is_served_and_rates_twice(self, no: int, level: int, person: str) -> None:
        self.ask(c.TakeTicket("si" if no == 1 else "tax", person_ref=person))
        for command in (c.CallNext(no), c.FinishServing(no)):
            self.driven.at_ms += 6000
            self.ask(command)
        call = self.plain.desks[no].last_call if no in self.plain.desks else 0
        for channel in ("pad", "qr"):
            self.ask(c.SubmitEvaluation(call, level, channel=channel), f"ev-{no}")

    served_again = somebody_is_served_and_rates_twice

    @precondition(lambda self: any(s.state in ("missed", "held") for s in self.plain.slips.values()))
    @rule(data=st.data())
    def somebody_returns(self, data: st.DataObject) -> None:
        slip = data.draw(st.sampled_from([s for s in self.plain.slips.values() if s.state in ("missed", "held")]))
        resume, requeue = c.ResumeTicket(slip.counter, slip.ticket), c.RequeueTicket(slip.ticket)
        self.ask(resume if slip.state == "held" else requeue)

    @precondition(lambda self: any(r.state == "opened" for r in self.plain.ratings.values()))
    @rule(data=st.data(), level=st.integers(1, 5), press=st.booleans())
    def somebody_rates(self, data: st.DataObject, level: int, press: bool) -> None:
        calls = [call for call, one in self.plain.ratings.items() if one.state == "opened"]
        pressed = c.SubmitEvaluation(key=data.draw(st.sampled_from([0, 1, 3])))
        said = c.SubmitEvaluation(data.draw(st.sampled_from(calls)), level)
        self.send(data, "ev-2" if press else "ev-1", pressed if press else said)

    @precondition(lambda self: self.plain.files)
    @rule(data=st.data())
    def somebody_follows_up(self, data: st.DataObject) -> None:
        """Mostly what comes next for a case."""
        draw = data.draw
        one = self.plain.files[draw(st.sampled_from(sorted(self.plain.files)))]
        handler = draw(st.sampled_from(["boss-1", "boss-2", one.staff]))
        verdict = draw(st.sampled_from(["substantiated", "no_basis", "accepted"]))
        satisfied = draw(st.sampled_from([0, 3, 3]))
        due, hours = one.dues.get(1, 0), draw(st.sampled_from([0, 1, 9000]))
        steps: dict[str, c.Command] = {
            "opened": cc.AssignCase(one.case, handler),
            "assigned": cc.VerifyCase(one.case, verdict, draw(st.booleans())),
            "in_review": cc.DecideAppeal(one.call, draw(st.sampled_from(["upheld", "mistaken"])), handler),
            "rectifying": draw(
                st.sampled_from([cc.RectifyCase(one.case), cc.ExtendCase(one.case, "rectify", due + hours * MIN)])
            ),
            "rectified": cc.ReplyCase(one.case),
            "explaining": cc.ReplyCase(one.case),
            "replied": draw(
                st.sampled_from([cc.RevisitCase(one.case, satisfied, satisfied > 0), cc.CloseCase(one.case)])
            ),
            "revisited": cc.CloseCase(one.case),
            "closed": cc.ReopenCase(one.case, handler),
        }
        wild = draw(st.integers(0, 9)) == 0
        self.ask(draw(st.sampled_from(list(steps.values()))) if wild else steps[one.state])

    @precondition(lambda self: any(r.level for r in self.plain.ratings.values()))
    @rule(data=st.data())
    def somebody_objects(self, data: st.DataObject) -> None:
        draw = data.draw
        call = draw(st.sampled_from([*(r.call for r in self.plain.ratings.values() if r.level), 1]))
        who = draw(st.sampled_from(["staff-1", "boss-1", "boss-2"]))
        decisions = ["upheld", "mistaken", "malicious"]
        commands = [
            cc.AppealEvaluation(call, who),
            cc.DecideAppeal(call, draw(st.sampled_from(decisions)), who),
            cc.SupplementEvaluation(call, ("slow",)),
        ]
        self.ask(draw(st.sampled_from(commands)))

    @rule(data=st.data(), step=st.sampled_from([400, 2000, 20_000, MIN, 5 * MIN, 11 * MIN]))
    def time_passes(self, data: st.DataObject, step: int) -> None:
        """A while, or until just about the time when something is due."""
        due = self.plain.deadlines()[0][0]
        if due - self.driven.at_ms < 40 * MIN or data.draw(st.integers(0, 9)) == 0:
            step = max(0, due - self.driven.at_ms + data.draw(st.sampled_from([-1, 0, 1])))
        self.driven.at_ms += step
        self.time()

    @rule(data=st.data(), which=st.integers(0, 8))
    def anything(self, data: st.DataObject, which: int) -> None:
        draw, no = data.draw, data.draw(st.sampled_from(COUNTERS))
        some = [self._take, self._keypad, self._ticket, self._report, self._rating, self._booking, self._staff]
        if which < len(some):
            some[which](data, no)
        elif which == 7:
            self.ask(draw(st.sampled_from([c.QuarantineDevice, c.ReadmitDevice]))("kiosk-2"))
        elif self.plain.policy.version < 6:
            self._policy(data, no)

    def _take(self, data: st.DataObject, no: int) -> None:
        draw = data.draw
        device = draw(st.sampled_from(["kiosk-1", "kiosk-2", ""]))
        plan = draw(st.sampled_from([(), (), (), ("tax",), ("tax", "id"), ("none",)]))
        visit = draw(st.sampled_from([0, 0, 0, *self.plain.visits, 999]))
        number = draw(st.sampled_from(["", "", "", "X001", "X002", "XY01", "A001"]))
        happened = draw(st.sampled_from([0, self.driven.at_ms - 5 * MIN, self.driven.at_ms + MIN]))
        service, cls = draw(st.sampled_from(SERVICES)), draw(st.sampled_from(CLASSES))
        person = draw(st.sampled_from(PEOPLE))
        command = c.TakeTicket(service, cls, visit, plan, person, number=number, happened_ms=happened)
        self.send(data, device, command) if device else self.ask(command)

    def _keypad(self, data: st.DataObject, no: int) -> None:
        own = data.draw(st.sampled_from([0, no, 2]))
        one_of = [c.CallNext, c.FinishServing, c.StartServing, c.MissTicket, c.RecallTicket, c.ReleaseTicket]
        kind: Any = data.draw(st.sampled_from([*one_of, c.AbandonTicket, c.HoldTicket, c.ResumeTicket]))
        self.send(data, f"caller-{no}", kind(counter=own)) if no != 9 else self.ask(kind(counter=no))

    def _ticket(self, data: st.DataObject, no: int) -> None:
        draw = data.draw
        ticket = draw(st.sampled_from([*self.plain.slips, 999]))
        current = draw(st.sampled_from([ticket, 0]))
        commands = [
            c.CancelTicket(ticket),
            c.ReclassTicket(ticket, draw(st.sampled_from(CLASSES))),
            c.RequeueTicket(ticket),
            c.ReprintTicket(ticket),
            c.ReportPrint(ticket, draw(st.booleans()), "paper"),
            c.CallTicket(ticket, no, "picked"),
            c.AbandonTicket(no, current),
            c.ResumeTicket(no, current),
            c.TransferTicket(draw(st.sampled_from(SERVICES)), current, no, draw(st.sampled_from([0, 1, 9]))),
        ]
        self.ask(draw(st.sampled_from(commands)))

    def _report(self, data: st.DataObject, no: int) -> None:
        outcome = data.draw(st.sampled_from(["done", "need_material", "declined", "consulted"]))
        call = data.draw(st.integers(0, self.plain.next["call"] + 1))
        self.ask(data.draw(st.sampled_from([c.FinishServing(no, outcome), c.ReportCall(call), c.ReportShown(call)])))

    def _rating(self, data: st.DataObject, no: int) -> None:
        draw = data.draw
        call = draw(st.sampled_from([0, *self.plain.ratings, self.plain.next["call"], 1]))
        level, key = draw(st.sampled_from([5, 2, 1, 0, 9])), draw(st.sampled_from([-1, -1, -1, 0, 1, 3, 7]))
        channel, proof = draw(st.sampled_from(["", "pad", "sms"])), draw(st.sampled_from(PROOFS))
        command = c.SubmitEvaluation(call, level, key, channel=channel, proof=proof)
        device = draw(st.sampled_from(["ev-1", "ev-2", ""]))
        self.send(data, device, command) if device else self.ask(command)

    def _booking(self, data: st.DataObject, no: int) -> None:
        draw = data.draw
        booking = draw(st.sampled_from([*self.plain.bookings, 99]))
        ahead = draw(st.sampled_from([-MIN, 10 * MIN, 10 * MIN, 30 * MIN, 90 * MIN, 1440 * MIN, 9999 * MIN]))
        slot = (self.driven.at_ms // MIN) * MIN + ahead
        make = c.MakeBooking(draw(st.sampled_from(SERVICES)), slot, draw(st.sampled_from(PEOPLE)))
        self.ask(draw(st.sampled_from([make, make, c.CheckInBooking(booking), c.CancelBooking(booking)])))

    def _staff(self, data: st.DataObject, no: int) -> None:
        draw = data.draw
        primary = draw(st.sampled_from([("si",), ("tax", "si"), ("id", "tax"), (), ("none",)]))
        overflow = draw(st.sampled_from([(), ("id",), ("si",)]))
        commands = [
            c.SignOnStaff(draw(st.sampled_from(["staff-1", "staff-8", f"staff-{no}"])), no),
            c.SignOffStaff(no),
            c.PauseCounter(no, after_current=draw(st.booleans())),
            c.ResumeCounter(no),
            c.SetSkills(primary, overflow, no, draw(st.sampled_from([0, 5]))),
        ]
        self.ask(draw(st.sampled_from(commands)))

    def _policy(self, data: st.DataObject, no: int) -> None:
        """Another policy, now or later; sometimes the day is closed or opened by hand instead."""
        draw = data.draw
        version = self.plain.policy.version + draw(st.sampled_from([0, 1, 1, 3]))
        policy = msgspec.structs.replace(VARIANTS[draw(st.integers(0, 8))], version=version)
        effective = self.driven.at_ms + draw(st.sampled_from([0, 0, 30 * MIN]))
        change = c.ChangePolicy(version, digest(policy), document(policy), effective)
        self.ask(draw(st.sampled_from([change, change, change, c.OpenDay(0), c.CloseDay()])))

    # The envelope and restarts.

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """A resent command gets the first answer and adds no fact; another body under its number is refused."""
        device, seq = data.draw(st.sampled_from(sorted(self.answers)))
        first, _ = self.answers[device, seq]
        assert self.driven.hall.judge(Cause(device, "boot", seq, 7)) == first
        assert self.driven.hall.judge(Cause(device, "boot", seq, 8)) == RefusedAnswer(Refusal.SEQ_REUSED)

    @rule()
    def restart(self) -> None:
        """The hall goes on from its snapshot; nothing that is decided afterwards differs."""
        state = self.driven.state
        again = restored(state.snapshot())
        assert again.digest() == state.digest()
        self.driven.hall = Hall(again)

    @invariant()
    def tables_agree(self) -> None:
        state, plain = self.driven.state, self.plain
        mine = {
            no: (s.state, s.service, s.cls, s.T, plain.eligible(s), s.visit, s.hops, s.misses, s.handled)
            for no, s in plain.slips.items()
        }
        assert mine == {
            x.ticket: (x.state.name.lower(), state.services[x.service], state.rules.class_codes[x.cls], x.t_eff_ms,
                       x.eligible, x.visit, x.hops, x.misses, x.handling_ms)
            for x in state.tickets.values()
        }  # fmt: skip
        assert {d.no: (d.staff, d.ticket, d.paused, d.pausing, d.held) for d in plain.desks.values()} == {
            x.counter: (x.staff, x.ticket, x.state.name == "PAUSED", x.pause_pending, state.held.get(x.counter, []))
            for x in state.counters.values()
        }
        assert {r.call: (r.state, r.level, r.staff) for r in plain.ratings.values()} == {
            x.call: (x.state.name.lower(), x.level, x.staff) for x in state.evaluations.values()
        }
        assert {
            one.case: (one.state, one.handler, one.round, one.late, one.extended) for one in plain.files.values()
        } == {x.case: (x.state.name.lower(), x.handler, x.round, x.late, x.extensions) for x in state.cases.values()}
        assert {v: (one["person"], one["plan"]) for v, one in plain.visits.items()} == {
            x.visit: (x.person_ref, x.plan) for x in state.visits.values()
        }
        assert state.next_due_ms() == plain.deadlines()[0][0]
        watches(state, plain.watched())

    @invariant()
    def laws_hold(self) -> None:
        state = self.driven.state
        at = [x for x in state.tickets.values() if x.state in AT_COUNTER]
        assert sorted(x.counter for x in at) == sorted(x.counter for x in state.counters.values() if x.ticket), "I1"
        assert all(state.counters[x.counter].ticket == x.ticket for x in at), "I1"
        busy = [x.visit for x in at if x.visit]
        assert len(busy) == len(set(busy)), "I1"
        tally = state.tally
        ended = tally.served + tally.cancelled + tally.abandoned + tally.expired
        assert tally.taken == sum(state.counted().values()) + ended, "I2"
        assert state.day_is_open or not state.tickets, "I2"
        self.loose |= not self.plain.policy.tickets.one_open_per_person
        if not self.loose:
            people = [x for x in state.tickets.values() if x.person_ref and x.state in OPEN and x.number[0] != "X"]
            mine = [(x.person_ref, x.service) for x in people]
            assert len(mine) == len(set(mine)), "I4"
        assert self.rated["bad"] == self.rated["cases"], "I5"
        assert self.rated["submits"] == self.rated["answers"], "I7"
        for x in state.tickets.values():
            assert x.t_eff_ms >= self.T.get(x.ticket, x.t_eff_ms), "I8"
            self.T[x.ticket] = x.t_eff_ms

    def teardown(self) -> None:
        if not hasattr(self, "driven"):
            return
        assert self.driven.replayed().state.digest() == self.driven.state.digest(), "replay"
        journal_laws(self.driven.journal)


PROOFS = ("device", "device", "token", "bad")
