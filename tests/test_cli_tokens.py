"""workers/cli_tokens.py: a token is shown once, listed by an id that tells nothing of it, and taken away again."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers.cli_tokens import token, write
from workers.web.access import digest, read_tokens


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(token, arguments)
    return done.exit_code, done.stdout


def test_a_token_is_made_listed_and_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    assert run("list", "--file", str(file)) == (0, "")
    code, shown = run(
        "add", "--role", "clerk", "--hall", "h1", "--hall", "h2", "--device", "caller-1", "--file", str(file)
    )
    made = shown.splitlines()[0]
    run("add", "--role", "operator", "--hall", "h1", "--note", "wall screen", "--file", str(file))
    first, second = read_tokens(file)
    assert code == 0 and first.sha256 == digest(made) and made not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("list", "--file", str(file))[1].splitlines() == [
        f"{first.id}\tclerk\th1,h2\tcaller-1\t-",
        f"{second.id}\toperator\th1\t-\twall screen",
    ]
    assert run("revoke", first.id, "--file", str(file))[0] == 0
    assert read_tokens(file) == [second]


def test_a_file_that_is_replaced_keeps_its_owner_and_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root adds a token; the process that reads the file is another user."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr("os.fchown", lambda _, user, group: given.append((user, group)))
    file = tmp_path / "tokens.toml"
    write(file, "one")
    assert file.stat().st_mode & 0o777 == 0o600 and given == []
    file.chmod(0o440)
    old = file.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: os.stat_result((old.st_mode, 0, 0, 1, 10001, 10002, 0, 0, 0, 0)))
    write(file, "two")
    monkeypatch.undo()
    assert file.read_text() == "two" and file.stat().st_mode & 0o777 == 0o440 and given == [(10001, 10002)]
    assert [one.name for one in tmp_path.iterdir()] == ["tokens.toml"]


def test_mistakes_are_three_lines(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    assert run("add", "--role", "god", "--hall", "h1", "--file", str(file))[0] == 2
    assert run("revoke", "nobody", "--file", str(file))[0] == 1
    file.write_text("x")
    assert run("list", "--file", str(file))[0] == 2


def test_a_note_with_somebodys_number_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    code, said = run("add", "--role", "clerk", "--hall", "h1", "--note", "王 13912345678", "--file", str(file))
    assert code == 2 and not file.exists() and "13912345678" not in said
