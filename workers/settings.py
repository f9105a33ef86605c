"""workers/settings.py: defaults < jiaohao.toml < JIAOHAO_<SECTION>__<KEY> < command line, merged once, checked whole.

Errors name the source and the path. Secrets only as `*_file`, readable by their owner alone.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from core import policy
from core.policy import Policy, PolicyError
from devices.privacy import personal
from workers import holidays
from workers.link_settings import parse_url

PREFIX: Final = "JIAOHAO_"
Positive = Annotated[int, Meta(ge=1)]


class SettingsError(Exception):
    """Settings are wrong: each problem names its source and path (exit 2)."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of jiaohao.toml."""


class BrokerSection(Section, frozen=True):
    """The broker. `receive_maximum`: unacknowledged messages it may send us; the embedded one knows 100.

    `dropped_topic`: where it says how many messages it has dropped (mosquitto: $SYS/broker/publish/messages/dropped).
    """

    url: str = ""
    client_id: str = "jiaohao"
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    receive_maximum: Annotated[int, Meta(ge=1, le=65535)] = 1000
    read_pace_ms: Annotated[int, Meta(ge=0, le=100)] = 1
    dropped_topic: str = ""


class JournalSection(Section, frozen=True):
    """The journal. `synchronous` is FULL and not a setting. `ballast_mb` is given up when the disk is full.

    `locks_dir`: shared by several dispatchers of one machine; each then locks its halls there and subscribes to no
    others."""

    dir: str = "data"
    locks_dir: str = ""
    batch_max: Annotated[int, Meta(ge=1, le=2000)] = 1000
    checkpoint_wal_mb: Positive = 16
    snapshot_every: Positive = 200_000
    ballast_mb: Annotated[int, Meta(ge=0)] = 64
    min_free_mb: Annotated[int, Meta(ge=0)] = 512


class InboxSection(Section, frozen=True):
    """Inputs waiting; reading pauses at 80 %."""

    max: Annotated[int, Meta(ge=100)] = 4096


class WebSection(Section, frozen=True):
    """Pages, metrics, health. `key_file`: signs ratings and cookies; empty: `web.key` beside the journal, made there.
    `public_url`: how phones reach us; `trusted_proxies`: whose X-Forwarded-For is believed, `10.0.0.1, 10.0.0.2`."""

    listen: str = "127.0.0.1:8080"
    tokens_file: str = ""
    key_file: str = ""
    public_url: str = ""
    trusted_proxies: str = ""
    sse_queue: Annotated[int, Meta(ge=1, le=1000)] = 16
    sse_clients_max: Positive = 500
    body_max: Annotated[int, Meta(ge=1, le=65536)] = 8192


class MetricsSection(Section, frozen=True):
    """Metrics. `series_budget`: of a page; `detail`: auto is the richest level that fits it."""

    series_budget: Positive = 1500
    detail: Annotated[str, Meta(pattern="^(auto|full|hall|fleet)$")] = "auto"


class RetentionSection(Section, frozen=True):
    """How long things are kept, in days; then they go by night. Of facts and of what reports counted: whole months.

    `audit_days`: no long-lived fact (policy, cases, conduct, findings, appeals) goes before, even by number, but for
    a person's data; by itself none ever goes."""

    rows_days: Positive = 180
    comments_days: Positive = 180
    audit_days: Annotated[int, Meta(ge=180)] = 180
    aggregates_days: Positive = 730


class HallsSection(Section, frozen=True):
    """Hall files: policy documents, one a hall."""

    dir: str = "halls"


class ReportSection(Section, frozen=True):
    """Scans of ratings: how long after a start and after a day's end, seconds; 0: never."""

    scan_after_s: Annotated[int, Meta(ge=0)] = 60


class LogSection(Section, frozen=True):
    """Logs on stderr: JSON in production, console on a TTY."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    format: Annotated[str, Meta(pattern="^(auto|json|console)$")] = "auto"


class ClockSection(Section, frozen=True):
    """A simulated day: `speed` times real time from `origin_ms` on; `anchor_ms` is the real time it began."""

    speed: Positive = 1
    origin_ms: int = 0
    anchor_ms: int = 0


class Settings(Section, frozen=True):
    """Everything that can be set."""

    broker: BrokerSection = BrokerSection()
    journal: JournalSection = JournalSection()
    inbox: InboxSection = InboxSection()
    web: WebSection = WebSection()
    metrics: MetricsSection = MetricsSection()
    retention: RetentionSection = RetentionSection()
    halls: HallsSection = HallsSection()
    report: ReportSection = ReportSection()
    log: LogSection = LogSection()
    clock: ClockSection = ClockSection()


Tree = dict[str, dict[str, Any]]


def load(file: Path | None, environ: Mapping[str, str], overrides: Tree) -> Settings:
    """The effective settings. SettingsError names all sources that are wrong."""
    problems: list[str] = []
    merged: Tree = {}
    for source, tree in (
        (str(file), _from_file(file, problems)),
        ("environment", _from_environment(environ, problems)),
        ("command line", overrides),
    ):
        try:
            addresses(msgspec.convert(tree, Settings, strict=source != "environment"))
        except ValueError as error:
            problems.append(f"{source}: {error}")
        for section, keys in tree.items():
            if isinstance(keys, dict):
                merged[section] = {**merged.get(section, {}), **keys}
    if problems:
        raise SettingsError(problems)
    found = msgspec.convert(merged, Settings, strict=False)
    if 0 < found.journal.ballast_mb < found.journal.checkpoint_wal_mb:
        raise SettingsError(
            [f"$.journal.ballast_mb: at least checkpoint_wal_mb ({found.journal.checkpoint_wal_mb}), or 0"]
        )
    return found


def addresses(found: Settings) -> None:
    """ValueError, with its path, for an address that is none."""
    try:
        if found.broker.url:
            parse_url(found.broker.url)
    except ValueError as error:
        raise ValueError(f"{error} - at `$.broker.url`") from error
    host, _, port = found.web.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{found.web.listen!r} is no host:port - at `$.web.listen`")


def _from_file(file: Path | None, problems: list[str]) -> Tree:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{file}: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: not TOML: {error}")
    return {}


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Tree:
    """`JIAOHAO_JOURNAL__BATCH_MAX=500`. A name that means nothing is an error, since it was meant to do something."""
    tree: Tree = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in OURS:
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if not key:
            problems.append(f"environment: {name} is no setting - JIAOHAO_<SECTION>__<KEY> is meant")
            continue
        tree.setdefault(section, {})[key] = value
    return tree


OURS: Final = ("JIAOHAO_REQUIRE_SERVERS",)


def secret(file: str, what: str) -> str | None:
    """The content of a secret's file; None if there is none. SettingsError when others may read it."""
    if not file:
        return None
    path = Path(file)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError([f"{what}: {file}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{what}: {file}: not UTF-8"]) from error
    if not private(path, mode):
        raise SettingsError([f"{what}: {file}: others may read it (mode {mode:o}); chmod 600 it"])
    return text


def private(path: Path, mode: int) -> bool:
    """Whether its owner alone may read a file. With credentials of systemd an ACL says so, not the mode."""
    return not mode & 0o077 or str(path.parent) == process_environment().get("CREDENTIALS_DIRECTORY")


def hall_files(directory: str) -> list[Policy]:
    """The policies of a directory, a `.toml` or canonical `.json` each. SettingsError names file and path."""
    found: list[Policy] = []
    problems: list[str] = []
    if not Path(directory).is_dir():
        problems.append(f"{directory}: no such directory - at `$.halls.dir`")
    for path in sorted(path for path in Path(directory).glob("*") if path.suffix in (".toml", ".json")):
        try:
            one = policy.parse(path.read_text("utf-8"), canonical=path.suffix == ".json")
            found.append(holidays.filled(one, Path(directory)))
            problems += [f"{path}: an identity or phone number of somebody" for _ in _personal(one)]
        except PolicyError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: {error}")
    names = [one.hall.id for one in found]
    problems += [f"{directory}: two files for hall {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise SettingsError(problems)
    return found


def _personal(one: Policy) -> list[str]:
    """Texts of a policy that would bring somebody's number into the journal. Said without it."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for pair in value.items() for part in pair for text in texts(part)]
        if isinstance(value, list | tuple):
            return [text for part in value for text in texts(part)]
        return [value] if isinstance(value, str) else []

    return [text for text in texts(msgspec.to_builtins(one)) if personal(text)]


def process_environment() -> Mapping[str, str]:
    """The one place where the environment is read."""
    return os.environ
