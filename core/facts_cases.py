"""core/facts_cases.py: what happened to ratings once given, to follow-up, conduct, staff and records; see `core.facts`.

Short-lived kinds 45-, long-lived 137-; `KINDS` at the end is a part of the catalogue.
"""

from typing import Final

from core.fact import Fact


class EvaluationProbed(Fact, frozen=True):
    """A synthetic rating went through codec, core and journal, or could not (`ok`); never counted."""

    profile: str
    level: int
    ok: bool
    device: str = ""


class EvaluationSupplemented(Fact, frozen=True):
    """Reasons were added, once (追评)."""

    call: int
    options: tuple[str, ...] = ()
    option_set: str = ""
    comment_ref: str = ""


class EvaluationAppealed(Fact, frozen=True):
    """The clerk objects (申诉)."""

    call: int
    by: str
    ground: str = ""
    text_ref: str = ""


class EvaluationUpheld(Fact, frozen=True):
    """The rating stands."""

    call: int
    reviewer: str


class EvaluationExcluded(Fact, frozen=True):
    """The rating is kept and counted apart: `mistaken` or `malicious`."""

    call: int
    reason: str
    reviewer: str


class CaseAssigned(Fact, frozen=True):
    """Somebody handles it."""

    case: int
    handler: str


class CaseVerified(Fact, frozen=True):
    """What was found; `rectify_due_ms` 0: no clock of its own. `complex`: more than can be put right at once."""

    case: int
    verdict: str
    rectify_due_ms: int = 0
    complex: bool = False


class CaseRectified(Fact, frozen=True):
    """It was put right."""

    case: int
    action_ref: str = ""


class CaseReplied(Fact, frozen=True):
    """The person was answered."""

    case: int
    text_ref: str = ""


class CaseRevisited(Fact, frozen=True):
    """The person was asked: 3 satisfied, 2 fairly, 1 not, 0 not reached."""

    case: int
    satisfaction: int
    reached: bool


class CaseClosed(Fact, frozen=True):
    """Done; `in_time`: no stage of any round was overdue."""

    case: int
    in_time: bool
    why: str = ""


class CaseReopened(Fact, frozen=True):
    """Round `round`, another handler, the clocks anew."""

    case: int
    handler: str
    round: int
    verify_due_ms: int = 0
    reply_due_ms: int = 0
    why: str = ""


class CaseExtended(Fact, frozen=True):
    """A stage has more time."""

    case: int
    stage: str
    to_ms: int
    why: str = ""


class CaseOverdue(Fact, frozen=True):
    """A stage was not done in time; once a stage and round."""

    case: int
    stage: str
    round: int
    due_ms: int


class ConductRecorded(Fact, frozen=True):
    """An entry in the ledger; `case`: the complaint it comes from."""

    entry: int
    staff: str
    kind: str
    on_day: int
    half_days: int = 1
    case: int = 0


class ConductVoided(Fact, frozen=True):
    """An entry was wrong; it stays, and counts no more."""

    entry: int
    why: str = ""


class ConductWarned(Fact, frozen=True):
    """`num` of `den` that would be a ground to return somebody; `percent` 60 or 80."""

    staff: str
    rule: str
    year: int
    num: int
    den: int
    percent: int


class FindingRaised(Fact, frozen=True):
    """Evidence for a person (研判结果): `num` against `den`; it changes no count. `evidence`: entries or calls."""

    finding: int
    rule: str
    subject: str
    day: int
    evidence: tuple[int, ...] = ()
    num: int = 0
    den: int = 0


class FindingReviewed(Fact, frozen=True):
    """A person has looked: confirmed or dismissed."""

    finding: int
    decision: str
    reviewer: str


class FindingWithdrawn(Fact, frozen=True):
    """Its ground is gone."""

    finding: int


class StaffPosted(Fact, frozen=True):
    """A department has sent somebody (派驻)."""

    staff: str
    department: str
    day: int
    letter_ref: str = ""


class StaffRotated(Fact, frozen=True):
    """The posting ends with `day`."""

    staff: str
    day: int
    successor: str = ""
    letter_ref: str = ""


class StaffReturned(Fact, frozen=True):
    """Sent back on a confirmed finding (退回派出单位)."""

    staff: str
    finding: int
    day: int


class InspectionRecorded(Fact, frozen=True):
    """What a round found (巡查)."""

    inspection: int
    item: str
    severity: int
    counter: int = 0
    staff: str = ""
    service: str = ""
    text_ref: str = ""


class HonorGranted(Fact, frozen=True):
    """A badge (荣誉)."""

    subject: str
    badge: str
    period: str = ""


class HonorRevoked(Fact, frozen=True):
    """No longer."""

    subject: str
    badge: str


class CounterUncovered(Fact, frozen=True):
    """Nobody has sat at a rostered counter since `since_ms`, in working time."""

    counter: int
    since_ms: int


class CounterCovered(Fact, frozen=True):
    """Somebody sits there again."""

    counter: int


class QueueAlertRaised(Fact, frozen=True):
    """Too many wait (`waiting`), or too long (`eta`), or for too few seats (`seats`): `num` against `den`."""

    kind: str
    subject: str
    num: int
    den: int


class QueueAlertCleared(Fact, frozen=True):
    """No more."""

    kind: str
    subject: str


class QueueDiverted(Fact, frozen=True):
    """So many were sent to another service (分流); each has its TicketTransferred."""

    from_service: str
    to_service: str
    count: int
    why: str = ""


class ZoneCounted(Fact, frozen=True):
    """So many people were in a zone; `seats`: what it has."""

    zone: str
    people: int
    seats: int


class VolunteerServiceRecorded(Fact, frozen=True):
    """A volunteer has helped."""

    kind: str
    item: str = ""
    qty: int = 1


class FacilityUseStarted(Fact, frozen=True):
    """In use (便民设施); `inside`: how many uses run now."""

    facility: str
    inside: int


class FacilityUseEnded(Fact, frozen=True):
    """A use ended."""

    facility: str
    inside: int


class DeviceHelpCalled(Fact, frozen=True):
    """Somebody at a device asks for help."""

    device: str


KINDS: Final[dict[int, type[Fact]]] = {
    45: EvaluationProbed,
    46: CounterUncovered,
    47: CounterCovered,
    48: QueueAlertRaised,
    49: QueueAlertCleared,
    50: QueueDiverted,
    51: ZoneCounted,
    52: VolunteerServiceRecorded,
    53: FacilityUseStarted,
    54: FacilityUseEnded,
    55: DeviceHelpCalled,
    137: EvaluationSupplemented,
    138: EvaluationAppealed,
    139: EvaluationUpheld,
    140: EvaluationExcluded,
    141: CaseAssigned,
    142: CaseVerified,
    143: CaseRectified,
    144: CaseReplied,
    145: CaseRevisited,
    146: CaseClosed,
    147: CaseReopened,
    148: CaseExtended,
    149: CaseOverdue,
    150: ConductRecorded,
    151: ConductVoided,
    152: ConductWarned,
    153: FindingRaised,
    154: FindingReviewed,
    155: FindingWithdrawn,
    156: StaffPosted,
    157: StaffRotated,
    158: StaffReturned,
    159: InspectionRecorded,
    160: HonorGranted,
    161: HonorRevoked,
}
