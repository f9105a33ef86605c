"""bench/scopes.py: which halls there are, from a county to the country, and what their people come for."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bench.rush import hall_policy
from core import policy as rules
from core.policy import Policy
from devices import people
from devices.people import MINUTE_MS, Offer

OPENS_MS: Final = 1_795_480_200_000  # a Tuesday, 08:30 in Shanghai
LUNCH_MS: Final = 120 * MINUTE_MS
MORNING: Final = 14  # quarter hours before lunch
MIXES: Final = {"usual": (20, 30, 25, 15, 10), "heavy": (10, 20, 30, 25, 15)}
FACTORS: Final = {"monday": 1.15, "usual": 1.0, "friday": 0.95, "after-holiday": 1.5, "tax-period": 1.4}
OPEN: Final = ("08:30-12:00", "14:00-17:30")
assert sum(MIXES["usual"]) == sum(MIXES["heavy"]) == 100


class Scope(msgspec.Struct, frozen=True):
    """`halls` alike, each with so many counters and visits a day. `told`: the whole of it, for the table."""

    name: str
    counters: int
    visits: int
    halls: int = 1
    kiosks: int = 2
    told: tuple[str, str, str] = ("", "", "")  # visits, peak business events/s, backlog of a 2 h outage


SCOPES: Final = {
    one.name: one
    for one in (
        Scope("tiny", 10, 150),
        Scope("county", 25, 600, told=("600/day", "0.3", "2.4 k")),
        Scope("city", 90, 2_500, kiosks=6, told=("2,500/day", "1.2", "8.6 k")),
        Scope("hall", 300, 9_000, kiosks=20, told=("9,000/day, 0.56 arrivals/s", "4-5", "29 k")),
        Scope("province-sample", 25, 1_050, halls=12, told=("12 halls of 31 k counters, saturated", "5 of 420", "-")),
    )
}
TABLE: Final = (
    *((one.name, f"{one.counters * one.halls}", *one.told) for one in SCOPES.values() if one.name != "tiny"),
    ("province", "31 k", "52/s, saturated at 10 min", "420", "3.0 M"),
    ("nation", "-", "2.41 M/day published; 1.9 k/s saturated", "1.2 k; 15 k", "110 M"),
)


def scope_policy(scope: Scope, hall: str) -> Policy:
    """Open as halls are; kiosk-1 has numbers of its own for when it is cut off."""
    usual = hall_policy(hall, scope.counters)
    kiosks = [
        rules.DevicePart(f"kiosk-{at}", "kiosk", offline_prefix="X" if at == 1 else "")
        for at in range(1, scope.kiosks + 1)
    ]
    return msgspec.structs.replace(
        usual,
        hall=rules.HallPart(id=hall),
        calendar=rules.CalendarPart(week=(1, 2, 3, 4, 5, 6, 7), periods=OPEN),
        booking=rules.BookingPart(slot_places=1000),
        devices=(*kiosks, *(one for one in usual.devices if one.kind != "kiosk")),
    )


def offers(services: Sequence[str], mix: str) -> list[Offer]:
    """The five businesses over the services in turn."""
    found = []
    for at, service in enumerate(services):
        minutes, share = people.BUSINESSES[at % 5][0], MIXES[mix][at % 5]
        found.append(Offer(service, minutes * MINUTE_MS, share / len(range(at % 5, len(services), 5))))
    return found


def clock_ms(day_ms: int) -> int:
    """Open hours to ms since the door opened: nobody comes over lunch."""
    return day_ms + (LUNCH_MS if day_ms >= MORNING * people.QUARTER_MS else 0)
