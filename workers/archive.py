"""workers/archive.py: closed months, verified, copied into archive/ and made read-only. In a process of its own.

verify ─▶ VACUUM INTO `….part` ─▶ verify ─▶ manifest ─▶ rename ─▶ chmod 444 ─▶ the original goes
Killed anywhere it is done again: until the original is gone, that is the one that counts.
"""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from workers import engine, mark, notes, owner, recovery
from workers.ports import Missing
from workers.verify import digest_of, verify_file

LOCK: Final = "archive.lock"
READ_ONLY: Final = 0o444


class Manifest(msgspec.Struct):
    """What stands beside an archived month. `erased`: facts that were taken out since."""

    v: int
    file: str
    first: int
    last: int
    chain: str
    bytes: int
    sha256: str
    made: str
    erased: int = 0


class Archived(msgspec.Struct):
    """The document of `journal archive --json`."""

    v: int
    months: list[Manifest]


def archive(directory: Path) -> Archived:
    """Every month but the newest. JournalDamaged leaves a damaged one where it is."""
    newest = recovery.newest_file(directory)
    if newest is None:
        raise Missing(f"no journal in {directory}")
    held = owner.take(directory, LOCK, what="archive")
    try:
        closed = [path for path in sorted(directory.glob(recovery.MONTHS)) if path != newest]
        return Archived(1, [archived(path, directory / recovery.ARCHIVE) for path in closed])
    finally:
        held.release()


def archived(path: Path, place: Path) -> Manifest:
    """One month under its name in the archive; the original is removed last."""
    place.mkdir(exist_ok=True)
    to = place / path.name
    require_good(path, path)
    part = to.with_name(to.name + ".part")
    part.unlink(missing_ok=True)
    with closing(engine.connect(path, isolation_level=None)) as db:
        notes.drop(db)  # those that are kept have moved on with the month
    with closing(engine.reader(path, copies=True)) as db:
        db.execute("VACUUM INTO ?", (str(part),))
    require_good(part, path)
    manifest = put(part, to)
    for left in (path, *path.parent.glob(f"{path.name}-*")):
        left.unlink()
    mark.sync_directory(path.parent)
    return manifest


def require_good(path: Path, source: Path) -> None:
    """JournalDamaged names the first problem."""
    problems = verify_file(path)
    if problems:
        raise recovery.damaged(f"{source.name}: {problems[0]}", source)


def put(part: Path, to: Path, erased: int = 0) -> Manifest:
    """Manifest, then the name; both durable. The file is read-only before anybody finds it."""
    with closing(engine.reader(part)) as db:
        first, end = recovery.origin(db).seq + 1, recovery.end(db)
    part.chmod(READ_ONLY)
    mark.sync_file(part)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    size = part.stat().st_size
    manifest = Manifest(1, to.name, first, end.seq, end.seal.chain.hex(), size, digest_of(part), now, erased)
    write_manifest(to.with_suffix(".json"), manifest)
    part.rename(to)
    mark.sync_directory(to.parent)
    return manifest


def settle(path: Path) -> None:
    """Finish a month that was cut short between its manifest and its name."""
    part = path.with_name(path.name + ".part")
    if part.exists() and digest_of(part) == read_manifest(path).sha256:
        part.rename(path)
        mark.sync_directory(path.parent)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    part.chmod(READ_ONLY)
    mark.sync_file(part)
    part.rename(path)


def read_manifest(path: Path) -> Manifest:
    """The manifest of an archived month."""
    return msgspec.convert(json.loads(path.with_suffix(".json").read_text("utf-8")), Manifest)
