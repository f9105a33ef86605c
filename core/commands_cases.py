"""core/commands_cases.py: what may be asked about ratings once given, follow-up, conduct, staff and records.

Asked by case handlers, supervisors, the web and the shell. See `core/commands.py`.
"""

from typing import Annotated

from msgspec import Meta

from core.command import Code, Command, Count, CounterNo, Day, Id, Key, Level

CaseKind = Annotated[str, Meta(pattern=r"^(complaint|assist)$(?!\n)")]
Verdict = Annotated[str, Meta(pattern=r"^(substantiated|unsubstantiated|no_basis|accepted)$(?!\n)")]
Decision = Annotated[str, Meta(pattern=r"^(upheld|mistaken|malicious)$(?!\n)")]
Stage = Annotated[str, Meta(pattern=r"^(rectify|reply)$(?!\n)")]
ConductKind = Annotated[
    str,
    Meta(
        pattern=r"^(sanction|absent|late|early|admonished|noncompliance|complaint|error|criticised|media|disobedience|unfit)$(?!\n)"
    ),
]
Review = Annotated[str, Meta(pattern=r"^(confirmed|dismissed)$(?!\n)")]
Severity = Annotated[int, Meta(ge=1, le=3)]
Satisfaction = Annotated[int, Meta(ge=0, le=3)]


class SupplementEvaluation(Command, frozen=True, tag="evaluation.supplement"):
    """Reasons added to a rating, once (追评); the level stays."""

    call: Count
    options: tuple[Code, ...] = ()
    option_set: Code = ""
    comment_ref: Code = ""
    proof: Code = "token"


class AppealEvaluation(Command, frozen=True, tag="evaluation.appeal"):
    """The clerk objects to a rating (申诉)."""

    call: Count
    by: Id
    ground: Code = ""
    text_ref: Code = ""


class DecideAppeal(Command, frozen=True, tag="evaluation.decide"):
    """A reviewer who is no party: upheld, or excluded as mistaken or malicious (申诉决定)."""

    call: Count
    decision: Decision
    reviewer: Id


class ProbeEvaluation(Command, frozen=True, tag="evaluation.probe"):
    """A synthetic rating (探测评价): could this profile give this level now? Never counted. `key` -1: the level."""

    profile: Id
    level: Level
    key: Key = -1
    device: Code = ""


class OpenCase(Command, frozen=True, tag="case.open"):
    """A complaint, or assisted service taken on (工单)."""

    kind: CaseKind
    source: Code = ""
    staff: Code = ""
    counter: CounterNo = 0
    service: Code = ""
    text_ref: Code = ""
    real_name: bool = False


class AssignCase(Command, frozen=True, tag="case.assign"):
    """Somebody handles it, never the person concerned (分派)."""

    case: Count
    handler: Id


class VerifyCase(Command, frozen=True, tag="case.verify"):
    """What was found (核实). `complex`: it cannot be put right at once, so it gets a limit (台账)."""

    case: Count
    verdict: Verdict
    complex: bool = False


class RectifyCase(Command, frozen=True, tag="case.rectify"):
    """What was put right (整改)."""

    case: Count
    action_ref: Code = ""


class ReplyCase(Command, frozen=True, tag="case.reply"):
    """The person was answered (回复)."""

    case: Count
    text_ref: Code = ""


class RevisitCase(Command, frozen=True, tag="case.revisit"):
    """The person was asked how it was handled (回访): satisfaction 3 to 1, 0 where nobody was reached."""

    case: Count
    satisfaction: Satisfaction = 0
    reached: bool = True


class CloseCase(Command, frozen=True, tag="case.close"):
    """Done (办结)."""

    case: Count
    why: Code = ""


class ReopenCase(Command, frozen=True, tag="case.reopen"):
    """Once more, by somebody else (重启)."""

    case: Count
    handler: Id
    why: Code = ""


class ExtendCase(Command, frozen=True, tag="case.extend"):
    """More time to rectify or to reply (延期)."""

    case: Count
    stage: Stage
    to_ms: Count
    why: Code = ""


class RecordConduct(Command, frozen=True, tag="conduct.record"):
    """An entry in the ledger (行为记录)."""

    staff: Id
    kind: ConductKind
    on_day: Day
    half_days: Annotated[int, Meta(ge=1, le=40)] = 1


class VoidConduct(Command, frozen=True, tag="conduct.void"):
    """An entry was wrong (撤销)."""

    entry: Count
    why: Code = ""


class RaiseFinding(Command, frozen=True, tag="finding.raise"):
    """A read model has found something; a person decides (研判)."""

    rule: Id
    subject: Id
    evidence: tuple[Count, ...] = ()
    num: Count = 0
    den: Count = 0


class ReviewFinding(Command, frozen=True, tag="finding.review"):
    """A person who is no party has looked (复核)."""

    finding: Count
    decision: Review
    reviewer: Id


class PostStaff(Command, frozen=True, tag="staff.post"):
    """A department sends somebody (派驻); `letter_ref`: of the letter that says so."""

    staff: Id
    department: Id
    day: Day
    letter_ref: Code = ""


class RotateStaff(Command, frozen=True, tag="staff.rotate"):
    """`day` is the last one; the successor comes first, the predecessor leaves then (轮换)."""

    staff: Id
    day: Day
    successor: Code = ""
    letter_ref: Code = ""


class ReturnStaff(Command, frozen=True, tag="staff.return"):
    """Sent back to the department on a finding that a person has confirmed (退回)."""

    staff: Id
    finding: Count


class RecordInspection(Command, frozen=True, tag="inspection.record"):
    """What a round through the hall found (巡查): of severity 2 or 3 it opens a case."""

    item: Id
    severity: Severity
    counter: CounterNo = 0
    staff: Code = ""
    service: Code = ""
    text_ref: Code = ""


class GrantHonor(Command, frozen=True, tag="honor.grant"):
    """A badge on the board (荣誉): to a clerk or a counter, by number."""

    subject: Id
    badge: Id
    period: Code = ""


class RevokeHonor(Command, frozen=True, tag="honor.revoke"):
    """The badge is taken off again."""

    subject: Id
    badge: Id


class DivertQueue(Command, frozen=True, tag="queue.divert"):
    """The last `count` waiting for one service are sent to another, seniority kept (分流)."""

    from_service: Id
    to_service: Id
    count: Annotated[int, Meta(ge=1, le=99)] = 1
    why: Code = ""


class CountZone(Command, frozen=True, tag="zone.count"):
    """So many people are in a zone now (客流). Without a zone: in the one where the device stands."""

    people: Annotated[int, Meta(ge=0, le=100_000)]
    zone: Code = ""


class RecordVolunteer(Command, frozen=True, tag="volunteer.record"):
    """A volunteer has helped (志愿服务)."""

    kind: Id
    item: Code = ""
    qty: Annotated[int, Meta(ge=1, le=10_000)] = 1


class StartFacilityUse(Command, frozen=True, tag="facility.start_use"):
    """A room or thing for the public is in use (便民设施); nobody's identity."""

    facility: Id


class EndFacilityUse(Command, frozen=True, tag="facility.end_use"):
    """It is free again."""

    facility: Id


class CallHelp(Command, frozen=True, tag="device.call_help"):
    """Somebody at a device asks for help (呼叫协助). A guide may name the device; others speak for themselves."""

    device: Code = ""


CaseCommand = (
    SupplementEvaluation
    | AppealEvaluation
    | DecideAppeal
    | ProbeEvaluation
    | OpenCase
    | AssignCase
    | VerifyCase
    | RectifyCase
    | ReplyCase
    | RevisitCase
    | CloseCase
    | ReopenCase
    | ExtendCase
    | RecordConduct
    | VoidConduct
    | RaiseFinding
    | ReviewFinding
    | PostStaff
    | RotateStaff
    | ReturnStaff
    | RecordInspection
    | GrantHonor
    | RevokeHonor
    | RecordVolunteer
)
"""Asked by the shell, the pages and imports; no device sends them on its event topic."""

FloorCommand = DivertQueue | CountZone | StartFacilityUse | EndFacilityUse | CallHelp
"""What happens on the floor of the hall: people counters, terminals and the guide's desk send it."""
