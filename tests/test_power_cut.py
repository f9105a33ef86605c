"""Simulated power cuts: a shim under SQLite keeps what was synced; the journal is started again on that and no more.

Once under the journal alone, hundreds of commits a cut, and once under the whole process with devices at it, where the
shim stands between the process and its C library. Under the journal it is a VFS registered in the very library that
Python's driver uses, so the real journal runs on it unchanged. What was written but not synced is lost, or survives by
sectors at random, whole pages, torn ones and parts of the log in any order. FULL must lose nothing; NORMAL must lose.
"""

import asyncio
import ctypes
import importlib
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.tally import compare
from tests.brokers import RunningBroker
from tests.crowds import POLICY, blocking, crowd, until
from tests.faulty import Machine, Mains, survivors
from tests.processes import CLI, Served
from workers import engine, replays
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import JournalDamaged, Part, Row
from workers.verify import verify

NOW_MS = 1_795_420_911_000
POINTER = ctypes.c_void_p
SYNC_AT = 4  # xClose xRead xWrite xTruncate xSync ...
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, POINTER, POINTER, ctypes.c_int, POINTER)  # SQLite reads behind a name
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_int)


class Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (("version", ctypes.c_int), ("calls", POINTER * 18))


class Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_max", ctypes.c_int),
        ("next", POINTER),
        ("name", ctypes.c_char_p),
        ("app", POINTER),
        ("open", POINTER),
        ("rest", POINTER * 15),
    )


def driver_library() -> str:
    """The file of the driver's C part: symbols are looked up in it and in what it links."""
    name = "_sqlite3" if engine.driver.__name__.startswith("sqlite3") else "pysqlite3._sqlite3"
    return str(importlib.import_module(name).__file__)


class Disk:
    """What would be there after a power cut: each file as it was at its last sync, and sectors of what came since."""

    def __init__(self) -> None:
        self.durable: dict[Path, bytes] = {}
        self.listed: set[Path] = set()
        self.syncs = 0
        self.frozen: dict[str, bytes] | None = None
        self.cut_at_next_sync = False
        self.chance = random.Random(0)
        self.survivors = 0.0

    def synced(self, path: Path) -> None:
        self.syncs += 1
        if path not in self.durable and path.name.endswith(("-wal", "-journal")):
            self.directory_synced(path.parent)  # SQLite does it with the first sync of such a file
        if path.exists():
            self.durable[path] = path.read_bytes()

    def directory_synced(self, directory: Path) -> None:
        """Only now is a new file there for good, and a deleted one gone."""
        self.listed = set(directory.iterdir())

    def before_sync(self) -> None:
        if self.cut_at_next_sync:
            self.cut()

    def cut(self) -> None:
        """The power goes. Of the sectors not synced a share survives."""
        if self.frozen is None:
            kept = self.durable.keys() & self.listed
            self.frozen = {path.name: self._after(path, self.durable[path]) for path in sorted(kept)}

    def _after(self, path: Path, synced: bytes) -> bytes:
        return survivors(synced, path.read_bytes(), self.chance, self.survivors) if path.exists() else synced


class Shim:
    """The default VFS of the driver's own SQLite with `xSync` looked over."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._library = ctypes.CDLL(driver_library())
        self._library.sqlite3_vfs_find.restype = POINTER
        self._library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        self._library.sqlite3_vfs_register.argtypes = [POINTER, ctypes.c_int]
        self._library.sqlite3_vfs_unregister.argtypes = [POINTER]
        self._below = self._library.sqlite3_vfs_find(None)
        self._vfs = Vfs.from_buffer_copy(ctypes.string_at(self._below, ctypes.sizeof(Vfs)))
        self._open_below = OPEN(self._vfs.open)
        self._open_here = OPEN(self._open)
        self._vfs.name, self._vfs.next = b"power-cut", None
        self._vfs.open = ctypes.cast(self._open_here, POINTER)
        self._paths: dict[int, Path] = {}
        self._methods: dict[int, tuple[Methods, Any]] = {}

    def install(self) -> None:
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == 0

    def remove(self) -> None:
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._library.sqlite3_vfs_register(self._below, 1)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code = self._open_below(vfs, name, file, flags, out)
        methods = POINTER.from_address(file)
        if code == 0 and name is not None and methods.value:
            self._paths[file] = Path(os.fsdecode(ctypes.string_at(name)))
            methods.value = self._looked_over(methods.value)
        return int(code)

    def _looked_over(self, address: int) -> int:
        """The address of a copy of these methods, with our sync. One copy for each set, kept alive here."""
        if address not in self._methods:
            copy = Methods.from_buffer_copy(ctypes.string_at(address, ctypes.sizeof(Methods)))
            below = SYNC(copy.calls[SYNC_AT])

            def sync(file: int, flags: int) -> int:
                self._disk.before_sync()
                code = below(file, flags)
                self._disk.synced(self._paths[file])
                return int(code)

            here = SYNC(sync)
            copy.calls[SYNC_AT] = ctypes.cast(here, POINTER).value
            self._methods[address] = (copy, here)
        return ctypes.addressof(self._methods[address][0])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk under SQLite and under the mark."""
    disk = Disk()
    shim = Shim(disk)
    fdatasync, fsync = os.fdatasync, os.fsync

    def looked_over(fd: int) -> None:
        disk.before_sync()
        fdatasync(fd)
        disk.synced(Path(f"/proc/self/fd/{fd}").readlink())

    def directory(fd: int) -> None:
        fsync(fd)
        disk.directory_synced(Path(f"/proc/self/fd/{fd}").readlink())

    monkeypatch.setattr(os, "fdatasync", looked_over)
    monkeypatch.setattr(os, "fsync", directory)
    shim.install()
    yield disk
    shim.remove()


def share_of(seed: int, chance: random.Random) -> float:
    """How much of what was not synced survives a cut: nothing, all, half or any part of it."""
    share = (0.0, 0.5, 1.0, chance.random())[seed % 4]
    print(f"seed {seed}: {share:.2f} of what was not synced survives")
    return share


async def run_until_cut(directory: Path, disk: Disk, seed: int, pragma: str) -> int:
    """Append, snapshot and checkpoint until the power goes; the last n that was acknowledged."""
    disk.__init__()
    chance = disk.chance = random.Random(seed)
    disk.survivors = share_of(seed, chance)
    options = Options(presize=chance.choice([0, 200_000]), checkpoint=150_000, mark_every_s=0.01)
    journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS, options=options)
    await journal._lane.run(lambda db: db.execute(pragma).fetchall())
    acknowledged, last = 0, chance.randint(1, 80)
    for turn in range(last + 1):
        facts = [Row(NOW_MS, 5, 1, "d", "b", n, bytes(150)) for n in range(acknowledged, acknowledged + 1 + turn % 30)]
        disk.cut_at_next_sync = turn == last and seed % 2 == 1
        if turn == last and seed % 2 == 0:
            disk.cut()
        await journal.append([Part("a", acknowledged, facts)])
        if disk.frozen is not None:
            break
        acknowledged += len(facts)
        await journal.maybe_checkpoint(idle=False)
        if turn % 20 == 19:
            await journal.save("a", acknowledged, bytes(5000))
    disk.cut()
    await journal.close()
    return acknowledged


def start_again(directory: Path, disk: Disk) -> int:
    """The head on a machine that has only what survived. JournalDamaged when it knows that something is missing."""
    directory.mkdir()
    assert disk.frozen is not None
    for name, content in disk.frozen.items():
        (directory / name).write_bytes(content)

    async def scenario() -> int:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS, options=Options(presize=0))
        head = journal.heads().get("a", 0)
        await journal.append([Part("a", head, [Row(NOW_MS, 5, 1, "d", "b", head, b"after")])])
        await journal.close()
        return head

    head = asyncio.run(scenario())
    assert verify(directory) == []
    return head


def lost(tmp_path: Path, disk: Disk, pragma: str, cuts: int) -> int:
    """In how many of the cuts something acknowledged was lost."""
    losses = 0
    for seed in range(cuts):
        acknowledged = asyncio.run(run_until_cut(tmp_path / f"before-{seed}", disk, seed, pragma))
        assert disk.syncs > 0
        try:
            losses += start_again(tmp_path / f"after-{seed}", disk) < acknowledged
        except JournalDamaged:
            losses += 1
    return losses


def test_full_loses_nothing_acknowledged_in_20_power_cuts(tmp_path: Path, disk: Disk) -> None:
    assert lost(tmp_path, disk, "PRAGMA synchronous", 20) == 0


def test_normal_loses_in_most_of_20_power_cuts(tmp_path: Path, disk: Disk) -> None:
    """Without this the test above would prove nothing."""
    assert lost(tmp_path, disk, "PRAGMA synchronous=NORMAL", 20) >= 10


# --- the process, as it is installed; devices press, and are answered, until the power goes ---

AS_IT_IS = CLI
NORMAL = (
    sys.executable,
    "-c",
    "from workers import cli, engine\n"
    "apply, asked = engine.apply, ('synchronous', 2)\n"
    "def weaker(db, pragmas): apply(db, {name: 1 if (name, v) == asked else v for name, v in pragmas.items()})\n"
    "engine.apply = weaker\n"
    "cli.main()",
)


async def cut_once(broker: RunningBroker, machine: Machine, place: Path, program: tuple[str, ...], seed: int) -> bool:
    """Whether something acknowledged is gone when the machine is on again. Where nothing is, all else goes on."""
    chance = random.Random(seed)
    share, its_broker = share_of(seed, chance), broker.kind == "mosquitto"
    before, after = place / "before", place / "after"
    mains = Mains(before / "data", place / "kept")
    more = {"broker__receive_maximum": broker.receive_max}
    async with crowd(broker) as people:
        with machine.preloaded(mains), Served(before, [POLICY], broker.url, program=program, **more) as served:
            await blocking(served.up)
            await people.more(chance.randint(5, 300))
            await asyncio.sleep(chance.uniform(0, 0.05))  # the moment of the cut is the subject
            if its_broker:  # on the same machine
                await blocking(broker.kill)
            await blocking(served.kill)
        mains.cut(after / "data", chance, share)
        if its_broker:
            if chance.random() >= share:
                broker.stored.unlink(missing_ok=True)
            await blocking(broker.start)
        with Served(after, [POLICY], broker.url, **more) as served:
            await until(
                lambda: served.process.poll() is not None or bool(served.logged("link.connected")), 20, "a start"
            )
            if served.process.poll() is not None:
                assert served.ended() == 1 and "was acknowledged" in served.text, served.text
                return True
            await people.rest()
            assert await blocking(served.terminate) == 0
    assert verify(after / "data") == []
    found = compare(people.tally.acked, [item async for item in replays.rows(after / "data")])
    assert found.lost or found.duplicated == [], "what was sent again adds nothing"
    shutil.rmtree(place)
    return bool(found.lost)


def process_lost(broker: RunningBroker, machine: Machine, program: tuple[str, ...], cuts: int) -> int:
    """In how many cuts of the power."""

    async def scenario() -> int:
        found = [await cut_once(broker, machine, broker.directory / str(seed), program, seed) for seed in range(cuts)]
        return sum(found)

    return asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_process_loses_nothing_acknowledged_in_20_power_cuts(
    iotcore_broker: RunningBroker, machine: Machine
) -> None:
    assert process_lost(iotcore_broker, machine, AS_IT_IS, 20) == 0


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_when_the_broker_loses_its_power_too(
    mosquitto_broker: RunningBroker, machine: Machine
) -> None:
    """It has forgotten what it had not stored; the outboxes of the devices have not."""
    assert process_lost(mosquitto_broker, machine, AS_IT_IS, 20) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_under_normal_the_process_loses_in_most_power_cuts(iotcore_broker: RunningBroker, machine: Machine) -> None:
    assert process_lost(iotcore_broker, machine, NORMAL, 8) >= 4  # where all survives nothing is lost
