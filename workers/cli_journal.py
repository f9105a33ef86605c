"""workers/cli_journal.py: `jiaohao journal verify | backup | restore | export | salvage | archive | erase | rebuild`.

What is wrong is told line by line on stdout, since it is the result; the exit code is 1 then.
"""

import errno
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workers import cli_report
from workers.clock import utc_ms

if TYPE_CHECKING:
    import msgspec

WRONG: Final = 1
USAGE: Final = 2

journal = typer.Typer(help="The journal: look, copy, put back, take out, erase.", no_args_is_help=True)
Data = Annotated[Path, typer.Argument(metavar="DIR", help="data directory")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]


def attach(app: typer.Typer) -> None:
    """Hang it under the command line."""
    app.add_typer(journal, name="journal")


@journal.command()
def verify(data: Data, as_json: AsJson = False) -> None:
    """Everything that was acknowledged, byte for byte: all months, the chain, states, manifests, the mark."""
    from workers import verify as verifying

    async def task() -> None:
        found = verifying.examined(data)
        if found.ok:
            stamp(data, "verify")
        show(found, as_json, "\n".join(found.problems) or f"all is well: {', '.join(found.files)}")
        if not found.ok:
            raise SystemExit(WRONG)

    run(task, str(data))


@journal.command()
def backup(data: Data, to: Annotated[Path, typer.Option(help="the copy")], as_json: AsJson = False) -> None:
    """A verified copy of the month in use, also while it is in use. Archived months are copied as files."""
    from workers import backup as backing

    unused(to)

    async def task() -> None:
        done = backing.backup(data, to)
        stamp(data, "backup")
        show(done, as_json, f"{done.file}: facts up to row {done.last}, {done.bytes} bytes, sha256 {done.sha256}")

    run(task, str(data), to)


@journal.command()
def restore(
    copy: Annotated[Path, typer.Argument(metavar="FILE", help="a backup")],
    data: Annotated[Path, typer.Option(help="data directory")],
    as_json: AsJson = False,
) -> None:
    """Put a copy in the journal's place. What it replaces is kept; what is missing is said, and becomes a fact."""
    from workers import backup as backing

    async def task() -> None:
        done = await backing.restore(copy, data, utc_ms())
        lost = f"rows {done.last + 1}–{done.acknowledged} are missing" if done.missing else "nothing is missing"
        kept = f"; what was there is in {done.replaced}" if done.replaced else ""
        show(done, as_json, f"{done.file}: rows up to {done.last}, {lost}{kept}")

    run(task, str(data))


@journal.command()
def export(
    data: Data,
    out: Annotated[Path, typer.Option(help="FILE.jsonl or FILE.parquet")],
    first: Annotated[int, typer.Option("--from", help="first row")] = 1,
    last: Annotated[int, typer.Option("--to", help="last row; 0: all")] = 0,
    as_json: AsJson = False,
) -> None:
    """Facts as JSON lines or Parquet, with a SHA-256 beside the file."""
    from workers import export as exporting

    unused(out)

    async def task() -> None:
        done = exporting.export(data, out, first, last or exporting.EVER)
        show(done, as_json, f"{done.file}: {done.facts} facts, sha256 {done.sha256}")

    run(task, str(data), out)


@journal.command()
def salvage(data: Data, to: Annotated[Path, typer.Option(help="a new directory")], as_json: AsJson = False) -> None:
    """Read what is left of damaged months into a new directory that can be started from; list what is lost."""
    from workers import salvage as salvaging

    async def task() -> None:
        done = await salvaging.salvage(data, to, utc_ms())
        text = [f"rows {one.first}–{one.last}: {one.why}" for one in done.lost]
        text += [f"{name}: whole, copied" for name in done.copied]
        text += [f"{name}: read line by line" for name in done.lines]
        if done.acknowledged > done.kept_last:
            behind = f"rows {done.kept_last + 1}–{done.acknowledged}"
            text.append(f"{behind}: not gone on with; what could be read of them is in the lines")
        text.append(f"{done.rows} rows read, {done.lost_rows} lost; {done.to} goes on behind row {done.kept_last}")
        show(done, as_json, "\n".join(text))

    run(task, str(to))  # what cannot be read is no error of it


@journal.command()
def archive(data: Data, as_json: AsJson = False) -> None:
    """Verify closed months, copy them to archive/ with a manifest, read-only. Started by itself after a rotation."""
    from workers import archive as archiving

    async def task() -> None:
        done = archiving.archive(data)
        show(
            done,
            as_json,
            "\n".join(f"{one.file}: rows {one.first}–{one.last}" for one in done.months) or "nothing to do",
        )

    run(task, str(data))


@journal.command()
def erase(
    data: Data,
    before: Annotated[str, typer.Option(help="YYYY-MM-DD: closed months that ended before this day")] = "",
    totals_before: Annotated[str, typer.Option(help="YYYY-MM-DD: what reports counted in months before its own")] = "",
    row: Annotated[int, typer.Option(help="instead: this row of a closed month, with its class in its batch")] = 0,
    *,
    beside: Annotated[bool, typer.Option("--beside", help="for the process itself: not the comments")] = False,
    personal: Annotated[bool, typer.Option("--personal-data", help="with --row: audit has no claim to it")] = False,
    config: Annotated[Path | None, typer.Option(help="jiaohao.toml: its retention.audit_days is kept by --row")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the short-lived facts of archived months; long-lived ones and the chain stay. A fact says how many.

    Also while the hall is served: only closed files are touched, and the process writes the fact. It does the same by
    itself each night, by `retention.rows_days` and `retention.aggregates_days`.
    """
    from workers import erasure, settings
    from workers.cli import fail

    days = [erasure.day_ms(text) if text else 0 for text in (before, totals_before)]
    if None in days or bool(row) is bool(before or totals_before) or row < 0:
        wrong = f"no day {totals_before if days[0] else before!r}"
        fail(wrong, "--before, --totals-before, --row", "write it as 2026-11-30, or give the number of a row", USAGE)
        return
    since = int(totals_before[:7].replace("-", "")) * 100 if totals_before else 0
    with suppress(OSError):  # a unit may forbid it; the child then has the weight of its parent
        os.nice(cli_report.NICE)

    async def task() -> None:
        if row:
            kept = 0 if personal else settings.load(config, settings.process_environment(), {}).retention.audit_days
            done = await erasure.erase_row(data, row, utc_ms(), audit_days=kept, dry_run=dry_run)
        else:
            done = await erasure.erase(
                data, before, days[0] or 0, utc_ms(), since=since, beside=beside, dry_run=dry_run
            )
        lines = [f"{one.month}: {one.facts} facts in {one.batches} batches" for one in done.months]
        lines += [f"{month}: kept, a start may still have to read it" for month in done.kept]
        lines += [f"reports: {done.days} days of halls"] if done.days else []
        told = "\n".join(lines)
        later = "" if done.told else "\nthe process that runs here puts it on record at night, or when it starts next"
        show(done, as_json, (told or "nothing to erase") + (" (nothing was changed)" if dry_run else later))

    run(task, str(data))


@journal.command()
def rebuild(data: Data, as_json: AsJson = False) -> None:
    """The tables of tickets, evaluations and devices anew, from facts alone."""
    from workers import rebuild as rebuilding

    async def task() -> None:
        done = rebuilding.Rebuilt(1, await rebuilding.rebuild(data, utc_ms))
        show(done, as_json, f"{done.rows} rows")

    run(task, str(data))


def run(task: Callable[[], Coroutine[Any, Any, None]], where: str, to: Path | None = None) -> None:
    """To the end; a file that SQLite cannot read is damaged, a disk that cannot be written is missing. `to`: where the
    result is written, if not in the directory itself."""
    from workers import cli, engine, opening

    async def told() -> None:
        try:
            await task()
        except engine.DatabaseError as error:
            raise opening.refused(error, Path(where)) from error
        except OSError as error:
            if error.errno == errno.EIO:  # read or written: the disk itself
                raise
            raise opening.unwritable(error, error.filename2 or error.filename or to or where) from error

    cli.run(told, where)


def stamp(data: Path, what: str) -> None:
    """`verify.ok`, `backup.ok`: when it went well, for the metrics of the process that runs there. Renamed into place,
    so that it does not matter whose the last one was. Who may only read leaves none."""
    part = data / f"{what}.ok.part"
    with suppress(OSError):
        part.touch()
        part.replace(data / f"{what}.ok")


def unused(to: Path) -> None:
    """A file that is there is not overwritten."""
    from workers.cli import fail

    if to.exists():
        fail(f"{to} is there already", "the output", "name a new file", USAGE)


def show(found: "msgspec.Struct", as_json: bool, text: str) -> None:
    """One document, or text."""
    import msgspec

    sys.stdout.write((msgspec.json.encode(found).decode() if as_json else text) + "\n")
