"""workers/owner.py: the second owner is refused at once, and a dead one's lock is free."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crowds import NOWHERE, POLICY
from tests.processes import run_cli, write_halls
from workers import owner
from workers.journal import SqliteJournal
from workers.ports import Missing

HOLDER = """
import sys, time
from pathlib import Path
from workers import owner
held = owner.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_owner_is_told_who_has_it_before_a_file_is_opened_and_kill_9_frees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(owner.Taken, match=f"^data directory in use by process {child.pid}\n"):
            asyncio.run(SqliteJournal.open(tmp_path, now_ms=lambda: 0))
        assert child.poll() is None, "nobody waited for its end"
        assert [path.name for path in tmp_path.iterdir()] == [owner.NAME]
        child.kill()
    owner.take(tmp_path).release()


def test_release_is_idempotent_and_lets_the_next_in(tmp_path: Path) -> None:
    first = owner.take(tmp_path)
    with pytest.raises(owner.Taken, match=f"in use by process {os.getpid()}"):
        owner.take(tmp_path)
    first.release()
    first.release()
    owner.take(tmp_path).release()


def test_halls_are_locked_one_by_one(tmp_path: Path) -> None:
    one, two = (owner.take(tmp_path, f"{hall}.lock", what=f"hall {hall}") for hall in ("h1", "h2"))
    with pytest.raises(owner.Taken, match="hall h2 in use"):
        owner.take(tmp_path, "h2.lock", what="hall h2")
    one.release()
    two.release()


def test_a_process_ends_with_4_when_another_has_one_of_its_halls_though_their_data_lie_apart(tmp_path: Path) -> None:
    halls, locks = write_halls(tmp_path / "halls", [POLICY]), tmp_path / "locks"
    held = owner.take(locks, f"hall-{POLICY.hall.id}.lock", what="hall")
    asked = ("serve", "--data", tmp_path / "data", "--halls", halls, "--broker", NOWHERE, "--listen", "127.0.0.1:0")
    done = run_cli(*asked, "--log=json", JIAOHAO_JOURNAL__LOCKS_DIR=str(locks))
    held.release()
    assert done.returncode == 4 and f"hall {POLICY.hall.id} in use by process {os.getpid()}\n" in done.stderr


def test_a_place_that_cannot_be_a_directory_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Missing, match=r"^data directory not writable"):
        owner.take(tmp_path / "file" / "data")


MOUNTS = ["/dev/a / ext4 rw 0 0", "srv:/x /data nfs4 rw 0 0", "tmpfs /data/with\\040space tmpfs rw 0 0"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var", "ext4"), ("/data", "nfs4"), ("/data/q", "nfs4"), ("/database", "ext4"), ("/data/with space/q", "tmpfs")],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert owner.file_system(Path(path), MOUNTS) == kind


def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("srv:/x / nfs4 rw 0 0\n")
    monkeypatch.setattr(owner, "MOUNTS", mounts)
    with pytest.raises(Missing, match=r"network file system \(nfs4\)"):
        owner.take(tmp_path)
