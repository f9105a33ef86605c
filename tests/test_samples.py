"""workers/samples.py: what is read is what stands there."""

import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import commands as c
from core import commands_cases as cc
from core.policy import ZonePart
from core.state import HallState
from tests.halls import MIN, POLICY, opened
from tests.scraped import Shown
from workers import logs, samples


def test_a_hall_is_shown_by_counts() -> None:
    driven = opened()
    for service in ("si", "si", "tax"):
        driven.take(service)
    driven.call(1)
    driven.at_ms += 10 * MIN
    shown = Shown([driven.state], now_ms=driven.at_ms)
    assert shown.value("jiaohao_hall_waiting", hall="h1") == 2 and shown.value("jiaohao_hall_open", hall="h1") == 1
    assert shown.value("jiaohao_hall_counters_open", hall="h1") == 3
    assert shown.value("jiaohao_hall_oldest_wait_seconds", hall="h1") == 602
    assert shown.value("jiaohao_tickets", hall="h1", state="called") == 1
    assert shown.value("jiaohao_tickets", hall="h1", state="waiting") == 2
    assert shown.value("jiaohao_waiting", hall="h1", service="tax") == 1
    assert shown.value("jiaohao_oldest_wait_seconds", hall="h1", service="tax") == 600
    assert shown.value("jiaohao_oldest_wait_seconds", hall="h1", service="id") == 0
    assert shown.value("jiaohao_counters", hall="h1", state="called") == 1
    assert shown.value("jiaohao_counters", hall="h1", state="idle") == 2
    assert shown.value("jiaohao_hall_last_fact_timestamp_seconds", hall="h1") == driven.state.at_ms / 1000


def test_devices_by_kind_and_state() -> None:
    driven = opened()
    driven.ask(c.HelloDevice("kiosk-1", "b", 1, "1.0", "", ()))
    driven.ask(c.HelloDevice("board-1", "b", 1, "1.0", "", ("lamp",)))
    driven.ask(c.LoseDevice("kiosk-1", "b", 1))
    driven.ask(c.RetireDevice("caller-3"))
    shown = Shown([driven.state])
    assert shown.value("jiaohao_devices", hall="h1", kind="kiosk", state="offline") == 1
    assert shown.value("jiaohao_devices", hall="h1", kind="board", state="degraded") == 1
    assert shown.value("jiaohao_devices", hall="h1", kind="caller", state="registered") == 2
    assert shown.value("jiaohao_hall_devices_offline", hall="h1") == 1


def test_cases_and_findings_as_they_stand() -> None:
    driven = opened()
    driven.take()
    call = driven.serve().call
    driven.ask(c.SubmitEvaluation(level=1, call=call))
    rated_ms = driven.at_ms
    driven.ask(cc.RaiseFinding("R9", "service-si"))
    driven.state.cases[1].overdue = ("verify",)
    driven.at_ms += MIN
    shown = Shown([driven.state], now_ms=driven.at_ms)
    assert shown.value("jiaohao_cases_open", hall="h1", kind="bad_review") == 1
    assert shown.value("jiaohao_cases_overdue", hall="h1", kind="bad_review", stage="verify") == 1
    assert shown.value("jiaohao_hall_cases_overdue", hall="h1") == 1
    assert shown.value("jiaohao_case_oldest_seconds", hall="h1", kind="bad_review") == 60
    assert shown.value("jiaohao_evaluation_level_timestamp_seconds", hall="h1", level="1") == rated_ms / 1000
    assert shown.value("jiaohao_findings_open", hall="h1", rule="R9") == 1


def test_a_profile_was_probed_when_each_of_its_levels_was() -> None:
    driven = opened()
    driven.ask(cc.ProbeEvaluation("pad", 2))
    assert Shown([driven.state]).value("jiaohao_probe_timestamp_seconds", hall="h1", profile="pad") == 0
    second_ms = driven.at_ms
    driven.at_ms += MIN
    driven.ask(cc.ProbeEvaluation("pad", 1))
    driven.ask(cc.ProbeEvaluation("pad", 5))
    shown = Shown([driven.state])
    assert shown.value("jiaohao_probe_timestamp_seconds", hall="h1", profile="pad") == second_ms / 1000


def test_people_wait_in_the_zone_of_their_counter() -> None:
    zones = (ZonePart("w1", seats=30), ZonePart("w2", seats=4))
    counters = tuple(part if part.no != 3 else type(part)(no=3, primary=("id",), zone="w2") for part in POLICY.counters)
    driven = opened(zones=zones, counters=counters)
    for service in ("id", "id", "si"):
        driven.take(service)
    shown = Shown([driven.state], now_ms=driven.at_ms)
    assert shown.value("jiaohao_zone_waiting", hall="h1", zone="w2") == 2
    assert shown.value("jiaohao_zone_seats", hall="h1", zone="w1") == 30


def test_people_in_a_zone_are_those_last_counted() -> None:
    driven = opened(zones=(ZonePart("w1", seats=30), ZonePart("w2", seats=4)))
    for people in (7, 5):
        driven.ask(cc.CountZone(people, "w1"))
    shown = Shown([driven.state])
    assert shown.value("jiaohao_zone_people", hall="h1", zone="w1") == 5
    assert shown.value("jiaohao_zone_people", hall="h1", zone="w2") == 0, "nobody has counted there"


def test_stamps_of_the_timers_are_their_time(tmp_path: Path) -> None:
    shown = Shown(directory=tmp_path)
    assert shown.value("jiaohao_backup_timestamp_seconds") == 0
    for name, at in (("backup.ok", 1000), ("verify.failed", 2000)):
        (tmp_path / name).write_text("xx")
        os.utime(tmp_path / name, (at, at))
    assert shown.value("jiaohao_backup_timestamp_seconds") == 1000
    assert shown.value("jiaohao_verify_failed_timestamp_seconds") == 2000
    assert shown.value("jiaohao_verify_failures_total") == 2, "each failure leaves a byte more"
    assert shown.value("jiaohao_backup_failures_total") == 0
    assert shown.value("jiaohao_disk_free_bytes") > 0


def test_pages_are_counted_by_route_and_streams_by_page() -> None:
    shown = Shown()
    shown.site = SimpleNamespace(
        requests=Counter({("board", "2xx"): 3}),
        seconds={("board", "2xx"): 0.5, ("board", "4xx"): 0.25},
        refused=Counter({"role": 2}),
        hub=SimpleNamespace(by_page=lambda: {"board": 4, "cases": 1}, dropped={"board": 6}),
    )
    assert shown.value("jiaohao_http_requests_total", route="board", **{"class": "2xx"}) == 3
    assert shown.value("jiaohao_http_seconds_total", route="board") == 0.75
    assert shown.value("jiaohao_http_refused_total", reason="role") == 2
    assert (
        shown.value("jiaohao_sse_clients", page="board") == 4 and shown.value("jiaohao_sse_clients", page="cases") == 1
    )
    assert shown.value("jiaohao_sse_dropped_total", page="board") == 6
    assert shown.value("jiaohao_sse_dropped_total", page="ops") == 0


def test_lines_of_the_log_are_counted(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = dict(logs.LINES)
    log = logs.logger("info", "json")
    log.info(logs.START)
    log.error(logs.FAILED)
    log.debug("below the level")
    assert [logs.LINES[one] - before[one] for one in ("debug", "info", "error")] == [0, 1, 1]
    capfdbinary.readouterr()


def test_the_process_knows_its_memory() -> None:
    shown = Shown()
    assert shown.value("jiaohao_process_resident_memory_bytes") > 10_000_000
    assert shown.value("jiaohao_process_open_fds") > 2 and shown.value("jiaohao_process_cpu_seconds_total") > 0


def test_without_proc_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(samples, "PROC", tmp_path / "none")
    assert Shown().value("jiaohao_process_resident_memory_bytes") == 0


def test_a_hall_without_a_policy_is_empty_and_shown() -> None:
    shown = Shown([HallState("h9")])
    assert shown.value("jiaohao_hall_waiting", hall="h9") == 0
    assert not [key for key in shown.samples() if key[0] == "jiaohao_waiting"]
