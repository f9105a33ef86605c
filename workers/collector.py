"""workers/collector.py: the table of metrics filled when Prometheus asks, by one custom Collector.

One look at everything, then written family by family with a turn of the loop between: no key press waits for a scrape.
Detail is the richest that fits the budget of series: full (hall, service), hall (service="all"), fleet (hall="all").
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from devices.profiles import ALLOWED
from workers import samples
from workers.counts import kinds_of
from workers.desk import Desk
from workers.metrics import ALL, COUNTER, DETAILS, FLEET, FLEET_GAUGES, FULL, HALL, HISTOGRAM, PREFIX, TABLE, Name
from workers.samples import Labels, Sources
from workers.tallies import Buckets

OF_PROCESS: Final = 452  # series at most
OF_HALL: Final = 218
OF_KIND: Final = 12  # a kind of device that a hall has
OF_SERVICE: Final = 37
GREATEST: Final = {  # of many the largest; others add up
    "oldest_wait_seconds",
    "case_oldest_seconds",
    "device_clock_skew_seconds",
    "evaluation_level_timestamp_seconds",
    "probe_timestamp_seconds",
}
HIDDEN: Final = {FULL: set[str](), HALL: {"service"}, FLEET: {"hall", "service", "class", "zone", "profile"}}
assert tuple(HIDDEN) == DETAILS


class Page:
    """The samples of one scrape by name and labels."""

    __slots__ = ("histograms", "values")

    def __init__(self) -> None:
        self.values: dict[str, dict[Labels, float]] = {n: {} for n, one in TABLE.items() if one.type != HISTOGRAM}
        self.histograms: dict[str, dict[Labels, Buckets]] = {n: {} for n, one in TABLE.items() if one.type == HISTOGRAM}

    def add(self, name: str, labels: Labels, found: float | Buckets) -> None:
        """One more sample; where labels are hidden, several meet."""
        if isinstance(found, Buckets):
            self.histograms[PREFIX + name].setdefault(labels, Buckets(found.limits)).add(found)
            return
        cells = self.values[PREFIX + name]
        before = cells.get(labels, 0.0)
        cells[labels] = max(before, found) if name in GREATEST else before + found

    def families(self, names: Iterator[str]) -> Iterator[Metric]:
        """In the order of the table."""
        for name in names:
            spec = TABLE[name]
            if spec.type == HISTOGRAM:
                yield _histogram(name, spec, self.histograms[name])
                continue
            kind = CounterMetricFamily if spec.type == COUNTER else GaugeMetricFamily
            family = kind(name, spec.help, labels=list(spec.labels))
            for labels, value in self.values[name].items():
                family.add_metric(labels, value)
            yield family


class HallCollector(Collector):
    """Turns the counters into families, each with all its series from the start. `halls`: the fleet's gauges alone."""

    def __init__(self, sources: Sources, *, halls: bool = False) -> None:
        self._sources, self._halls = sources, halls
        self._cost_s, self._series = 0.0, 0

    def collect(self) -> Iterator[Metric]:
        """Every family of the table, in its order; read now, written as they are asked for."""
        started = time.perf_counter()
        page, desks, now_ms = Page(), list(self._sources.desks()), self._sources.now_ms()
        detail = self.detail(desks)
        for desk in desks:
            state = desk.hall.state
            seen = samples.look(state, now_ms)
            if self._halls or detail != FLEET:
                for name, value in samples.of_fleet(state, seen):
                    page.add(name, (state.hall,), value)
            for name, labels, found in () if self._halls else self._of_hall(desk, seen, now_ms):
                page.add(name, _shown(name, (state.hall, *labels), detail), found)
        if not self._halls:
            self._of_process(page, detail)
        names = [PREFIX + name for name in FLEET_GAUGES] if self._halls else list(TABLE)
        self._cost_s = time.perf_counter() - started
        self._series = sum(map(len, page.values.values())) + sum(
            len(cells) * (len(TABLE[name].limits) + 3) for name, cells in page.histograms.items()
        )
        return page.families(iter(names))

    def _of_hall(self, desk: Desk, seen: samples.Look, now_ms: int) -> Iterator[tuple[str, Labels, float | Buckets]]:
        yield from samples.of_hall(desk, seen, now_ms)
        yield from samples.of_orders(self._sources, desk.hall.state)

    def detail(self, desks: list[Desk]) -> str:
        """The level in use."""
        policies = [one for one in (desk.hall.state.policy for desk in desks) if one is not None]
        services, kinds = sum(len(one.services) for one in policies), sum(len(kinds_of(one)) for one in policies)
        return detail_of(self._sources.detail, self._sources.budget, len(desks), services, kinds)

    def _of_process(self, page: Page, detail: str) -> None:
        for name, labels, value in samples.of_process(self._sources):
            page.add(name, labels, value)
        for name, buckets in samples.of_loop(self._sources).items():
            page.add(name, (), buckets)
        page.add("scrape_seconds", (), self._cost_s)
        page.add("metrics_series", (), self._series)
        for level in DETAILS:
            page.add("metrics_detail", (level,), float(level == detail))


def estimate(detail: str, halls: int, services: int, kinds: int) -> int:
    """Series of a page, at most; `services` and `kinds` of devices: of all halls together."""
    if detail == FULL:
        return OF_PROCESS + halls * OF_HALL + services * OF_SERVICE + kinds * OF_KIND
    if detail == HALL:
        return OF_PROCESS + halls * (OF_HALL + OF_SERVICE) + kinds * OF_KIND
    return OF_PROCESS + OF_HALL + OF_SERVICE + min(kinds, len(ALLOWED)) * OF_KIND


def detail_of(wish: str, budget: int, halls: int, services: int, kinds: int) -> str:
    """The richest level that fits; the poorest where none does."""
    if wish in DETAILS:
        return wish
    return next((one for one in DETAILS if estimate(one, halls, services, kinds) <= budget), FLEET)


def _shown(name: str, labels: Labels, detail: str) -> Labels:
    hidden = HIDDEN[detail]
    if not hidden:
        return labels
    pairs = zip(TABLE[PREFIX + name].labels, labels, strict=True)
    return tuple(ALL if label in hidden else value for label, value in pairs)


def _histogram(name: str, spec: Name, cells: dict[Labels, Buckets]) -> Metric:
    family = HistogramMetricFamily(name, spec.help, labels=list(spec.labels))
    for labels, found in cells.items():
        total, buckets = 0, []
        for limit, count in zip([*map(str, found.limits), "+Inf"], found.counts, strict=True):
            total += count
            buckets.append((limit, float(total)))
        family.add_metric(labels, buckets, found.total)
    return family


class _One:
    """A family, in the form that the writer of the exposition asks for."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


async def exposition(registry: CollectorRegistry) -> bytes:
    """The page, written family by family; others have their turn between two."""
    pieces = []
    for family in registry.collect():
        pieces.append(generate_latest(_One(family)))
        await asyncio.sleep(0)
    return b"".join(pieces)


def registry(sources: Sources, *, halls: bool = False) -> CollectorRegistry:
    """A registry of our own: no global, nothing that was not asked for."""
    found = CollectorRegistry(auto_describe=False)
    found.register(HallCollector(sources, halls=halls))
    return found
