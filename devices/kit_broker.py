"""devices/kit_broker.py: the broker of the conformance kit, on the loopback: the embedded one or mosquitto."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from devices.gate import LOOPBACK

START_S: Final = 10.0


class Absent(Exception):
    """Something the kit needs is not on this machine."""


@contextlib.asynccontextmanager
async def broker(kind: str) -> AsyncIterator[int]:
    """A broker of this machine, on a port of the loopback: `embedded` or `mosquitto`. Absent: it is not here."""
    port = free_port()
    port_v5 = free_port(port)
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "workers.broker", str(port), str(port_v5)]
        if kind == "mosquitto":
            command = [_mosquitto(), "-c", str(_mosquitto_conf(Path(directory), port))]
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere
        )
        try:
            await _listening(process, port)
            yield port
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Absent("mosquitto is not installed")
    return found


def _mosquitto_conf(directory: Path, port: int) -> Path:
    path = directory / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    path.write_text(f"{user}listener {port} {LOOPBACK}\nallow_anonymous true\nset_tcp_nodelay true\n", "utf-8")
    return path


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while process.returncode is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise Absent(f"the broker does not listen; exit code {process.returncode}")


def free_port(but: int = 0) -> int:
    """A port of the loopback that nobody has now; whoever binds it first, keeps it. Another than `but`, which may be
    free still: one broker that shall listen twice would listen once, and close whoever speaks the other version."""
    with socket.socket() as one, socket.socket() as two:
        for held in (one, two):
            held.bind((LOOPBACK, 0))
        ports = [int(held.getsockname()[1]) for held in (one, two)]
    return next(port for port in ports if port != but)
