"""workers/cli_devices.py: commands about devices: `device add|list|revoke`, `broker files`, `contract`.

What a device is stands in the hall's file, which alone is the truth; who may speak to the broker stands in one
directory: devices.json (hashes, never passwords), and the files for mosquitto that are written from it.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from workers.cli_tokens import write
from workers.clock import utc_ms

if TYPE_CHECKING:
    from core.policy import DevicePart
    from devices.access import Register

REGISTER: Final = "devices.json"
PASSWORDS: Final = "broker.passwd"
ACL: Final = "broker.acl"
CONF: Final = "mosquitto.conf"
CORE_PASSWORD: Final = "core.password"  # noqa: S105 - the name of a file
CONTRACT: Final = Path("deploy/asyncapi.yaml")

device = typer.Typer(help="Devices and their passwords.", no_args_is_help=True)
broker = typer.Typer(help="The broker's own files.", no_args_is_help=True)
Access = Annotated[Path, typer.Option(help="directory of devices.json and the broker's files")]
Halls = Annotated[Path, typer.Option(help="directory of hall files")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]
User = Annotated[str, typer.Argument(metavar="HALL/DEVICE", help="such as h1/kiosk-1")]


def attach(app: typer.Typer) -> None:
    """Hang them under the command line."""
    app.add_typer(device, name="device")
    app.add_typer(broker, name="broker")
    app.command()(contract)


def _wrong(what: str, where: str, todo: str, code: int = 2) -> None:
    from workers.cli import fail

    fail(what, where, todo, code)


def _show(found: object) -> None:
    """One JSON document with `v`."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


def contract(
    out: Annotated[Path, typer.Option(help="where it stands")] = CONTRACT,
    check: Annotated[bool, typer.Option(help="compare only; 1 if it is stale")] = False,
) -> None:
    """The AsyncAPI document of the wire, from the Structs."""
    from devices.contract import text

    now = text()
    if check:
        kept = out.read_text("utf-8") if out.is_file() else ""
        if kept != now:
            _wrong("the contract is stale", str(out), "jiaohao contract", 1)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(now, "utf-8")
    sys.stdout.write(f"{out}\n")


# What is known of devices: the hall files, and who has a password.


def _parts(halls: Path) -> "dict[str, DevicePart]":
    """Every device of every hall file by its username. Exit 2 when a file is wrong."""
    from workers.settings import SettingsError, hall_files

    try:
        return {f"{one.hall.id}/{part.id}": part for one in hall_files(str(halls)) for part in one.devices}
    except SettingsError as error:
        _wrong("hall files are wrong", str(error), "correct them and start again")
        raise


def _register(access: Path) -> "Register":
    """devices.json; empty if there is none yet. Exit 1 when it is damaged."""
    import msgspec

    from devices.access import Register, parse

    path = access / REGISTER
    if not path.is_file():
        return Register()
    try:
        return parse(path.read_text("utf-8"))
    except (msgspec.MsgspecError, ValueError) as error:
        _wrong(f"not a register: {error}", str(path), "restore it, or add the devices anew", 1)
        raise


def _keep(access: Path, register: "Register") -> None:
    """The register, and the broker's files from it."""
    from devices.access import document

    access.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(access / REGISTER, document(register))
    for name, text in _texts(register).items():
        write(access / name, text)


def _texts(register: "Register") -> dict[str, str]:
    from devices.access import acl_file, password_file

    return {PASSWORDS: password_file(register), ACL: acl_file()}


@device.command("add")
def add(
    user: User,
    halls: Halls = Path("halls"),
    access: Access = Path("access"),
    again: Annotated[bool, typer.Option(help="a new password; the old one is void")] = False,
    as_json: AsJson = False,
) -> None:
    """A password for a device of a hall file. Shown once."""
    from devices.access import added, is_user, new_password

    if not is_user(user):
        _wrong(f"{user!r} is no hall/device", "HALL/DEVICE", "give both, of A-Z a-z 0-9 - _")
    if user not in _parts(halls):
        name = user.partition("/")[2]
        line = f'add {{ id = "{name}", kind = "..." }} to `devices` of the hall file, and raise its version'
        _wrong(f"no hall file knows {user}", str(halls), line)
    register = _register(access)
    known = register.users.get(user)
    if known is not None and not known.revoked and not again:
        _wrong(f"{user} has a password", str(access / REGISTER), "--again gives it a new one")
    password = new_password()
    _keep(access, added(register, user, password, utc_ms()))
    if as_json:
        _show({"v": 1, "username": user, "password": password})
    else:
        sys.stdout.write(f"username {user}\npassword {password}\n")
    sys.stderr.write(
        "shown once; give the broker its files (`jiaohao broker files`; containers: deploy/prepare.sh) and a SIGHUP\n"
    )


@device.command("list")
def listed(halls: Halls = Path("halls"), access: Access = Path("access"), as_json: AsJson = False) -> None:
    """Every device of the hall files, and whether it has a password."""
    parts, users = _parts(halls), _register(access).users
    rows = []
    for user in sorted({*parts, *users} - {"core"}):
        part, known = parts.get(user), users.get(user)
        password = "none" if known is None else "revoked" if known.revoked else "kept"
        kind = part.kind if part is not None else "unknown"  # it has a password, and no hall file names it
        profile, counter = (part.profile, part.counter) if part is not None else ("", 0)
        rows.append({"device": user, "kind": kind, "profile": profile, "counter": counter, "password": password})
    if as_json:
        _show({"v": 1, "devices": rows})
        return
    for row in rows:
        sys.stdout.write("{device:32} {kind:15} {counter:>3} {password}\n".format(**row))


@device.command("revoke")
def revoke(user: User, access: Access = Path("access")) -> None:
    """Its password is void. The hall's file may still know it."""
    from devices.access import revoked

    register = _register(access)
    if user not in register.users:
        _wrong(f"{user} has no password", str(access / REGISTER), "jiaohao device list")
    _keep(access, revoked(register, user, utc_ms()))
    sys.stderr.write("let the broker read its files again (SIGHUP): it then hangs up on it\n")


@broker.command("files")
def files(
    out: Annotated[Path | None, typer.Option(help="where they go; else the directory of devices.json")] = None,
    access: Access = Path("access"),
    check: Annotated[bool, typer.Option(help="compare only; 1 if they are stale")] = False,
) -> None:
    """Passwords, access list and configuration for mosquitto; the dispatcher gets its password if it has none."""
    from devices.access import CORE, added, new_password
    from workers.broker import mosquitto_conf

    where, register = out or access, _register(access)
    if check:
        wanted = _texts(register) | {CONF: mosquitto_conf()}
        stale = [n for n, text in wanted.items() if not (where / n).is_file() or (where / n).read_text("utf-8") != text]
        if stale:
            _wrong(f"stale: {', '.join(stale)}", str(where), "jiaohao broker files", 1)
        return
    if CORE not in register.users:
        password = new_password()
        register = added(register, CORE, password, utc_ms())
        _keep(access, register)
        write(access / CORE_PASSWORD, password + "\n")
    where.mkdir(parents=True, exist_ok=True)
    for name, text in (_texts(register) | {CONF: mosquitto_conf()}).items():
        write(where / name, text)
        sys.stdout.write(f"{where / name}\n")
    sys.stderr.write(f"broker.password_file = {access / CORE_PASSWORD!s}, broker.username = {CORE!r}\n")
