"""bench/runs.py: the processes of one run — broker, subject, generator — and what the journal says afterwards.

A subject prints `ready`, is told when to begin or to end by a line, and ends with one line of JSON.
"""

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench import generate, product
from bench.generate import Generated
from bench.load import Day
from bench.noop import Received
from bench.pairs import Gate
from bench.plan import Cause, Plan
from bench.product import Done
from core import policy
from core.hall import Hall
from core.state import HallState
from devices.kit_broker import free_port
from devices.tally import Audit
from workers import fold, replays
from workers.broker import IOTCORE_RECEIVE_MAX, LOOPBACK, iotcore_toml, mosquitto_conf

Process = subprocess.Popen[str]
MOSQUITTO, IOTCORE = BROKERS = ("mosquitto", "iotcore")
RECEIVE_MAX: Final = {MOSQUITTO: 1000, IOTCORE: IOTCORE_RECEIVE_MAX}
END_S: Final = 60.0


class Missing(Exception):
    """A program that the run needs is not here."""


class Wrong(msgspec.Struct, frozen=True):
    """What the journal says against what was sent. All 0 and `digests` True in a right run."""

    lost: int = 0
    doubled: int = 0
    called_twice: int = 0
    facts: int = 0
    digests: bool = True
    words: list[str] = []

    def __add__(self, other: "Wrong") -> "Wrong":
        return Wrong(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.called_twice + other.called_twice,
            self.facts + other.facts,
            self.digests and other.digests,
            [*self.words, *other.words][:10],
        )


@contextmanager
def broker(kind: str, directory: Path, *, held_max: int = 0, spent: list[float] | None = None) -> Iterator[str]:
    """A fresh broker on a free loopback port. `held_max`: so many messages for who is away, above the shipped limit.

    Its CPU seconds are added to `spent` at the end.
    """
    port = free_port()
    command, text = [sys.executable, "-m", "workers.broker"], iotcore_toml(free_port(port), port) + "\0"
    if kind == MOSQUITTO:
        binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise Missing("mosquitto is not installed")
        conf = f"user {getpass.getuser()}\n" + mosquitto_conf(port, str(directory))
        if held_max:
            conf = conf.replace("max_queued_messages 200000", f"max_queued_messages {held_max}")
            conf = conf.replace("max_queued_bytes 268435456", "max_queued_bytes 0")
        (directory / "mosquitto.conf").write_text(conf)
        command, text = [binary, "-c", str(directory / "mosquitto.conf")], ""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.flush()
            _listening(process, port)
            yield f"mqtt://{LOOPBACK}:{port}"
        finally:
            if spent is not None:
                spent.append(cpu_s(process.pid))
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # type: ignore[union-attr]  # asked for
            process.kill()


def cpu_s(pid: int) -> float:
    """What a process has used, user and system, all threads; 0 when it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _listening(process: Process, port: int) -> None:
    for _ in range(500):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        time.sleep(0.02)
    raise Missing("the broker does not listen")


class Child:
    """A process that talks in lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self) -> None:
        """Until it says so."""
        said = self.line()
        assert said == "ready", f"{self.process.args!r} said {said!r}"

    def line(self) -> str:
        """The next line, or nothing at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, text: str = "") -> None:
        """A line for it."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()

    def rss_mb(self) -> float:
        """Resident memory now; 0 when it is gone."""
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / 2**20
        return 0.0

    def kill(self) -> None:
        """No goodbye."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Whatever it does."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            if self.process.poll() is None:
                self.kill()


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """Ended on leaving."""
    found = Child(module, *arguments)
    try:
        yield found
    finally:
        found.end()


def dispatcher(setup: product.Setup) -> contextlib.AbstractContextManager[Child]:
    """`bench.product` with this setup."""
    return child("bench.product", msgspec.json.encode(setup).decode())


def generator(asked: generate.Asked) -> contextlib.AbstractContextManager[Child]:
    """`bench.generate` with this."""
    return child("bench.generate", msgspec.json.encode(asked).decode())


def noop(
    url: str, count: int, *more: str, receive_max: int = 1000, module: str = "bench.noop"
) -> contextlib.AbstractContextManager[Child]:
    """`bench.noop`, or what does the same."""
    return child(module, "--url", url, "--count", str(count), "--receive-max", str(receive_max), *more)


def done(process: Child) -> Done:
    """The last line of a dispatcher."""
    line = process.line()
    return msgspec.json.decode(process.line() if line == "ready" else line, type=Done)


def received(process: Child) -> Received:
    """The last line of a no-op receiver or relay."""
    return msgspec.json.decode(process.line(), type=Received)


def generated(process: Child) -> Generated:
    """The last line of a generator."""
    return msgspec.json.decode(process.line(), type=Generated)


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory that goes away."""
    with tempfile.TemporaryDirectory(prefix="jiaohao-bench-") as name:
        yield Path(name)


def write_policies(days: Sequence[Day], path: Path) -> Path:
    """For `Setup.policies`."""
    documents = [policy.document(day.policy) for day in days]
    booked = [(day.policy.hall.id, one.service, one.slot_ms) for day in days for one in day.bookings]
    path.write_bytes(msgspec.json.encode((documents, booked)))
    return path


# What the journal says.


def examine(data: Path, causes: Mapping[str, Sequence[Cause]], digests: Mapping[str, str]) -> Wrong:
    """Every event sent is in the journal once, no ticket at two counters, and the fold has the digest of the run."""
    return asyncio.run(_examine(data, causes, digests))


async def _examine(data: Path, causes: Mapping[str, Sequence[Cause]], digests: Mapping[str, str]) -> Wrong:
    audits: dict[str, Audit] = {}
    halls: dict[str, Hall] = {}
    async for name, n, row in replays.rows(data):
        audits.setdefault(name, Audit()).read(n, row)
        fold.apply(halls.setdefault(name, Hall(HallState(name))), n, row)
    lost = [
        cause
        for name, sent in causes.items()
        for cause in dict.fromkeys(sent)
        if (audit := audits.get(name)) is None or (cause not in audit.last_n and cause not in audit.heard)
    ]
    said = [text for audit in audits.values() for text in audit.duplicated]
    twice = [text for text in said if text.startswith("ticket ") and " called to " in text]
    same = all(name in halls and halls[name].state.digest() == found for name, found in digests.items())
    facts = sum(audit.facts for audit in audits.values())
    return Wrong(len(lost), len(said) - len(twice), len(twice), facts, same, [*map(str, lost[:5]), *said[:5]])


def correctness(suite: str, wrong: Wrong) -> list[Gate]:
    """G15 of a suite, counted from the journals of its runs."""
    counts = {"lost": wrong.lost, "doubled": wrong.doubled, "called_twice": wrong.called_twice}
    gates = [zero(f"{suite}.{name}", found) for name, found in counts.items()]
    return [*gates, zero(f"{suite}.digest_differs", int(not wrong.digests))]


def zero(name: str, found: int) -> Gate:
    """A count that must be 0."""
    return Gate(name, float(found), 0.0, found == 0, 0.0, at_least=False)


def plan_counts(plan: Plan) -> str:
    """A line for the terminal."""
    return f"{plan.events} messages, digest {plan.digest[:12]}"
