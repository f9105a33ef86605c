"""workers/collector.py: a page within its budget, at the richest level, that keeps nobody waiting."""

import asyncio

import pytest

from core.hall import Hall
from core.state import HallState
from devices.simulator import example_policy
from tests.halls import MIN, Driven, opened
from tests.scraped import Shown
from workers import collector
from workers.collector import detail_of, estimate
from workers.metrics import DETAILS, FLEET, FLEET_GAUGES, FULL, HALL, PREFIX
from workers.settings import MetricsSection

BUDGET = MetricsSection().series_budget


def fleet(halls: int, services: int = 20, detail: str = "auto") -> Shown:
    """So many halls in the morning, each with its own services."""
    states = []
    for at in range(halls):
        policy = example_policy(hall=f"h{at}", counters=12, services=services)
        states.append(Driven(policy, hall=Hall(HallState(f"h{at}"))).state)
    return Shown(states, detail=detail)


def count(shown: Shown) -> int:
    return len(shown.samples())


@pytest.mark.parametrize(("halls", "services"), [(1, 3), (1, 20), (2, 5), (20, 20)])
@pytest.mark.parametrize("detail", DETAILS)
def test_no_page_is_larger_than_its_estimate(halls: int, services: int, detail: str) -> None:
    found, said = count(fleet(halls, services, detail)), estimate(detail, halls, halls * services, halls * 7)
    assert 0.7 * said < found <= said, "and the estimate is none that fits everything"


def test_a_hall_and_a_service_cost_what_the_estimate_says() -> None:
    one, two = count(fleet(1, 3, FULL)), count(fleet(1, 4, FULL))
    assert two - one == collector.OF_SERVICE


@pytest.mark.parametrize(("halls", "level"), [(1, FULL), (2, HALL), (3, HALL), (20, FLEET)])
def test_pages_keep_within_the_budget(halls: int, level: str) -> None:
    shown = fleet(halls)
    assert count(shown) <= BUDGET
    assert [shown.value("jiaohao_metrics_detail", level=one) for one in DETAILS] == [one == level for one in DETAILS]


def test_twenty_halls_keep_their_own_gauges_on_a_page_of_their_own() -> None:
    shown = fleet(20)
    own = {family.name: family for family in shown.families(halls=True)}
    assert own.keys() == {PREFIX + name for name in FLEET_GAUGES}
    assert all({s.labels["hall"] for s in one.samples} == {f"h{at}" for at in range(20)} for one in own.values())
    labels = {value for (_, pairs) in shown.samples() for name, value in pairs if name == "hall"}
    assert labels == {"all"}, "and the other page has only their sum"


def test_level_by_level_the_sums_are_the_same() -> None:
    driven = opened()
    for service in ("si", "si", "tax"):
        driven.take(service)
    driven.at_ms += MIN

    def waiting(detail: str) -> tuple[float, float]:
        found = Shown([driven.state], detail=detail, now_ms=driven.at_ms).samples()
        cells = [value for (name, _), value in found.items() if name == "jiaohao_waiting"]
        longest = [value for (name, _), value in found.items() if name == "jiaohao_oldest_wait_seconds"]
        return sum(cells), max(longest)

    assert waiting(FULL) == waiting(HALL) == waiting(FLEET) == (3, 64.0)


def test_histograms_add_up_over_services() -> None:
    driven = opened()
    shown = Shown([driven.state], detail=HALL)
    for service, seconds in (("si", 100.0), ("tax", 1000.0)):
        shown.desks[0].counts.histograms["wait_seconds"][service,].observe(seconds)
    name = "jiaohao_wait_seconds"
    assert shown.value(f"{name}_count", hall="h1", service="all") == 2
    assert shown.value(f"{name}_bucket", hall="h1", service="all", le="900.0") == 1
    assert shown.value(f"{name}_sum", hall="h1", service="all") == 1100


def test_a_wish_is_kept_whatever_it_costs() -> None:
    assert detail_of(FULL, 10, 20, 400, 120) == FULL and detail_of("auto", 10, 20, 400, 120) == FLEET


def test_a_histogram_is_cumulative_and_ends_in_infinity() -> None:
    shown = Shown()
    for seconds in (0.0005, 0.002, 0.002, 0.4, 9.0):
        shown.tallies.commit.observe(seconds)
    name = "jiaohao_journal_commit_seconds"
    limits = ("0.001", "0.0025", "0.005", "0.5", "+Inf")
    assert [shown.value(f"{name}_bucket", le=le) for le in limits] == [1, 3, 3, 4, 5]
    assert shown.value(f"{name}_count") == 5 and shown.value(f"{name}_sum") == pytest.approx(9.4045)


def test_others_have_their_turn_while_a_page_is_written() -> None:
    async def scenario() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        await collector.exposition(collector.registry(fleet(1).sources()))
        task.cancel()
        return turns

    assert asyncio.run(scenario()) > 60, "one at least between two families"


def test_the_cost_and_the_size_of_the_page_before_are_shown() -> None:
    shown = fleet(1)
    found = collector.registry(shown.sources())
    for _ in range(2):
        text = asyncio.run(collector.exposition(found)).decode()
    series = int(float(text.split("\njiaohao_metrics_series ")[1].split("\n")[0]))
    assert series == sum(not line.startswith("#") for line in text.splitlines())
