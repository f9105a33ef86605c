"""workers/cli_report.py: one report in its forms, on stdout or in a file; what is asked wrongly is said to be."""

import csv
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from core import commands as c
from core import commands_cases as cc
from tests.halls import POLICY, opened
from tests.test_replays import stored
from tests.test_report import lively
from workers.cli import app
from workers.cli_report import NICE
from workers.records import RecordLine
from workers.report import Line

RUN = CliRunner()


@pytest.fixture(autouse=True)
def niced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A report gives way to the dispatcher; the tests do not."""
    told: list[int] = []
    monkeypatch.setattr("os.nice", told.append)
    return told


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("data"), lively())


def said(data: Path, *more: str) -> str:
    found = RUN.invoke(app, ["report", str(data), "--month", "2026-11", *more])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_table_shows_shares_with_their_numbers(data: Path, niced: list[int]) -> None:
    head, first, *_ = said(data, "--by", "clerk").splitlines()
    assert head.split()[:4] == ["hall", "department", "clerk", "served"]
    assert niced == [NICE]
    assert "1/3 33.3" in first and "3/5 60.0" in first and "too_few" in first


def test_a_period_of_nothing_says_so(data: Path) -> None:
    found = RUN.invoke(app, ["report", str(data), "--month", "2025-01"])
    assert (found.exit_code, found.stdout) == (0, "nothing to report in this period\n")


def test_a_unit_that_forbids_to_be_nice_gets_its_report(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.nice", forbidden)
    assert said(data)


def test_csv_has_every_column(data: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(said(data, "--format", "csv")))
    assert tuple(row) == Line.__struct_fields__
    assert (row["hall"], row["bad_num"], row["bad_den"]) == ("h1", "1", "4")


def test_json_is_one_document(data: Path, tmp_path: Path) -> None:
    document = json.loads(said(data, "--format", "json", "--by", "department"))
    assert (document["v"], document["by"], len(document["lines"])) == (1, "department", 2)
    said(data, "--format", "json", "--out", str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text())["lines"][0]["served"] == 6


def test_parquet_is_written_where_pyarrow_is(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    arrow, writer = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    vars(arrow)["Table"] = type("Table", (), {"from_pylist": staticmethod(lambda rows: rows)})
    vars(writer)["write_table"] = lambda *args, **more: written.append((args, more))
    for module in (arrow, writer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    said(data, "--format", "parquet", "--out", str(tmp_path / "x.parquet"))
    ((rows, out), more) = written[0]
    assert (rows[0]["served"], out, more) == (6, tmp_path / "x.parquet", {"compression": "zstd"})


def test_parquet_holds_what_json_says(data: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    said(data, "--by", "clerk", "--format", "parquet", "--out", str(tmp_path / "x.parquet"))
    table = parquet.read_table(tmp_path / "x.parquet")
    told = json.loads(said(data, "--by", "clerk", "--format", "json"))["lines"]
    assert table.to_pylist() == told and tuple(table.column_names) == Line.__struct_fields__


def test_without_pyarrow_it_says_what_to_do(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    where = ["report", str(data), "--month", "2026-11", "--format", "parquet", "--out", str(tmp_path / "x.parquet")]
    found = RUN.invoke(app, where)
    assert found.exit_code == 5 and "install the extra [report]" in found.stderr


@pytest.mark.parametrize("wrong", [["--by", "name"], ["--format", "pdf"], ["--format", "parquet"], ["--day", "x"]])
def test_what_is_asked_wrongly_is_usage(data: Path, wrong: list[str]) -> None:
    found = RUN.invoke(app, ["report", str(data), *([] if "--day" in wrong else ["--month", "2026-11"]), *wrong])
    assert found.exit_code == 2 and len(found.stderr.splitlines()) == 3


def test_a_directory_without_a_journal_is_missing(tmp_path: Path) -> None:
    assert RUN.invoke(app, ["report", str(tmp_path), "--month", "2026-11"]).exit_code == 5


def test_marks_are_told_one_a_line(tmp_path: Path) -> None:
    hall = opened(services=tuple(type(one)(one.code, one.prefix) for one in POLICY.services))
    for _ in range(40):
        hall.take()
        hall.serve(1, 12_000)
        hall.ask(c.SubmitEvaluation(level=5), "ev-1")
    stored(tmp_path, hall)
    marks = json.loads(said(tmp_path, "--by", "flags", "--format", "json"))["lines"]
    assert [(one["hall"], one["rule"], one["subject"], one["day"]) for one in marks] == [
        ("h1", "R4", "ev-1", 20261123),
        ("h1", "R5", "ev-1", 20261123),
    ]
    assert said(tmp_path, "--by", "flags").splitlines()[1].split() == ["h1", "R4", "ev-1", "10", "30", "20261123"]
    assert json.loads(said(tmp_path, "--by", "flags", "--hall", "h2", "--format", "json"))["lines"] == []


def test_the_star_list_and_what_is_on_record(tmp_path: Path) -> None:
    hall = opened(zones=(msgspec.structs.replace(POLICY.zones[0], seats=16),))
    hall.ask(cc.CountZone(9, "w1"))
    hall.ask(cc.RecordVolunteer("guide", "forms", 2))
    stored(tmp_path, hall)
    records = json.loads(said(tmp_path, "--by", "records", "--format", "json"))["lines"]
    assert [(one["kind"], one["item"], one["most"], one["quantity"]) for one in records] == [
        ("volunteer", "guide/forms", 0, 2),
        ("zone", "w1", 9, 9),
    ]
    head, *_ = said(tmp_path, "--by", "records").splitlines()
    assert tuple(head.split()) == RecordLine.__struct_fields__
    assert said(tmp_path, "--by", "stars").splitlines() == ["nothing to report in this period"], (
        "nobody has enough ratings"
    )
    assert said(tmp_path, "--by", "records", "--format", "csv").splitlines()[0].split(",") == head.split()


def test_a_statement_is_the_line_of_one_department_or_clerk(data: Path) -> None:
    lines = json.loads(said(data, "--by", "clerk", "--clerk", "staff-2", "--format", "json"))["lines"]
    assert [(one["clerk"], one["department"], one["served"]) for one in lines] == [("staff-2", "tax", 1)]
    lines = json.loads(said(data, "--by", "department", "--department", "hrss", "--format", "json"))["lines"]
    assert [(one["department"], one["served"]) for one in lines] == [("hrss", 5)]
    span = ["report", str(data), "--first", "2026-11-24", "--last", "2026-11-30", "--format", "json"]
    found = json.loads(RUN.invoke(app, span).stdout)
    assert (found["first"], found["last"], found["lines"][0]["served"]) == (20261124, 20261130, 1)


def test_f6_mean_levels_are_told_by_profile(tmp_path: Path) -> None:
    """A pad says five levels, a key box three: each mean over its own ratings; sms has no device."""
    hall = opened()
    for counter, service, command in (
        (1, "si", c.SubmitEvaluation(level=3)),
        (2, "tax", c.SubmitEvaluation(key=3)),
        (2, "tax", c.SubmitEvaluation(key=0)),
        (2, "tax", c.SubmitEvaluation(channel="sms", level=1)),
    ):
        hall.take(service)
        call = hall.serve(counter).call
        sms = msgspec.structs.replace(command, call=call)
        hall.send(f"ev-{counter}", command) if not command.channel else hall.ask(sms)
    stored(tmp_path, hall)
    lines = json.loads(said(tmp_path, "--by", "profile", "--format", "json"))["lines"]
    told = [(one["profile"], one["n5"], one["n3"], one["n2"], one["satisfaction_num"]) for one in lines]
    assert told == [("keys4", 1, 0, 1, 700), ("pad", 0, 1, 0, 300)]
    assert "1/2 50.0" in said(tmp_path, "--by", "profile").splitlines()[1]


@pytest.mark.parametrize(
    "asked",
    [*(("--by", by) for by in ("clerk", "flags", "stars", "records")), ("--clerk", "staff-1"), ("--clerk", "nobody")],
)
def test_a_notice_board_shows_nobodys_own_results(data: Path, asked: tuple[str, ...]) -> None:
    found = RUN.invoke(app, ["report", str(data), "--month", "2026-11", "--public", *asked])
    assert found.exit_code == 2 and found.stdout == ""


@pytest.mark.parametrize("by", ["hall", "department", "service", "day", "profile"])
def test_what_a_notice_board_may_show_names_no_clerk(data: Path, by: str) -> None:
    shown = said(data, "--by", by, "--public", "--format", "json")
    assert "staff-1" not in shown and "staff-2" not in shown


def test_a_clerk_is_given_no_other_clerks_lines(data: Path) -> None:
    mine = said(data, "--by", "clerk", "--clerk", "staff-1", "--format", "json")
    assert {line["clerk"] for line in json.loads(mine)["lines"]} == {"staff-1"}
