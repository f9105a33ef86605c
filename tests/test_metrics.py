"""workers/metrics.py: one table; the page shows it whole, from the start, and names nobody."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from core.facts import KIND_OF, KINDS
from core.facts_tickets import TicketTaken
from core.refusals import Refusal
from core.state import HallState
from tests.halls import opened
from tests.scraped import Shown
from workers import metrics
from workers.metrics import COUNTER, GAUGE, HISTOGRAM, TABLE, exposed
from workers.tallies import REASONS
from workers.web.server import GROUPS

ROOT = Path(__file__).resolve().parent.parent
OF_POLICY = ("hall", "service", "class", "zone", "profile", "version", "python", "sqlite")
SECRETS = ("9f9f", "staff-1", "A001", "kiosk-1", "caller-1", "ev-1")


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
