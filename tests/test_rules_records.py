"""core/rules_records.py: inspections, honors, diversion, zones and facilities; alerts of a queue that is too long."""

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as fc
from core import facts_tickets as t
from core.hall import Hall
from core.policy import DevicePart, ZonePart, document
from core.state import restored
from tests.halls import MIN, POLICY, Driven, changed, kinds, opened

ZONES = (
    ZonePart("w1", seats=4, party_ppm=1_500_000),
    ZonePart("nursing", kind="facility"),
)


@pytest.mark.parametrize(
    ("severity", "facts"),
    [(1, ["InspectionRecorded"]), (2, ["InspectionRecorded", "CaseOpened"]), (3, ["InspectionRecorded", "CaseOpened"])],
)
def test_n27_a_round_is_on_record_and_what_is_serious_is_followed_up(severity: int, facts: list[str]) -> None:
    hall = opened()
    assert kinds(hall.ask(cc.RecordInspection("attitude", severity, 1, "staff-1", "si"))) == facts
    if severity > 1:
        case = hall.only(f.CaseOpened)
        assert (case.kind, case.staff, case.source, case.department) == ("inspection", "staff-1", "attitude", "hrss")
    assert hall.refused(cc.RecordInspection("x", 1, service="none")) == "service_unknown"
    assert hall.refused(cc.RecordInspection("x", 1, 99)) == "counter_unknown"
    hall.ask(cc.RecordInspection("x", 1))
    assert hall.only(fc.InspectionRecorded).inspection == 2


def test_n17_an_honor_is_granted_once_and_taken_off() -> None:
    hall = opened()
    hall.ask(cc.GrantHonor("staff-1", "star", "2026-11"))
    assert hall.facts == [fc.HonorGranted("staff-1", "star", "2026-11")]
    assert hall.refused(cc.GrantHonor("staff-1", "star")) == "wrong_state"
    hall.ask(cc.GrantHonor("staff-1", "party"))
    assert hall.state.honors == {"staff-1": ["star", "party"]}
    hall.ask(cc.RevokeHonor("staff-1", "star"))
    assert hall.refused(cc.RevokeHonor("staff-1", "star")) == "honor_unknown"
    hall.ask(cc.RevokeHonor("staff-1", "party"))
    assert hall.state.honors == {}


def test_n7_a_queue_is_diverted_from_its_end_and_keeps_its_times() -> None:
    hall = opened()
    for _ in range(4):
        hall.take("si")
    times = {no: ticket.t_eff_ms for no, ticket in hall.state.tickets.items()}
    hall.ask(cc.DivertQueue("si", "tax", 2, "full"))
    assert kinds(hall.facts) == ["QueueDiverted", "TicketTransferred", "TicketTransferred"]
    moved = [one for one in hall.facts if isinstance(one, t.TicketTransferred)]
    assert [(one.ticket, one.diverted, one.hops) for one in moved] == [(4, True, 1), (3, True, 1)]
    assert {no: ticket.t_eff_ms for no, ticket in hall.state.tickets.items()} == times
    assert hall.refused(cc.DivertQueue("si", "si")) == "same_target"
    assert hall.refused(cc.DivertQueue("si", "none")) == "service_unknown"
    assert hall.refused(cc.DivertQueue("id", "tax")) == "nothing_eligible"


def test_n7_who_may_go_no_further_stays() -> None:
    hall = opened(returns={"max_hops": 1})
    hall.take("si")
    hall.take("si", person_ref="a" * 32)
    hall.take("tax", person_ref="a" * 32)
    hall.ask(c.TransferTicket("tax", 1))
    assert hall.refused(cc.DivertQueue("tax", "si", 9)) == "nothing_eligible", "one has hopped, one waits there"


def test_n5_people_are_counted_against_seats() -> None:
    hall = opened(zones=ZONES, alerts={"seats_ppm": 1_000_000})
    assert hall.refused(cc.CountZone(1, "none")) == "zone_unknown"
    assert hall.ask(cc.CountZone(4, "w1")) == [fc.ZoneCounted("w1", 4, 4)]
    assert kinds(hall.ask(cc.CountZone(5, "w1"))) == ["ZoneCounted", "QueueAlertRaised"]
    assert kinds(hall.ask(cc.CountZone(6, "w1"))) == ["ZoneCounted"]
    assert kinds(hall.ask(cc.CountZone(4, "w1"))) == ["ZoneCounted", "QueueAlertCleared"]


def test_a_people_counter_counts_its_own_zone_and_the_last_count_stands() -> None:
    sensor = DevicePart("sensor-1", "sensor", zone="w1")
    hall = opened(zones=ZONES, devices=(*POLICY.devices, sensor))
    assert hall.ask(cc.CountZone(3), "sensor-1") == [fc.ZoneCounted("w1", 3, 4)]
    assert hall.refused(cc.CountZone(3, "nursing"), "sensor-1") == "forbidden"
    assert hall.refused(cc.CountZone(3), "kiosk-1") == "zone_unknown", "a kiosk stands nowhere"
    hall.ask(cc.CountZone(0, "w1"), "sensor-1")
    assert hall.state.zone_people == {"w1": 0}


def test_n13_n14_volunteers_and_facilities_without_a_name() -> None:
    hall = opened(zones=ZONES)
    assert hall.ask(cc.RecordVolunteer("guide", "wheelchair", 2)) == [
        fc.VolunteerServiceRecorded("guide", "wheelchair", 2)
    ]
    assert hall.refused(cc.StartFacilityUse("w1")) == "facility_unknown"
    assert hall.refused(cc.EndFacilityUse("none")) == "facility_unknown"
    assert hall.refused(cc.EndFacilityUse("nursing")) == "wrong_state"
    hall.ask(cc.StartFacilityUse("nursing"))
    assert hall.ask(cc.StartFacilityUse("nursing")) == [fc.FacilityUseStarted("nursing", 2)]
    assert hall.ask(cc.EndFacilityUse("nursing")) == [fc.FacilityUseEnded("nursing", 1)]


def test_n10_help_is_called_at_a_device_that_is_there() -> None:
    hall = opened()
    assert hall.ask(cc.CallHelp(), "kiosk-1") == [fc.DeviceHelpCalled("kiosk-1")]
    assert hall.ask(cc.CallHelp("kiosk-2")) == [fc.DeviceHelpCalled("kiosk-2")]
    assert hall.refused(cc.CallHelp("none")) == "device_unknown"
    assert hall.refused(cc.CallHelp("kiosk-2"), "kiosk-1") == "forbidden", "it speaks for itself"
    hall.ask(c.RetireDevice("kiosk-2"))
    assert hall.refused(cc.CallHelp("kiosk-2")) == "wrong_state"


# Alerts.


def alerts(hall: Driven) -> list[tuple[str, str, str]]:
    facts = hall.wait(1)
    found = [one for one in facts if isinstance(one, fc.QueueAlertRaised | fc.QueueAlertCleared)]
    return [(type(one).__name__.removeprefix("QueueAlert"), one.kind, one.subject) for one in found]


def test_n7_a_long_queue_is_said_once_and_cleared_at_three_quarters() -> None:
    hall = opened(alerts={"waiting": 4})
    told = []
    for _ in range(5):
        hall.take("si")
        told.append(alerts(hall))
    assert told == [[], [], [], [("Raised", "waiting", "si")], []]
    hall.hall = Hall(restored(hall.state.snapshot()))
    told = []
    for no in range(1, 5):
        hall.ask(c.CancelTicket(no))
        told.append(alerts(hall))
    assert told == [[], [], [("Cleared", "waiting", "si")], []]
    assert hall.replayed().state.digest() == hall.state.digest()


def test_n5_waiting_people_and_those_with_them_against_the_seats() -> None:
    services = tuple(type(one)(one.code, one.prefix, zone="w1") for one in POLICY.services)
    hall = opened(services=services, zones=ZONES, alerts={"seats_ppm": 1_000_000})
    told = []
    for service in ("si", "tax", "id", "si"):
        hall.take(service)
        told.append(alerts(hall))
    assert told == [[], [], [], [("Raised", "seats", "w1")]], "four people, six with company, four seats"


def test_n7_a_wait_told_beyond_the_limit_is_an_alert() -> None:
    hall = opened(alerts={"eta_min": 10})
    for _ in range(20):
        hall.take("si")
    for _ in range(14):
        hall.serve(1, 3 * MIN)
    raised = alerts(hall)
    for _ in range(4):
        hall.take("si")
        raised += alerts(hall)
    assert ("Raised", "eta", "si") in raised


def test_alerts_end_with_the_day_and_with_the_rule() -> None:
    hall = opened(alerts={"waiting": 1})
    hall.take("si")
    assert alerts(hall) == [("Raised", "waiting", "si")]
    hall.change(changed(hall.state.policy or POLICY, alerts={"waiting": 2}))
    assert hall.state.alerts == {} and alerts(hall) == []
    hall.take("si")
    assert alerts(hall) == [("Raised", "waiting", "si")]
    hall.wait(24 * 60 * MIN)
    assert hall.state.alerts == {}
    hall.change(changed(hall.state.policy or POLICY, alerts={"waiting": 0}, zones=()))
    hall.take("si")
    assert alerts(hall) == []


def test_an_alert_of_a_zone_that_is_gone_is_not_raised() -> None:
    """The queue grew and the zone went within one moment: what was about to be said is about nothing."""
    services = tuple(type(one)(one.code, one.prefix, zone="w1") for one in POLICY.services)
    hall = opened(services=services, zones=ZONES[:1], alerts={"seats_ppm": 1_000_000})
    for _ in range(4):
        hall.take("si")
    policy = changed(hall.state.policy or POLICY, zones=())
    change = c.ChangePolicy(policy.version, "x", document(policy))
    hall.fold(hall.hall.decide(change, hall.at_ms), hall.at_ms)
    assert alerts(hall) == []
