"""devices/people.py: how people behave in a hall: when they come, for what, how long it takes, what goes wrong.

Pure and seeded: equal seeds, equal people. Times in hall milliseconds; a day is its open hours without lunch and night.
Curve, mix and rates: `60-bench` section 1; all of them are proposals, no public data was found.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, count
from math import exp, log, sqrt
from random import Random
from typing import Final

from msgspec import Struct

MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
CURVE: Final = (
    *(62, 48, 50, 56, 58, 56, 54, 50, 44, 38, 32, 26, 18, 8),  # from 08:30
    *(44, 40, 42, 42, 40, 38, 34, 30, 26, 22, 18, 12, 8, 4),  # from 14:00
)
DAY_MS: Final = len(CURVE) * QUARTER_MS
BURST_SHARE: Final = 0.4
BURST_MS: Final = 30_000
PRINT_MS: Final = 6_667  # a kiosk gives 0.15 tickets a second
BUSINESSES: Final = ((3, 20), (5, 30), (8, 25), (15, 15), (22, 10))  # mean minutes, per cent of the visits
SPREAD: Final = 0.9  # coefficient of variation of a service time
SHORTEST_MS, LONGEST_MS = MINUTE_MS // 2, 120 * MINUTE_MS
LEVELS: Final = ((5, 900), (4, 70), (3, 20), (2, 6), (1, 4))
RATING_MEDIAN_MS: Final = 6_000
assert sum(CURVE) == 1000, "per mille of the day"
assert sum(share for _, share in BUSINESSES) == 100
assert sum(share for _, share in LEVELS) == 1000


class Habits(Struct, frozen=True):
    """Shares are of one. `visits_day` over the open hours of one day."""

    visits_day: int = 720
    kiosks: int = 2
    courtesy: float = 0.06
    green: float = 0.01
    with_ref: float = 0.5
    no_show: float = 0.04
    returns: float = 0.5
    transfer: float = 0.03
    hold: float = 0.02
    recalls: tuple[float, ...] = (0.2, 0.3, 0.5)  # none, one, two: 1.3 a call
    response: float = 0.7
    late_rating: float = 0.05
    double_press: float = 0.01


class Offer(Struct, frozen=True):
    """A service as people see it: how long it takes on average and how many come for it (any unit)."""

    service: str
    mean_ms: int
    weight: float


class Person(Struct, frozen=True):
    """One visit, all of it drawn beforehand. `level` 0: does not rate. `transfer_to` "": is not sent on."""

    no: int
    arrives_ms: int
    service: str
    cls: str
    lang: str
    has_ref: bool
    shows_up: bool
    returns: bool
    walk_ms: int
    recalls: int
    service_ms: int
    transfer_to: str
    is_held: bool
    level: int
    rating_ms: int
    presses_twice: bool


def offers(services: Sequence[str]) -> list[Offer]:
    """The businesses spread over the services in turn, their shares divided among them."""
    kinds = len(BUSINESSES)
    found = []
    for at, service in enumerate(services):
        minutes, share = BUSINESSES[at % kinds]
        rivals = len(range(at % kinds, len(services), kinds))
        found.append(Offer(service, minutes * MINUTE_MS, share / rivals))
    return found


def arrivals(rng: Random, habits: Habits) -> Iterator[int]:
    """Arrival times at the kiosks, ascending, day after day: by the curve, with the burst when the door opens."""
    last_ms = 0
    for quarter in count():
        slot = quarter % len(CURVE)
        begin_ms = quarter * QUARTER_MS
        expected = habits.visits_day * CURVE[slot] / 1000
        number = int(expected) + (rng.random() < expected % 1)
        burst = round(number * BURST_SHARE) if slot == 0 else 0
        times = [rng.randrange(BURST_MS) for _ in range(burst)]
        times += [rng.randrange(BURST_MS if burst else 0, QUARTER_MS) for _ in range(number - burst)]
        for time_ms in sorted(times):
            last_ms = max(last_ms + PRINT_MS // max(1, habits.kiosks), begin_ms + time_ms)
            yield last_ms


def crowd(rng: Random, habits: Habits, choice: Sequence[Offer], classes: Sequence[str]) -> Iterator[Person]:
    """People in order of arrival, without end."""
    bounds = list(accumulate(offer.weight for offer in choice))
    for no, arrives_ms in enumerate(arrivals(rng, habits), 1):
        offer = rng.choices(choice, cum_weights=bounds)[0]
        others = [other.service for other in choice if other is not offer]
        sent_on = rng.random() < habits.transfer and bool(others)
        yield Person(
            no=no,
            arrives_ms=arrives_ms,
            service=offer.service,
            cls=_class(rng, habits, classes),
            lang="en" if rng.random() < 0.05 else "zh",
            has_ref=rng.random() < habits.with_ref,
            shows_up=rng.random() >= habits.no_show,
            returns=rng.random() < habits.returns,
            walk_ms=rng.randrange(8_000, 25_000),
            recalls=rng.choices(range(len(habits.recalls)), weights=habits.recalls)[0],
            service_ms=service_time(rng, offer.mean_ms),
            transfer_to=rng.choice(others) if sent_on else "",
            is_held=rng.random() < habits.hold,
            level=level(rng) if rng.random() < habits.response else 0,
            rating_ms=rating_delay(rng, late=rng.random() < habits.late_rating),
            presses_twice=rng.random() < habits.double_press,
        )


def _class(rng: Random, habits: Habits, classes: Sequence[str]) -> str:
    at = rng.random()
    drawn = "green" if at < habits.green else "care" if at < habits.green + habits.courtesy else "ordinary"
    return drawn if drawn in classes else "ordinary"


def service_time(rng: Random, mean_ms: int) -> int:
    """Lognormal with this mean, clipped to half a minute and two hours."""
    variance = log(1 + SPREAD**2)
    drawn_ms = rng.lognormvariate(log(mean_ms) - variance / 2, sqrt(variance))
    return int(min(max(drawn_ms, SHORTEST_MS), LONGEST_MS))


def level(rng: Random) -> int:
    """5 to 1."""
    return rng.choices([one for one, _ in LEVELS], weights=[share for _, share in LEVELS])[0]


def rating_delay(rng: Random, *, late: bool = False) -> int:
    """From the question to the key: seconds, or minutes for one who thinks about it while the next is called."""
    if late:
        return rng.randrange(MINUTE_MS, 10 * MINUTE_MS)
    return int(min(RATING_MEDIAN_MS * exp(rng.gauss(0, 0.8)), 40_000))


def until_fault(rng: Random, faults_a_day: float) -> float:
    """Hall ms until the next reboot or lost connection of a device; never, for none a day."""
    return rng.expovariate(faults_a_day / DAY_MS) if faults_a_day > 0 else float("inf")


def stranger(rng: Random, habits: Habits) -> Person:
    """Somebody nobody here saw come: an ordinary visit of middling length."""
    return Person(
        no=rng.randrange(1, 2**31),
        arrives_ms=0,
        service="",
        cls="ordinary",
        lang="zh",
        has_ref=False,
        shows_up=rng.random() >= habits.no_show,
        returns=False,
        walk_ms=rng.randrange(8_000, 25_000),
        recalls=0,
        service_ms=service_time(rng, 5 * MINUTE_MS),
        transfer_to="",
        is_held=False,
        level=level(rng) if rng.random() < habits.response else 0,
        rating_ms=rating_delay(rng),
        presses_twice=False,
    )
