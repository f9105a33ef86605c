"""bench/ingest.py: durable events a second and CPU an event against a receiver that does nothing, same codec.

`ingest`: link, core, journal, PUBACK, no outputs. `loop`: the full product against a relay that says as much.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import pairs
from bench.load import lanes
from bench.pairs import Gate, Options, Report
from workers.broker import free_port, mosquitto_conf

HALLS: Final = 64
COUNT: Final = 60_000
QUICK: Final = 8_000
PAIRS: Final = 5


class Run(msgspec.Struct):
    """One run of a receiver."""

    received: int
    seconds: float
    cpu_s: float
    finished: bool
    facts: int = 0
    commits: int = 0
    duplicates: int = 0

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.received / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu_s / self.received * 1e6


@contextmanager
def mosquitto(directory: Path) -> Iterator[str]:
    """The shipped configuration on a free loopback port; a fresh one each run, so no session is left from the last."""
    port = free_port()
    conf = directory / "mosquitto.conf"
    conf.write_text(mosquitto_conf(port))
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with subprocess.Popen([binary, "-c", str(conf)], stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(0.3)
            yield f"mqtt://127.0.0.1:{port}"
        finally:
            process.terminate()


def one_run(receiver: list[str], count: int, seed: int) -> Run:
    """Start broker, receiver and load; the load begins when both are ready."""
    with tempfile.TemporaryDirectory(prefix="jiaohao-bench-") as place, mosquitto(Path(place)) as url:
        data = Path(place) / "data"
        data.mkdir()
        command = [sys.executable, "-m", *receiver, "--url", url, "--count", str(count)]
        if receiver[0] == "bench.product":
            command += ["--data", str(data), "--halls", str(HALLS)]
        load = [sys.executable, "-m", "bench.ingest", "--url", url, "--count", str(count), "--seed", str(seed), "--halls", str(HALLS)]
        with _piped(load) as generator, _piped(command) as subject:
            _line(generator)
            _line(subject)
            assert generator.stdin is not None
            generator.stdin.write("go\n")
            generator.stdin.flush()
            return msgspec.json.decode(_line(subject), type=Run)


@contextmanager
def _piped(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def ingest(options: Options, rest: list[str]) -> Report:
    """G1 and G3: durable ingest against the no-op receiver."""
    return _compare(options, "ingest", "noop", ["bench.product"], ["bench.noop"], 0.90)


def loop(options: Options, rest: list[str]) -> Report:
    """G2: the full product against the relay."""
    return _compare(options, "loop", "relay", ["bench.product", "--outputs"], ["bench.noop", "--relay"], 0.80)


def _compare(options: Options, name: str, baseline: str, ours: list[str], theirs: list[str], goal: float) -> Report:
    count = QUICK if options.quick else COUNT
    number = options.pairs or (1 if options.quick else PAIRS)
    runs: list[tuple[Run, Run]] = []
    for turn in range(number + 1):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        both = [one_run(receiver, count, options.seed) for receiver in order]
        mine, other = both if turn % 2 else both[::-1]
        sys.stderr.write(f"{name} {turn}: ours {_say(mine)}, {baseline} {_say(other)}\n")
        if turn:
            runs.append((mine, other))
    rate = pairs.ratio_of([(mine.per_second, other.per_second) for mine, other in runs])
    cpu = pairs.ratio_of([(mine.cpu_us, other.cpu_us) for mine, other in runs])
    gates = [
        pairs.gate(f"{name}.{'durable' if name == 'ingest' else 'full'}_vs_{baseline}", rate, goal),
        pairs.gate(f"{name}.cpu_vs_{baseline}", cpu, 3.0, at_least=False),
        _count(f"{name}.lost", sum(max(0, count - mine.received) for mine, _ in runs)),
        _count(f"{name}.doubled", sum(mine.duplicates for mine, _ in runs)),
    ]
    extra: dict[str, Any] = {"runs": [[msgspec.to_builtins(one) for one in pair] for pair in runs]}
    return Report(name, gates, extra, [])


def _count(name: str, value: int) -> Gate:
    return Gate(name, float(value), 0.0, value == 0, 0.0, at_least=False)


def _say(run: Run) -> str:
    commits = f", {run.received / run.commits:.0f} a commit" if run.commits else ""
    return f"{run.per_second:,.0f}/s {run.cpu_us:.1f} us{commits}{'' if run.finished else ' UNFINISHED'}"


def generate(arguments: list[str]) -> None:
    """The load's process: encodes, says ready, waits for a line, sends."""
    import argparse
    import asyncio

    from bench import blast

    parser = argparse.ArgumentParser(prog="python -m bench.ingest")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--halls", type=int, default=HALLS)
    given = parser.parse_args(arguments)
    frames = [blast.encode(lane) for lane in lanes(given.halls, given.count, given.seed)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    result = asyncio.run(blast.blast(given.url, frames, seconds=60.0))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


Suite = Callable[[Options, list[str]], Report]

if __name__ == "__main__":
    generate(sys.argv[1:])
