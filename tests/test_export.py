"""workers/export.py: every fact once, in order, with a digest beside the file; also what this program cannot read."""

import asyncio
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from core import record
from core.facts import DeviceRetired
from tests.test_recovery import NOW_MS, a_journal, start
from workers import export
from workers.ports import Missing, Part, Row


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_fact_is_a_line_with_its_fields(tmp_path: Path) -> None:
    async def fill() -> None:
        async with start(tmp_path / "data") as journal:
            kind, v, payload = record.encode(DeviceRetired("k1"), None, "clerk-7")
            await journal.append([Part("a", 0, [Row(NOW_MS, kind, v, "kiosk", "boot", 4, payload)])])

    asyncio.run(fill())
    done = export.export(tmp_path / "data", tmp_path / "out.jsonl")
    assert (done.v, done.facts) == (1, 1)
    assert read(tmp_path / "out.jsonl") == [
        {
            **{"seq": 1, "hall": "a", "n": 1, "at_ms": NOW_MS, "kind": 132, "v": 1, "fact": "DeviceRetired"},
            **{"device": "kiosk", "boot": "boot", "dseq": 4, "actor": "clerk-7", "body": {"device": "k1"}},
        }
    ]


def test_pages_join_without_a_gap_and_a_range_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_journal(tmp_path / "data")
    monkeypatch.setattr(export, "PAGE_OF", export.PAGE_OF.replace(str(export.PAGE), "7"))
    export.export(tmp_path / "data", tmp_path / "all.jsonl")
    assert [one["seq"] for one in read(tmp_path / "all.jsonl")] == list(range(1, 101))
    assert bytes.fromhex(str(read(tmp_path / "all.jsonl")[4]["payload"])) == b"fact 4", "a payload that is no fact"
    assert export.export(tmp_path / "data", tmp_path / "some.jsonl", 20, 30).facts == 11
    assert [one["seq"] for one in read(tmp_path / "some.jsonl")] == list(range(20, 31))


def test_the_digest_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    a_journal(tmp_path / "data")
    export.export(tmp_path / "data", tmp_path / "out.jsonl")
    subprocess.run(["sha256sum", "-c", "--status", "out.jsonl.sha256"], cwd=tmp_path, check=True)


def test_parquet_needs_pyarrow_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_journal(tmp_path / "data")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Missing, match="Parquet needs pyarrow"):
        export.export(tmp_path / "data", tmp_path / "out.parquet")
    assert not list(tmp_path.glob("out*"))


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    a_journal(tmp_path / "data")
    assert export.export(tmp_path / "data", tmp_path / "out.parquet").facts == 100
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["seq"] for row in table] == list(range(1, 101))
    assert msgspec.json.decode(table[0]["body"]) == {}


def test_no_journal_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no journal"):
        export.export(tmp_path, tmp_path / "out.jsonl")
