"""workers/counts.py: facts of a hall count once they are durable, under the labels that they had."""

from typing import Any

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as k
from core import facts_tickets as t
from tests.halls import EXAMPLES, MIN, MORNING, changed, opened
from workers.counts import NOTES, HallCounts, series
from workers.desk import Desk
from workers.metrics import COUNTED, HISTOGRAM
from workers.tallies import Buckets, Tallies


class Hall:
    """A desk over an open hall; `at_ms` moves by itself a little with each command."""

    def __init__(self, **parts: Any) -> None:
        driven = opened(**parts)
        self.desk, self.at_ms = Desk(driven.hall, Tallies()), driven.at_ms
        self.counts = self.desk.counts

    def ask(self, *commands: c.Command) -> None:
        for command in commands:
            self.at_ms += 2000
            self.desk.ask(command, self.at_ms)

    def commit(self) -> None:
        self.desk.part()
        self.desk.answers(lambda: self.at_ms)

    def serve(self, ms: int, service: str = "si") -> None:
        self.ask(c.TakeTicket(service), c.CallNext(1), c.StartServing(1))
        self.at_ms += ms - 2000
        self.ask(c.FinishServing(1))
        self.commit()

    def total(self, name: str, *labels: str) -> float:
        return self.counts.totals[name][labels]

    def seen(self, name: str, *labels: str) -> tuple[int, float]:
        found = self.counts.histograms[name][labels]
        return sum(found.counts), found.total


def test_nothing_counts_before_it_is_durable() -> None:
    hall = Hall()
    hall.ask(c.TakeTicket("si"))
    assert hall.total("tickets_taken", "si") == 0
    hall.commit()
    assert hall.total("tickets_taken", "si") == 1 and hall.total("taken_class", "ordinary") == 1
    hall.commit()
    assert hall.total("tickets_taken", "si") == 1, "once"
    hall.serve(MIN)
    hall.commit()
    assert hall.seen("wait_seconds", "si")[0] == 1 and hall.seen("service_seconds", "si") == (1, 60.0), "once"


def test_who_is_called_a_second_time_has_waited_once_and_the_counter_was_idle_between() -> None:
    hall = Hall()
    hall.counts.stand(hall.at_ms)
    hall.ask(c.TakeTicket("si"), c.CallNext(1), c.ReleaseTicket(1), c.CallNext(1), c.StartServing(1))
    hall.commit()
    hall.counts.stand(hall.at_ms)
    assert hall.seen("wait_seconds", "si") == (1, 2.0) and hall.total("calls", "si") == 2
    assert hall.total("counter_seconds", "called") == 4


def test_a_visit_from_slip_to_rating() -> None:
    hall = Hall()
    hall.serve(5 * MIN)
    assert hall.total("calls", "si") == 1 and hall.total("tickets_ended", "si", "served") == 1
    assert hall.seen("wait_seconds", "si") == (1, 2.0)
    assert hall.seen("service_seconds", "si") == (1, 300.0)
    assert hall.total("evaluations_opened", "si") == 1
    call = next(iter(hall.desk.hall.state.evaluations))
    hall.ask(c.SubmitEvaluation(level=2, call=call, channel="qr"))
    hall.ask(c.SubmitEvaluation(level=2, call=call, channel="qr"), c.SubmitEvaluation(level=1, call=77))
    hall.commit()
    assert hall.total("evaluations", "si", "2") == 1 and hall.total("evaluations_channel", "qr") == 1
    assert hall.total("evaluations_rejected", "already_rated", "2") == 1
    assert hall.seen("rating_delay_seconds")[0] == 1 and hall.total("cases_opened", "bad_review") == 1


def test_findings_probes_and_the_end_of_a_case() -> None:
    hall = Hall()
    hall.ask(cc.RaiseFinding("R9", "service-si"), cc.RaiseFinding("weather", "service-si"))
    hall.ask(cc.ProbeEvaluation("pad", 2), cc.ProbeEvaluation("keys4", 4, key=3))
    hall.ask(cc.OpenCase("complaint"))
    hall.desk.hall.state.cases[1].late = True
    hall.counts.note(k.CaseClosed(1, in_time=False), hall.at_ms)
    hall.counts.note(k.CaseReopened(1, "h", 2), hall.at_ms)
    hall.commit()
    assert hall.total("findings", "R9") == hall.total("findings", "other") == 1
    assert hall.total("probe_failures", "keys4") == 1, "its key 3 says 5"
    assert hall.total("cases_opened", "complaint") == hall.total("cases_closed", "complaint", "no") == 1
    assert hall.total("cases_reopened", "complaint") == 1


def test_what_ends_a_ticket_has_its_service_and_outcome() -> None:
    hall = Hall()
    hall.ask(c.TakeTicket("tax"), c.CancelTicket(ticket=1))
    hall.ask(c.TakeTicket("tax"), c.CallNext(2), c.RecallTicket(2))
    hall.at_ms += 30_000
    hall.ask(c.RecallTicket(2), c.AbandonTicket(2))
    hall.ask(c.TakeTicket("id"), c.CallNext(3), c.MissTicket(3))
    hall.commit()
    assert hall.total("tickets_ended", "tax", "cancelled") == 1 and hall.total("tickets_ended", "tax", "abandoned") == 1
    assert hall.total("recalls", "tax") == 1 and hall.total("missed", "id") == 1
    hall.at_ms += 24 * 60 * MIN
    hall.desk.advance(hall.at_ms)
    hall.commit()
    taken = sum(hall.counts.totals["tickets_taken"].values())
    assert sum(hall.counts.totals["tickets_ended"].values()) == taken == 3, "the day's end clears what is open"


def test_a_transfer_is_no_diversion() -> None:
    hall = Hall()
    hall.ask(c.TakeTicket("si"), c.CallNext(1), c.TransferTicket(counter=1, to_service="tax"))
    hall.ask(c.TakeTicket("si"), c.TransferTicket(ticket=2, to_service="tax"))
    hall.commit()
    assert (hall.total("transfers"), hall.total("diversions")) in ((1, 1), (2, 0))
    assert hall.total("transfers") >= 1


def test_the_time_of_counters_belongs_to_the_state_they_were_in() -> None:
    hall = Hall()
    hall.counts.stand(hall.at_ms)
    started = hall.at_ms
    hall.serve(5 * MIN)
    hall.counts.stand(hall.at_ms)
    seconds = {state: hall.total("counter_seconds", state) for state in ("closed", "idle", "called", "serving")}
    assert seconds["serving"] == 300 and seconds["called"] == 2
    assert sum(seconds.values()) == 3 * (hall.at_ms - started) / 1000, "three counters, all of their time"
    hall.counts.stand(hall.at_ms - 5000)
    assert hall.total("counter_seconds", "serving") == 300, "time never runs back"


def test_estimates_are_scored_when_one_was_told() -> None:
    hall = Hall()
    for _ in range(12):
        hall.serve(4 * MIN)
    hall.ask(*[c.TakeTicket("si")] * 3)
    ticket = hall.desk.hall.state.tickets[max(hall.desk.hall.state.tickets)]
    hall.ask(c.CallNext(1))
    hall.commit()
    told = [one for one in hall.desk.hall.state.tickets.values() if one.told_p50_ms and one.called_ms]
    assert hall.seen("eta_error_seconds")[0] == len(told) and ticket.told_p50_ms >= 0


def test_devices_restart_and_report() -> None:
    hall = Hall()
    for boot, faults in (("one", ()), ("one", ("paper",)), ("two", ("paper", "jam"))):
        hall.ask(c.HelloDevice("kiosk-1", boot, hall.at_ms, "1.0", "", faults))
    hall.commit()
    assert hall.total("device_restarts", "kiosk") == 1 and hall.total("device_faults", "kiosk") == 2


def test_a_number_seen_before_is_a_resend_of_its_kind() -> None:
    hall = Hall()
    event = b'{"boot":"visits","seq":1,"sent_ms":1795420811000,"body":{"type":"ticket.take","service":"si"}}'
    for _ in range(3):
        hall.at_ms += 1000
        hall.desk.event("kiosk-1", "jh/v1/h1/kiosk-1/event", event, hall.at_ms)
    hall.commit()
    assert hall.total("device_resent", "kiosk") == 2 and hall.desk.tallies.duplicates == 2
    assert hall.desk.tallies.commands["ticket.take"] == 1


def test_a_new_policy_adds_its_services_and_keeps_the_old() -> None:
    hall = Hall()
    hall.serve(MIN)
    services = hall.desk.hall.state.policy.services  # type: ignore[union-attr]  # opened() has one
    hall.counts.learn(changed(services=services[1:]))
    assert hall.total("calls", "si") == 1
    before = len(list(series(hall.counts)))
    hall.counts.learn(changed())
    assert len(list(series(hall.counts))) == before


def test_every_series_is_there_from_the_first_policy_on() -> None:
    hall = Hall()
    found = {(name, labels) for name, labels, _ in series(hall.counts)}
    hall.serve(MIN)
    assert {(name, labels) for name, labels, _ in series(hall.counts)} == found
    for name, _, value in series(hall.counts):
        assert isinstance(value, Buckets) == (COUNTED[name].type == HISTOGRAM)


def test_a_channel_that_nobody_knows_makes_no_series() -> None:
    hall = Hall()
    fact = f.EvaluationSubmitted(1, 5, "s", 1, "si", "d", "carrier-pigeon", 1000, False)
    hall.counts.note(fact, MORNING)
    hall.counts.note(f.EvaluationRejected(EXAMPLES_REASON, 9), MORNING)
    hall.counts.settle()
    assert hall.total("evaluations_channel", "other") == 1 and hall.total("evaluations_rejected", "other", "none") == 1


EXAMPLES_REASON = EXAMPLES[f.EvaluationRejected].reason  # type: ignore[attr-defined]  # one that is no reason of ratings


@pytest.mark.parametrize("kind", sorted(NOTES, key=lambda one: one.__name__))
def test_each_noted_fact_is_one_of_the_catalogue(kind: type) -> None:
    assert kind in EXAMPLES


def test_facts_that_count_nothing_cost_nothing() -> None:
    counts = HallCounts(opened().state)
    counts.note(EXAMPLES[t.VisitOpened], MORNING)
    counts.settle()
    assert not any(value for _, _, value in series(counts) if not isinstance(value, Buckets))
