"""workers/archive.py: a closed month is verified, copied, read-only, with a manifest; cut short it is done again."""

import json
from pathlib import Path

import pytest

from tests.test_recovery import change
from tests.test_rotation import NEXT, OLD, on_disk, rotated
from tests.test_salvage import harm
from workers import archive, export, mark, owner, recovery
from workers.ports import JournalDamaged, Missing
from workers.verify import digest_of, verify


def test_the_month_moves_with_a_manifest_and_nobody_may_write_it(tmp_path: Path) -> None:
    rotated(tmp_path)
    (month,) = archive.archive(tmp_path).months
    path = tmp_path / recovery.ARCHIVE / OLD
    assert (month.file, month.first, month.last, month.erased) == (OLD, 1, 33, 0)
    assert month.sha256 == digest_of(path) and month.bytes == path.stat().st_size
    assert archive.read_manifest(path) == month
    assert path.stat().st_mode & 0o777 == 0o444
    assert [one.name for one in sorted(tmp_path.glob("journal-*.db*"))] == [NEXT]
    assert recovery.files(tmp_path) == [path, tmp_path / NEXT]
    assert verify(tmp_path) == []
    assert archive.archive(tmp_path).months == [], "nothing is left to do"
    assert export.export(tmp_path, tmp_path / "all.jsonl").facts == 38


@pytest.mark.parametrize("name", ["file", "first", "last", "chain", "bytes", "erased"])
def test_a_manifest_that_says_something_else_is_found(tmp_path: Path, name: str) -> None:
    rotated(tmp_path)
    archive.archive(tmp_path)
    manifest = (tmp_path / recovery.ARCHIVE / OLD).with_suffix(".json")
    manifest.chmod(0o644)
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {name: told[name] + ("x" if isinstance(told[name], str) else 1)}))
    assert verify(tmp_path) == [f"{OLD}: manifest: {name} differs"]


@pytest.mark.parametrize("harm", ["sha256", "no manifest", "a byte", "another file"])
def test_what_was_done_to_an_archived_month_is_found(tmp_path: Path, harm: str) -> None:
    rotated(tmp_path)
    archive.archive(tmp_path)
    path = tmp_path / recovery.ARCHIVE / OLD
    manifest = path.with_suffix(".json")
    path.chmod(0o644)
    match harm:
        case "sha256":
            manifest.chmod(0o644)
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": "0" * 64}))
        case "no manifest":
            manifest.unlink()
        case "a byte":
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
        case _:
            path.write_bytes((tmp_path / NEXT).read_bytes())
    path.chmod(0o444)
    assert verify(tmp_path)[0].startswith(f"{OLD}: ")


def test_each_step_is_on_disk_before_the_next_and_the_original_goes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated(tmp_path)
    steps, unlink = list[str](), Path.unlink
    on_disk(monkeypatch, steps)
    monkeypatch.setattr(
        Path, "unlink", lambda path, **more: (steps.append(f"gone {path.name}"), unlink(path, **more))[1]
    )
    archive.archive(tmp_path)
    first = steps.index(f"file {OLD}.part")
    assert [one for one in steps[first:] if "-wal" not in one and "-shm" not in one] == [
        f"file {OLD}.part",
        "file journal-2026-11.json.part",
        "name journal-2026-11.json",
        f"name {OLD}",
        "directory archive",
        f"gone {OLD}",
        f"directory {tmp_path.name}",
    ]


def test_a_copy_that_is_not_good_takes_nobodys_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rotated(tmp_path)
    found = archive.verify_file
    monkeypatch.setattr(archive, "verify_file", lambda path: ["as told"] if path.suffix == ".part" else found(path))
    with pytest.raises(JournalDamaged, match="as told"):
        archive.archive(tmp_path)
    assert (tmp_path / OLD).exists() and not (tmp_path / recovery.ARCHIVE / OLD).exists()


def test_a_damaged_month_stays_where_it_is(tmp_path: Path) -> None:
    rotated(tmp_path)
    change(tmp_path / OLD, "UPDATE journal SET dseq = 77 WHERE seq = 5")
    with pytest.raises(JournalDamaged, match=f"{OLD}: batch 1–11: crc differs"):
        archive.archive(tmp_path)
    assert (tmp_path / OLD).exists()
    assert not list((tmp_path / recovery.ARCHIVE).glob("*.db"))


def test_a_month_with_an_unreadable_page_is_named_before_anything_is_copied(tmp_path: Path) -> None:
    rotated(tmp_path)
    harm(tmp_path / OLD, b"fact 4")
    with pytest.raises(JournalDamaged, match=f"{OLD}: "):
        archive.archive(tmp_path)
    assert [one.name for one in (tmp_path / recovery.ARCHIVE).iterdir()] == []


@pytest.mark.parametrize("step", ["require_good", "put", "write_manifest", "sync_directory"])
def test_cut_short_at_each_step_it_is_done_again(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rotated(tmp_path)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mark if step == "sync_directory" else archive, step, cut)
        archive.archive(tmp_path)
    assert verify(tmp_path) == []
    assert [month.file for month in archive.archive(tmp_path).months] == [OLD]
    assert verify(tmp_path) == []
    assert sorted(one.name for one in (tmp_path / recovery.ARCHIVE).iterdir()) == [OLD, "journal-2026-11.json"]


def test_one_at_a_time_and_only_where_a_journal_is(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no journal"):
        archive.archive(tmp_path)
    rotated(tmp_path)
    held = owner.take(tmp_path, archive.LOCK)
    with pytest.raises(owner.Taken, match="archive in use"):
        archive.archive(tmp_path)
    held.release()
