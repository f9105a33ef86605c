"""workers/records.py: what is on record of a hall beside its queue, by day: zones, facilities, volunteers, guides.

A zone has the people counted in it by quarter hour, and those who waited there for a first call (tickets times the
people of one), against its seats; a facility how often and by how many at once it was used; a volunteer's kind of help
how much; diversions and help called how often.
"""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Final

import msgspec

from core.fact import Fact
from core.facts_cases import (
    DeviceHelpCalled,
    FacilityUseStarted,
    InspectionRecorded,
    QueueDiverted,
    VolunteerServiceRecorded,
    ZoneCounted,
)

QUARTER_MS: Final = 900_000
PPM: Final = 1_000_000


class Record(msgspec.Struct, array_like=True):
    """Of one day, kind and item: how often, how much, the most at once, of how many; zones: by quarter hour.

    Of kind `waiting` a quarter hour has the ms that people waited in it, of all others the most people at once.
    """

    day: int
    kind: str
    item: str
    times: int = 0
    quantity: int = 0
    most: int = 0
    seats: int = 0
    quarters: dict[int, int] = {}


class RecordLine(msgspec.Struct):
    """One row of the report of records. `p95`: people, of all quarter hours in which somebody counted or waited.

    `waiting`: `times` tickets called, `quantity` minutes of people, `most` the mean of the fullest quarter hour.
    """

    hall: str
    kind: str
    item: str
    times: int
    quantity: int
    most: int
    seats: int
    p95: int


Records = dict[str, Record]


def _entry(records: Records, day: int, kind: str, item: str, quantity: int, most: int = 0) -> Record:
    key = f"{day}:{kind}:{item}"
    if key not in records:
        records[key] = Record(day, kind, item)
    one = records[key]
    one.times += 1
    one.quantity += quantity
    one.most = max(one.most, most)
    return one


def counted(records: Records, day: int, at_ms: int, fact: ZoneCounted) -> None:
    """People in a zone, the most of each quarter hour (`at_ms` UTC ms); `day`: yyyymmdd."""
    one = _entry(records, day, "zone", fact.zone, fact.people, fact.people)
    one.seats = fact.seats
    quarter = at_ms // QUARTER_MS
    one.quarters[quarter] = max(one.quarters.get(quarter, 0), fact.people)


def waited(records: Records, day: int, at_ms: int, waited_ms: int, zone: tuple[str, int, int]) -> None:
    """A first call at `at_ms` ends a wait. `zone`: code, seats, people a ticket in ppm. Who left uncalled is not in."""
    code, seats, party_ppm = zone
    start_ms = at_ms - waited_ms
    one = _entry(records, day, "waiting", code, waited_ms * party_ppm // (60_000 * PPM))
    one.seats = seats
    for quarter in range(start_ms // QUARTER_MS, at_ms // QUARTER_MS + 1):
        inside_ms = min(at_ms, (quarter + 1) * QUARTER_MS) - max(start_ms, quarter * QUARTER_MS)
        one.quarters[quarter] = one.quarters.get(quarter, 0) + inside_ms * party_ppm // PPM


def used(records: Records, day: int, at_ms: int, fact: FacilityUseStarted) -> None:
    """A use of a facility begins; the most at once."""
    _entry(records, day, "facility", fact.facility, 1, fact.inside)


def helped(records: Records, day: int, at_ms: int, fact: VolunteerServiceRecorded) -> None:
    """What a volunteer did, in the units of its item."""
    _entry(records, day, "volunteer", f"{fact.kind}/{fact.item}" if fact.item else fact.kind, fact.qty)


def diverted(records: Records, day: int, at_ms: int, fact: QueueDiverted) -> None:
    """How many tickets went to another service."""
    _entry(records, day, "diversion", f"{fact.from_service}>{fact.to_service}", fact.count, fact.count)


def called(records: Records, day: int, at_ms: int, fact: DeviceHelpCalled) -> None:
    """Help was called at a device."""
    _entry(records, day, "help", fact.device, 1)


def inspected(records: Records, day: int, at_ms: int, fact: InspectionRecorded) -> None:
    """A finding of a round; the most is its severity, 1 to 3."""
    _entry(records, day, "inspection", fact.item, 1, fact.severity)


RULES: Final[dict[type[Fact], Callable[..., None]]] = {
    ZoneCounted: counted,
    FacilityUseStarted: used,
    VolunteerServiceRecorded: helped,
    QueueDiverted: diverted,
    DeviceHelpCalled: called,
    InspectionRecorded: inspected,
}


def lines(hall: str, records: Iterable[Record]) -> list[RecordLine]:
    """One line a kind and item over the days given."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in records:
        groups.setdefault((one.kind, one.item), []).append(one)
    return [_line(hall, kind, item, days) for (kind, item), days in sorted(groups.items())]


def _line(hall: str, kind: str, item: str, days: list[Record]) -> RecordLine:
    unit = QUARTER_MS if kind == "waiting" else 1
    quarters = sorted(ceil(some / unit) for day in days for some in day.quarters.values())
    return RecordLine(
        hall,
        kind,
        item,
        sum(day.times for day in days),
        sum(day.quantity for day in days),
        quarters[-1] if kind == "waiting" and quarters else max(day.most for day in days),
        max(day.seats for day in days),
        quarters[ceil(0.95 * len(quarters)) - 1] if quarters else 0,
    )
