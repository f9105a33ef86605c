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
        "memory_mb": memory_mb(),
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


def now(*, probe_disk: bool = False) -> dict[str, Any]:
    """Load average of a minute, stolen time since boot, governor, the disk if asked for: before and after a run."""
    found: dict[str, Any] = {
        "load_1m": os.getloadavg()[0],
        "stolen": stolen((0, 0), jiffies()),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }
    return found | (fdatasync_us() if probe_disk else {})


def jiffies() -> tuple[int, int]:
    """Time of all cores since boot: in all, and stolen by neighbours."""
    fields = [int(field) for field in (_read("/proc/stat") or "").split("\n")[0].split()[1:9]]
    return sum(fields), fields[7] if len(fields) > 7 else 0


def stolen(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The share that was stolen between two `jiffies`."""
    whole = after[0] - before[0]
    return (after[1] - before[1]) / whole if whole else 0.0


def disk() -> dict[str, Any]:
    """fdatasync of a 4 kB append, where temporary files live: p50 and p99 in µs; kind and device of the file system."""
    return fdatasync_us() | dict(zip(("file_system", "device"), _file_system(), strict=True))


def fdatasync_us() -> dict[str, float]:
    """p50 and p99 of the moment."""
    cuts = statistics.quantiles(_fdatasyncs_ns(), n=100)
    return {"fdatasync_p50_us": cuts[49] / 1000, "fdatasync_p99_us": cuts[98] / 1000}


def fdatasync_p99_us() -> float:
    """Of the moment: a bound of a run is made of it."""
    return fdatasync_us()["fdatasync_p99_us"]


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


def _file_system() -> tuple[str | None, str | None]:
    """Type and device of the file system of the temporary directory: the longest mount point that holds it."""
    where = str(Path(tempfile.gettempdir()).resolve())
    mounts = [line.split() for line in (_read("/proc/mounts") or "").splitlines()]
    holding = [m for m in mounts if len(m) > 2 and (where + "/").startswith(m[1].rstrip("/") + "/")]
    found = max(holding, key=lambda m: len(m[1])) if holding else None
    return (found[2], Path(found[0]).name) if found else (None, None)  # sda1, overlay: not where it is


def line(block: dict[str, Any]) -> str:
    """A machine block in a line, for people."""
    found = block.get("disk") or {}
    synced = f"{found.get('file_system')}, fdatasync p99 {found['fdatasync_p99_us']:.0f} us" if found else "not probed"
    loads = [f"{block[at]['load_1m']:.2f}" for at in ("before", "after") if at in block]
    return (
        f"{block['cpu']}, {block['cores']} cores, {block['memory_mb']} MB, {block['kernel']}; {block['python']}, "
        f"SQLite {block['sqlite']}, {block['broker']}; disk {synced}; load {' to '.join(loads)}, "
        f"stolen {block.get('stolen', 0.0):.1%}; {block['commit']}{'' if block['clean'] else ', not clean'}"
    )


def _cpu_model() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_mb() -> int:
    """Of the machine."""
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
