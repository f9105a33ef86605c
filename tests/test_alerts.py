"""deploy/prometheus, deploy/alertmanager: rules name what exists, each alert is shown firing, silent and clearing."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from workers.metrics import TABLE, exposed

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS, ALERTMANAGER = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
WHAT = ("fires", "is silent one step below", "clears")
SEVERITIES = ("page", "ticket", "info")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    found = [read(path) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    return [rule for one in found for group in one["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
STORED = {name for metric in TABLE for name in exposed(metric)}


def tool(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """One run. Skips without the tool; where servers are required, fails instead."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("JIAOHAO_REQUIRE_SERVERS") == "1":
            pytest.fail(f"{name} is not installed, and JIAOHAO_REQUIRE_SERVERS=1")
        pytest.skip(f"{name} is not installed")
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=50, check=False)


def names_of(expr: str) -> set[str]:
    """Names of metrics and of recorded rules in an expression."""
    return set(re.findall(r"\bjiaohao[a-z0-9_]*(?::[a-z0-9_]+)*", expr.partition("job=")[0] if "up{" in expr else expr))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_a_rule_names_only_what_exists(rule: dict[str, Any]) -> None:
    found = names_of(rule["expr"])
    assert found <= STORED | RECORDED
    assert found or "up{" in rule["expr"]


def test_a_name_that_does_not_exist_would_be_found() -> None:
    assert names_of("rate(jiaohao_weather_total[5m]) > jiaohao:sun:ratio") == {
        "jiaohao_weather_total",
        "jiaohao:sun:ratio",
    }


def test_every_recorded_rule_is_read_by_an_alert_or_a_dashboard() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
    text += "".join(rule["expr"] for rule in rules())
    assert [name for name in RECORDED if name not in text] == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_its_three_tests(name: str) -> None:
    cases = {case["name"]: case for path in TESTS for case in read(path)["tests"]}
    for what in WHAT:
        checks = cases[f"{name} {what}"]["alert_rule_test"]
        assert {check["alertname"] for check in checks} == {name}
        fired = [bool(check["exp_alerts"]) for check in checks]
        assert fired == {"fires": [True], "is silent one step below": [False], "clears": [True, False]}[what]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_who_comes_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    said = rule["annotations"]
    assert said["summary"].endswith(".") and said["summary_zh"].endswith("。")
    for runbook in ("RUNBOOK.md", "RUNBOOK.zh-CN.md"):
        headings = re.findall(r"^### (\w+)$", (ROOT / "deploy" / runbook).read_text("utf-8"), re.MULTILINE)
        assert name in headings, runbook
    assert said["runbook"] == f"deploy/RUNBOOK.md#{name.lower()}"


def test_the_rules_are_well_formed() -> None:
    done = tool("promtool", "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    done = tool("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_is_wrong_fails_its_test(tmp_path: Path) -> None:
    """The tests are not green whatever the rules say: each limit moved by one step, everything must turn red."""
    shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    rules_file = tmp_path / "prometheus" / "rules" / "alerts.yml"
    text = rules_file.read_text("utf-8")
    rules_file.write_text(
        text.replace("jiaohao_outbox_oldest_seconds > 30", "jiaohao_outbox_oldest_seconds > 29"), "utf-8"
    )
    done = tool("promtool", "test", "rules", tmp_path / "prometheus" / "tests" / "process.yml")
    assert done.returncode != 0 and "OutboxStuck" in done.stdout + done.stderr


def test_the_scrape_configuration_is_well_formed() -> None:
    done = tool("promtool", "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_routes_are_well_formed() -> None:
    done = tool("amtool", "check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets"), ("info", "nobody")])
def test_each_severity_has_its_receiver(severity: str, receiver: str) -> None:
    arguments = ("config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}", "alertname=X")
    done = tool("amtool", *arguments)
    assert done.stdout.strip() == receiver, done.stderr


def test_pages_repeat_hourly_and_what_follows_is_inhibited() -> None:
    found = read(ALERTMANAGER)
    route = found["route"]
    assert (route["repeat_interval"], route["routes"][0]["repeat_interval"]) == ("12h", "1h")
    assert route["group_by"] == ["hall", "alertname"]
    sources = [rule["source_matchers"][0].split('"')[1] for rule in found["inhibit_rules"]]
    assert sources == ["Down", "NotReady", "HallSilent"] and set(sources) <= set(ALERTS)
    for rule in found["inhibit_rules"]:
        matcher = rule["target_matchers"][0]
        pattern = matcher.split('"')[1]
        assert "!=" in matcher or any(re.fullmatch(pattern, name) for name in ALERTS), matcher


def test_no_secret_stands_in_a_file_of_ours() -> None:
    text = ALERTMANAGER.read_text("utf-8") + (PROMETHEUS / "prometheus.yml").read_text("utf-8")
    for line in text.splitlines():
        assert not re.match(r"^\s*(credentials|password|api_secret|url):(?! http://)", line), line
