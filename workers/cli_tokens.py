"""workers/cli_tokens.py: `jiaohao token add | list | revoke`: who may open which pages. A token is shown once.

The file holds digests only. `serve` reads it at start and again on SIGHUP.
"""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from devices.privacy import personal

if TYPE_CHECKING:
    from workers.web.access import Grant

USAGE: Final = 2
WRONG: Final = 1

token = typer.Typer(help="Tokens of the pages: who may open what.", no_args_is_help=True)
File = Annotated[Path, typer.Option("--file", help="the tokens file, as in web.tokens_file")]


def attach(app: typer.Typer) -> None:
    """Hang it under the command line."""
    app.add_typer(token, name="token")


@token.command()
def add(
    role: Annotated[str, typer.Option(help="clerk, guide, operator, auditor, device or metrics")],
    hall: Annotated[list[str], typer.Option(help="a hall; may be given more than once")],
    file: File,
    device: Annotated[list[str] | None, typer.Option(help="only for this device; may be given more than once")] = None,
    note: Annotated[str, typer.Option(help="what it is for; no names of people")] = "",
) -> None:
    """A new token: shown now, and nowhere else."""
    from workers.cli import fail
    from workers.web.access import Role, new_token

    if role not in get_args(Role):
        fail(f"no role {role!r}", "--role", f"one of {', '.join(get_args(Role))}", USAGE)
    if personal(note):
        fail("an identity or phone number in the note", "--note", "say what the token is for, not whose", USAGE)
    known(file)
    made, entry = new_token(role, tuple(hall), tuple(device or ()), note)
    append(file, entry)
    sys.stdout.write(f"{made}\n")
    sys.stderr.write("open /login and enter it, or /login#token=…; a running process reads the file on SIGHUP\n")


@token.command("list")
def listed(file: File) -> None:
    """Every token by its id: role, halls, devices, note."""
    for one in known(file):
        parts = (one.id, one.role, ",".join(one.halls), ",".join(one.devices) or "-", one.note or "-")
        sys.stdout.write("\t".join(parts) + "\n")


@token.command()
def revoke(ident: Annotated[str, typer.Argument(help="an id, as listed")], file: File) -> None:
    """Take one out; its cookies end with it."""
    from workers.cli import fail
    from workers.web.access import entry_of

    grants = known(file)
    left = [one for one in grants if one.id != ident]
    if len(left) == len(grants):
        fail(f"no token {ident!r}", str(file), "see `jiaohao token list`", WRONG)
    write(file, "\n".join(map(entry_of, left)))


def known(file: Path) -> "list[Grant]":
    """The grants of the file; none where there is no file yet."""
    from workers.cli import fail
    from workers.web.access import read_tokens

    try:
        return read_tokens(file) if file.exists() else []
    except ValueError as error:
        fail("the tokens file is wrong", str(error), "correct it and try again", USAGE)
        raise


def append(file: Path, entry: str) -> None:
    """One more, in a file for its owner alone."""
    write(file, (file.read_text("utf-8") + "\n" if file.exists() else "") + entry)


def write(file: Path, text: str) -> None:
    """Whole or not at all. A new file is for its owner alone; one that is replaced keeps owner and mode: who reads it
    is another user than who writes it."""
    part = file.with_name(file.name + ".new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        if file.exists():
            _as_before(out.fileno(), file.stat())
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def _as_before(handle: int, old: os.stat_result) -> None:
    """Owner first: a change of owner may clear bits of the mode."""
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))
