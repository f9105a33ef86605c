"""workers/settings.py: every source, each mistake with its source and path, secrets, hall files."""

from pathlib import Path

import msgspec
import pytest

from core.policy import document
from tests.halls import POLICY, TEXT, changed
from workers import settings
from workers.settings import Settings, SettingsError


def file(directory: Path, text: str) -> Path:
    path = directory / "jiaohao.toml"
    path.write_text(text, "utf-8")
    return path


def wrong(
    path: Path | None = None, environ: dict[str, str] | None = None, overrides: settings.Tree | None = None
) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        settings.load(path, environ or {}, overrides or {})
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


# Sources.


def test_without_any_source_the_defaults_hold() -> None:
    chosen = settings.load(None, {}, {})
    assert chosen == Settings()
    assert (chosen.journal.batch_max, chosen.broker.receive_maximum, chosen.inbox.max) == (1000, 1000, 4096)
    assert chosen.web.listen == "127.0.0.1:8080", "loopback, unless somebody wishes otherwise"


def test_the_later_source_wins_key_by_key(tmp_path: Path) -> None:
    path = file(tmp_path, '[journal]\nbatch_max = 1\ndir = "file"\nsnapshot_every = 5\n[log]\nlevel = "error"\n')
    environ = {"JIAOHAO_JOURNAL__BATCH_MAX": "2", "JIAOHAO_JOURNAL__DIR": "environment", "PATH": "/bin"}
    chosen = settings.load(path, environ, {"journal": {"dir": "line"}})
    assert chosen.journal == settings.JournalSection(dir="line", batch_max=2, snapshot_every=5)
    assert chosen.log.level == "error"


def test_every_setting_can_be_set_by_its_name_in_the_environment() -> None:
    """Also the text of a number."""
    examples = {"url": "mqtt://b", "listen": "h:1", "level": "debug", "format": "json", "detail": "hall"}
    environ = {
        f"JIAOHAO_{section}__{name}".upper(): examples.get(name, "7" if isinstance(value, int) else "text")
        for section in Settings.__struct_fields__
        for name, value in msgspec.structs.asdict(getattr(Settings(), section)).items()
    }
    environ["JIAOHAO_INBOX__MAX"] = "100"
    environ["JIAOHAO_RETENTION__AUDIT_DAYS"] = "365"
    chosen = settings.load(None, environ, {})
    for section in Settings.__struct_fields__:
        for name in getattr(chosen, section).__struct_fields__:
            assert getattr(getattr(chosen, section), name) != getattr(getattr(Settings(), section), name), name


def test_a_credential_of_systemd_is_private_whatever_its_mode_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ACL shows as the rights of the group."""
    file = tmp_path / "broker_password"
    file.write_text("hush\n")
    file.chmod(0o440)
    with pytest.raises(SettingsError, match="others may read it"):
        settings.secret(str(file), "broker.password_file")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert settings.secret(str(file), "broker.password_file") == "hush"


# Mistakes.


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[journal]\nbatch_max = 0\n", "Expected `int` >= 1 - at `$.journal.batch_max`"),
        ('[journal]\nbatch_max = "5"\n', "Expected `int`, got `str` - at `$.journal.batch_max`"),
        ("[journal]\nsynchronous = 1\n", "Object contains unknown field `synchronous` - at `$.journal`"),
        ("[weather]\nsun = 1\n", "Object contains unknown field `weather`"),
        ("journal = 3\n", "Expected `object`, got `int` - at `$.journal`"),
        ('[log]\nlevel = "loud"\n', "at `$.log.level`"),
        ('[web]\nlisten = "8080"\n', "'8080' is no host:port - at `$.web.listen`"),
        ('[web]\nlisten = "h:99999"\n', "at `$.web.listen`"),
        ('[broker]\nurl = "http://b"\n', "'http://b' is no broker address"),
        ('[broker]\nurl = "mqtt://b:port"\n', "at `$.broker.url`"),
        ("[retention]\naudit_days = 179\n", "Expected `int` >= 180 - at `$.retention.audit_days`"),
        ("[retention]\nrows_days = 0\n", "Expected `int` >= 1 - at `$.retention.rows_days`"),
        ("[journal\n", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_file_and_path(tmp_path: Path, text: str, problem: str) -> None:
    path = file(tmp_path, text)
    (found,) = wrong(path)
    assert found.startswith(f"{path}: ") and problem in found


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    assert wrong(tmp_path / "none.toml") == [f"{tmp_path / 'none.toml'}: No such file or directory"]
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in wrong(tmp_path / "bytes.toml")[0]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("JIAOHAO_JOURNAL__BATCH_MAX", "none", "environment: Expected `int`, got `str` - at `$.journal.batch_max`"),
        ("JIAOHAO_JOURNAL__BATCH", "1", "environment: Object contains unknown field `batch` - at `$.journal`"),
        ("JIAOHAO_JURNAL__DIR", "x", "environment: Object contains unknown field `jurnal`"),
        ("JIAOHAO_VERBOSE", "1", "environment: JIAOHAO_VERBOSE is no setting - JIAOHAO_<SECTION>__<KEY> is meant"),
        ("JIAOHAO_BROKER__URL", "b:1883", "environment: 'b:1883' is no broker address"),
    ],
)
def test_a_mistake_in_the_environment_is_named(name: str, value: str, problem: str) -> None:
    (found,) = wrong(environ={name: value})
    assert found.startswith(problem)


def test_all_sources_are_examined_before_anything_is_said(tmp_path: Path) -> None:
    path = file(tmp_path, "[inbox]\nmax = 1\n")
    problems = wrong(path, {"JIAOHAO_X": "1", "JIAOHAO_CLOCK__SPEED": "0"}, {"web": {"listen": "nowhere"}})
    assert {problem.split(":")[0] for problem in problems} == {str(path), "environment", "command line"}
    assert len(problems) == 4


def test_what_tests_set_for_themselves_is_no_setting() -> None:
    assert settings.load(None, {"JIAOHAO_REQUIRE_SERVERS": "1"}, {}) == Settings()


# Secrets.


def test_a_secret_is_the_content_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    assert settings.secret(str(path), "broker.password_file") == "s3cret"
    path.chmod(0o400)
    assert settings.secret(str(path), "broker.password_file") == "s3cret"
    assert settings.secret("", "broker.password_file") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o610])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret")
    path.chmod(mode)
    with pytest.raises(
        SettingsError, match=rf"broker\.password_file: .*others may read it \(mode {mode:o}\)"
    ) as refused:
        settings.secret(str(path), "broker.password_file")
    assert "s3cret" not in str(refused.value)


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"broker\.password_file: .*No such file"):
        settings.secret(str(tmp_path / "none"), "broker.password_file")
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="not UTF-8"):
        settings.secret(str(path), "broker.password_file")


def test_no_secret_can_be_given_but_in_a_file() -> None:
    fields = {name for section in Settings.__struct_fields__ for name in getattr(Settings(), section).__struct_fields__}
    assert {name for name in fields if "password" in name or "token" in name or "secret" in name} == {
        "password_file",
        "tokens_file",
    }


# Hall files.


def test_hall_files_are_policies_in_toml_or_canonical_json(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TEXT, "utf-8")
    (tmp_path / "b.json").write_text(document(changed(hall={"id": "h2"})), "utf-8")
    (tmp_path / "README.md").write_text("nothing")
    assert [one.hall.id for one in settings.hall_files(str(tmp_path))] == ["h1", "h2"]
    assert settings.hall_files(str(tmp_path))[0] == POLICY


def test_every_mistake_of_every_hall_file_is_named(tmp_path: Path) -> None:
    wrong_text = TEXT.replace('prefix = "B"', 'prefix = "A"').replace("counter = 3", "counter = 9")
    (tmp_path / "a.toml").write_text(wrong_text, "utf-8")
    (tmp_path / "b.toml").write_text("hall = 3", "utf-8")
    (tmp_path / "c.json").write_text("{", "utf-8")
    (tmp_path / "d.toml").write_bytes(b"\xff")
    (tmp_path / "e.toml").write_text("[", "utf-8")
    with pytest.raises(SettingsError) as refused:
        settings.hall_files(str(tmp_path))
    problems = refused.value.problems
    named = [Path(problem.split(": ")[0]).name for problem in problems]
    assert set(named) == {"a.toml", "b.toml", "c.json", "d.toml", "e.toml"} and named.count("a.toml") >= 2, problems
    assert any("$." in problem for problem in problems if "a.toml" in problem)


def test_two_files_for_one_hall_are_a_mistake(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(TEXT, "utf-8")
    with pytest.raises(SettingsError, match="two files for hall 'h1'"):
        settings.hall_files(str(tmp_path))


def test_a_directory_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such directory - at `\$\.halls\.dir`"):
        settings.hall_files(str(tmp_path / "none"))


@pytest.mark.parametrize("number", ["13912345678", "11010519491231002X"])
def test_a_hall_file_with_somebodys_number_is_refused_without_saying_it(tmp_path: Path, number: str) -> None:
    (tmp_path / "h1.toml").write_text(TEXT.replace('prefix = "A"', f'prefix = "A", name = {{ zh = "问 {number}" }}'))
    with pytest.raises(SettingsError) as refused:
        settings.hall_files(str(tmp_path))
    assert number not in str(refused.value) and "h1.toml" in str(refused.value)


def test_the_ballast_is_no_smaller_than_what_the_log_may_grow_by(tmp_path: Path) -> None:
    """Else the batch in hand might not fit when the disk is full."""
    file = tmp_path / "jiaohao.toml"
    for ballast, good in ((15, False), (16, True), (0, True)):
        file.write_text(f"[journal]\nballast_mb = {ballast}\n")
        if good:
            assert settings.load(file, {}, {}).journal.ballast_mb == ballast
        else:
            with pytest.raises(SettingsError, match="at least checkpoint_wal_mb"):
                settings.load(file, {}, {})
