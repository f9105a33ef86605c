"""bench/report.py, figures.py, svg.py: a page without network from any result; two results side by side."""

import json
import re
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from bench import figures, plots, report, svg
from bench.__main__ import SUITES, main
from bench.days import Account, summary
from bench.latency import Pair, Pressed, encoded
from bench.pairs import Gate, Options, Report, document

MACHINE = {"cpu": "A", "cores": 2}


def result(
    suite: str, gates: list[Gate], machine: dict[str, object] | None = None, **extra: object
) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        document(Report(suite, gates, dict(extra)), Options(), machine or MACHINE, [suite])
    )
    return found


def samples() -> list[dict[str, object]]:
    run = {"received": 10, "seconds": 2.0}
    side = Pressed(1, 0, 0.1, {"0.99": 2.0}, [(0.0, 1.0), (0.99, 2.0)], 1.0, True)
    pair = json.loads(json.dumps(json.loads(svg_json(Pair(side, side, 1.0)))))
    summed = json.loads(svg_json(summary(Account(waits={0: [1], 1: [2]}))))
    day = {"summary": summed, "pressed": json.loads(svg_json(side))}
    day |= dict.fromkeys(("speed", "messages", "cpu_us", "cpu_share", "rss_peak_mb"), 1)
    drained = {"rate": 5.0, "backlog": [(0.0, 10), (2.0, 0)]}
    flooded = {"spread": [{"quiet_p99_ms": 1.0, "live_p99_ms": 2.0, "live": 3}]}
    window = {"lag_ms": 1.0, "p99_ms": 2.0}
    ends = {"halls": [(3.0, 2.0)], "waiting": []}
    shown = [{"name": "loop.cpu_vs_relay", "value": 2.0, "spread": 0.1}]
    gate = Gate("ranking.call_vs_floor", 2.0, 3.0, True, 0.1)
    return [
        result("ingest", [gate], runs={"mosquitto": [[run, run], [run, run]]}),
        result("latency", [], pairs={"500": [pair]}),
        result("scale", [], curves={"halls": [[1, 2.0], [10, 3.0]], "waiting": [[5, 1.0]]}, full_product=ends),
        result("ranking", [gate], peers={"call, 100 waiting": [("ours", 1.0), ("Redis PING", 30.0)]}),
        result("loop", [], runs={"mosquitto": [[run, run]]}, shown=shown),
        result("drain", [], load={"held": 10}, runs=[[drained, run]], floods=flooded),
        result("peers-http", [], ratios={"call, 1 clients": {"median": 0.5, "raw": [(1.0, 2.0)]}}),
        result("theory", [], mean_wait=[1.0], closed_form=None),
        result("ratings", [], alone=[window], beside=[window]),
        result("stages", [], stages_us={"decode": 2.0, "judge": 0.0}, total_us=2.0),
        result("core", [], micro={"decide": {"us": 2.0, "ratio": 1.0}}),
        result("peak", [], outcome=day, core_alone=summed),
        result("soak", [], rss=[[0, 1.0], [1, 2.0]], rounds=[{"quantiles_ms": {"0.99": 1.0}}]),
        result("memory", [Gate("memory.x", None, 1.0, None, None, note="not run: <here>")], bytes={"ticket": [1.0]}),
        result("journal", [gate]),
    ]


def svg_json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)


def test_the_page_is_whole_and_asks_nobody() -> None:
    page = report.page(samples())
    assert page.count("<svg") >= 18 and "Redis PING" in page and "loop.cpu_vs_relay" in page
    assert "not run: &lt;here&gt;" in page and "门限 Gates" in page
    assert not re.search(r"https?://|<script|<link|@import", page)
    assert plots.PLOTS.keys() <= SUITES.keys() >= plots.TITLES.keys()


def test_files_are_read_written_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    rss = Gate("memory.bytes_per_waiting_ticket", 700.0, 1500.0, True, 0.0)
    a.write_text("noise\n" + json.dumps(result("x", [Gate("x.r", 2.0, 1.0, True, 0.0), rss])))
    b.write_text(json.dumps(result("x", [Gate("x.r", 3.0, 1.0, True, 0.0), rss], {"cpu": "B", "cores": 2})))
    assert main(["report", str(a), str(b), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert main(["compare", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    assert (
        "1.50" in said
        and "different machines (cpu)" in said
        and "bytes_per_waiting_ticket" not in said.split("x against x")[1]
    )
    assert main(["compare", str(a), str(a)]) == 0
    assert "bytes_per_waiting_ticket" in capsys.readouterr().out


def test_a_short_run_has_no_verdict_but_of_counts() -> None:
    gates = [Gate("x.r", 2.0, 1.0, True, 0.0), Gate("x.lost", 0.0, 0.0, True, 0.0, at_least=False)]
    short = json.loads(document(Report("x", gates), Options(quick=True), MACHINE, []))
    assert [gate["ok"] for gate in report.judged(short)] == [None, True]
    assert [gate["ok"] for gate in report.judged(result("x", gates))] == [True, True]


def test_plots_of_nothing_are_nothing() -> None:
    assert svg.lines({}, "x", "y") == svg.bars([("a", 0.0)], "us") == ""
    assert "<circle" in svg.lines({"one": [(1.0, 3.0)]}, "x", "y"), "a point alone is seen"
    assert svg.lines({"one": [(1.0, 0.0)]}, "x", "y").startswith("<svg")


@pytest.mark.parametrize("path", sorted(report.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_of_record_are_clean_runs(path: Path) -> None:
    found = report.read(path)
    assert found["machine"]["clean"] is True and not {"--quick", "--force"} & set(found["arguments"])


def test_figures_are_those_of_the_results_of_record() -> None:
    text = figures.README.read_text("utf-8")
    assert figures.written(text, figures.figures(figures.newest())) == text, "python -m bench figures"


def test_figures_name_misses_counts_and_stages() -> None:
    machine = {"cpu": "A", "cores": 2, "python": "P", "sqlite": "3", "broker": "m"}
    gates = [Gate("x.r", 0.5, 0.9, False, 0.1), Gate("x.lost", 0.0, 0.0, True, 0.0, at_least=False)]
    found = {
        "x": result("x", gates, machine),
        "stages": result("stages", [], machine, stages_us={"decode": 2.0}, total_us=2.0, ingest_us=1.0),
    }
    text = figures.figures(found)
    assert "| `x.r` | 0.5 | ≥ 0.9 | 0.10 | **missed** |" in text and "1 of 1 counts" in text
    assert "| decode | 2.00 | 100% |" in text and figures.figures({}) == figures.NOTHING


def test_results_are_known_by_suite_and_the_newest_counts(tmp_path: Path) -> None:
    for date, value in (("20260102", 2.0), ("20260101", 1.0)):
        one = result("peers-http", [Gate("g", value, 1.0, True, 0.0)])
        (tmp_path / f"peers-http-{date}-cpu-2c.json").write_text(json.dumps(one))
    (tmp_path / "drain-200000-20260101-cpu-2c.json").write_text(json.dumps(result("drain", [])))
    found = figures.newest(tmp_path)
    assert found["peers-http"]["gates"][0]["value"] == 2.0 and found.keys() == {"peers-http", "drain-200000"}


def test_the_whole_distribution_of_a_run_can_be_read_back() -> None:
    whole = HdrHistogram.decode(encoded([0, 5, 100, 200, 100_000]))
    assert whole.get_total_count() == 5
    assert [whole.get_value_at_percentile(share) for share in (20, 60)] == [1, 100]  # below 1 us is 1 us
    assert whole.get_max_value() == pytest.approx(100_000, rel=1e-3)
    assert HdrHistogram.decode(encoded([])).get_total_count() == 0


def test_a_result_does_not_say_where_it_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "--quick", "--json", "--out", str(tmp_path)]) == 0
    (written,) = tmp_path.glob("*.json")
    assert str(tmp_path) not in written.read_text("utf-8")
    assert report.read(written)["arguments"] == ["theory", "--quick", "--json"]
    assert str(tmp_path) not in capsys.readouterr().out.splitlines()[-1]
