"""workers/cli_report.py: `jiaohao report`: a period by hall, department, clerk, service, day; stars, records, flags."""

import csv
import importlib
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

if TYPE_CHECKING:
    from workers.report import Period
    from workers.totals import Totals

FORMS: Final = ("table", "csv", "json", "parquet")
KINDS: Final = ("hall", "department", "clerk", "service", "day", "profile", "records", "stars", "flags")
COLUMNS: Final = [
    *("hall", "department", "clerk", "service", "day", "served", "wait_s", "handling_s", "handling_ewma_s", "rated"),
    *("good", "bad", "bad_expected", "bad_ratio", "satisfaction", "good_low", "sample", "rank", "attention", "worse"),
    *("cusum", "assisted", "diverted", "cases", "in_time", "covered"),
]
NICE: Final = 10  # the dispatcher goes first
EMPTY: Final = ("", "0", "0/0", "0.0", "False")
STARS: Final = ["rank", "hall", "department", "clerk", "good", "good_low", "good_high", "handling_s", "cases"]


PERSONAL: Final = ("clerk", "flags", "stars")  # of one person: for that clerk, and for who is responsible
SINGLE: Final = ("records",)  # of single occasions


def attach(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    data: Annotated[Path, typer.Argument(help="data directory")],
    day: Annotated[str, typer.Option(help="one business day, 2026-11-23")] = "",
    month: Annotated[str, typer.Option(help="one month, 2026-11")] = "",
    first: Annotated[str, typer.Option(help="first day of a period; with --last")] = "",
    last: Annotated[str, typer.Option(help="last day of a period; with --first")] = "",
    hall: Annotated[str, typer.Option(help="only this hall")] = "",
    department: Annotated[str, typer.Option(help="only this department")] = "",
    clerk: Annotated[str, typer.Option(help="only this clerk")] = "",
    service: Annotated[str, typer.Option(help="only this service")] = "",
    by: Annotated[str, typer.Option(help=", ".join(KINDS))] = "hall",
    form: Annotated[str, typer.Option("--format", help=", ".join(FORMS))] = "table",
    out: Annotated[Path | None, typer.Option(help="write here instead of stdout; parquet needs it")] = None,
    public: Annotated[bool, typer.Option(help="leave out small cells, for a notice board")] = False,
    fresh: Annotated[bool, typer.Option(help="count the whole journal again")] = False,
) -> None:
    """Service, ratings with numerators and denominators, and follow-up in time; the dispatcher is not disturbed.

    profile: levels by what a device can say. records: zones against seats, facilities, volunteers, diversions.
    stars: the service-star list. flags: what looks manipulated, one mark a line.
    """
    from workers import counting
    from workers.cli import USAGE, fail, run
    from workers.report import period

    if by not in KINDS or form not in FORMS or (form == "parquet" and out is None):
        fail(f"no report by {by!r} as {form!r}", "--by, --format, --out", "see jiaohao report --help", USAGE)
    if public and by in SINGLE:
        fail("records count single occasions, too few to hide anybody", "--public", f"not with --by {by}", USAGE)
    if public and (clerk or by in PERSONAL):
        fail("a notice board shows nobody's own results", "--public", f"not with --clerk or --by {by}", USAGE)
    try:
        span = period(day, month, first, last)
    except ValueError as error:
        fail(str(error), "--day, --month, --first, --last", "such as --day 2026-11-23 or --month 2026-11", USAGE)
    only = {"hall": hall, "department": department, "clerk": clerk, "service": service}

    with suppress(OSError):  # a unit may forbid it; the child then has the weight of its parent
        os.nice(NICE)

    async def task() -> None:
        write(document(counting.update(data, fresh=fresh), span, by, public=public, only=only), form, out)

    run(task, str(data))


class Document(msgspec.Struct):
    """The document of `--format json`. `first`, `last`: business days; `seq`: the last row of the journal counted."""

    v: int
    first: int
    last: int
    by: str
    seq: int
    lines: list[Any]


def document(totals: "Totals", span: "Period", by: str, *, public: bool, only: dict[str, str]) -> Document:
    """The lines of one kind of report."""
    from workers import report as reports
    from workers.scans import scan

    lines: list[Any]
    if by == "records":
        lines = list(reports.on_record(totals, span, hall=only["hall"]))
    elif by == "profile":
        lines = list(reports.by_profile(totals, span, hall=only["hall"], public=public))
    elif by == "flags":
        lines = [one for one in scan(totals, span) if only["hall"] in ("", one.hall)]
    elif by == "stars":
        lines = reports.stars(reports.report(totals, span, "clerk", only=only))
    else:
        lines = reports.report(totals, span, by, public=public, only=only).lines
    return Document(1, span.first, span.last, by, totals.seq, lines)


def write(found: Document, form: str, out: Path | None) -> None:
    """The report in one form, to a file or to stdout. Missing without pyarrow for Parquet."""
    if form == "parquet":
        assert out is not None, "parquet has a file"
        parquet(found, out)
        return
    text = {"table": as_table, "csv": as_csv, "json": as_json}[form](found)
    if out is not None:
        out.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)


def fields(by: str) -> tuple[str, ...]:
    """The columns of a kind of report."""
    from workers.records import RecordLine
    from workers.report import Line, ProfileLine
    from workers.scans import Marked

    return {"records": RecordLine, "flags": Marked, "profile": ProfileLine}.get(by, Line).__struct_fields__


def rows(found: Document) -> list[dict[str, Any]]:
    """The lines as plain rows."""
    return [{name: getattr(line, name) for name in fields(found.by)} for line in found.lines]


def as_json(found: Document) -> str:
    """One document."""
    return msgspec.json.encode(found).decode() + "\n"


def as_csv(found: Document) -> str:
    """All columns; a rate is two of them."""
    file = io.StringIO()
    writer = csv.DictWriter(file, fields(found.by), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found))
    return file.getvalue()


def as_table(found: Document) -> str:
    """What a person reads first: shares as num/den, and how far the sample goes. Columns of nothing are left out."""
    profile = ["hall", "profile", "n5", "n4", "n3", "n2", "n1", "bad", "satisfaction"]
    columns = {"stars": STARS, "profile": profile} | {by: list(fields(by)) for by in ("records", "flags")}
    names = columns.get(found.by, COLUMNS)
    told = [names, *([_cell(row, name) for name in names] for row in rows(found))]
    kept = [at for at in range(len(names)) if any(line[at] not in EMPTY for line in told[1:])] or [0]
    widths = [max(len(line[at]) for line in told) for at in kept]
    lines = ["  ".join(line[at].ljust(width) for at, width in zip(kept, widths, strict=True)).rstrip() for line in told]
    if not found.lines:
        lines = ["nothing to report in this period"]
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str) -> str:
    if f"{name}_num" not in row:
        return str(row[name])
    num, den = row[f"{name}_num"], row[f"{name}_den"]
    if num < 0:
        return f"*/{den}" if den >= 0 else "*"
    factor = 1 if name == "satisfaction" else 100
    return f"{num}/{den} {factor * num / den:.1f}" if den else "0/0"


def parquet(found: Document, out: Path) -> None:
    """Columns under zstd, for who has the extra `report`."""
    from workers.ports import Missing

    try:
        arrow, writer = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise Missing(
            "Parquet needs pyarrow\nthe Python in use\ninstall the extra [report], or take --format csv"
        ) from error
    writer.write_table(arrow.Table.from_pylist(rows(found)), out, compression="zstd")
