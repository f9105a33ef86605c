"""workers/export.py: facts as JSON lines, or as Parquet where pyarrow is, by short pages that hold up no writer.

The file gets its name when it is whole; beside it stands its SHA-256 as `sha256sum -c` reads it.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from core import record
from workers import engine, recovery, rotation
from workers.ports import Missing
from workers.verify import digest_of

PAGE: Final = 50_000
PAGE_OF: Final = recovery.ROWS.replace("seq > ?", "seq > ? AND seq <= ?") + f" LIMIT {PAGE}"
EVER: Final = 2**63 - 1
Take = Callable[[list["Line"]], None]


class Line(msgspec.Struct, omit_defaults=True):
    """One fact as it is exported. `body`: its fields; `payload`: hex, where this program cannot read it."""

    seq: int
    hall: str
    n: int
    at_ms: int
    kind: int
    v: int
    fact: str = ""
    device: str = ""
    boot: str = ""
    dseq: int = 0
    actor: str = ""
    body: dict[str, Any] = {}
    payload: str = ""


class Exported(msgspec.Struct):
    """The document of `journal export --json`."""

    v: int
    file: str
    facts: int
    sha256: str


def export(directory: Path, out: Path, first: int = 1, last: int = EVER) -> Exported:
    """The facts `first`..`last` of all months. Missing when there is no journal, or no pyarrow for Parquet."""
    if not recovery.files(directory):
        raise Missing(f"no journal in {directory}")
    part, count = out.with_name(out.name + ".part"), 0
    try:
        with (parquet if out.suffix == ".parquet" else lines)(part) as take:
            for path in recovery.files(directory):
                for page in pages(path, first, last):
                    take(page)
                    count += len(page)
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    digest = digest_of(out)
    out.with_name(out.name + ".sha256").write_text(f"{digest}  {out.name}\n", "utf-8")
    return Exported(1, str(out), count, digest)


def pages(path: Path, first: int, last: int) -> Iterator[list[Line]]:
    """The facts of one month, each page a read of its own."""
    after = first - 1
    with closing(engine.reader(path)) as db:
        rotation.require_schema(db, path)
        while rows := db.execute(PAGE_OF, (after, last)).fetchall():
            words = recovery.texts(db)
            try:
                yield [line(words, row) for row in rows]
            except (IndexError, TypeError) as error:
                raise recovery.damaged(f"rows {rows[0][0]}–{rows[-1][0]}: a word is missing", path) from error
            after = rows[-1][0]


def line(words: Sequence[str] | Mapping[int, str], row: tuple[Any, ...]) -> Line:
    """One row told by its catalogue."""
    seq, hall, n, at_ms, kind, v, device, boot, dseq, payload = row
    told = Line(seq, words[hall], n, at_ms, kind, v, "", words[device], words[boot], dseq)
    try:
        fact, _, told.actor = record.decode(kind, v, payload)
    except (record.UnknownFact, msgspec.DecodeError):
        told.payload = payload.hex()
        return told
    told.fact, told.body = type(fact).__name__, {name: getattr(fact, name) for name in fact.__struct_fields__}
    return told


@contextmanager
def lines(part: Path) -> Iterator[Take]:
    """JSON, a fact a line."""
    encoder = msgspec.json.Encoder()
    with part.open("wb") as file:
        yield lambda page: file.writelines(encoder.encode_lines(page).splitlines(keepends=True))


def parquet(part: Path) -> AbstractContextManager[Take]:
    """Columns under zstd. Missing without pyarrow (extra `report`)."""
    try:
        arrow, writer = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise Missing(
            "Parquet needs pyarrow\nthe Python in use\ninstall the extra [report], or export .jsonl"
        ) from error
    return columns(part, arrow, writer)


@contextmanager
def columns(part: Path, arrow: Any, writer: Any) -> Iterator[Take]:
    """A row group a page; the body as JSON text."""
    texts = ("hall", "fact", "device", "boot", "actor", "body", "payload")
    names = Line.__struct_fields__
    schema = arrow.schema([(name, arrow.string() if name in texts else arrow.int64()) for name in names])
    with writer.ParquetWriter(str(part), schema, compression="zstd") as file:

        def take(page: list[Line]) -> None:
            found = {name: [getattr(one, name) for one in page] for name in names}
            found["body"] = [msgspec.json.encode(body).decode() for body in found["body"]]
            file.write_table(arrow.table(found, schema=schema))

        yield take
