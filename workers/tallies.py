"""workers/tallies.py: plain counters of the dispatcher. An event costs a list slot, not a labelled metric."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from core.commands import TYPE_OF
from core.facts import KINDS
from core.refusals import Refusal
from workers.ports import Part

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
ACKNOWLEDGE: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
PRESS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BATCH: Final = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
REASONS: Final = ("syntax", "schema", "unknown_kind", "size", "topic", "identity", "personal_data")
UNUSUAL: Final = ("qos0", "retained", "stale_will", "flood")


class Buckets:
    """A histogram: counts by upper limit; the last slot is everything above."""

    __slots__ = ("counts", "limits", "total")

    def __init__(self, limits: tuple[float, ...] = BUCKETS) -> None:
        self.limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """`times` observations of `value`."""
        self.counts[bisect_left(self.limits, value)] += times
        self.total += value * times

    def add(self, other: "Buckets") -> None:
        """Those of another with the same limits."""
        assert self.limits == other.limits, "only equal limits add up"
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Tallies:
    """What the dispatcher counts. Every key exists from the start, so that a panel of errors shows 0."""

    __slots__ = (
        "acknowledge",
        "batch",
        "clock_clamped",
        "clock_skewed",
        "commands",
        "commit",
        "core_seconds",
        "duplicates",
        "facts",
        "loop_lag",
        "messages",
        "refused",
        "rejected",
        "retries",
        "snapshot_s",
        "snapshots",
        "unusual",
        "wrong_hall",
    )

    def __init__(self) -> None:
        self.messages = 0
        self.facts: list[int] = [0] * (max(KINDS) + 1)
        self.commands: dict[str, int] = dict.fromkeys(TYPE_OF.values(), 0)  # of devices and pages, as decided
        self.refused: dict[str, int] = {str(reason): 0 for reason in Refusal}
        self.rejected: dict[str, int] = dict.fromkeys(REASONS, 0)
        self.retries: dict[str, int] = {"SQLITE_FULL": 0, "SQLITE_BUSY": 0}
        self.duplicates = 0
        self.clock_clamped = 0
        self.clock_skewed = 0
        self.unusual: dict[str, int] = dict.fromkeys(UNUSUAL, 0)  # of these `qos0` is counted by the link
        self.wrong_hall = 0
        self.snapshots = 0
        self.snapshot_s = 0.0  # unix time of the last
        self.core_seconds = 0.0
        self.commit = Buckets()
        self.batch = Buckets(BATCH)
        self.acknowledge = Buckets(ACKNOWLEDGE)
        self.loop_lag = Buckets()

    def reject(self, reason: str) -> None:
        """Something arrived that is no command of ours."""
        self.rejected[reason] += 1

    def durable(self, parts: Sequence[Part]) -> None:
        """Facts are counted when they are in the journal, not before."""
        facts = self.facts
        for part in parts:
            for row in part.facts:
                facts[row.kind] += 1

    def retry(self, error: str) -> None:
        """A commit is tried again."""
        self.retries[error] = self.retries.get(error, 0) + 1
