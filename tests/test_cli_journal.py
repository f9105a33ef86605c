"""workers/cli_journal.py: each command on real files: result, exit code, one JSON document."""

import json
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faulty import small_disk
from tests.test_recovery import a_journal, change
from tests.test_rotation import OLD, rotated
from tests.test_salvage import harm
from workers import archive, cli, owner
from workers.verify import verify


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of `jiaohao journal …`."""
    monkeypatch.setattr(sys, "argv", ["jiaohao", "journal", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    a_journal(tmp_path / "data")
    return tmp_path / "data"


def test_verify_is_silent_about_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", data) == 0
    assert capsys.readouterr().out == f"all is well: {OLD}\n"
    assert time.time() - (data / "verify.ok").stat().st_mtime < 60, "the metrics of the process show when"
    assert run(monkeypatch, "verify", data, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "ok": True, "files": [OLD], "problems": []}


def test_verify_names_the_first_bad_batch_and_ends_with_1(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(data / OLD, "UPDATE journal SET payload = x'66' WHERE seq IN (75, 95)")
    assert run(monkeypatch, "verify", data) == 1
    assert capsys.readouterr().out == "batch 71–80: crc differs\n"
    assert not (data / "verify.ok").exists()
    assert run(monkeypatch, "verify", data, "--json") == 1
    assert json.loads(capsys.readouterr().out)["problems"] == ["batch 71–80: crc differs"]


def test_a_directory_without_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", tmp_path) == 1
    for words in (
        ("backup", tmp_path, "--to", tmp_path / "x"),
        ("export", tmp_path, "--out", tmp_path / "x"),
        ("salvage", tmp_path, "--to", tmp_path / "x"),
        ("archive", tmp_path),
        ("erase", tmp_path, "--before", "2026-01-01"),
        ("restore", tmp_path / "nothing", "--data", tmp_path / "x"),
    ):
        assert run(monkeypatch, *words) == 5, words
        assert len(capsys.readouterr().err.splitlines()) == 3, "what, where, what to do"


def test_backup_and_restore(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.db"
    assert run(monkeypatch, "backup", data, "--to", copy, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["v"], done["last"], done["bytes"]) == (1, 100, copy.stat().st_size)
    assert (data / "backup.ok").exists() and not list(data.glob("*.part"))
    assert run(monkeypatch, "backup", data, "--to", copy) == 2, "no file is overwritten"
    capsys.readouterr()
    (data / OLD).write_bytes(b"x" * 8192)
    assert run(monkeypatch, "verify", data) == 1
    assert run(monkeypatch, "restore", copy, "--data", data) == 0
    assert "nothing is missing; what was there is in" in capsys.readouterr().out
    assert verify(data) == []
    held = owner.take(data)
    assert run(monkeypatch, "restore", copy, "--data", data) == 4
    held.release()
    change(copy, "UPDATE journal SET dseq = 5 WHERE seq = 7")
    assert run(monkeypatch, "restore", copy, "--data", data) == 1


def test_a_damaged_journal_is_not_backed_up_but_salvaged(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(data / OLD, b"fact 90")
    assert run(monkeypatch, "backup", data, "--to", tmp_path / "copy.db") == 1
    assert not (data / "backup.ok").exists()
    assert run(monkeypatch, "salvage", data, "--to", tmp_path / "new") == 0
    assert "unreadable (SQLITE_CORRUPT" in capsys.readouterr().out
    assert verify(tmp_path / "new") == []


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What and where; the third line says what to do."""
    what, where, todo = capsys.readouterr().err.splitlines()
    assert todo
    return what, where


def test_a_target_without_room_is_named_itself_and_nothing_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = a_journal(tmp_path / "data", batches=50, size=100).parent
    whole = {path.name: path.read_bytes() for path in data.iterdir()}
    with small_disk(tmp_path / "small", 1) as small:
        (small / "balloon").write_bytes(bytes(900_000))
        for words, where, what in (
            (("backup", data, "--to", small / "copy.db"), small / "copy.db", "disk full (SQLITE_FULL)"),
            (("export", data, "--out", small / "x.jsonl"), small / "x.jsonl", "disk full (ENOSPC)"),
            (("salvage", data, "--to", small / "new"), small / "new", "disk full (ENOSPC)"),
        ):
            assert run(monkeypatch, *words) == 5
            assert told(capsys) == (what, str(where))
        assert sorted(path.name for path in small.iterdir()) == ["balloon", "new"]
        (small / "balloon").unlink()
        assert run(monkeypatch, "backup", data, "--to", small / "copy.db") == 0
        capsys.readouterr()
        (small / "balloon").write_bytes(bytes(600_000))
        assert run(monkeypatch, "restore", data / OLD, "--data", small / "data") == 5
        assert told(capsys) == ("disk full (ENOSPC)", str(small / "data" / f"{OLD}.new"))
    assert {name: (data / name).read_bytes() for name in whole} == whole
    assert run(monkeypatch, "verify", data) == 0


def test_a_target_that_is_no_place_is_named_itself(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    assert run(monkeypatch, "backup", data, "--to", nowhere / "copy.db") == 5
    assert told(capsys) == ("cannot be written (SQLITE_CANTOPEN)", str(nowhere / "copy.db"))
    assert run(monkeypatch, "export", data, "--out", nowhere / "x.jsonl") == 5
    assert told(capsys) == ("cannot be written (ENOENT)", str(nowhere / "x.jsonl.part"))
    assert run(monkeypatch, "salvage", data, "--to", data / OLD / "x") == 5
    assert told(capsys) == ("cannot be written (ENOTDIR)", str(data / OLD / "x"))
    assert run(monkeypatch, "restore", data / OLD, "--data", data / OLD / "x") == 5
    assert told(capsys)[1].startswith(str(data / OLD / "x"))


def test_a_source_that_cannot_be_opened_is_not_taken_for_a_full_target(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the index of the log has to be made to read a journal, and there is no room for it."""
    with small_disk(tmp_path / "small", 1) as small:
        shutil.copytree(data, small / "data")
        with suppress(OSError), (small / "balloon").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert run(monkeypatch, "backup", small / "data", "--to", tmp_path / "copy.db") != 0
        assert str(small / "data") in told(capsys)[1]


def test_export_writes_lines(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "export", data, "--out", tmp_path / "x.jsonl", "--from", 11, "--to", 20, "--json") == 0
    assert json.loads(capsys.readouterr().out)["facts"] == 10
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 10
    assert run(monkeypatch, "export", data, "--out", tmp_path / "x.jsonl") == 2


def test_archive_and_erase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rotated(tmp_path)
    assert run(monkeypatch, "archive", tmp_path) == 0
    assert capsys.readouterr().out == f"{OLD}: rows 1–33\n"
    assert run(monkeypatch, "erase", tmp_path, "--row", 5, "--dry-run") == 0
    assert capsys.readouterr().out == "2026-11: 6 facts in 1 batches (nothing was changed)\n"
    monkeypatch.setenv("JIAOHAO_RETENTION__AUDIT_DAYS", "100000")
    assert run(monkeypatch, "erase", tmp_path, "--row", 6, "--dry-run") == 5
    assert "row 6 is long-lived, kept for audit" in capsys.readouterr().err
    assert run(monkeypatch, "erase", tmp_path, "--row", 6, "--personal-data", "--dry-run") == 0
    assert "nothing was changed" in capsys.readouterr().out
    for words in (("--row", 5, "--before", "2026-12-01"), ("--row", -1), ()):
        assert run(monkeypatch, "erase", tmp_path, *words) == 2, words
    capsys.readouterr()
    assert run(monkeypatch, "erase", tmp_path, "--before", "2026-12-01", "--dry-run") == 0
    assert capsys.readouterr().out == "2026-11: 18 facts in 3 batches (nothing was changed)\n"
    assert run(monkeypatch, "erase", tmp_path, "--before", "2026-12-01", "--json") == 0
    assert json.loads(capsys.readouterr().out)["months"][0]["facts"] == 18
    assert archive.read_manifest(tmp_path / "archive" / OLD).erased == 18
    assert run(monkeypatch, "verify", tmp_path) == 0
    assert run(monkeypatch, "erase", tmp_path, "--before", "tomorrow") == 2
    assert run(monkeypatch, "rebuild", tmp_path) == 1, "facts are missing, and nothing is made up"


def test_rebuild_makes_the_pictures_anew(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(data / OLD, "DELETE FROM journal", "DELETE FROM batch", "DELETE FROM snapshot")
    (data / "acknowledged.mark").unlink()
    assert run(monkeypatch, "rebuild", data, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "rows": 0}
