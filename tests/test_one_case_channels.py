"""Exactly one case for each rating of level 2 or below, through the doors that ratings really take: evaluators with and
without a token, key boxes, pads, terminals, the page of a phone, SMS references, telephone and paper typed in later."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core import commands as c
from core import facts as f
from core import facts_cases as fc
from core.commands_cases import SupplementEvaluation
from core.evaluation import EvaluationState
from core.fact import Cause, Fact
from core.hall import Hall
from core.policy import DevicePart
from core.record import decode
from core.state import restored
from devices import wire
from tests.desks import ACK, PROOFS
from tests.halls import HALL, MIN, POLICY, opened
from workers.desk import Desk
from workers.ports import Note
from workers.proofs import Proofs
from workers.tallies import Tallies
from workers.web.cases_api import Entered, command_of

DAY = 1440 * MIN
FORGED = Proofs(b"x" * 32)
LEVELS = [1, 2, 2, 3, 5]
WORDS = st.sampled_from(["", "", "等太久", "电话 13812345678"])
DEVICES = (*POLICY.devices, DevicePart("self-1", "self_service"))
SERVICES = tuple(type(one)(one.code, one.prefix, department=one.department) for one in POLICY.services)
CHANNEL_OF = {"ev-1": "device", "ev-2": "device", "self-1": "kiosk"}


class EveryDoor(RuleBasedStateMachine):
    """One desk, its commits, and everybody who may rate. Between any two steps the process may end."""

    @initialize(default=st.booleans())
    def start(self, default: bool) -> None:
        self.driven = opened(
            devices=DEVICES, services=SERVICES, evaluation={"unrated": "default3" if default else "expire"}
        )
        self.at_ms = self.driven.at_ms
        self.desk = Desk(self.driven.hall, Tallies(), PROOFS)
        self.facts: list[Fact] = []
        self.notes: list[Note] = []
        self.seqs: dict[str, int] = {}
        self.sent: list[tuple[str, bytes, Any]] = []
        self.submitted = 0
        self.calls: list[int] = []
        self.serve(1, 90)

    # What is around a desk.

    def commit(self) -> None:
        part = self.desk.part()
        if part is not None:
            self.facts += [decode(row.kind, row.v, row.payload)[0] for row in part.facts]
            self.notes += part.notes

    def hear(self, device: str, payload: bytes) -> wire.Result:
        self.desk.event(device, f"jh/v1/{HALL}/{device}/event", payload, self.at_ms)
        self.commit()
        results = [one for out in self.desk.answers(lambda: self.at_ms) for one in ACK.decode(out.payload).results]
        (result,) = results
        return result

    def press(self, device: str, body: dict[str, Any]) -> wire.Result:
        seq = self.seqs[device] = self.seqs.get(device, 0) + 1
        payload = json.dumps({"boot": "boot", "seq": seq, "body": body}).encode()
        result = self.hear(device, payload)
        self.sent.append((device, payload, result))
        return result

    def ask(self, command: c.Command, comment: str = "") -> None:
        self.desk.ask(command, self.at_ms, comment)
        self.commit()

    def some_call(self, data: st.DataObject) -> int:
        """Mostly one that may still be rated."""
        fresh = [one.call for one in self.desk.hall.state.evaluations.values() if one.state is EvaluationState.OPENED]
        return data.draw(st.sampled_from([*fresh[-3:] * 4, *self.calls[-3:], 999]))

    def token_of(self, data: st.DataObject, call: int) -> str:
        proofs = data.draw(st.sampled_from([*[PROOFS] * 7, FORGED]))
        known = self.desk.hall.state.evaluations.get(call)
        hall = data.draw(st.sampled_from([HALL] * 7 + ["h2"]))
        return proofs.mint(hall, call, known.due_ms if known else self.at_ms)

    # Who rates.

    @rule(counter=st.sampled_from([1, 2]), seconds=st.sampled_from([5, 90]))
    def serve(self, counter: int, seconds: int) -> None:
        """In the morning, if the hall has closed."""
        while not any(a <= self.at_ms < b - 60 * MIN for a, b in self.desk.hall.state.periods):
            self.at_ms += 30 * MIN
            self.desk.advance(self.at_ms)
        self.at_ms += 3000
        self.ask(c.TakeTicket("si" if counter == 1 else "tax"))
        self.ask(c.CallNext(counter))
        self.at_ms += seconds * 1000
        self.ask(c.FinishServing(counter))
        self.calls = [fact.call for fact in self.facts if isinstance(fact, f.EvaluationOpened)]

    serve_more = serve

    @rule(
        data=st.data(), device=st.sampled_from(["ev-1", "ev-2", "self-1"]), level=st.sampled_from(LEVELS), words=WORDS
    )
    def at_a_device(self, data: st.DataObject, device: str, level: int, words: str) -> None:
        """By call, by token, or by a key alone."""
        self.submitted += 1
        body: dict[str, Any] = {"type": "evaluation.submit", "comment": words, "real_name": data.draw(st.booleans())}
        how = data.draw(st.sampled_from(["call", "token", "key"]))
        call = self.some_call(data)
        body |= {"key": data.draw(st.sampled_from([0, 1, 3, 7]))} if how == "key" else {"level": level}
        body |= {"call": call} if how == "call" else {"token": self.token_of(data, call)} if how == "token" else {}
        body |= data.draw(st.sampled_from([{}, {}, {"channel": "pad"}, {"channel": "paper"}]))
        self.press(device, body)

    at_another_device = at_a_device

    @rule(data=st.data(), level=st.sampled_from(LEVELS), words=st.sampled_from(["", "等太久"]), more=st.booleans())
    def on_a_phone(self, data: st.DataObject, level: int, words: str, more: bool) -> None:
        """As the page does, which has dropped words with a number in them."""
        claim = PROOFS.read(self.token_of(data, self.some_call(data)))
        assert claim is not None
        if claim.hall != HALL:
            return  # that hall's desk would be asked
        call, proof = (claim.call, "token") if claim.sound else (0, "bad")
        if more:
            return self.ask(SupplementEvaluation(call, ("speed",), "gov@3", proof=proof), words)
        self.submitted += 1
        return self.ask(c.SubmitEvaluation(call, level, channel="qr", proof=proof), words)

    @rule(data=st.data(), channel=st.sampled_from(["sms", "hotline", "paper"]), level=st.sampled_from(LEVELS))
    def typed_in_later(self, data: st.DataObject, channel: Any, level: int) -> None:
        """By an operator, under a number that may come twice."""
        call = self.some_call(data)
        named = data.draw(st.booleans())
        entered = Entered(level, channel, call if named else 0, "" if named else self.token_of(data, call))
        command, comment = command_of(PROOFS, HALL, entered)
        seq = self.seqs["web-x"] = self.seqs.get("web-x", 0) + 1
        self.submitted += 1
        for again in (False, True):
            result = self.desk.perform(Cause("web-x", "boot", seq, 7), command, self.at_ms, comment or "")
            assert result.again is again
            self.commit()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def sent_again(self, data: st.DataObject) -> None:
        device, payload, first = data.draw(st.sampled_from(self.sent[-20:]))
        n, again = len(self.facts), self.hear(device, payload)
        assert again.again and (again.refused, again.ok) == (first.refused, first.ok)
        left = [fact for fact in self.facts[n:] if isinstance(fact, f.EvaluationSubmitted | f.EvaluationRejected)]
        assert left == [], "a resend leaves nothing"

    @rule(ms=st.sampled_from([2000, 2000, MIN, 3 * 60 * MIN, DAY, 8 * DAY]))
    def time_passes(self, ms: int) -> None:
        self.at_ms += ms
        self.desk.advance(self.at_ms)
        self.commit()

    @rule()
    def the_process_ends(self) -> None:
        """And starts again from what was committed."""
        self.desk = Desk(Hall(restored(self.desk.hall.state.snapshot())), Tallies(), PROOFS)

    # What must hold.

    @invariant()
    def one_case_for_each_bad_rating(self) -> None:
        if not hasattr(self, "facts"):
            return
        rated = [fact for fact in self.facts if isinstance(fact, f.EvaluationSubmitted)]
        refused = [fact for fact in self.facts if isinstance(fact, f.EvaluationRejected)]
        cases = [fact for fact in self.facts if isinstance(fact, f.CaseOpened)]
        assert len({fact.call for fact in rated}) == len(rated), "one rating a serving"
        assert [one.call for one in cases] == [one.call for one in rated if one.level <= 2]
        assert [one.case for one in cases] == list(range(1, len(cases) + 1))
        assert self.submitted == len(rated) + len(refused), "each is counted or rejected, once"
        finished = {fact.call: fact for fact in self.facts if isinstance(fact, f.EvaluationOpened)}
        assert all(one.staff == finished[one.call].staff for one in rated)
        assert all(one.channel in (CHANNEL_OF[one.device], "pad") for one in rated if one.device in CHANNEL_OF)

    @invariant()
    def words_stand_where_facts_say(self) -> None:
        if not hasattr(self, "facts"):
            return
        kinds = (f.EvaluationSubmitted, fc.EvaluationSupplemented)
        refs = [fact.comment_ref for fact in self.facts if isinstance(fact, kinds) and fact.comment_ref]
        assert [note.ref for note in self.notes] == refs and len(set(refs)) == len(refs)
        assert {note.text for note in self.notes} <= {"等太久"}


TestEveryDoor = EveryDoor.TestCase
TestEveryDoor.settings = settings(
    max_examples=40, stateful_step_count=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
def test_more_ways_through_the_doors() -> None:
    run_state_machine_as_test(EveryDoor, settings=settings(TestEveryDoor.settings, max_examples=100))
