"""Exactly one case for each rating of level 2 or below: any channel, device, order, resend, restart, appeal, policy."""

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
from core import commands_cases as cc
from core import facts as f
from core.fact import Cause
from core.hall import Hall
from core.record import decode
from core.state import restored
from tests.halls import MIN, POLICY, Driven, changed, opened

CHANNELS = ["", "device", "pad", "kiosk", "qr", "sms", "hotline", "paper", "web"]
DAY = 1440 * MIN


class OneCase(RuleBasedStateMachine):
    """Servings at two counters, rated and rated again by everybody."""

    @initialize(preset=st.sampled_from(["national", "liaoning", "dezhou", "sichuan", "city7"]), default=st.booleans())
    def start(self, preset: str, default: bool) -> None:
        unrated = "default3" if default else "expire"
        watch = ("R1", "R2", "R3", "R6", "R10", "R12", "CUSUM")
        self.hall: Driven = opened(
            cases={"preset": preset},
            evaluation={"unrated": unrated, "watch": watch},
            alerts={"waiting": 2, "eta_min": 1},
            conduct={"uncovered_min": 15},
            services=tuple(type(one)(one.code, one.prefix, department=one.department) for one in POLICY.services),
        )
        self.given: dict[int, int] = {}
        self.calls: list[int] = []
        self.submitted = 0
        self.answered = 0

    def note(self) -> None:
        """What was said by the facts of the last command."""
        for fact in self.hall.facts:
            self.answered += isinstance(fact, f.EvaluationSubmitted | f.EvaluationRejected)
            if isinstance(fact, f.EvaluationSubmitted):
                assert fact.call not in self.given, "one rating a serving"
                self.given[fact.call] = fact.level

    @rule(counter=st.sampled_from([1, 2]), person=st.sampled_from(["", "a" * 32]), seconds=st.sampled_from([5, 90]))
    def serve(self, counter: int, person: str, seconds: int) -> None:
        if not self.hall.state.day_is_open or not self.hall.state.periods:
            return
        start, end = self.hall.state.periods[0]
        if not start <= self.hall.at_ms < end - 60 * MIN:
            return
        service = "si" if counter == 1 else "tax"
        self.hall.at_ms += 3000
        self.hall.ask(c.TakeTicket(service, person_ref=person))
        if isinstance(self.hall.ask(c.CallNext(counter))[-1], f.Refused):
            return
        self.hall.at_ms += seconds * 1000
        self.hall.ask(c.FinishServing(counter))
        self.calls.append(self.hall.only(f.EvaluationOpened).call)

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        level=st.sampled_from([1, 2, 2, 3, 5]),
        channel=st.sampled_from(CHANNELS),
        device=st.sampled_from(["ev-1", "ev-2", ""]),
        proof=st.sampled_from(["device", "token", "operator"] * 3 + ["bad"]),
    )
    def rate(self, data: st.DataObject, level: int, channel: str, device: str, proof: str) -> None:
        fresh = [call for call in self.calls[-6:] if call not in self.given]
        call = data.draw(st.sampled_from([*fresh * 3, *self.calls[-3:], 0, 999]))
        key = data.draw(st.sampled_from([-1] * 6 + [0, 1, 3]))
        option_set = data.draw(st.sampled_from([""] * 5 + ["gov@3", "gov@4", "gov@9"]))
        command = c.SubmitEvaluation(call, level, key, channel=channel, proof=proof, option_set=option_set)
        self.submitted += 1
        if device:
            seq = self.hall.seqs.get(device, 0) + 1
            self.hall.send(device, command)
            self.note()
            before = self.hall.state.n
            assert self.hall.hall.judge(Cause(device, "boot", seq, 7)) is not None, "a resend adds nothing"
            assert self.hall.state.n == before
        else:
            self.hall.ask(command)
            self.note()

    rate_more = rate_again = rate
    serve_more = serve

    @precondition(lambda self: self.hall.state.cases)
    @rule(data=st.data())
    def follow_up(self, data: st.DataObject) -> None:
        case = data.draw(st.sampled_from(sorted(self.hall.state.cases)))
        call = self.hall.state.cases[case].call
        steps = [
            cc.AssignCase(case, "boss"),
            cc.VerifyCase(case, "substantiated"),
            cc.ReplyCase(case),
            cc.RevisitCase(case, 3),
            cc.CloseCase(case),
            cc.ReopenCase(case, "boss-2"),
            cc.AppealEvaluation(call, "staff-1"),
            cc.DecideAppeal(call, "malicious", "boss"),
            cc.SupplementEvaluation(call, ("slow",)),
        ]
        self.hall.ask(data.draw(st.sampled_from(steps)))

    follow_on = follow_up

    @rule(service=st.sampled_from(["si", "tax", "id"]))
    def somebody_waits(self, service: str) -> None:
        self.hall.at_ms += 3000
        self.hall.ask(c.TakeTicket(service))

    @rule(ms=st.sampled_from([MIN, 3 * 60 * MIN, DAY, 8 * DAY]))
    def wait(self, ms: int) -> None:
        self.hall.wait(ms)

    @rule(options=st.sampled_from(["gov@3", "gov@4"]))
    def another_policy(self, options: str) -> None:
        self.hall.change(changed(self.hall.state.policy or POLICY, evaluation={"options": options}))

    @rule(counter=st.sampled_from([1, 2]))
    def another_clerk(self, counter: int) -> None:
        self.hall.ask(c.SignOffStaff(counter))
        self.hall.ask(c.SignOnStaff(f"staff-{self.hall.state.n}", counter))

    @rule()
    def restart(self) -> None:
        """What time will bring is the same to the restored hall."""
        again = Hall(restored(self.hall.state.snapshot()))
        later = self.hall.at_ms + 9 * DAY
        assert again.due(later) == self.hall.hall.due(later)
        self.hall.hall = again

    @invariant()
    def one_case_for_each_bad_rating(self) -> None:
        if not hasattr(self, "hall"):
            return
        facts = [decode(line.kind, line.v, line.payload)[0] for line in self.hall.journal]
        opened_for = [fact.call for fact in facts if isinstance(fact, f.CaseOpened)]
        assert [fact.case for fact in facts if isinstance(fact, f.CaseOpened)] == list(range(1, len(opened_for) + 1))
        assert sorted(opened_for) == sorted(call for call, level in self.given.items() if level <= 2)
        assert self.submitted == self.answered, "each submission is counted or rejected, once"

    def teardown(self) -> None:
        if hasattr(self, "hall"):
            assert self.hall.replayed().state.digest() == self.hall.state.digest()


TestOneCase = OneCase.TestCase
TestOneCase.settings = settings(
    max_examples=60, stateful_step_count=50, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
def test_more_lives_of_one_case() -> None:
    run_state_machine_as_test(OneCase, settings=settings(TestOneCase.settings, max_examples=200))
