"""workers/metrics.py: one table of metrics, read from plain counters at scrape time by one custom Collector."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.facts import KINDS
from core.waiting import Score
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.link import Link
from workers.outbox import MqttOutbox
from workers.tallies import Buckets, Tallies

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Name(NamedTuple):
    """One metric: its type, its labels, its help."""

    type: str
    labels: tuple[str, ...]
    help: str


TABLE: Final[dict[str, Name]] = {
    "jiaohao_build_info": Name(GAUGE, ("version", "python", "sqlite"), "Always 1."),
    "jiaohao_ready": Name(GAUGE, ("check",), "1 when the check holds."),
    "jiaohao_link_connected": Name(GAUGE, (), "1 with a session at the broker."),
    "jiaohao_link_paused": Name(GAUGE, (), "1 while nothing is read."),
    "jiaohao_link_unacked": Name(GAUGE, (), "Received and not yet acknowledged."),
    "jiaohao_link_sessions": Name(COUNTER, (), "Connections made."),
    "jiaohao_link_session_lost": Name(COUNTER, (), "Connections at which the broker knew no session."),
    "jiaohao_link_redelivered": Name(COUNTER, (), "Messages with DUP."),
    "jiaohao_link_paused_seconds": Name(COUNTER, (), "Time without reading."),
    "jiaohao_link_messages": Name(COUNTER, ("direction",), "Messages in and out."),
    "jiaohao_link_bytes": Name(COUNTER, ("direction",), "Bytes in and out."),
    "jiaohao_wire_rejected": Name(COUNTER, ("reason",), "Inputs that are no command of ours."),
    "jiaohao_facts": Name(COUNTER, ("kind",), "Durable facts."),
    "jiaohao_refused": Name(COUNTER, ("reason",), "Refused facts."),
    "jiaohao_duplicates": Name(COUNTER, (), "Commands answered before."),
    "jiaohao_inbox_limit": Name(GAUGE, (), "Bound of the inbox."),
    "jiaohao_core_seconds": Name(COUNTER, (), "Decide and evolve."),
    "jiaohao_loop_lag_seconds": Name(HISTOGRAM, (), "How late the loop is."),
    "jiaohao_acknowledge_seconds": Name(HISTOGRAM, (), "Taken by the loop to PUBACK."),
    "jiaohao_journal_commit_seconds": Name(HISTOGRAM, (), "A commit."),
    "jiaohao_journal_commits": Name(COUNTER, (), "Transactions."),
    "jiaohao_journal_bytes": Name(COUNTER, (), "Payload bytes."),
    "jiaohao_journal_checkpoints": Name(COUNTER, (), "Checkpoints."),
    "jiaohao_journal_retries": Name(COUNTER, ("error",), "The same batch again."),
    "jiaohao_journal_seq": Name(GAUGE, (), "Last durable row."),
    "jiaohao_journal_wal_bytes": Name(GAUGE, (), "Size of the write-ahead log."),
    "jiaohao_recovery_seconds": Name(GAUGE, (), "The last start."),
    "jiaohao_recovery_facts": Name(GAUGE, (), "Facts applied at the last start."),
    "jiaohao_outbox_pending": Name(GAUGE, (), "Effects committed, not confirmed by the broker."),
    "jiaohao_outbox_oldest_seconds": Name(GAUGE, (), "Age of the oldest of them."),
    "jiaohao_outbox_published": Name(COUNTER, ("effect",), "Confirmed by the broker."),
    "jiaohao_outbox_lost": Name(COUNTER, ("reason",), "Refused by the broker."),
    "jiaohao_clock_clamped": Name(COUNTER, (), "Stamps held back, so that time does not run backwards."),
    "jiaohao_tickets": Name(GAUGE, ("hall", "state"), "Open tickets by state."),
    "jiaohao_hall_open": Name(GAUGE, ("hall",), "1 while the business day is open."),
    "jiaohao_hall_waiting": Name(GAUGE, ("hall",), "Tickets waiting."),
    "jiaohao_overtaken": Name(COUNTER, ("hall",), "Earlier visitors passed by a ranked call, within their bound."),
    "jiaohao_overtake_bound_broken": Name(COUNTER, ("hall",), "Passed beyond the bound: must stay 0."),
    "jiaohao_rank_argmax_wrong": Name(COUNTER, ("hall",), "Calls that were not the first in rank: must stay 0."),
    "jiaohao_eta_scored": Name(COUNTER, ("hall",), "First calls of tickets that had been told a wait."),
    "jiaohao_eta_within_p50": Name(COUNTER, ("hall",), "Waited at most the told P50."),
    "jiaohao_eta_optimistic": Name(COUNTER, ("hall",), "Waited longer than the told P90."),
    "jiaohao_eta_error_seconds": Name(COUNTER, ("hall",), "Sum of |told P50 - waited|."),
    "jiaohao_eta_bias_seconds": Name(GAUGE, ("hall",), "Sum of told P50 - waited: below 0 is too hopeful."),
    "jiaohao_hall_last_fact_timestamp_seconds": Name(GAUGE, ("hall",), "Time of the last fact."),
}


class Sources(NamedTuple):
    """What the collector reads; nothing of it is locked or copied, a sample is one read."""

    tallies: Tallies
    link: Link
    outbox: MqttOutbox
    journal: SqliteJournal
    desks: Callable[[], Iterable[Desk]]
    ready: Callable[[], Mapping[str, bool]]
    build: tuple[str, str, str]
    recovery: tuple[float, int]
    inbox_max: int


Samples = Iterator[tuple[str, tuple[str, ...], float]]


class HallCollector(Collector):
    """Turns the counters into families, each with all its series from the start."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Every family of the table, in its order."""
        values: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in TABLE}
        for name, labels, value in self._samples():
            values[name].append((labels, value))
        histograms = self._histograms()
        for name, spec in TABLE.items():
            if spec.type == HISTOGRAM:
                yield _histogram(name, spec, histograms[name])
                continue
            kind = CounterMetricFamily if spec.type == COUNTER else GaugeMetricFamily
            family = kind(name, spec.help, labels=spec.labels)
            for labels, value in values[name]:
                family.add_metric(labels, value)
            yield family

    def _samples(self) -> Samples:
        s = self._sources
        yield "jiaohao_build_info", s.build, 1.0
        for check, holds in s.ready().items():
            yield "jiaohao_ready", (check,), float(holds)
        yield from self._of_link()
        yield from self._of_core()
        yield from self._of_journal()
        yield from self._of_outbox()
        for desk in s.desks():
            yield from _of_hall(desk)

    def _of_link(self) -> Samples:
        stats = self._sources.link.stats
        yield "jiaohao_link_connected", (), float(stats.connected)
        yield "jiaohao_link_paused", (), float(stats.paused)
        yield "jiaohao_link_unacked", (), stats.unacked
        yield "jiaohao_link_sessions", (), stats.sessions
        yield "jiaohao_link_session_lost", (), stats.session_lost
        yield "jiaohao_link_redelivered", (), stats.redelivered
        yield "jiaohao_link_paused_seconds", (), stats.paused_s
        yield "jiaohao_link_messages", ("in",), stats.messages_in
        yield "jiaohao_link_messages", ("out",), stats.messages_out
        yield "jiaohao_link_bytes", ("in",), stats.bytes_in
        yield "jiaohao_link_bytes", ("out",), stats.bytes_out
        yield "jiaohao_inbox_limit", (), self._sources.inbox_max

    def _of_core(self) -> Samples:
        tallies = self._sources.tallies
        for reason, count in tallies.rejected.items():
            yield "jiaohao_wire_rejected", (reason,), count
        for kind, fact in KINDS.items():
            yield "jiaohao_facts", (fact.__name__,), tallies.facts[kind]
        for reason, count in tallies.refused.items():
            yield "jiaohao_refused", (reason,), count
        yield "jiaohao_duplicates", (), tallies.duplicates
        yield "jiaohao_core_seconds", (), tallies.core_seconds
        yield "jiaohao_clock_clamped", (), tallies.clock_clamped

    def _of_journal(self) -> Samples:
        journal, tallies = self._sources.journal, self._sources.tallies
        yield "jiaohao_journal_commits", (), journal.stats.commits
        yield "jiaohao_journal_bytes", (), journal.stats.bytes
        yield "jiaohao_journal_checkpoints", (), journal.stats.checkpoints
        for error, count in tallies.retries.items():
            yield "jiaohao_journal_retries", (error,), count
        yield "jiaohao_journal_seq", (), journal.last
        yield "jiaohao_journal_wal_bytes", (), journal.stats.wal_bytes
        seconds, facts = self._sources.recovery
        yield "jiaohao_recovery_seconds", (), seconds
        yield "jiaohao_recovery_facts", (), facts

    def _of_outbox(self) -> Samples:
        outbox = self._sources.outbox
        yield "jiaohao_outbox_pending", (), outbox.pending()
        yield "jiaohao_outbox_oldest_seconds", (), outbox.oldest_s()
        for effect in ("ack", "command", "screen"):
            yield "jiaohao_outbox_published", (effect,), outbox.stats.published.get(effect, 0)
        for reason, count in ({"not_authorized": 0} | outbox.stats.lost).items():
            yield "jiaohao_outbox_lost", (reason,), count

    def _histograms(self) -> dict[str, Buckets]:
        tallies = self._sources.tallies
        return {
            "jiaohao_loop_lag_seconds": tallies.loop_lag,
            "jiaohao_acknowledge_seconds": tallies.acknowledge,
            "jiaohao_journal_commit_seconds": tallies.commit,
        }


def _of_hall(desk: Desk) -> Samples:
    state, audit = desk.hall.state, desk.audit
    hall = state.hall
    yield "jiaohao_overtaken", (hall,), audit.overtaken
    yield "jiaohao_overtake_bound_broken", (hall,), audit.bound_broken
    yield "jiaohao_rank_argmax_wrong", (hall,), audit.argmax_wrong
    yield from _of_estimate(hall, [model.score for model in state.waits.values()])
    counts = state.counted()
    for ticket_state, count in counts.items():
        yield "jiaohao_tickets", (hall, ticket_state.name.lower()), count
    yield "jiaohao_hall_open", (hall,), float(state.day_is_open)
    yield "jiaohao_hall_waiting", (hall,), len(state.pool)
    yield "jiaohao_hall_last_fact_timestamp_seconds", (hall,), state.at_ms / 1000


def _of_estimate(hall: str, scores: list[Score]) -> Samples:
    """How the estimates came out, over all pools of the hall since its policy."""
    scored, p90 = sum(one.scored for one in scores), sum(one.within_p90 for one in scores)
    yield "jiaohao_eta_scored", (hall,), scored
    yield "jiaohao_eta_within_p50", (hall,), sum(one.within_p50 for one in scores)
    yield "jiaohao_eta_optimistic", (hall,), scored - p90
    yield "jiaohao_eta_error_seconds", (hall,), sum(one.error_sum_ms for one in scores) / 1000
    yield "jiaohao_eta_bias_seconds", (hall,), sum(one.bias_sum_ms for one in scores) / 1000


def _histogram(name: str, spec: Name, found: Buckets) -> Metric:
    total, buckets = 0, []
    for limit, count in zip([*map(str, found.limits), "+Inf"], found.counts, strict=True):
        total += count
        buckets.append((limit, float(total)))
    family = HistogramMetricFamily(name, spec.help)
    family.add_metric((), buckets, found.total)
    return family


def registry(sources: Sources) -> CollectorRegistry:
    """A registry of our own: no global, nothing that was not asked for."""
    found = CollectorRegistry(auto_describe=False)
    found.register(HallCollector(sources))
    return found
