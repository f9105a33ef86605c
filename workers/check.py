"""workers/check.py: looks at everything a dispatcher needs before it is started, and says what to do about each.

Nothing is changed: the write probe removes its file, the broker's session ends with the look.
"""

import asyncio
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from workers import engine, owner, settings
from workers.clock import utc_ms, utc_s
from workers.collector import detail_of, estimate
from workers.counts import kinds_of
from workers.link import Link
from workers.link_settings import LinkSettings
from workers.metrics import FULL
from workers.ports import Missing
from workers.proofs import key_of
from workers.recovery import newest_file
from workers.renewal import grants
from workers.settings import Settings, SettingsError

PROBES: Final = 50
PROBE_BYTES: Final = 4096
SLOW_SYNC_S: Final = 0.05
CONNECT_S: Final = 6.0
AHEAD_S: Final = 60.0
FIRST_YEAR_S: Final = 1_760_000_000  # a clock before this program was written is wrong


class Finding(msgspec.Struct):
    """One look. `ok` false ends with exit 5; a warning is `ok` with something `todo`."""

    check: str
    ok: bool
    found: str
    todo: str = ""


class Checked(msgspec.Struct):
    """The document of `check --json`."""

    v: int
    ok: bool
    findings: list[Finding]


async def look(chosen: Settings, *, offline: bool) -> list[Finding]:
    """Every look in order; each stands for itself."""
    directory = Path(chosen.journal.dir)
    known = [halls(chosen), series(chosen), tokens(chosen), sqlite(), *await asyncio.to_thread(disk, directory, chosen)]
    found = [*known, clock(directory), names(), port(chosen)]
    return found if offline else [*found, await broker(chosen)]


def halls(chosen: Settings) -> Finding:
    """Hall files."""
    try:
        found = settings.hall_files(chosen.halls.dir)
    except SettingsError as error:
        return Finding("halls", False, str(error), "correct the hall files")
    if not found:
        return Finding("halls", False, f"no hall file in {chosen.halls.dir}", "write one: see README, An operator")
    return Finding("halls", True, ", ".join(f"{one.hall.id} v{one.version}" for one in found))


def series(chosen: Settings) -> Finding:
    """How large the page of metrics will be, and at which level."""
    try:
        found = settings.hall_files(chosen.halls.dir)
    except SettingsError:
        return Finding("series", True, "unknown without hall files")
    services, kinds = sum(len(one.services) for one in found), sum(len(kinds_of(one)) for one in found)
    budget = chosen.metrics.series_budget
    level = detail_of(chosen.metrics.detail, budget, len(found), services, kinds)
    todo = "" if level == FULL else f"raise metrics.series_budget to see every service of {len(found)} halls"
    count = estimate(level, len(found), services, kinds)
    return Finding("series", True, f"at most {count} of {budget}, level {level}", todo)


def tokens(chosen: Settings) -> Finding:
    """Whom the pages let in, and the key that signs ratings and cookies."""
    try:
        found = grants(chosen.web)
        file = Path(chosen.web.key_file) if chosen.web.key_file else Path(chosen.journal.dir) / "web.key"
        if file.exists():
            key_of(file)
    except SettingsError as error:
        return Finding("tokens", False, str(error), "make them by `jiaohao token add`; chmod 600")
    except (OSError, ValueError) as error:
        return Finding("tokens", False, f"web.key_file: {error}", "chmod 600 it, or restore it from the backup")
    roles = ", ".join(sorted({one.role for one in found}))
    todo = "" if found else "nobody can log in: `jiaohao token add`, then web.tokens_file"
    return Finding("tokens", True, f"{len(found)} ({roles})" if found else "none", todo)


def sqlite() -> Finding:
    """The engine's version against the known mistakes."""
    text = ".".join(map(str, engine.sqlite_version()))
    try:
        engine.require(engine.sqlite_version())
    except Missing as error:
        return Finding("sqlite", False, str(error), "pip install 'jiaohao[engine]'")
    todo = "pip install 'jiaohao[engine]' brings a fixed one" if engine.affected(engine.sqlite_version()) else ""
    return Finding("sqlite", True, f"{text}{' (WAL-reset mistake, avoided here)' if todo else ''}", todo)


def disk(directory: Path, chosen: Settings) -> list[Finding]:
    """Writable, not on the network, free space, sync time, nobody else's; where it is not there yet: its parent."""
    place = next(one for one in (directory, *directory.parents) if one.exists())
    try:
        owner.refuse_network(place)
        seconds = sync_seconds(place)
    except (OSError, Missing) as error:
        return [Finding("data", False, str(error), f"give this user write access to {directory} on a local disk")]
    free_mb, least = shutil.disk_usage(place).free >> 20, chosen.journal.min_free_mb + chosen.journal.ballast_mb
    middle, worst = seconds[len(seconds) // 2], seconds[-1]
    return [
        Finding("data", True, f"{directory} {'is writable' if place == directory else 'can be made'}"),
        Finding("free", free_mb >= least, f"{free_mb} MB free", "" if free_mb >= least else f"{least} MB are needed"),
        Finding(
            "sync",
            True,
            f"fdatasync {middle * 1000:.2f} ms, at most {worst * 1000:.2f} ms",
            "a lone key press waits for this: use a disk with a protected cache" if middle > SLOW_SYNC_S else "",
        ),
        lock(directory),
    ]


def sync_seconds(directory: Path) -> list[float]:
    """How long 50 appends of 4 KiB took to be durable, ascending."""
    probe = directory / ".probe"
    found = []
    try:
        with probe.open("wb", buffering=0) as file:
            for _ in range(PROBES):
                started = time.perf_counter()
                file.write(bytes(PROBE_BYTES))
                os.fdatasync(file.fileno())
                found.append(time.perf_counter() - started)
    finally:
        probe.unlink(missing_ok=True)
    return sorted(found)


def lock(directory: Path) -> Finding:
    """Whether another process owns the data."""
    try:
        if (directory / owner.NAME).exists():  # taking makes it, and a look leaves nothing behind
            owner.take(directory).release()
    except owner.Taken as error:
        return Finding("owner", True, str(error), "a second dispatcher would not start beside it")
    path = newest_file(directory)
    return Finding("owner", True, f"free; journal {path.name}" if path else "free; no journal yet")


def clock(directory: Path) -> Finding:
    """A clock that is far behind stamps everything wrong: behind this program, or behind the journal's last write."""
    now, path = utc_s(), newest_file(directory)
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    written = path.stat().st_mtime if path else 0.0
    if written > now + AHEAD_S:
        text += f", {written - now:.0f} s behind the last write of {path}"
    ok = now > FIRST_YEAR_S and written <= now + AHEAD_S
    return Finding("clock", ok, text, "" if ok else "set the clock, switch NTP on")


def names() -> Finding:
    """`core`, `devices` and `workers` must be ours alone in this environment."""
    owners = packages_distributions()
    foreign = sorted({name for package in ("core", "devices", "workers") for name in owners.get(package, ())})
    ok = set(foreign) <= {"jiaohao"}
    return Finding("packages", ok, ", ".join(foreign) or "a checkout", "" if ok else "use an environment of its own")


def port(chosen: Settings) -> Finding:
    """Whether the pages can listen."""
    host, _, number = chosen.web.listen.rpartition(":")
    try:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, int(number)))
    except (OSError, ValueError) as error:
        return Finding("listen", False, f"{chosen.web.listen}: {error}", "choose another in web.listen")
    return Finding("listen", True, chosen.web.listen)


async def broker(chosen: Settings) -> Finding:
    """A real session: address, credentials, subscription."""
    if not chosen.broker.url:
        return Finding("broker", False, "none set", "set broker.url")
    told: list[str] = []
    live = asyncio.Event()
    part = chosen.broker
    try:
        link = Link(
            LinkSettings(
                url=part.url,
                client_id=f"{part.client_id}-check",
                username=part.username or None,
                password=settings.secret(part.password_file, "broker.password_file"),
                session_expiry_s=0,
                receive_max=part.receive_maximum,
                halls=("_check",),
            ),
            now_ms=utc_ms,
            random=Random(),  # noqa: S311 - spreads reconnects, protects nothing
            tls=ssl.create_default_context(cafile=part.ca_file) if part.ca_file else None,
            on_live=lambda _: live.set(),
            on_down=told.append,
        )
    except (ValueError, OSError, SettingsError) as error:
        return Finding("broker", False, str(error), "correct the section broker")
    return await _session(link, live, told, chosen)


def narrow(granted: int, chosen: Settings) -> bool:
    """Whether the broker keeps fewer messages in flight than a commit may hold: then commits stay small."""
    return granted < min(chosen.journal.batch_max, chosen.broker.receive_maximum)


async def _session(link: Link, live: asyncio.Event, told: list[str], chosen: Settings) -> Finding:
    url, batch = chosen.broker.url, chosen.journal.batch_max
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(CONNECT_S):
            await live.wait()
        granted, text = link.stats.granted, f"{url}: session and subscription granted"
        todo = (
            f"max_inflight_messages is {granted}, a commit holds {batch}: raise it" if narrow(granted, chosen) else ""
        )
        found = Finding("broker", True, text, todo)
    except TimeoutError:
        why = told[-1] if told else link.stats.last_error or "no answer"
        found = Finding("broker", False, f"{url}: {why}", "is it running, and are these the right credentials?")
    await link.drain(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found


def tell(findings: list[Finding], *, as_json: bool, write: Callable[[str], object] = sys.stdout.write) -> None:
    """One line a look, what to do behind it."""
    ok = all(one.ok for one in findings)
    if as_json:
        write(msgspec.json.encode(Checked(1, ok, findings)).decode() + "\n")
        return
    for one in findings:
        todo = f" - {one.todo}" if one.todo else ""
        write(f"{'ok  ' if one.ok else 'FAIL'} {one.check:<9} {one.found}{todo}\n")
