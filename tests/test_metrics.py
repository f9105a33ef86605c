"""workers/metrics.py: one table; the collector shows it whole, from the start, and names nobody."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.facts import KIND_OF, KINDS
from core.facts_tickets import TicketTaken
from core.hall import Hall
from core.refusals import Refusal
from core.state import HallState
from tests.halls import opened
from workers import metrics
from workers.desk import Desk
from workers.journal import Stats
from workers.link_settings import LinkStats
from workers.metrics import COUNTER, HISTOGRAM, TABLE, Sources
from workers.outbox import OutboxStats
from workers.tallies import REASONS, Tallies


@dataclass
class Shown:
    """Sources with nothing behind them but counters."""

    halls: list[HallState] = field(default_factory=list)
    checks: dict[str, bool] = field(
        default_factory=lambda: {"broker": False, "journal": True, "inbox": True, "halls": True}
    )

    def __post_init__(self) -> None:
        self.tallies, self.link, self.journal, self.outbox = Tallies(), LinkStats(), Stats(), OutboxStats()

    def families(self) -> list[Metric]:
        sources = Sources(
            tallies=self.tallies,
            link=cast(Any, SimpleNamespace(stats=self.link)),
            outbox=cast(Any, SimpleNamespace(stats=self.outbox, pending=lambda: 2, oldest_s=lambda: 0.5)),
            journal=cast(Any, SimpleNamespace(stats=self.journal, last=41)),
            desks=lambda: [Desk(Hall(state), self.tallies) for state in self.halls],
            ready=lambda: self.checks,
            build=("0.1", "3.11", "3.40.1"),
            recovery=(0.25, 17),
            inbox_max=4096,
        )
        self.text = generate_latest(metrics.registry(sources)).decode()
        return list(text_string_to_metric_families(self.text))

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in self.families()
            for one in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, tuple(sorted(labels.items()))]


def test_the_collector_shows_the_table_and_nothing_else() -> None:
    found = {family.name: family for family in Shown([opened().state]).families()}
    assert found.keys() == TABLE.keys()
    for name, spec in TABLE.items():
        assert (found[name].type, found[name].documentation) == (spec.type, spec.help), name
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in found[name].samples}
        assert labels == {tuple(sorted(spec.labels))}, name


def test_names_carry_the_prefix_and_their_unit() -> None:
    for name, spec in TABLE.items():
        assert name.startswith("jiaohao_") and spec.help.endswith("."), name
        assert not name.endswith("_total"), "the exposition adds it"
        if spec.type == HISTOGRAM:
            assert name.endswith("_seconds") and not spec.labels, "no label on a histogram"


def test_every_series_exists_at_nought_from_the_start() -> None:
    before = Shown([HallState("h1")]).samples()
    shown = Shown([HallState("h1")])
    for reason in REASONS:
        shown.tallies.reject(reason)
    for kind in KINDS:
        shown.tallies.facts[kind] += 1
    for reason in Refusal:
        shown.tallies.refused[reason] += 1
    for error in ("SQLITE_FULL", "SQLITE_BUSY"):
        shown.tallies.retry(error)
    shown.outbox.published.update(ack=1, command=1, screen=1)
    shown.outbox.lost.update(not_authorized=1)
    shown.tallies.commit.observe(0.1)
    after = shown.samples()
    assert before.keys() == after.keys()
    counters = {key: value for key, value in before.items() if key[0].endswith(("_total", "_bucket", "_count"))}
    assert not any(counters.values()) and len(counters) > 150


def test_a_new_reason_of_loss_hides_no_other() -> None:
    shown = Shown()
    shown.outbox.lost["quota_exceeded"] = 3
    assert shown.value("jiaohao_outbox_lost_total", reason="not_authorized") == 0
    assert shown.value("jiaohao_outbox_lost_total", reason="quota_exceeded") == 3


def test_counters_are_shown_as_they_stand() -> None:
    shown = Shown([opened().state])
    shown.tallies.reject("syntax")
    shown.tallies.refused[Refusal.QUOTA_FULL] += 2
    shown.tallies.facts[KIND_OF[TicketTaken]] += 5
    shown.link.connected, shown.link.messages_in, shown.journal.commits = True, 9, 4
    assert shown.value("jiaohao_wire_rejected_total", reason="syntax") == 1
    assert shown.value("jiaohao_refused_total", reason="quota_full") == 2
    assert shown.value("jiaohao_facts_total", kind="TicketTaken") == 5
    assert shown.value("jiaohao_link_connected") == 1 and shown.value("jiaohao_journal_commits_total") == 4
    assert shown.value("jiaohao_link_messages_total", direction="in") == 9
    assert shown.value("jiaohao_ready", check="broker") == 0 and shown.value("jiaohao_ready", check="halls") == 1
    assert (shown.value("jiaohao_recovery_seconds"), shown.value("jiaohao_recovery_facts")) == (0.25, 17)
    assert (shown.value("jiaohao_outbox_pending"), shown.value("jiaohao_outbox_oldest_seconds")) == (2, 0.5)
    assert shown.value("jiaohao_journal_seq") == 41 and shown.value("jiaohao_inbox_limit") == 4096


def test_a_histogram_is_cumulative_and_ends_in_infinity() -> None:
    shown = Shown()
    for seconds in (0.0005, 0.002, 0.002, 0.4, 9.0):
        shown.tallies.commit.observe(seconds)
    name = "jiaohao_journal_commit_seconds"
    assert [shown.value(f"{name}_bucket", le=le) for le in ("0.001", "0.0025", "0.005", "0.5", "+Inf")] == [
        1,
        3,
        3,
        4,
        5,
    ]
    assert shown.value(f"{name}_count") == 5 and shown.value(f"{name}_sum") == pytest.approx(9.4045)


def test_a_hall_is_shown_by_counts() -> None:
    driven = opened()
    for service in ("si", "si", "tax"):
        driven.take(service)
    driven.call(1)
    shown = Shown([driven.state])
    assert shown.value("jiaohao_hall_waiting", hall="h1") == 2 and shown.value("jiaohao_hall_open", hall="h1") == 1
    assert shown.value("jiaohao_tickets", hall="h1", state="called") == 1
    assert shown.value("jiaohao_tickets", hall="h1", state="waiting") == 2
    assert shown.value("jiaohao_hall_last_fact_timestamp_seconds", hall="h1") == driven.state.at_ms / 1000


def test_no_label_names_a_ticket_a_person_a_counter_or_a_device() -> None:
    driven = opened()
    driven.take(person_ref="9f" * 16)
    driven.serve(1)
    shown = Shown([driven.state])
    shown.families()
    labels = {label for spec in TABLE.values() for label in spec.labels}
    assert not labels & {"ticket", "number", "person", "staff", "counter", "device", "token", "text", "call", "topic"}
    for secret in ("9f9f", "staff-1", "A001", "kiosk-1", "caller-1", "ev-1"):
        assert secret not in shown.text, secret


def test_one_hall_more_costs_few_series() -> None:
    def count(halls: int) -> int:
        return len(Shown([HallState(f"h{at}") for at in range(halls)]).samples())

    assert count(2) - count(1) <= 24 and count(1) < 330


def test_counters_never_carry_created_series() -> None:
    shown = Shown([opened().state])
    shown.families()
    assert "_created" not in shown.text
    assert {spec.type for spec in TABLE.values()} == {COUNTER, "gauge", HISTOGRAM}


def test_a_sample_that_is_not_in_the_table_is_our_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def more(_: Desk) -> Iterator[tuple[str, tuple[str, ...], float]]:
        yield "jiaohao_weather", (), 1.0

    monkeypatch.setattr(metrics, "_of_hall", more)
    with pytest.raises(KeyError):
        Shown([opened().state]).families()
