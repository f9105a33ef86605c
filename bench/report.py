"""bench/report.py: results of record as one HTML page without network, and two of them side by side.

`python -m bench report [FILES] [--out FILE] [--png DIR]`, `python -m bench compare A B`. Files: what `--json` or
`--out` wrote.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import pictures, svg
from bench.scopes import TABLE

RESULTS: Final = Path(__file__).parent / "results"
Document = dict[str, Any]
ABSOLUTE: Final = (
    "memory.bytes_per_waiting_ticket",
    "journal.loop_lag_p99_ms",
    "journal.wal_mb",
    "drain.live_p99_s",
    "drain.live_p99_vs_quiet",
    "soak.rss_growth_per_hour",
)
SAME: Final = ("cpu", "cores", "quota", "memory_mb", "kernel", "python", "sqlite", "broker")
WORDS: Final = {True: "held 达标", False: "missed 未达标", None: "no verdict 无结论"}
STYLE: Final = (
    "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}"
    "td,th{border-bottom:1px solid #ddd;padding:.15rem .6rem;text-align:left}"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}.axis{fill:#666}.miss{color:#a00}summary{cursor:pointer}"
)


def read(path: Path) -> Document:
    """The last line that is a document."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("{")]
    found = json.loads(lines[-1])
    assert isinstance(found, dict) and found.get("v") == 1, f"{path.name} is no result of this bench"
    return found


def files(given: Sequence[str]) -> list[Path]:
    """Those named, or all results of record."""
    return [Path(one) for one in given] if given else sorted(RESULTS.glob("*.json"))


def report(arguments: list[str]) -> int:
    """Write the page and its plots, show the table."""
    parser = argparse.ArgumentParser(prog="python -m bench report", allow_abbrev=False)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--out", type=Path, default=Path("bench-report.html"))
    parser.add_argument("--png", type=Path, help="each plot as a PNG in this folder; needs chromium")
    given = parser.parse_args(arguments)
    documents = [read(one) for one in files(given.files)]
    Console(highlight=False).print(gates_table(documents))
    if not documents:
        print("no results: name files, or run suites with --out bench/results")
        return 1
    whole = page(documents)
    given.out.write_text(whole, "utf-8")
    print(given.out)
    if given.png:
        try:
            print(f"{len(pictures.draw(whole, STYLE, given.png))} plots in {given.png}")
        except pictures.NoBrowser as no:
            print(no)
            return 1
    return 0


def gates_table(documents: list[Document]) -> Table:
    """For those who stay in the terminal."""
    table = Table("suite", "gate", "value", "goal", "spread", "verdict", title="results of record")
    for one in documents:
        for gate in one["gates"]:
            table.add_row(one["suite"], *_gate_cells(gate))
    return table


def _gate_cells(gate: Document) -> tuple[str, ...]:
    value = "-" if gate["value"] is None else f"{gate['value']:.3g}"
    spread = "-" if gate["spread"] is None else f"{gate['spread']:.2f}"
    goal = f"{'>=' if gate['at_least'] else '<='} {gate['goal']:g}"
    note = f", {gate['note']}" if gate["note"] else ""
    return gate["name"], value, goal, spread, WORDS[gate["ok"]] + note


# The page.


def page(documents: list[Document]) -> str:
    """Everything in one file: no script, no address."""
    gates = [(one["suite"], *_gate_cells(gate)) for one in documents for gate in one["gates"]]
    parts = [
        "<h1>叫号 Jiaohao: 性能报告 benchmark</h1>",
        "<h2>门限 Gates</h2>",
        svg.table(("suite", "gate", "value", "goal", "spread", "verdict"), gates),
        "<h2>规模 Scopes</h2>",
        svg.table(("scope", "counters", "visits", "peak events/s", "backlog of 2 h"), TABLE),
        *map(_section, documents),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>Jiaohao bench</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _section(one: Document) -> str:
    draw = PLOTS.get(one["suite"], _goals)
    machine = [(name, json.dumps(value, ensure_ascii=False)) for name, value in one["machine"].items()]
    command = escape(" ".join(one["arguments"]))
    return (
        f"<h2>{TITLES.get(one['suite'], '')} {one['suite']}</h2>"
        f"<p><code>python -m bench {command}</code>, seed {one['seed']}, {escape(one['verdict'])}</p>"
        f"{draw(one)}<p>{'<br>'.join(map(escape, one.get('notes', [])))}</p>"
        f"<details><summary>机器 machine</summary>{svg.table(('what', 'value'), machine)}</details>"
    )


def _goals(one: Document) -> str:
    """Each gate as a multiple of its goal: above 1 is good where more is better, bad elsewhere."""
    judged = [gate for gate in one["gates"] if gate["value"] and gate["goal"]]
    values = [(f"{gate['name']} {'≥' if gate['at_least'] else '≤'}", gate["value"] / gate["goal"]) for gate in judged]
    return svg.bars(values, "x goal 倍", log=True) + svg.table(("gate", "value / goal"), values) if values else ""


def _rates(one: Document) -> str:
    """Throughput by pair, ours beside the baseline."""
    found = []
    for name, runs in one["runs"].items():
        series = {
            who: [(at, run[side]["received"] / run[side]["seconds"]) for at, run in enumerate(runs, 1)]
            for side, who in enumerate(("ours", "baseline"))
        }
        rows = [(at, ours[1], other[1]) for at, (ours, other) in enumerate(zip(*series.values(), strict=True), 1)]
        found.append(f"<h3>{escape(name)}</h3>{svg.lines(series, 'pair 配对', 'messages/s 每秒消息')}")
        found.append(svg.table(("pair", "ours", "baseline"), rows))
    return "".join(found)


def _latency(one: Document) -> str:
    """Percentiles of the first pair of each rate, ours over the relay."""
    found = []
    for rate, some in one["pairs"].items():
        curves = {
            who: [(1 / max(1e-4, 1 - share), value) for share, value in some[0][who]["curve_ms"]]
            for who in ("ours", "relay")
        }
        rows = [
            (f"{share:.3%}", ours, relay)
            for (share, ours), (_, relay) in zip(some[0]["ours"]["curve_ms"], some[0]["relay"]["curve_ms"], strict=True)
        ]
        found.append(f"<h3>{rate}/s</h3>" + svg.lines(curves, "1 / (1 - share)", "ms", log_x=True))
        found.append(svg.table(("share", "ours ms", "relay ms"), rows))
    return "".join(found)


def _scale(one: Document) -> str:
    found = []
    for what, curve in one["curves"].items():
        if len(curve) > 1:
            found.append(f"<h3>{what}</h3>" + svg.lines({what: curve}, what, "us an event", log_x=True))
        found.append(svg.table((what, "us an event"), curve))
    return "".join(found)


def _ranking(one: Document) -> str:
    """Peers as multiples of our time."""
    values = [(gate["name"].removeprefix("ranking."), gate["value"] or 0.0) for gate in one["gates"]]
    return svg.bars(values, "x", log=True) + svg.table(("against", "times"), values)


def _stages(one: Document) -> str:
    values = list(one["stages_us"].items())
    rows = [(stage, cost, f"{cost / one['total_us']:.1%}") for stage, cost in values]
    return svg.bars(values, "us") + svg.table(("stage", "us", "share"), rows)


def _core(one: Document) -> str:
    values = [(name, part["us"]) for name, part in one["micro"].items()]
    rows = [(name, part["us"], part["ratio"]) for name, part in one["micro"].items()]
    return svg.bars(values, "us", log=True) + svg.table(("part", "us", "ratio to msgspec decode"), rows)


def _peak(one: Document) -> str:
    """Waits by the quarter hour of the taking."""
    quarters = one["outcome"]["summary"]["quarters"]
    series = {
        name: [(at, row[2 + at_row]) for at, row in enumerate(quarters)]
        for at_row, name in enumerate(("median 中位", "P90", "longest 最长"))
    }
    figures = {**one["outcome"]["summary"]["eta"], **one["outcome"]["summary"]["fairness"]}
    return (
        svg.lines(series, "quarter hour 刻钟", "minutes 分钟")
        + svg.table(("from", "tickets", "median", "P90", "longest"), quarters)
        + svg.table(("figure", "value"), list(figures.items()))
    )


def _soak(one: Document) -> str:
    rounds = [(at, run["quantiles_ms"]["0.99"]) for at, run in enumerate(one["rounds"])]
    return (
        svg.lines({"RSS": one["rss"]}, "seconds", "MB")
        + svg.lines({"p99": rounds}, "round", "ms")
        + svg.table(("round", "p99 ms"), rounds)
    )


PLOTS: Final[dict[str, Callable[[Document], str]]] = {
    "link": _rates,
    "ingest": _rates,
    "loop": _rates,
    "latency": _latency,
    "scale": _scale,
    "ranking": _ranking,
    "stages": _stages,
    "core": _core,
    "peak": _peak,
    "soak": _soak,
}
TITLES: Final = {
    "core": "部件",
    "drain": "积压",
    "ingest": "入库",
    "journal": "日志",
    "latency": "按键到屏幕",
    "link": "链路",
    "loop": "全程",
    "memory": "内存",
    "peak": "高峰日",
    "ranking": "排序",
    "recovery": "恢复",
    "scale": "规模",
    "soak": "浸泡",
    "stages": "各阶段",
    "theory": "理论",
}


# Two results.


def compare(arguments: list[str]) -> int:
    """Gates of two results. From different machines only ratios can be compared."""
    parser = argparse.ArgumentParser(prog="python -m bench compare", allow_abbrev=False)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    given = parser.parse_args(arguments)
    before, after = read(given.a), read(given.b)
    differ = [name for name in SAME if before["machine"].get(name) != after["machine"].get(name)]
    table = Table("gate", "a", "b", "b / a", title=f"{before['suite']} against {after['suite']}")
    for row in compared(before, after, ratios_only=bool(differ)):
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    if differ:
        console.print(f"different machines ({', '.join(differ)}): only ratios are shown")
    return 0


def compared(before: Document, after: Document, *, ratios_only: bool) -> list[tuple[str, ...]]:
    """(gate, a, b, b / a) of gates with a value in both."""
    old = {gate["name"]: gate["value"] for gate in before["gates"]}
    rows: list[tuple[str, ...]] = []
    for gate in after["gates"]:
        name, value = gate["name"], gate["value"]
        if value is None or old.get(name) is None or (ratios_only and name in ABSOLUTE):
            continue
        rows.append((name, f"{old[name]:.3g}", f"{value:.3g}", f"{value / old[name]:.2f}" if old[name] else "-"))
    return rows
