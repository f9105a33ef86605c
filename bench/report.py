"""bench/report.py: results of record as one HTML page without network, and two of them side by side.

`python -m bench report [FILES] [--out FILE] [--png DIR]`, `python -m bench compare A B`. Files: what `--json` or
`--out` wrote.
"""

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import pictures, plots, svg
from bench.goals import baseline_of
from bench.scopes import TABLE

RESULTS: Final = Path(__file__).parent / "results"
Document = dict[str, Any]
ABSOLUTE: Final = (
    "memory.bytes_per_waiting_ticket",
    "journal.loop_lag_p99_ms",
    "journal.wal_mb",
    "drain.live_p99_s",
    "soak.rss_growth_per_hour",
    "recovery.snapshot_encode_ms",
    "recovery.snapshot_decode_ms",
)
SAME: Final = ("cpu", "cores", "quota", "memory_mb", "kernel", "python", "sqlite", "broker")
WORDS: Final = {True: "held 达标", False: "missed 未达标", None: "no verdict 无结论"}
STYLE: Final = (
    "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}"
    "td,th{border-bottom:1px solid #ddd;padding:.15rem .6rem;text-align:left}td:nth-child(4){white-space:nowrap}"
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


def judged(one: Document) -> list[Document]:
    """Its gates; of a short run only the counts that must be 0 have a verdict."""
    short = one["verdict"].startswith("no verdict")
    return [gate | {"ok": None} if short and gate["goal"] else gate for gate in one["gates"]]


def gates_table(documents: list[Document]) -> Table:
    """For those who stay in the terminal."""
    table = Table("suite", "gate", "value", "goal", "spread", "verdict", title="results of record")
    for one in documents:
        for gate in judged(one):
            table.add_row(one["suite"], *_gate_cells(gate))
    return table


def _gate_cells(gate: Document) -> tuple[str, ...]:
    value = "-" if gate["value"] is None else svg.number(gate["value"])
    spread = "-" if gate["spread"] is None else f"{gate['spread']:.2f}"
    goal = f"{'>=' if gate['at_least'] else '<='} {gate['goal']:g}"
    note = f", {gate['note']}" if gate["note"] else ""
    return gate["name"], value, goal, spread, WORDS[gate["ok"]] + note


# The page.


def page(documents: list[Document]) -> str:
    """Everything in one file: no script, no address."""
    gates = [
        (one["suite"], *_gate_cells(gate), baseline_of(gate["name"])) for one in documents for gate in one["gates"]
    ]
    parts = [
        "<h1>叫号 Jiaohao: 性能报告 benchmark</h1>",
        "<h2>门限 Gates</h2>",
        svg.table(("suite", "gate", "value", "goal", "spread", "verdict", "against 基准"), gates),
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
    draw = plots.PLOTS.get(one["suite"], plots.goals)
    machine = [(name, json.dumps(value, ensure_ascii=False)) for name, value in one["machine"].items()]
    command = escape(" ".join(one["arguments"]))
    return (
        f"<h2>{plots.TITLES.get(one['suite'], '')} {one['suite']}</h2>"
        f"<p><code>python -m bench {command}</code>, seed {one['seed']}, {escape(one['verdict'])}</p>"
        f"{draw(one)}{_shown(one)}<p>{'<br>'.join(map(escape, one.get('notes', [])))}</p>"
        f"<details><summary>机器 machine</summary>{svg.table(('what', 'value'), machine)}</details>"
    )


def _shown(one: Document) -> str:
    """What is told and not judged."""
    rows = [(found["name"], found["value"], found["spread"]) for found in one.get("shown", [])]
    return svg.table(("shown, not judged 仅供参考", "value", "spread"), rows) if rows else ""


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
