"""workers/metrics.py: one table; the page shows it whole, from the start, and names nobody."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.facts import KIND_OF, KINDS
from core.facts_tickets import TicketTaken
from core.refusals import Refusal
from core.state import HallState
from devices.simulator import example_policy
from tests.brokers import RunningBroker
from tests.halls import opened
from tests.processes import Served
from tests.scraped import Shown
from workers import metrics
from workers.metrics import COUNTER, GAUGE, HISTOGRAM, TABLE, exposed
from workers.tallies import REASONS
from workers.web.server import GROUPS

ROOT = Path(__file__).resolve().parent.parent
OF_POLICY = ("kind", "hall", "service", "class", "zone", "profile", "version", "python", "sqlite")
SECRETS = ("9f9f", "staff-1", "A001", "kiosk-1", "caller-1", "ev-1")


AGREED = """
build_info ready link_connected link_paused link_unacked link_sessions_total link_session_lost_total
link_redelivered_total link_paused_seconds_total broker_dropped_total link_messages_total link_bytes_total
wire_rejected_total commands_total facts_total refused_total duplicates_total inbox_depth inbox_limit
core_seconds_total loop_lag_seconds acknowledge_seconds press_to_screen_seconds journal_commit_seconds
journal_batch_facts journal_commits_total journal_bytes_total journal_checkpoints_total
journal_checkpoint_seconds_total journal_retries_total backup_failures_total verify_failures_total journal_seq
journal_wal_bytes projection_lag_facts disk_free_bytes ballast_bytes sqlite_affected verify_timestamp_seconds
recovery_seconds recovery_facts outbox_pending outbox_oldest_seconds outbox_published_total outbox_lost_total
clock_clamped_total http_requests_total http_seconds_total http_refused_total sse_clients sse_dropped_total
log_lines_total log_suppressed_total scrape_seconds metrics_series metrics_detail hall_waiting
hall_oldest_wait_seconds hall_open hall_counters_open hall_devices_offline hall_cases_overdue
hall_last_fact_timestamp_seconds tickets waiting oldest_wait_seconds tickets_taken_total tickets_ended_total
calls_total recalls_total missed_total wait_seconds service_seconds eta_error_seconds taken_class_total
transfers_total diversions_total eta_optimistic_total overtaken_total overtake_bound_broken_total counters
counter_seconds_total zone_waiting zone_seats evaluations_opened_total evaluations_total evaluations_shown_total
evaluations_unrated_total evaluations_defaulted_total evaluations_channel_total evaluations_rejected_total
evaluation_level_timestamp_seconds rating_delay_seconds findings_total findings_open probe_timestamp_seconds
probe_failures_total cases_opened_total cases_closed_total cases_reopened_total cases_open cases_overdue
case_oldest_seconds devices device_restarts_total device_resent_total device_faults_total down_total
prints_total snapshot_timestamp_seconds backup_timestamp_seconds
"""
"""What dashboards elsewhere and reports of operators rely on: never renamed."""


def values_of(family: Metric, label: str) -> set[str]:
    return {sample.labels[label] for sample in family.samples}


def test_the_page_shows_the_table_and_nothing_else() -> None:
    found = {family.name: family for family in Shown([opened().state]).families()}
    assert found.keys() == TABLE.keys()
    for name, spec in TABLE.items():
        assert (found[name].type, found[name].documentation) == (spec.type, spec.help), name
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in found[name].samples}
        assert labels == {tuple(sorted(spec.labels))}, name


def test_every_label_has_the_values_of_the_table_and_no_other() -> None:
    for family in Shown([opened().state]).families():
        for label, values in TABLE[family.name].labels.items():
            assert values or label in OF_POLICY, (family.name, label)
            assert not values or values_of(family, label) == set(values), (family.name, label)


def test_names_carry_the_prefix_and_their_unit() -> None:
    for name, spec in TABLE.items():
        assert re.fullmatch(r"jiaohao_[a-z0-9_]+", name) and spec.help.endswith("."), name
        assert not name.endswith("_total"), "the exposition adds it"
        assert bool(spec.limits) == (spec.type == HISTOGRAM), name
        if spec.type == HISTOGRAM:
            assert name.endswith(("_seconds", "_facts")) and list(spec.limits) == sorted(set(spec.limits)), name


def test_names_as_they_are_stored() -> None:
    assert exposed("jiaohao_calls") == ("jiaohao_calls_total",)
    assert exposed("jiaohao_inbox_depth") == ("jiaohao_inbox_depth",)
    name = "jiaohao_wait_seconds"
    assert exposed(name) == (f"{name}_bucket", f"{name}_sum", f"{name}_count")


def test_an_objective_is_a_limit() -> None:
    assert metrics.WAIT_SLO_S in TABLE["jiaohao_wait_seconds"].limits
    assert metrics.PRESS_SLO_S in TABLE["jiaohao_press_to_screen_seconds"].limits


def test_routes_are_those_of_the_server() -> None:
    assert metrics.ROUTES == GROUPS


def test_every_reason_of_a_refused_page_is_in_the_table() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "workers" / "web").glob("*.py"))
    reasons = re.findall(r'Refuse\([^"]*?"\w+", "(\w+)"', text)
    assert len(reasons) > 10 and set(reasons) <= set(metrics.REFUSED_PAGES)


def test_every_series_exists_at_nought_from_the_start() -> None:
    state = opened().state
    before = Shown([state]).samples()
    shown = Shown([state])
    for reason in REASONS:
        shown.tallies.reject(reason)
    for kind in KINDS:
        shown.tallies.facts[kind] += 1
    for reason in Refusal:
        shown.tallies.refused[reason] += 1
    for command in shown.tallies.commands:
        shown.tallies.commands[command] += 1
    for error in ("SQLITE_FULL", "SQLITE_BUSY"):
        shown.tallies.retry(error)
    shown.outbox.published.update(ack=1, command=1, screen=1)
    shown.outbox.lost.update(not_authorized=1, quota_exceeded=2)
    shown.tallies.commit.observe(0.1)
    after = shown.samples()
    assert before.keys() == after.keys()
    ours = {key: value for key, value in before.items() if not key[0].startswith(("jiaohao_process", "jiaohao_log"))}
    counters = {key: value for key, value in ours.items() if key[0].endswith(("_total", "_bucket", "_count"))}
    assert not any(counters.values()) and len(counters) > 500


def test_a_new_reason_of_loss_hides_no_other() -> None:
    shown = Shown()
    shown.outbox.lost["quota_exceeded"] = 3
    assert shown.value("jiaohao_outbox_lost_total", reason="not_authorized") == 0
    assert shown.value("jiaohao_outbox_lost_total", reason="other") == 3


def test_counters_are_shown_as_they_stand() -> None:
    shown = Shown([opened().state])
    shown.tallies.reject("syntax")
    shown.tallies.refused[Refusal.QUOTA_FULL] += 2
    shown.tallies.facts[KIND_OF[TicketTaken]] += 5
    shown.tallies.commands["ticket.take"] += 6
    shown.link.connected, shown.link.messages_in, shown.journal.commits = True, 9, 4
    assert shown.value("jiaohao_wire_rejected_total", reason="syntax") == 1
    assert shown.value("jiaohao_refused_total", reason="quota_full") == 2
    assert shown.value("jiaohao_facts_total", kind="TicketTaken") == 5
    assert shown.value("jiaohao_commands_total", kind="ticket.take") == 6
    assert shown.value("jiaohao_link_connected") == 1 and shown.value("jiaohao_journal_commits_total") == 4
    assert shown.value("jiaohao_link_messages_total", direction="in") == 9
    assert shown.value("jiaohao_ready", check="broker") == 0 and shown.value("jiaohao_ready", check="halls") == 1
    assert (shown.value("jiaohao_recovery_seconds"), shown.value("jiaohao_recovery_facts")) == (0.25, 17)
    assert (shown.value("jiaohao_outbox_pending"), shown.value("jiaohao_outbox_oldest_seconds")) == (2, 0.5)
    assert shown.value("jiaohao_journal_seq") == 41 and shown.value("jiaohao_inbox_limit") == 4096
    assert shown.value("jiaohao_inbox_depth") == 7


def test_no_label_names_a_ticket_a_person_a_counter_or_a_device() -> None:
    driven = opened()
    driven.take(person_ref="9f" * 16)
    driven.serve(1)
    shown = Shown([driven.state])
    shown.families()
    labels = {label for spec in TABLE.values() for label in spec.labels}
    assert not labels & {"ticket", "number", "person", "staff", "counter", "device", "token", "text", "call", "topic"}
    for secret in SECRETS:
        assert secret not in shown.text, secret


def test_counters_never_carry_created_series() -> None:
    shown = Shown([opened().state])
    shown.families()
    assert "_created" not in shown.text
    assert {spec.type for spec in TABLE.values()} == {COUNTER, GAUGE, HISTOGRAM}


def test_a_sample_that_is_not_in_the_table_is_our_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers import samples

    monkeypatch.setattr(samples, "of_fleet", lambda *_: [("weather", 1.0)])
    with pytest.raises(KeyError):
        Shown([HallState("h1")]).families()


def test_the_readme_lists_every_metric() -> None:
    text = (ROOT / "deploy" / "METRICS.md").read_text("utf-8")
    said = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE)
    rows = [
        (exposed(name)[0].removesuffix("_bucket"), one.type, ", ".join(one.labels), one.help)
        for name, one in TABLE.items()
    ]
    assert said == [(name, kind, labels, text.replace("|", "\\|")) for name, kind, labels, text in rows]
    assert "deploy/METRICS.md" in (ROOT / "README.md").read_text("utf-8")


def test_a_real_process_shows_what_was_agreed_and_nothing_without_its_help(iotcore_broker: RunningBroker) -> None:
    policy = example_policy(hall="h1", counters=2, services=2)
    with Served(iotcore_broker.directory, [policy], iotcore_broker.url, broker__receive_maximum=100) as served:
        served.up()
        status, text = served.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == TABLE.keys()
    assert all(one.documentation == TABLE[name].help and one.samples for name, one in families.items())
    stored = {name.removesuffix("_bucket") for metric in families for name in exposed(metric)}
    assert {f"jiaohao_{name}" for name in re.findall(r"\w+", AGREED)} <= stored
