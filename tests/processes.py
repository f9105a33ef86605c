"""tests/processes.py: real `python -m workers.cli serve` processes on free loopback ports, ended by their own handle.

Log lines (JSON on stderr) say when one listens and when it is connected. Methods block; a test that runs a loop calls
them through `asyncio.to_thread`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.policy import Policy, document

PATIENCE_S = 20.0
CLI = (sys.executable, "-m", "workers.cli")
ROOT = Path(__file__).resolve().parent.parent


def environment(**more: str) -> dict[str, str]:
    """Ours without settings of others; plain text from typer whatever the terminal."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
    return {**inherited, "NO_COLOR": "1", "TERM": "dumb", **more}


def run_cli(*arguments: object, timeout_s: float = PATIENCE_S, **more: str) -> "subprocess.CompletedProcess[str]":
    """One command to its end. `more` goes into its environment."""
    return subprocess.run(
        [*CLI, *map(str, arguments)],
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def write_halls(directory: Path, policies: Sequence[Policy]) -> Path:
    """A hall file each, canonical JSON."""
    directory.mkdir(parents=True, exist_ok=True)
    for one in policies:
        (directory / f"{one.hall.id}.json").write_text(document(one), "utf-8")
    return directory


def visits(count: int, hall: str = "h1") -> Iterator[tuple[str, bytes]]:
    """`count` events as (topic, payload), in order: a clerk signs on; people take, are called, served, and rate."""
    seqs: dict[str, int] = {}

    def say(device: str, kind: str, **more: object) -> tuple[str, bytes]:
        seq = seqs[device] = seqs.get(device, 0) + 1
        event = {"boot": "visits", "seq": seq, "body": {"type": kind, **more}}
        return f"jh/v1/{hall}/{device}/event", json.dumps(event).encode()

    def endless() -> Iterator[tuple[str, bytes]]:
        yield say("caller-1", "staff.sign_on", staff=f"{hall}-1")
        while True:
            yield say("kiosk", "ticket.take", service="s2")
            for press in ("ticket.call_next", "serving.start", "serving.finish"):
                yield say("caller-1", press)
            yield say("ev-1", "evaluation.submit", level=5)

    return islice(endless(), count)


class Served:
    """One life of a dispatcher. Start it again by making another over the same directory.

    `directory/data` is its journal, `directory/halls` its hall files. `lines`: every log line so far, read from JSON;
    `text`: its stderr as it came.
    """

    def __init__(
        self,
        directory: Path,
        policies: Sequence[Policy],
        broker_url: str,
        *,
        program: Sequence[str] = CLI,
        **options: object,
    ) -> None:
        """`program`: what stands for `jiaohao`.

        `options`: of the command line or, with `__` in the name, settings: `journal__batch_max=10`.
        """
        self.data = directory / "data"
        self.halls = write_halls(directory / "halls", policies)
        self.url = ""
        self.lines: list[dict[str, Any]] = []
        self._texts: list[str] = []
        self._news = threading.Condition()
        self._ended = False  # nothing more will be read
        settings = {f"JIAOHAO_{name.upper()}": str(value) for name, value in options.items() if "__" in name}
        arguments = {"data": self.data, "halls": self.halls, "broker": broker_url, "listen": "127.0.0.1:0"}
        arguments |= {name: value for name, value in options.items() if "__" not in name}
        self.process = subprocess.Popen(
            [*program, "serve", "--log=json", *(f"--{name}={value}" for name, value in arguments.items())],
            cwd=ROOT,
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="stderr of serve")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self._texts.append(line)
                    if line.startswith("{"):
                        self.lines.append(json.loads(line))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return "".join(self._texts)

    # Until something is so.

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line.get("event") == event]

    def wait_for(self, event: str, times: int = 1, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The line of an event that has been logged so many times. Fails when the process ends before."""
        with self._news:
            self._news.wait_for(lambda: len(self.logged(event)) >= times or self._ended, timeout_s)
            found = self.logged(event)
        if len(found) < times:
            pytest.fail(f"no {event} ({len(found)} of {times}); exit code {self.process.poll()}\n{self.text}")
        return found[times - 1]

    def up(self) -> Self:
        """Listening and connected when it returns."""
        self.url = self.wait_for("web.listening")["url"]
        self.wait_for("link.connected")
        return self

    # What it shows.

    def get(self, path: str, timeout_s: float = 10.0) -> tuple[int, str]:
        """Status and body of a page."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def digests(self) -> dict[str, tuple[int, str]]:
        """By hall: n and digest of the running state."""
        found = json.loads(self.get("/digest")[1])
        return {hall: (one["n"], one["digest"]) for hall, one in found.items()}

    def metrics(self) -> dict[str, float]:
        """Every sample as `name{label="value",…}`, labels in order of their names."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def until(self, holds: Callable[[dict[str, float]], bool], timeout_s: float = PATIENCE_S) -> dict[str, float]:
        """The metrics as soon as something holds of them. Time is the only thing to ask a page for news with."""
        deadline = time.monotonic() + timeout_s
        while not holds(found := self.metrics()):
            if time.monotonic() > deadline:
                pytest.fail(f"it never held; {self.text}\n" + "\n".join(f"{k} {v}" for k, v in found.items() if v))
            time.sleep(0.02)
        return found

    # Its end.

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit code, once it has ended by itself; all of its stderr is read then."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def terminate(self, timeout_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(timeout_s)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing stays behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.ended()
