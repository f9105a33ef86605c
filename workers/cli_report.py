"""workers/cli_report.py: `jiaohao report`: a day or a month, by hall, department, clerk, service or day."""

import csv
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from workers.report import Period, Report
    from workers.totals import Totals

FORMS: Final = ("table", "csv", "json", "parquet")
COLUMNS: Final = [
    *("hall", "department", "clerk", "service", "day", "served", "wait_s", "handling_s", "rated", "good", "bad"),
    *("satisfaction", "good_low", "sample", "rank", "cases", "in_time", "covered"),
]


def attach(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    data: Annotated[Path, typer.Argument(help="data directory")],
    day: Annotated[str, typer.Option(help="one business day, 2026-11-23")] = "",
    month: Annotated[str, typer.Option(help="one month, 2026-11")] = "",
    hall: Annotated[str, typer.Option(help="only this hall")] = "",
    by: Annotated[str, typer.Option(help="hall, department, clerk, service or day")] = "hall",
    form: Annotated[str, typer.Option("--format", help="table, csv, json or parquet")] = "table",
    out: Annotated[Path | None, typer.Option(help="write here instead of stdout; parquet needs it")] = None,
    public: Annotated[bool, typer.Option(help="leave out small cells, for a notice board")] = False,
    flags: Annotated[bool, typer.Option(help="what looks manipulated instead, one mark a line")] = False,
    fresh: Annotated[bool, typer.Option(help="count the whole journal again")] = False,
) -> None:
    """Service, ratings with numerators and denominators, and follow-up in time; the dispatcher is not disturbed."""
    from workers import report as reports
    from workers.cli import USAGE, fail, run

    if by not in reports.GROUPS or form not in FORMS or (form == "parquet" and out is None):
        fail(f"no report by {by!r} as {form!r}", "--by, --format, --out", "see jiaohao report --help", USAGE)
    try:
        span = reports.period(day, month)
    except ValueError as error:
        fail(str(error), "--day, --month", "such as --day 2026-11-23 or --month 2026-11", USAGE)

    async def task() -> None:
        if flags:
            show_marks(reports.update(data, fresh=fresh), span, hall, form)
            return
        found = reports.report(reports.update(data, fresh=fresh), span, by, hall=hall, public=public)
        write(found, form, out)

    run(task, str(data))


def write(found: "Report", form: str, out: Path | None) -> None:
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


def show_marks(totals: "Totals", span: "Period", hall: str, form: str) -> None:
    """Marks for a person to look at: hall, rule, subject, what was counted."""
    import msgspec

    from workers.scans import scan

    found = [one for one in scan(totals, span) if hall in ("", one.hall)]
    if form == "json":
        marks = [one._asdict() for one in found]
        sys.stdout.write(msgspec.json.encode({"v": 1, "marks": marks}).decode() + "\n")
        return
    for one in found:
        sys.stdout.write(f"{one.hall}  {one.rule}  {one.subject}  {one.num}/{one.den}\n")


def rows(found: "Report") -> list[dict[str, Any]]:
    """The lines as plain rows."""
    return [{name: getattr(line, name) for name in line.__struct_fields__} for line in found.lines]


def as_json(found: "Report") -> str:
    """One document."""
    import msgspec

    return msgspec.json.encode(found).decode() + "\n"


def as_csv(found: "Report") -> str:
    """All columns; a rate is two of them."""
    import io

    from workers.report import Line

    file = io.StringIO()
    writer = csv.DictWriter(file, Line.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found))
    return file.getvalue()


def as_table(found: "Report") -> str:
    """What a person reads first: shares as num/den, and how far the sample goes."""
    told = [COLUMNS, *([_cell(row, name) for name in COLUMNS] for row in rows(found))]
    kept = [at for at in range(len(COLUMNS)) if any(line[at] not in ("", "0") for line in told[1:])] or [0]
    widths = [max(len(line[at]) for line in told) for at in kept]
    lines = ["  ".join(line[at].ljust(width) for at, width in zip(kept, widths, strict=True)).rstrip() for line in told]
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str) -> str:
    if f"{name}_num" not in row:
        return str(row[name])
    num, den = row[f"{name}_num"], row[f"{name}_den"]
    if num < 0:
        return f"*/{den}"
    factor = 1 if name == "satisfaction" else 100
    return f"{num}/{den} {factor * num / den:.1f}" if den else "0/0"


def parquet(found: "Report", out: Path) -> None:
    """Columns under zstd, for who has the extra `report`."""
    from workers.ports import Missing

    try:
        arrow, writer = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise Missing(
            "Parquet needs pyarrow\nthe Python in use\ninstall the extra [report], or take --format csv"
        ) from error
    writer.write_table(arrow.Table.from_pylist(rows(found)), out, compression="zstd")
