"""workers/records.py: zones against their seats, facilities, volunteers and diversions, by day and over days."""

from core import facts_cases as fc
from workers.records import QUARTER_MS, RULES, Records, lines, waited


def told(*facts: tuple[int, int, object]) -> Records:
    records: Records = {}
    for day, at_ms, fact in facts:
        RULES[type(fact)](records, day, at_ms, fact)
    return records


def test_n5_people_of_a_zone_by_quarter_hour_against_its_seats() -> None:
    """Twenty quarters of 1 to 20 people, a second look at the first; 95 of a hundred have 19 or fewer."""
    looks = [(20261123, n * QUARTER_MS, fc.ZoneCounted("w1", n + 1, 16)) for n in range(20)]
    records = told(*looks, (20261123, 5, fc.ZoneCounted("w1", 0, 16)))
    (one,) = lines("h1", records.values())
    assert (one.kind, one.item, one.times, one.most, one.seats, one.p95) == ("zone", "w1", 21, 20, 16, 19)


def test_n5_people_who_wait_in_a_zone_by_quarter_hour_against_its_seats() -> None:
    """Ten tickets of 1.3 people wait a quarter and a half each: 13 people sit in the first quarter, 6.5 in the next."""
    records: Records = {}
    for _ in range(10):
        waited(records, 20261123, QUARTER_MS * 3 // 2, QUARTER_MS * 3 // 2, ("w1", 16, 1_300_000))
    assert records["20261123:waiting:w1"].quarters == {0: 13 * QUARTER_MS, 1: 13 * QUARTER_MS // 2}
    waited(records, 20261123, QUARTER_MS * 2, 0, ("w1", 16, 1_300_000))  # called at once: adds nobody
    (one,) = lines("h1", records.values())
    assert (one.kind, one.times, one.quantity, one.most, one.seats, one.p95) == ("waiting", 11, 290, 13, 16, 13)


def test_n13_n14_volunteers_by_what_they_did_and_facilities_by_use() -> None:
    records = told(
        (20261123, 0, fc.VolunteerServiceRecorded("guide", "wheelchair", 2)),
        (20261124, 0, fc.VolunteerServiceRecorded("guide", "wheelchair", 3)),
        (20261124, 0, fc.VolunteerServiceRecorded("forms")),
        (20261124, 0, fc.FacilityUseStarted("nursing", 1)),
        (20261124, 0, fc.FacilityUseStarted("nursing", 2)),
    )
    found = [(one.kind, one.item, one.times, one.quantity, one.most) for one in lines("h1", records.values())]
    assert found == [
        ("facility", "nursing", 2, 2, 2),
        ("volunteer", "forms", 1, 1, 0),
        ("volunteer", "guide/wheelchair", 2, 5, 0),
    ]
    assert len(records) == 4, "each day for itself"


def test_n7_n10_n27_diversions_help_and_inspections() -> None:
    records = told(
        (20261123, 0, fc.QueueDiverted("si", "tax", 4)),
        (20261123, 0, fc.DeviceHelpCalled("self-1")),
        (20261123, 0, fc.InspectionRecorded(1, "conduct", 2)),
        (20261123, 0, fc.InspectionRecorded(2, "conduct", 1)),
    )
    found = [(one.kind, one.item, one.times, one.quantity, one.most) for one in lines("h1", records.values())]
    assert found == [("diversion", "si>tax", 1, 4, 4), ("help", "self-1", 1, 1, 0), ("inspection", "conduct", 2, 2, 2)]
