"""bench/machine.py: the machine block of a result — what the numbers depend on. No host name, no user, no path."""

import importlib.metadata
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGES = ("aiomqtt", "aiosqlite", "iotcore", "msgspec", "mqtt5", "redis", "sortedcontainers", "uvloop")
PROBES = 400


def machine(*, probe_disk: bool = True) -> dict[str, Any]:
    """Everything that stays the same during a run, and the disk's fdatasync if asked for (about a second)."""
    block: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "quota": _read("/sys/fs/cgroup/cpu.max"),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtualisation": "hypervisor" if " hypervisor" in (_read("/proc/cpuinfo") or "") else "none seen",
        "memory_mb": _memory_mb(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "broker": _first_line(["mosquitto", "-h"]),
        "uvloop": "uvloop" in sys.modules,
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "clean": _git("status", "--porcelain", "--", ":/", ":!/bench/results") == "",  # results are the only news
    }
    if probe_disk:
        block["disk"] = disk()
    return block


def load_now() -> dict[str, float | None]:
    """Load average of a minute and the share of stolen time since boot, for before and after."""
    fields = [float(field) for field in (_read("/proc/stat") or "").split("\n")[0].split()[1:]]
    total = sum(fields)
    stolen = fields[7] / total if len(fields) > 7 and total else None
    return {"load_1m": os.getloadavg()[0], "stolen": stolen}


def disk() -> dict[str, Any]:
    """fdatasync of a 4 kB append, where temporary files live: p50 and p99 in µs, and the kind of file system."""
    cuts = statistics.quantiles(_fdatasyncs_ns(), n=100)
    return {"fdatasync_p50_us": cuts[49] / 1000, "fdatasync_p99_us": cuts[98] / 1000, "file_system": _file_system()}


def fdatasync_p99_us() -> float:
    """Of the moment: a bound of a run is made of it."""
    return statistics.quantiles(_fdatasyncs_ns(), n=100)[98] / 1000


def _fdatasyncs_ns() -> list[int]:
    spent = []
    with tempfile.TemporaryFile() as file:
        for _ in range(PROBES):
            file.write(b"\0" * 4096)
            file.flush()
            begin = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter_ns() - begin)
    return spent


def _file_system() -> str | None:
    """The type of the file system of the temporary directory: the longest mount point that holds it."""
    where = str(Path(tempfile.gettempdir()).resolve())
    mounts = [line.split() for line in (_read("/proc/mounts") or "").splitlines()]
    holding = [m for m in mounts if len(m) > 2 and (where + "/").startswith(m[1].rstrip("/") + "/")]
    return max(holding, key=lambda m: len(m[1]))[2] if holding else None


def _cpu_model() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _git(*arguments: str) -> str | None:
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _first_line(command: list[str]) -> str | None:
    """The first line a program says about itself, None where it is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.splitlines()), None)
