"""bench/__main__.py: `python -m bench SUITE` — runs a suite, prints its table and, with --json, one document.

`report` and `compare` read what --json or --out wrote (bench/report.py); `smoke` runs every suite for seconds.

Exit 0: every gate held. 1: a gate was missed. 2: wrong arguments. 3: inconclusive, the runs differed too much.
"""

import argparse
import fcntl
import importlib
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from rich.console import Console
from rich.table import Column, Table

from bench.machine import load_now, machine
from bench.pairs import Gate, Options, Report, Verdict, document, verdict
from bench.scopes import TABLE

Suite = Callable[[Options, list[str]], Report]  # the second argument: what the common options did not take

SUITES: Final[dict[str, str]] = {
    "ingest": "bench.ingest:ingest",
    "link": "bench.ingest:link",
    "latency": "bench.latency:run",
    "core": "bench.micro:run",
    "drain": "bench.drain:run",
    "journal": "bench.journal:run",
    "loop": "bench.ingest:loop",
    "memory": "bench.memory:run",
    "peak": "bench.peak:run",
    "peers-http": "bench.peers_http:run",
    "ranking": "bench.ranking:run",
    "ratings": "bench.ratings:run",
    "recovery": "bench.recovery:run",
    "scale": "bench.scale:run",
    "soak": "bench.soak:run",
    "stages": "bench.stages:run",
    "theory": "bench.theory:run",
}
LONG: Final = ("soak",)  # hours: only by name
LOADED: Final = ("drain", "ingest", "latency", "link", "loop", "peak", "scale", "soak")  # beside these: the scopes
UNTIMED: Final = ("theory",)  # no clock in the result: may run beside others, probes no disk


def main(arguments: list[str]) -> int:
    """Parse, run one suite or all, print. Returns the exit code."""
    if arguments[:1] in (["report"], ["compare"], ["figures"]):
        from bench import figures, report  # drawing is not needed to measure

        if arguments[0] == "figures":
            return figures.main()
        return (report.report if arguments[0] == "report" else report.compare)(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("suite", choices=[*SUITES, "all", "smoke", "report", "compare", "figures"])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; no verdict")
    parser.add_argument("--json", action="store_true", help="the last line is the result as JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=0, help="interleaved pairs; 0: the suite's default")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a run; 0: the suite's default")
    parser.add_argument("--force", action="store_true", help="show numbers of inconclusive runs, marked")
    parser.add_argument("--out", type=Path, help="also write the result there; a directory: under its own name")
    known, rest = parser.parse_known_args(arguments)
    quick = known.quick or known.suite == "smoke"
    options = Options(quick, known.json, known.seed, known.pairs, known.seconds, known.force)
    names = [known.suite]
    if known.suite in ("all", "smoke"):
        names = [name for name in SUITES if known.suite == "smoke" or name not in LONG]
    return max(_run(name, options, arguments, rest, known.out) for name in names)


def _placeless(arguments: list[str]) -> list[str]:
    """Without where the result goes: a result of record names no path of a machine."""
    if "--out" in arguments:
        at = arguments.index("--out")
        return arguments[:at] + arguments[at + 2 :]
    return arguments


def _run(name: str, options: Options, arguments: list[str], rest: list[str], out: Path | None = None) -> int:
    """One suite, from its lazily imported function to its printed result."""
    module, _, function = SUITES[name].partition(":")
    suite = cast(Suite, getattr(importlib.import_module(module), function))
    timed = name not in UNTIMED
    before = load_now()
    with _alone(timed and not options.quick):
        report = suite(options, rest)
    block = machine(probe_disk=timed and not options.quick) | {"before": before, "after": load_now()}
    console = Console(stderr=options.json, highlight=False)
    _show(console, report, options, " ".join(arguments))
    line = document(report, options, block, _placeless(arguments))
    if out is not None:
        _keep(line, out, name, block)
    if options.json:
        print(line, flush=True)
    return Verdict.PASSED if options.quick else verdict(report.gates)


def _keep(line: str, out: Path, suite: str, block: dict[str, Any]) -> None:
    """<suite>-<date>-<machine>.json in a directory, or the file named."""
    if out.is_dir():
        kind = re.sub(r"[^a-z0-9]+", "-", str(block["cpu"]).lower()).strip("-")
        out = out / f"{suite}-{time.strftime('%Y%m%d')}-{kind}-{block['cores']}c.json"
    out.write_text(line + "\n", "utf-8")


@contextmanager
def _alone(wanted: bool) -> Iterator[None]:
    """One timed bench at a time on a machine: others wait."""
    if not wanted:
        yield
        return
    with (Path(tempfile.gettempdir()) / "jiaohao-bench.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _show(console: Console, report: Report, options: Options, command: str) -> None:
    """The terminal's table: rows of the suite, then its gates."""
    for row in report.rows:
        console.print("  ".join(row), markup=False, soft_wrap=True)
    if report.gates:
        table = Table(
            Column("gate", no_wrap=True),
            "value",
            "goal",
            "spread",
            "verdict",
            title=f"{report.suite}, seed {options.seed}",
        )
        for one in report.gates:
            table.add_row(*_cells(one, options))
        console.print(table)
    told = [f"{one.name}: {one.note}" for one in report.gates if one.note and one.note != "marginal"]
    for note in (*told, *report.notes):
        console.print(note, markup=False)
    for scope in TABLE if report.suite in LOADED else ():
        console.print("  ".join(scope), markup=False)
    if options.quick:
        console.print("--quick: shape only, this is no verdict")
    console.print(f"python -m bench {command}", markup=False)


def _cells(one: Gate, options: Options) -> tuple[str, ...]:
    """A gate without a verdict shows no number, unless forced."""
    hidden = one.value is None or (one.ok is None and not (options.force or options.quick))
    word = {True: "held", False: "missed", None: "no verdict"}[one.ok]
    return (
        one.name,
        "-" if hidden or one.value is None else f"{one.value:.3g}",
        f"{'>=' if one.at_least else '<='} {one.goal:g}",
        "-" if one.spread is None else f"{one.spread:.2f}",
        f"{word}, {one.note}" if one.note == "marginal" else word,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
