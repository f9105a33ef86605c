"""workers/logs.py: the names of all log events, and how they are written: JSON in production, console on a TTY.

Never a line per event of a hall; payloads, tokens and personal data are never logged.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from workers.clock import monotonic_s

START: Final = "process.start"
STOP: Final = "process.stop"
LISTENING: Final = "web.listening"
FAILED: Final = "process.failed"
RECOVERED: Final = "recovery.done"
SNAPSHOT_SKIPPED: Final = "snapshot.skipped"
LINK_CONNECTED: Final = "link.connected"
LINK_DOWN: Final = "link.down"
LINK_NARROW: Final = "link.narrow"  # the broker keeps fewer messages in flight than a commit holds
JOURNAL_RETRY: Final = "journal.retry"
JOURNAL_RECOVERED: Final = "journal.recovered"
MONTH_CLOSED: Final = "journal.month_closed"
ARCHIVED: Final = "journal.archived"
ARCHIVE_FAILED: Final = "journal.archive_failed"
ERASED: Final = "journal.erased"
ERASE_FAILED: Final = "journal.erase_failed"
SCANNED: Final = "ratings.scanned"
SCAN_FAILED: Final = "ratings.scan_failed"
POLICY_LOADED: Final = "policy.loaded"
CLOCK_BACK: Final = "clock.back"
CLOCK_LEAP: Final = "clock.leap"
ENGINE_AFFECTED: Final = "engine.affected"
TOKENS_READ: Final = "web.tokens_read"
TOKENS_WRONG: Final = "web.tokens_wrong"
HALLS_READ: Final = "policy.files_read"
HALLS_WRONG: Final = "policy.files_wrong"

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LINES: Final[dict[str, int]] = dict.fromkeys(LEVELS, 0)  # written so far by this process
SUPPRESSED: Final[dict[str, int]] = dict.fromkeys(LEVELS, 0)  # not written: the same had just been said
SAME_S: Final = 60.0
KNOWN_MAX: Final = 1000  # things said; then all is forgotten, and said again
_JSON: Final = msgspec.json.Encoder(enc_hook=str)


class Seldom:
    """The same trouble (its event and every field that is text): at once, then once a minute with how often it was.

    What is no trouble is always said: a connection made again a second later is news.
    """

    def __init__(self, now_s: Callable[[], float] = monotonic_s) -> None:
        self._now_s = now_s
        self._said: dict[tuple[str, ...], tuple[float, int]] = {}

    def __call__(self, _: object, level: str, event: Any) -> Any:
        if LEVELS.get(level, 0) <= LEVELS["info"]:
            return event
        key = level, *(f"{name}={value}" for name, value in event.items() if isinstance(value, str))
        now_s = self._now_s()
        since_s, more = self._said.get(key, (-SAME_S, 0))
        if now_s - since_s < SAME_S:
            self._said[key] = since_s, more + 1
            SUPPRESSED[level] = SUPPRESSED.get(level, 0) + 1
            raise structlog.DropEvent
        if len(self._said) >= KNOWN_MAX:
            self._said.clear()
        self._said[key] = now_s, 0
        return event | {"repeats": more} if more else event


def trouble(said: bytes) -> str:
    """The line of a child's stderr that says what is wrong: of three lines the first, of a traceback the last."""
    lines = said.decode("utf-8", "replace").strip().splitlines() or [""]
    return lines[-1 if any(one.startswith("Traceback") for one in lines) else 0]


def _counted(_: object, level: str, event: Any) -> Any:
    LINES[level] = LINES.get(level, 0) + 1
    return event


def _json(_: object, __: str, event: Any) -> bytes:
    return _JSON.encode(event)


def logger(level: str, form: str) -> Any:
    """A logger to stderr. `form`: auto, json or console."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        Seldom(),
        _counted,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr) if console else structlog.BytesLogger(sys.stderr.buffer),
        processors=[*shared, structlog.dev.ConsoleRenderer() if console else _json],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )
