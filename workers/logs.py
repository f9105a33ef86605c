"""workers/logs.py: the names of all log events, and how they are written: JSON in production, console on a TTY.

Never a line per event of a hall; payloads, tokens and personal data are never logged.
"""

import sys
from typing import Any, Final

import msgspec
import structlog

START: Final = "process.start"
STOP: Final = "process.stop"
LISTENING: Final = "web.listening"
FAILED: Final = "process.failed"
RECOVERED: Final = "recovery.done"
SNAPSHOT_SKIPPED: Final = "snapshot.skipped"
LINK_CONNECTED: Final = "link.connected"
LINK_DOWN: Final = "link.down"
JOURNAL_RETRY: Final = "journal.retry"
JOURNAL_RECOVERED: Final = "journal.recovered"
MONTH_CLOSED: Final = "journal.month_closed"
ARCHIVED: Final = "journal.archived"
ARCHIVE_FAILED: Final = "journal.archive_failed"
POLICY_LOADED: Final = "policy.loaded"
ENGINE_AFFECTED: Final = "engine.affected"
TOKENS_READ: Final = "web.tokens_read"
TOKENS_WRONG: Final = "web.tokens_wrong"

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LINES: Final[dict[str, int]] = dict.fromkeys(LEVELS, 0)  # written so far by this process
_JSON: Final = msgspec.json.Encoder(enc_hook=str)


def _counted(_: object, level: str, event: Any) -> Any:
    LINES[level] = LINES.get(level, 0) + 1
    return event


def _json(_: object, __: str, event: Any) -> bytes:
    return _JSON.encode(event)


def logger(level: str, form: str) -> Any:
    """A logger to stderr. `form`: auto, json or console."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        _counted,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr) if console else structlog.BytesLogger(sys.stderr.buffer),
        processors=[*shared, structlog.dev.ConsoleRenderer() if console else _json],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )
