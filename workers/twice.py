"""workers/twice.py: numbers in `meta` that no seal holds are kept twice, in the same transaction; the lower one counts.

A published mark too high would leave a call unsaid after a start, a watermark too high a picture unmade. One too low
only repeats work, so that of two that differ the lower is right enough, and `verify` tells. Files of before have one.
"""

from collections.abc import Mapping
from typing import Any, Final

from workers.engine import Connection

AGAIN: Final = "twice:"
PUT: Final = "INSERT OR REPLACE INTO meta VALUES(?, ?)"
COMPLETE: Final = (
    "INSERT OR IGNORE INTO meta SELECT ? || k, v FROM meta WHERE k = 'proj_seq' OR substr(k, 1, 10) = 'published:'"
)


def lower(found: Mapping[str, Any], what: str) -> dict[str, int]:
    """The numbers of the keys that begin so, by the rest of their key. ValueError, TypeError for what is none."""
    mine = {key: int(value) for key, value in found.items() if key.startswith(what)}
    return {key.removeprefix(what): min(n, int(found.get(AGAIN + key, n))) for key, n in mine.items()}


def stored(numbers: Mapping[str, int]) -> dict[str, int]:
    """What is written of them."""
    return {prefix + key: n for prefix in ("", AGAIN) for key, n in numbers.items()}


def put(db: Connection, numbers: Mapping[str, int]) -> None:
    """Write them, within a transaction. What a file of before has once it has twice from then on."""
    db.executemany(PUT, stored(numbers).items())
    db.execute(COMPLETE, (AGAIN,))
