"""bench/figures.py: the figures of bench/README.md, written from the results of record and held against them by a test.

`python -m bench figures` writes them.
"""

import re
from pathlib import Path
from typing import Any, Final

from bench.report import RESULTS, read

README: Final = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: python -m bench figures -->\n", "<!-- end of figures -->\n"
NOTHING: Final = "No results of record yet.\n"
Document = dict[str, Any]
NAME: Final = re.compile(r"([a-z-]+(?:-\d+)?)-(\d{8})-.*\.json")  # a suite, a number of its own, the date


def newest(results: Path = RESULTS) -> dict[str, Document]:
    """The latest result of each suite, by the date in its name."""
    dated = {path: NAME.fullmatch(path.name) for path in sorted(results.glob("*.json"), key=_date)}
    newest = {found[1]: path for path, found in dated.items() if found}
    return {name: read(newest[name]) for name in sorted(newest)}


def _date(path: Path) -> str:
    found = NAME.fullmatch(path.name)
    return found[2] if found else ""


def figures(found: dict[str, Document]) -> str:
    """Markdown: the gates, the machine, the stages of an event."""
    if not found:
        return NOTHING
    parts = ["| gate | value | goal | spread | verdict |", "|---|---|---|---|---|"]
    parts += [_gate(gate, _of(name)) for name, one in found.items() for gate in one["gates"] if not _count(gate)]
    parts += ["", _counts(found), "", _machine(next(iter(found.values()))["machine"])]
    if "stages" in found:
        parts += ["", *_stages(found["stages"])]
    return "\n".join(parts) + "\n"


def _of(name: str) -> str:
    """drain-200000: of how many."""
    number = name.rpartition("-")[2]
    return f", {int(number):,}" if number.isdigit() else ""


def _gate(gate: Document, of: str = "") -> str:
    value = "not run" if gate["value"] is None else f"{gate['value']:.3g}"
    spread = "-" if gate["spread"] is None else f"{gate['spread']:.2f}"
    word = {True: "held", False: "**missed**", None: "no verdict"}[gate["ok"]]
    note = f" ({gate['note']})" if gate["note"] else ""
    goal = f"{'≥' if gate['at_least'] else '≤'} {gate['goal']:g}"
    return f"| `{gate['name']}`{of} | {value} | {goal} | {spread} | {word}{note} |"


def _count(gate: Document) -> bool:
    """A count that must be 0: told together."""
    return bool(gate["goal"] == 0 and not gate["at_least"])


def _counts(found: dict[str, Document]) -> str:
    counts = [gate for one in found.values() for gate in one["gates"] if _count(gate)]
    wrong = [f"`{gate['name']}` {gate['value']:g}" for gate in counts if gate["value"]]
    held = f"{len(counts) - len(wrong)} of {len(counts)} counts of lost, doubled, called twice and the like are 0"
    return held + (": not " + ", ".join(wrong) + "." if wrong else ".")


def _machine(block: Document) -> str:
    disk = block.get("disk") or {}
    synced = f", fdatasync p50 {disk['fdatasync_p50_us']:.0f} µs" if "fdatasync_p50_us" in disk else ""
    what = f"{block['cpu']}, {block['cores']} cores, {block['python']}, SQLite {block['sqlite']}, {block['broker']}"
    return f"{what}{synced}."


def _stages(one: Document) -> list[str]:
    total = one["total_us"]
    rows = [f"| {stage} | {cost:.2f} | {cost / total:.0%} |" for stage, cost in one["stages_us"].items()]
    last = f"| all; of which `ingest` | {total:.2f}; {one['ingest_us']:.2f} | |"
    return ["| stage of an event | µs | share |", "|---|---|---|", *rows, last]


def written(text: str, block: str) -> str:
    """The README with this block between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + block + END + after


def main() -> int:
    """Write."""
    README.write_text(written(README.read_text("utf-8"), figures(newest())), "utf-8")
    print(README.name)
    return 0
