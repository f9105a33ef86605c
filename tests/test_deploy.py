"""deploy/: containers, units, provisioning and an operator's first files, checked without starting any of them."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import build
from tests.processes import run_cli
from tests.test_alerts import tool
from workers import settings
from workers.web.access import read_tokens

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSURE = 20  # per cent of systemd's scale: 2.0 of 10


def own_tool(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A tool of the dev extra: it stands beside this Python."""
    path = Path(sys.executable).parent / name
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=50, check=False)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


# Containers.


def test_the_dockerfile_is_clean() -> None:
    done = own_tool("hadolint", DEPLOY / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_fault_planted_in_a_dockerfile_is_found(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    (tmp_path / "Dockerfile").write_text(
        text.replace("python:3.11.13-slim-bookworm AS build", "python AS build"), "utf-8"
    )
    done = own_tool("hadolint", tmp_path / "Dockerfile")
    assert done.returncode != 0 and "DL3006" in done.stdout


def test_the_compose_file_keeps_to_its_schema() -> None:
    done = own_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_misspelt_in_a_compose_file_is_found(tmp_path: Path) -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8").replace("read_only: true", "readonly: true", 1)
    (tmp_path / "compose.yaml").write_text(text, "utf-8")
    done = own_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml")
    assert done.returncode != 0 and "readonly" in done.stdout


@pytest.mark.parametrize("name", compose()["services"])
def test_a_container_may_do_little(name: str) -> None:
    one = compose()["services"][name]
    assert one["read_only"] is True and one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert int(one["user"].partition(":")[0]) > 0, "not as root"
    assert re.search(r":v?\d+\.\d+\.\d+$", one["image"]), "a fixed tag"
    assert all(port.startswith("127.0.0.1:") for port in one["ports"]), "loopback only"


def test_what_a_container_mounts_is_there_or_made_by_prepare(site: Path) -> None:
    for one in compose()["services"].values():
        for source in [volume.split(":")[0] for volume in one["volumes"] if volume.startswith("./")]:
            place = site / Path(source).relative_to("site") if source.startswith("./site") else DEPLOY / source
            assert place.exists(), source
    for secret in compose()["secrets"].values():
        assert (site / Path(secret["file"]).relative_to("site")).exists(), secret


def test_the_image_holds_what_the_lock_says() -> None:
    lock = (DEPLOY / "requirements.lock").read_text("utf-8")
    assert "://" not in lock and "--index" not in lock and "--find" not in lock
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["engine"], *extras["build"]]
    for name in [re.split(r"[<>=!~ ]", one)[0] for one in wanted]:
        assert re.search(rf"^{re.escape(name)}==\S+", lock, re.MULTILINE | re.IGNORECASE), name
    versions = dict(re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE))
    tested = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    assert {n: v for n, v in versions.items() if tested.get(n, v) != v} == {}, "what runs is what was tested"
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE):
        assert all((ROOT / source).exists() for source in copied.split()), copied


# An operator's first files.


def prepared(site: Path) -> "subprocess.CompletedProcess[str]":
    """What `prepare.sh` makes there; it keeps what is there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
    environment = {**inherited, "JIAOHAO": str(Path(sys.executable).parent / "jiaohao")}
    done = subprocess.run(
        ["sh", DEPLOY / "prepare.sh", site],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_files_that_commands_replace_are_mounted_with_their_directory() -> None:
    """A file mounted by itself stays the old one when another takes its name."""
    replaced = {"tokens.toml", "broker.passwd", "broker.acl", "mosquitto.conf", "broker_password"}
    mounted = [volume.split(":")[0] for one in compose()["services"].values() for volume in one["volumes"]]
    mounted += [one["file"] for one in compose()["secrets"].values()]
    assert {Path(one).name for one in mounted} & replaced == set()
    chosen = settings.load(DEPLOY / "example" / "jiaohao.toml", {}, {})
    for file in (chosen.broker.password_file, chosen.web.tokens_file):
        assert Path(file).parent == Path("/etc/jiaohao/secrets"), "where compose mounts site/secrets"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; the tokens of people were shown."""
    found = tmp_path_factory.mktemp("operator") / "site"
    said = prepared(found).stdout
    assert len(re.findall(r"^(operator|clerk|guide|device) token: \S{40,}$", said, re.MULTILINE)) == 4
    return found


def test_prepare_makes_a_site_that_can_be_served(site: Path, tmp_path: Path) -> None:
    chosen = settings.load(site / "jiaohao.toml", {}, {"halls": {"dir": str(site / "halls")}})
    assert [one.hall.id for one in settings.hall_files(chosen.halls.dir)] == ["h1"]
    assert {grant.role for grant in read_tokens(site / "secrets" / "tokens.toml")} == {
        "operator",
        "clerk",
        "guide",
        "device",
        "metrics",
    }
    conf = (site / "broker" / "mosquitto.conf").read_text("utf-8")
    assert "listener 1883\n" in conf and "127.0.0.1" not in conf
    volumes = [one.split(":") for one in compose()["services"]["mosquitto"]["volumes"]]
    assert f"persistence_location {volumes[1][1]}/\n" in conf and ["./site/broker", "/etc/jiaohao", "ro"] in volumes
    assert "user core" in (site / "broker" / "broker.acl").read_text("utf-8")
    done = run_cli(
        "check", "--offline", "--halls", site / "halls", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prepare_keeps_what_is_there_and_hides_what_is_secret(site: Path) -> None:
    secrets = site / "secrets"
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert prepared(site).stdout == "", "no token is shown twice"
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    for name in ("broker_password", "tokens.toml"):
        assert stat.S_IMODE((secrets / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(site.stat().st_mode) == 0o700
    assert "deploy/site/" in (ROOT / ".gitignore").read_text("utf-8")


# Units.


def planted(unit: Path, directory: Path, text: str | None = None) -> Path:
    """The unit where nothing of it is installed: its program is another that exists."""
    changed = (unit.read_text("utf-8") if text is None else text).replace("/opt/jiaohao/bin/jiaohao", "/bin/true")
    changed = re.sub(r"^(User|Group)=jiaohao$", r"\1=root", changed, flags=re.MULTILINE)
    for other in UNITS.iterdir():
        if other.name != unit.name:
            (directory / other.name).write_text(
                other.read_text("utf-8").replace("/opt/jiaohao/bin/jiaohao", "/bin/true")
            )
    file = directory / unit.name
    file.write_text(changed, "utf-8")
    return file


@pytest.mark.parametrize("unit", sorted(UNITS.iterdir()), ids=lambda path: path.name)
def test_a_unit_is_well_formed(unit: Path, tmp_path: Path) -> None:
    file = planted(unit, tmp_path)
    done = tool("systemd-analyze", "verify", "--man=no", file)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "jiaohao" in line]
    assert (done.returncode, said) == (0, [])


def test_a_misspelt_directive_is_found(tmp_path: Path) -> None:
    text = (UNITS / "jiaohao.service").read_text("utf-8").replace("WatchdogSec=", "WatchDogSecs=")
    done = tool("systemd-analyze", "verify", "--man=no", planted(UNITS / "jiaohao.service", tmp_path, text))
    assert "WatchDogSecs" in done.stdout + done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_a_service_is_hardened(unit: Path) -> None:
    done = tool("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_service_without_its_protection_is_found(tmp_path: Path) -> None:
    text = (UNITS / "jiaohao.service").read_text("utf-8")
    weak = [
        line for line in text.splitlines() if not line.startswith(("Protect", "SystemCall", "Capability", "Restrict"))
    ]
    (tmp_path / "jiaohao.service").write_text("\n".join(weak), "utf-8")
    done = tool(
        "systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", tmp_path / "jiaohao.service"
    )
    assert done.returncode != 0


def test_the_service_is_ready_watched_and_not_restarted_in_vain() -> None:
    text = (UNITS / "jiaohao.service").read_text("utf-8")
    for line in ("Type=notify", "WatchdogSec=15", "RestartPreventExitStatus=2 4", "ProtectSystem=strict"):
        assert line in text.splitlines(), line
    environ = dict(re.findall(r"^Environment=(JIAOHAO_\w+)=(.+)$", text, re.MULTILINE))
    assert settings.load(DEPLOY / "example" / "jiaohao.toml", environ, {}).broker.username == "core"
    loaded = set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE))
    assert {value.removeprefix("%d/") for value in environ.values()} == loaded


def test_each_timer_starts_its_service_and_leaves_a_stamp_that_is_shown() -> None:
    from workers.samples import STAMPS

    assert {path.stem.removeprefix("jiaohao-") for path in UNITS.glob("*.timer")} == set(STAMPS)
    for what in STAMPS:
        text = (UNITS / f"jiaohao-{what}.service").read_text("utf-8")
        assert "ReadWritePaths=/var/lib/jiaohao" in text, "the command leaves the stamp of success"
        assert f"OnFailure=jiaohao-failed@{what}.service" in text and f"journal {what} /var/lib/jiaohao" in text


# Grafana and what reads it.


def test_provisioning_names_what_the_containers_have() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    assert [one["url"] for one in source["datasources"]] == ["http://prometheus:9090"]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/jiaohao.yaml").read_text("utf-8"))
    (path,) = [one["options"]["path"] for one in provider["providers"]]
    grafana = compose()["services"]["grafana"]
    assert f"./grafana/dashboards:{path}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (build.HERE / "dashboards" / Path(home).name).exists()


def test_grafana_is_the_version_that_the_dashboards_are_made_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (pinned,) = [one for one in project["optional-dependencies"]["dev"] if one.startswith("grafana-foundation-sdk==")]
    made_for = pinned.rpartition("!")[2].rpartition(".")[0]
    assert compose()["services"]["grafana"]["image"].startswith(f"grafana/grafana:{made_for}.")


@pytest.mark.parametrize("name", ["RUNBOOK.md", "RUNBOOK.zh-CN.md"])
def test_commands_of_the_runbook_exist(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    called = {
        tuple(found.split()[:2]) for found in re.findall(r"\bjiaohao ((?:journal|broker|device|token) \w+|\w+)", text)
    }
    known = {*json.loads(run_cli_names())}
    assert {one[0] for one in called} - known == set(), called


def run_cli_names() -> str:
    """The commands of the command line."""
    found = re.findall(r"^│ (\w+) ", run_cli("--help").stdout, re.MULTILINE)
    return json.dumps(found)


def test_both_runbooks_have_the_same_headings_and_commands() -> None:
    def shape(name: str) -> tuple[list[int], list[str]]:
        text = (DEPLOY / name).read_text("utf-8")
        return [len(found) for found in re.findall(r"^(#+) ", text, re.MULTILINE)], re.findall(
            r"^    \S.*$", text, re.MULTILINE
        )

    assert shape("RUNBOOK.md") == shape("RUNBOOK.zh-CN.md")


def test_shells_can_read_prepare() -> None:
    done = subprocess.run([str(shutil.which("sh")), "-n", DEPLOY / "prepare.sh"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
