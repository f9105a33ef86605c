"""core/rules_records.py: decide and evolve for what is on record: inspections, honors, diversion, zones, facilities."""

from core.commands_cases import (
    CallHelp,
    CountZone,
    DivertQueue,
    EndFacilityUse,
    GrantHonor,
    RecordInspection,
    RecordVolunteer,
    RevokeHonor,
    StartFacilityUse,
)
from core.device import DeviceState
from core.fact import Fact
from core.facts_cases import (
    DeviceHelpCalled,
    FacilityUseEnded,
    FacilityUseStarted,
    HonorGranted,
    HonorRevoked,
    InspectionRecorded,
    QueueAlertCleared,
    QueueAlertRaised,
    QueueDiverted,
    VolunteerServiceRecorded,
    ZoneCounted,
)
from core.refusals import Refusal
from core.rules_cases import of_a_comment, opened_fact
from core.rules_holds import hop_fact
from core.rules_seats import Decision
from core.state import PPM, HallState
from core.ticket import State

SERIOUS = 2


def inspect(state: HallState, command: RecordInspection, at_ms: int, device: str) -> Decision:
    """What a round found; from severity 2 on somebody follows it up."""
    if command.service and command.service not in state.rules.services:
        return Refusal.SERVICE_UNKNOWN
    if command.counter and command.counter not in state.counters:
        return Refusal.COUNTER_UNKNOWN
    if of_a_comment(state, command.text_ref):
        return Refusal.BAD_FIELD
    facts: list[Fact] = [
        InspectionRecorded(
            state.next_inspection,
            command.item,
            command.severity,
            command.counter,
            command.staff,
            command.service,
            command.text_ref,
        )
    ]
    if command.severity >= SERIOUS:
        facts.append(
            opened_fact(
                state,
                "inspection",
                at_ms,
                counter=command.counter,
                staff=command.staff,
                service=command.service,
                source=command.item,
                text_ref=command.text_ref,
            )
        )
    return facts


def grant(state: HallState, command: GrantHonor, at_ms: int, device: str) -> Decision:
    """A badge, once."""
    if command.badge in state.honors.get(command.subject, ()):
        return Refusal.WRONG_STATE
    return [HonorGranted(command.subject, command.badge, command.period)]


def revoke(state: HallState, command: RevokeHonor, at_ms: int, device: str) -> Decision:
    """A badge that is there."""
    if command.badge not in state.honors.get(command.subject, ()):
        return Refusal.HONOR_UNKNOWN
    return [HonorRevoked(command.subject, command.badge)]


def divert(state: HallState, command: DivertQueue, at_ms: int, device: str) -> Decision:
    """The last to come go to another service, where they may; those before them keep their place."""
    services = state.rules.services
    if command.from_service not in services or command.to_service not in services:
        return Refusal.SERVICE_UNKNOWN
    if command.from_service == command.to_service:
        return Refusal.SAME_TARGET
    index = services[command.from_service][0]
    waiting = [one for one in state.tickets.values() if one.state is State.WAITING and one.service == index]
    waiting.sort(key=lambda one: (one.t_eff_ms, one.ticket), reverse=True)
    moved: list[Fact] = []
    for ticket in waiting:
        hop = hop_fact(state, ticket, command.to_service, at_ms, why=command.why, diverted=True)
        if len(moved) < command.count and not isinstance(hop, Refusal):
            moved.append(hop)
    if not moved:
        return Refusal.NOTHING_ELIGIBLE
    return [QueueDiverted(command.from_service, command.to_service, len(moved), command.why), *moved]


def count_zone(state: HallState, command: CountZone, at_ms: int, device: str) -> Decision:
    """People in a zone against its seats. A device of one zone counts no other."""
    assert state.policy is not None
    known = state.devices.get(device)
    own = known.zone if known is not None else ""
    if own and command.zone and command.zone != own:
        return Refusal.FORBIDDEN
    zone = next((one for one in state.policy.zones if one.code == (command.zone or own)), None)
    if zone is None:
        return Refusal.ZONE_UNKNOWN
    facts: list[Fact] = [ZoneCounted(zone.code, command.people, zone.seats)]
    limit, raised = state.policy.alerts.seats_ppm, f"zone:{zone.code}" in state.alerts
    over = bool(limit and zone.seats) and command.people * PPM > zone.seats * limit
    if over and not raised:
        facts.append(QueueAlertRaised("zone", zone.code, command.people, zone.seats))
    if raised and not over:
        facts.append(QueueAlertCleared("zone", zone.code))
    return facts


def record_volunteer(state: HallState, command: RecordVolunteer, at_ms: int, device: str) -> Decision:
    """A service of a volunteer."""
    return [VolunteerServiceRecorded(command.kind, command.item, command.qty)]


def start_use(state: HallState, command: StartFacilityUse, at_ms: int, device: str) -> Decision:
    """A facility of the policy (a zone of that kind) is in use."""
    if not _is_facility(state, command.facility):
        return Refusal.FACILITY_UNKNOWN
    return [FacilityUseStarted(command.facility, state.facilities.get(command.facility, 0) + 1)]


def end_use(state: HallState, command: EndFacilityUse, at_ms: int, device: str) -> Decision:
    """A use that was begun ends."""
    if not _is_facility(state, command.facility):
        return Refusal.FACILITY_UNKNOWN
    inside = state.facilities.get(command.facility, 0)
    return [FacilityUseEnded(command.facility, inside - 1)] if inside else Refusal.WRONG_STATE


def _is_facility(state: HallState, code: str) -> bool:
    assert state.policy is not None
    return any(one.code == code and one.kind == "facility" for one in state.policy.zones)


def call_help(state: HallState, command: CallHelp, at_ms: int, device: str) -> Decision:
    """Help for whoever stands at a device that is there."""
    asks = state.devices.get(device)
    if command.device not in ("", device) and asks is not None and asks.kind != "guide":
        return Refusal.FORBIDDEN
    known = state.devices.get(command.device or device)
    if known is None:
        return Refusal.DEVICE_UNKNOWN
    there = known.state not in (DeviceState.RETIRED, DeviceState.QUARANTINED)
    return [DeviceHelpCalled(known.device)] if there else Refusal.WRONG_STATE


def inspected(state: HallState, fact: InspectionRecorded, at_ms: int) -> None:
    """Fold a round."""
    state.next_inspection = fact.inspection + 1


def granted(state: HallState, fact: HonorGranted, at_ms: int) -> None:
    """Fold a badge."""
    state.honors[fact.subject] = [*state.honors.get(fact.subject, ()), fact.badge]


def revoked(state: HallState, fact: HonorRevoked, at_ms: int) -> None:
    """Fold its end."""
    left = [badge for badge in state.honors[fact.subject] if badge != fact.badge]
    state.honors = {**state.honors, fact.subject: left}
    if not left:
        del state.honors[fact.subject]


def used(state: HallState, fact: FacilityUseStarted | FacilityUseEnded, at_ms: int) -> None:
    """Fold how many uses run."""
    state.facilities[fact.facility] = fact.inside


def counted(state: HallState, fact: ZoneCounted, at_ms: int) -> None:
    """Fold how many are in a zone."""
    state.zone_people[fact.zone] = fact.people


def kept(
    state: HallState,
    fact: QueueDiverted | VolunteerServiceRecorded | DeviceHelpCalled,
    at_ms: int,
) -> None:
    """On record; no table changes."""


def alert_facts(state: HallState, ident: int) -> list[Fact]:
    """What time brings: a queue has become too long, or short enough again."""
    crowd = state.crowd(ident)
    if crowd.over:
        return [QueueAlertRaised(crowd.kind, crowd.subject, crowd.num, crowd.den)]
    return [QueueAlertCleared(crowd.kind, crowd.subject)]


def alert_raised(state: HallState, fact: QueueAlertRaised, at_ms: int) -> None:
    """Fold an alert."""
    state.alerts[f"{fact.kind}:{fact.subject}"] = at_ms


def alert_cleared(state: HallState, fact: QueueAlertCleared, at_ms: int) -> None:
    """Fold its end."""
    del state.alerts[f"{fact.kind}:{fact.subject}"]
