"""tests/scraped.py: a page of metrics over sources with nothing behind them but counters."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.hall import Hall
from core.state import HallState
from workers import collector
from workers.ballast import Ballast
from workers.desk import Desk
from workers.journal import Stats
from workers.link_settings import LinkStats
from workers.metrics import CHECKS
from workers.outbox import OutboxStats
from workers.samples import Sources
from workers.tallies import Tallies
from workers.views import Views

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Shown:
    """`halls` become desks once; `directory`: where stamps of the timers lie."""

    halls: list[HallState] = field(default_factory=list)
    now_ms: int = 0
    detail: str = "auto"
    directory: Path = Path()
    checks: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(CHECKS, True) | {"broker": False})

    def __post_init__(self) -> None:
        self.tallies, self.link, self.journal, self.outbox = Tallies(), LinkStats(), Stats(), OutboxStats()
        self.desks = [Desk(Hall(state), self.tallies) for state in self.halls]
        self.site: Any = None
        self.text = ""

    def sources(self) -> Sources:
        return Sources(
            tallies=self.tallies,
            link=cast(Any, SimpleNamespace(stats=self.link, depth=lambda: 7)),
            outbox=cast(Any, SimpleNamespace(stats=self.outbox, pending=lambda: 2, oldest_s=lambda: 0.5)),
            journal=cast(
                Any,
                SimpleNamespace(
                    stats=self.journal,
                    last=41,
                    path=self.directory / "journal-2026-11.db",
                    views=Views(40),
                    ballast=Ballast(self.directory, 0, 0),
                ),
            ),
            desks=lambda: self.desks,
            ready=lambda: self.checks,
            now_ms=lambda: self.now_ms,
            build=("0.1", "3.11", "3.40.1"),
            recovery=(0.25, 17),
            inbox_max=4096,
            site=self.site,
            detail=self.detail,
        )

    def families(self, *, halls: bool = False) -> list[Metric]:
        self.text = asyncio.run(collector.exposition(collector.registry(self.sources(), halls=halls))).decode()
        return list(text_string_to_metric_families(self.text))

    def samples(self) -> dict[Key, float]:
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in self.families()
            for one in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, tuple(sorted(labels.items()))]
