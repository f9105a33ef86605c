"""core/facts.py: the catalogue of facts — numbers for ever, wire types derived, no float, no place for a name."""

import re
from typing import Any, get_args

import msgspec
import pytest

from core import facts as f
from core.fact import Fact
from core.policy import Policy
from core.refusals import Refusal
from core.why import Why

NUMBERS = """
VisitOpened VisitClosed TicketTaken TicketPrinted TicketPrintFailed TicketReprinted TicketCancelled TicketReclassed
TicketRequeued TicketEligible TicketCalled TicketRecalled CallAnnounced CallAnnounceFailed TicketMissed TicketReleased
TicketAbandoned TicketHeld TicketResumed TicketTransferred TicketExpired ServingStarted ServingFinished EvaluationOpened
EvaluationShown EvaluationSubmitted EvaluationRejected EvaluationExpired EvaluationDefaulted BookingMade
BookingCancelled BookingCheckedIn BookingLapsed StaffSignedOn StaffSignedOff CounterPaused CounterResumed
CounterSkillsSet DeviceOnline DeviceOffline DeviceStatusChanged DayOpened DayClosed Refused
EvaluationProbed CounterUncovered CounterCovered QueueAlertRaised QueueAlertCleared QueueDiverted ZoneCounted
VolunteerServiceRecorded FacilityUseStarted FacilityUseEnded DeviceHelpCalled
"""
LONG_LIVED = """
CaseOpened PolicyScheduled PolicyChanged DeviceRegistered DeviceRetired DeviceQuarantined DeviceReadmitted
JournalRestored JournalErased
EvaluationSupplemented EvaluationAppealed EvaluationUpheld EvaluationExcluded CaseAssigned CaseVerified CaseRectified
CaseReplied CaseRevisited CaseClosed CaseReopened CaseExtended CaseOverdue ConductRecorded ConductVoided ConductWarned
FindingRaised FindingReviewed FindingWithdrawn StaffPosted StaffRotated StaffReturned InspectionRecorded HonorGranted
HonorRevoked
"""


def test_numbers_are_for_ever() -> None:
    """Written out once more: a journal of last year is read by them. New facts are added here, at the end."""
    numbers = {number: kind.__name__ for number, kind in f.KINDS.items()}
    assert numbers == {**dict(enumerate(NUMBERS.split(), 1)), **dict(enumerate(LONG_LIVED.split(), 128))}


@pytest.mark.parametrize("kind", f.KINDS.values())
def test_facts_are_frozen_arrays_with_a_word_on_what_happened(kind: type[Fact]) -> None:
    config = kind.__struct_config__
    assert config.frozen and config.array_like
    assert kind.__doc__


@pytest.mark.parametrize("kind", f.KINDS.values())
def test_defaults_stand_at_the_end_and_nothing_is_a_float(kind: type[Fact]) -> None:
    specs = msgspec.structs.fields(kind)
    needed = [spec.required for spec in specs]
    assert needed == sorted(needed, reverse=True)
    for spec in specs:
        assert plain(spec.type), spec


def plain(annotation: Any) -> bool:
    if annotation in (int, str, bool, Why, Refusal, Policy, type(None)):
        return True
    return bool(get_args(annotation)) and all(one is ... or plain(one) for one in get_args(annotation))


@pytest.mark.parametrize("kind", f.KINDS.values())
def test_no_field_is_made_for_a_person(kind: type[Fact]) -> None:
    """I12: `staff` and `person_ref` are references; a name, a phone, a comment have no field."""
    fields = {spec.name for spec in msgspec.structs.fields(kind)}
    assert not fields & {"name", "phone", "identity", "address", "comment", "text", "image", "signature"}


def test_wire_types_are_told_once() -> None:
    types = [
        f"{first}.{'_'.join(rest)}".lower() if rest else first.lower()
        for kind in f.KINDS.values()
        for first, *rest in [re.findall("[A-Z][a-z]+", kind.__name__)]
    ]
    assert len(types) == len(set(types))
    assert "ticket.print_failed" in types
