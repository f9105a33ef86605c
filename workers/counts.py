"""workers/counts.py: what the facts of one hall count up: a table by type of fact, applied once they are durable.

decided ─▶ note (names what to count, before the state moves) ─ commit ─▶ settle (counts it)
Only what the table of metrics lists as counted; a scrape reads it and copies nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

from core import facts as f
from core import facts_cases as k
from core import facts_tickets as t
from core.counter import CounterState
from core.fact import Fact
from core.policy import Policy
from core.rules_appeals import PAGE
from core.state import HallState
from workers.metrics import CHANNELS, COUNTED, FINDINGS, HISTOGRAM, LEVEL, REJECTIONS
from workers.tallies import Buckets

Labels = tuple[str, ...]
STANDS: Final = {state: state.name.lower() for state in CounterState}
LEVELS: Final = dict(enumerate(("none", *LEVEL)))


class HallCounts:
    """Totals and histograms by metric and labels behind the hall's; complete from the first policy on."""

    __slots__ = ("_moved", "_seen", "_since_ms", "_state", "_steps", "histograms", "totals")

    def __init__(self, state: HallState) -> None:
        self._state = state
        self.totals: dict[str, defaultdict[Labels, float]] = {
            n: defaultdict(float) for n, one in COUNTED.items() if one.type != HISTOGRAM
        }
        self.histograms: dict[str, dict[Labels, Buckets]] = {
            n: {} for n, one in COUNTED.items() if one.type == HISTOGRAM
        }
        self._steps: list[tuple[str, Labels, int]] = []
        self._seen: list[tuple[str, Labels, float]] = []
        self._moved: list[tuple[int, str, int]] = []
        self._since_ms: dict[int, int] = {}  # counter -> until when its time has been counted
        self.learn(state.policy)

    def learn(self, policy: Policy | None) -> None:
        """Every series of the policy at 0; those of an older one stay."""
        named = _named(policy)
        for name, spec in COUNTED.items():
            values = [found or named[label] for label, found in spec.labels.items() if label != "hall"]
            for labels in product(*values):
                if spec.type == HISTOGRAM:
                    self.histograms[name].setdefault(labels, Buckets(spec.limits))
                else:
                    self.totals[name].setdefault(labels, 0.0)

    # Before the state moves.

    def note(self, fact: Fact, at_ms: int) -> None:
        """What this fact counts, if it becomes durable."""
        noted = NOTES.get(type(fact))
        if noted is not None:
            noted(self, fact, at_ms)

    def add(self, name: str, *labels: str, times: int = 1) -> None:
        """So many more."""
        self._steps.append((name, labels, times))

    def see(self, name: str, seconds: float, *labels: str) -> None:
        """An observation."""
        self._seen.append((name, labels, seconds))

    def move(self, counter: int, at_ms: int) -> None:
        """The counter is about to change its state. None is concerned where there is no such counter."""
        known = self._state.counters.get(counter)
        if known is not None:
            self._moved.append((counter, STANDS[known.state], at_ms))

    def service(self, ticket: int) -> str:
        """Of a ticket of the day."""
        found = self._state.tickets.get(ticket)
        return "" if found is None else self._state.services[found.service]

    @property
    def state(self) -> HallState:
        """As it is before the fact."""
        return self._state

    # After the commit.

    def settle(self) -> None:
        """Everything noted is durable."""
        if self._steps:
            totals = self.totals
            for name, labels, times in self._steps:
                totals[name][labels] += times
            self._steps.clear()
        if self._seen:
            for name, labels, value in self._seen:
                self._observe(name, labels, value)
            self._seen.clear()
        if self._moved:
            for counter, state, at_ms in self._moved:
                self._stand(counter, state, at_ms)
            self._moved.clear()

    def _observe(self, name: str, labels: Labels, value: float) -> None:
        found = self.histograms[name]
        buckets = found.get(labels)
        if buckets is None:
            buckets = found[labels] = Buckets(COUNTED[name].limits)
        buckets.observe(value)

    def _stand(self, counter: int, state: str, at_ms: int) -> None:
        """It has been in this state until now. Nothing is counted before the first look."""
        since_ms = self._since_ms.setdefault(counter, at_ms)
        if at_ms > since_ms:
            self.totals["counter_seconds"][state,] += (at_ms - since_ms) / 1000
            self._since_ms[counter] = at_ms

    def stand(self, now_ms: int) -> None:
        """Counts the time of all counters up to now; a scrape asks for it."""
        for counter in self._state.counters.values():
            self._stand(counter.counter, STANDS[counter.state], now_ms)


def kinds_of(policy: Policy | None) -> Labels:
    """The kinds of devices that a hall has."""
    return () if policy is None else tuple(sorted({one.kind for one in policy.devices}))


def _named(policy: Policy | None) -> dict[str, Labels]:
    """The values of labels that a policy gives."""
    if policy is None:
        return {"service": (), "class": (), "profile": (PAGE,), "kind": ()}
    return {
        "kind": kinds_of(policy),
        "service": tuple(one.code for one in policy.services),
        "class": tuple(one.code for one in policy.classes),
        "profile": (*(one.id for one in policy.profiles), PAGE),
    }


def series(counts: HallCounts) -> Iterator[tuple[str, Labels, float | Buckets]]:
    """Everything, with the labels behind the hall's."""
    for name, cells in counts.totals.items():
        for labels, value in cells.items():
            yield name, labels, value
    for name, found in counts.histograms.items():
        for labels, buckets in found.items():
            yield name, labels, buckets


# One function a fact. `fact` is of the type that is the key.


def _taken(counts: HallCounts, fact: t.TicketTaken, _: int) -> None:
    counts.add("tickets_taken", fact.service)
    counts.add("taken_class", fact.cls)


def _called(counts: HallCounts, fact: t.TicketCalled, at_ms: int) -> None:
    counts.add("calls", fact.service)
    counts.move(fact.counter, at_ms)
    if fact.first:
        counts.see("wait_seconds", fact.waited_ms / 1000, fact.service)
        told = counts.state.tickets[fact.ticket].told_p50_ms
        if told:
            counts.see("eta_error_seconds", abs(told - fact.waited_ms) / 1000)


def _recalled(counts: HallCounts, fact: t.TicketRecalled, _: int) -> None:
    counts.add("recalls", counts.service(fact.ticket))


def _missed(counts: HallCounts, fact: t.TicketMissed, at_ms: int) -> None:
    counts.add("missed", counts.service(fact.ticket))
    counts.move(fact.counter, at_ms)


def _finished(counts: HallCounts, fact: t.ServingFinished, at_ms: int) -> None:
    counts.see("service_seconds", fact.handling_ms / 1000, fact.service)
    counts.add("tickets_ended", fact.service, "served")
    counts.move(fact.counter, at_ms)


def _cancelled(counts: HallCounts, fact: t.TicketCancelled, _: int) -> None:
    counts.add("tickets_ended", counts.service(fact.ticket), "cancelled")


def _abandoned(counts: HallCounts, fact: t.TicketAbandoned, at_ms: int) -> None:
    counts.add("tickets_ended", counts.service(fact.ticket), "abandoned")
    counts.move(fact.counter, at_ms)


def _expired(counts: HallCounts, fact: t.TicketExpired, at_ms: int) -> None:
    counts.add("tickets_ended", counts.service(fact.ticket), "expired")
    counts.move(fact.counter, at_ms)


def _transferred(counts: HallCounts, fact: t.TicketTransferred, at_ms: int) -> None:
    counts.add("diversions" if fact.diverted else "transfers")
    counts.move(fact.counter, at_ms)


def _at_counter(counts: HallCounts, fact: Any, at_ms: int) -> None:
    counts.move(fact.counter, at_ms)


def _printed(counts: HallCounts, _: t.TicketPrinted, __: int) -> None:
    counts.add("prints", "printed")


def _print_failed(counts: HallCounts, _: t.TicketPrintFailed, __: int) -> None:
    counts.add("prints", "failed")


def _announced(counts: HallCounts, _: t.CallAnnounced, __: int) -> None:
    counts.add("announcements", "announced")


def _announce_failed(counts: HallCounts, _: t.CallAnnounceFailed, __: int) -> None:
    counts.add("announcements", "failed")


def _opened(counts: HallCounts, fact: f.EvaluationOpened, _: int) -> None:
    counts.add("evaluations_opened", fact.service)


def _shown(counts: HallCounts, _: f.EvaluationShown, __: int) -> None:
    counts.add("evaluations_shown")


def _rated(counts: HallCounts, fact: f.EvaluationSubmitted, _: int) -> None:
    counts.add("evaluations", fact.service, LEVELS[fact.level])
    counts.add("evaluations_channel", fact.channel if fact.channel in CHANNELS else "other")
    counts.see("rating_delay_seconds", fact.latency_ms / 1000)


def _rejected(counts: HallCounts, fact: f.EvaluationRejected, _: int) -> None:
    reason = str(fact.reason)
    counts.add("evaluations_rejected", reason if reason in REJECTIONS else "other", LEVELS.get(fact.level, "none"))


def _unrated(counts: HallCounts, _: f.EvaluationExpired, __: int) -> None:
    counts.add("evaluations_unrated")


def _defaulted(counts: HallCounts, _: f.EvaluationDefaulted, __: int) -> None:
    counts.add("evaluations_defaulted")


def _case_opened(counts: HallCounts, fact: f.CaseOpened, _: int) -> None:
    counts.add("cases_opened", fact.kind)


def _case_closed(counts: HallCounts, fact: k.CaseClosed, _: int) -> None:
    counts.add("cases_closed", counts.state.cases[fact.case].kind, "yes" if fact.in_time else "no")


def _case_reopened(counts: HallCounts, fact: k.CaseReopened, _: int) -> None:
    counts.add("cases_reopened", counts.state.cases[fact.case].kind)


def _finding(counts: HallCounts, fact: k.FindingRaised, _: int) -> None:
    counts.add("findings", fact.rule if fact.rule in FINDINGS else "other")


def _probed(counts: HallCounts, fact: k.EvaluationProbed, _: int) -> None:
    if not fact.ok:
        counts.add("probe_failures", fact.profile)


def _online(counts: HallCounts, fact: f.DeviceOnline, _: int) -> None:
    known = counts.state.devices[fact.device]
    if known.boot and known.boot != fact.boot:
        counts.add("device_restarts", known.kind)
    _new_faults(counts, fact)


def _new_faults(counts: HallCounts, fact: f.DeviceOnline | f.DeviceStatusChanged) -> None:
    known = counts.state.devices[fact.device]
    for _ in [fault for fault in fact.faults if fault not in known.faults]:
        counts.add("device_faults", known.kind)


def _faults(counts: HallCounts, fact: f.DeviceStatusChanged, _: int) -> None:
    _new_faults(counts, fact)


def _policy(counts: HallCounts, fact: f.PolicyChanged, _: int) -> None:
    counts.learn(fact.policy)


NOTES: Final[dict[type[Fact], Callable[[HallCounts, Any, int], None]]] = {
    t.TicketTaken: _taken,
    t.TicketPrinted: _printed,
    t.TicketPrintFailed: _print_failed,
    t.TicketCancelled: _cancelled,
    t.TicketCalled: _called,
    t.TicketRecalled: _recalled,
    t.CallAnnounced: _announced,
    t.CallAnnounceFailed: _announce_failed,
    t.TicketMissed: _missed,
    t.TicketReleased: _at_counter,
    t.TicketAbandoned: _abandoned,
    t.TicketHeld: _at_counter,
    t.TicketResumed: _at_counter,
    t.TicketTransferred: _transferred,
    t.TicketExpired: _expired,
    t.ServingStarted: _at_counter,
    t.ServingFinished: _finished,
    f.EvaluationOpened: _opened,
    f.EvaluationShown: _shown,
    f.EvaluationSubmitted: _rated,
    f.EvaluationRejected: _rejected,
    f.EvaluationExpired: _unrated,
    f.EvaluationDefaulted: _defaulted,
    f.CaseOpened: _case_opened,
    k.CaseClosed: _case_closed,
    k.CaseReopened: _case_reopened,
    k.FindingRaised: _finding,
    k.EvaluationProbed: _probed,
    f.StaffSignedOn: _at_counter,
    f.StaffSignedOff: _at_counter,
    f.CounterPaused: _at_counter,
    f.CounterResumed: _at_counter,
    f.DeviceOnline: _online,
    f.DeviceStatusChanged: _faults,
    f.PolicyChanged: _policy,
}
