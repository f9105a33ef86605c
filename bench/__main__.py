"""bench/__main__.py: `python -m bench SUITE` — runs a suite, prints its table and, with --json, one document.

`report` and `compare` read what --json or --out wrote (bench/report.py); `smoke` runs every suite for seconds.

Exit 0: every gate held. 1: a gate was missed. 2: wrong arguments. 3: inconclusive, the runs differed too much, or
something was not run. With --quick only counts that must be 0 are judged.
"""

import argparse
import fcntl
import importlib
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from rich.console import Console
from rich.table import Column, Table

from bench import machine as here
from bench.goals import baseline_of, peer_over_ours
from bench.pairs import Gate, Options, Report, Verdict, Void, document, not_run, verdict, wrong
from bench.runs import Missing
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
HELD_LONG, HELD_MID, HELD_LONG_MB = 3_000_000, 200_000, 16 << 10  # what `all` drains beside 29,000; the memory it takes
WIDE: Final = 140  # columns where nobody knows
UNTIMED: Final = ("theory",)  # no clock in the result: may run beside others, probes no disk


def main(arguments: list[str]) -> int:
    """Parse, run one suite or all, print. Returns the exit code."""
    if arguments[:1] in (["report"], ["compare"], ["figures"]):
        from bench import figures, report  # drawing is not needed to measure

        if arguments[0] == "figures":
            return figures.main()
        return (report.report if arguments[0] == "report" else report.compare)(arguments[1:])
    known, rest = _parser().parse_known_args(arguments)
    quick = known.quick or known.suite == "smoke"
    options = Options(quick, known.json, known.seed, known.pairs, known.seconds, known.force)
    return max(_run(Job(name, arguments, more, known), options) for name, more in _jobs(known.suite, rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("suite", choices=[*SUITES, "all", "smoke", "report", "compare", "figures"])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; no verdict")
    parser.add_argument("--json", action="store_true", help="the last line is the result as JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=0, help="interleaved pairs; 0: the suite's default")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a run; 0: the suite's default")
    parser.add_argument("--force", action="store_true", help="show numbers of inconclusive runs, marked")
    parser.add_argument("--out", type=Path, help="also write the result there; a directory: under its own name")
    parser.add_argument("--html", type=Path, help="also write this result as a page")
    return parser


class Job(NamedTuple):
    """One suite to run; `rest` goes to it."""

    suite: str
    arguments: list[str]
    rest: list[str]
    known: argparse.Namespace


def _jobs(suite: str, rest: list[str]) -> list[tuple[str, list[str]]]:
    """One suite, or all of them; the long drain stays away from small machines, a shorter one stands in."""
    if suite == "smoke":
        return [(name, rest) for name in SUITES]
    if suite == "all":
        held = HELD_LONG if here.memory_mb() >= HELD_LONG_MB else HELD_MID
        return [*((name, rest) for name in SUITES if name not in LONG), ("drain", [*rest, "--held", str(held)])]
    return [(suite, rest)]


def _placeless(arguments: list[str]) -> list[str]:
    """Without where the result goes: a result of record names no path of a machine."""
    for name in ("--out", "--html"):
        if name in arguments:
            at = arguments.index(name)
            arguments = arguments[:at] + arguments[at + 2 :]
    return arguments


def _run(job: Job, options: Options) -> int:
    """One suite, from its lazily imported function to its printed result."""
    timed = job.suite not in UNTIMED
    probe = timed and not options.quick
    with _alone(probe):
        started, stolen = time.monotonic(), here.jiffies()
        before = here.now(probe_disk=probe)
        report = _reported(job, options)
        block = here.machine(probe_disk=probe) | {"before": before, "after": here.now(probe_disk=probe)}
        block |= {"stolen": here.stolen(stolen, here.jiffies())}
        report.extra["took_s"] = round(time.monotonic() - started, 1)
    console = Console(stderr=options.json, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    _show(console, report, options)
    console.print(here.line(block), markup=False, soft_wrap=True)
    console.print(f"python -m bench {' '.join(job.arguments)}", markup=False, soft_wrap=True)
    line = document(report, options, block, _placeless(job.arguments))
    _keep(line, job, block)
    if options.json:
        print(line, flush=True)
    if options.quick:
        return Verdict.MISSED if wrong(report.gates) else Verdict.PASSED
    return verdict(report.gates)


def _reported(job: Job, options: Options) -> Report:
    """What the suite says, or that it could not run here."""
    module, _, function = SUITES[job.suite].partition(":")
    suite = cast(Suite, getattr(importlib.import_module(module), function))
    try:
        return suite(options, job.rest)
    except (Missing, Void) as why:
        return Report(job.suite, [not_run(f"{job.suite}.run", 0.0, str(why))])


def _keep(line: str, job: Job, block: dict[str, Any]) -> None:
    """<suite>-<date>-<machine>.json in a directory, or the file named; the page beside it if wanted."""
    out, held = job.known.out, job.rest[job.rest.index("--held") + 1] if "--held" in job.rest else ""
    if out is not None:
        if out.is_dir():
            kind = re.sub(r"[^a-z0-9]+", "-", str(block["cpu"]).lower()).strip("-")
            stem = "-".join(filter(None, (job.suite, held)))
            out = out / f"{stem}-{time.strftime('%Y%m%d')}-{kind}-{block['cores']}c.json"
        out.write_text(line + "\n", "utf-8")
    if job.known.html is not None:
        from bench import report

        job.known.html.write_text(report.page([json.loads(line)]), "utf-8")


@contextmanager
def _alone(wanted: bool) -> Iterator[None]:
    """One timed bench at a time on a machine: others wait."""
    if not wanted:
        yield
        return
    with (Path(tempfile.gettempdir()) / "jiaohao-bench.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _show(console: Console, report: Report, options: Options) -> None:
    """The terminal's table: rows of the suite, then its gates."""
    for row in report.rows:
        console.print("  ".join(row), markup=False, soft_wrap=True)
    if report.gates:
        table = Table(
            Column("gate", no_wrap=True),
            "ours",
            "baseline",
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


def _cells(one: Gate, options: Options) -> tuple[str, ...]:
    """A gate without a verdict shows no number, unless forced."""
    hidden = one.value is None or (one.ok is None and not (options.force or options.quick))
    word = {True: "held", False: "missed", None: "no verdict"}[one.ok]
    if options.quick and one.goal:
        word = "no verdict"
    elif one.note == "marginal" or (one.ok is None and not hidden):
        word = f"{word}, {one.note if one.ok is not None else 'forced'}"
    ours, baseline = zip(*one.raw, strict=True) if one.raw and not hidden else ((), ())
    if peer_over_ours(one.name):
        ours, baseline = baseline, ours
    return (
        one.name,
        _middle(ours),
        f"{_middle(baseline)} {baseline_of(one.name)}".removeprefix("- "),
        "-" if hidden or one.value is None else f"{one.value:.3g}",
        f"{'>=' if one.at_least else '<='} {one.goal:g}",
        "-" if one.spread is None else f"{one.spread:.2f}",
        word,
    )


def _middle(side: Sequence[float]) -> str:
    """The median of one side of the pairs."""
    return f"{statistics.median(side):.4g}" if side else "-"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
