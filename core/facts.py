"""core/facts.py: the catalogue of what happened. Past tense, frozen, for ever: the journal holds nothing else.

Fields are only added, at the end, with a default. `KINDS` gives each its number: 1-127 short-lived, 128-254 long-lived,
never reused. The wire type is the first word, a dot, the rest in snake case. `at_ms`, n, cause are the envelope.
Visits, tickets, calls and servings are in `core/facts_tickets.py`; follow-up, conduct and records in
`core/facts_cases.py`; ratings, bookings, counters, devices and days here.
"""

from typing import Final

from core import facts_cases
from core.fact import Fact
from core.facts_tickets import (
    CallAnnounced,
    CallAnnounceFailed,
    ServingFinished,
    ServingStarted,
    TicketAbandoned,
    TicketCalled,
    TicketCancelled,
    TicketEligible,
    TicketExpired,
    TicketHeld,
    TicketMissed,
    TicketPrinted,
    TicketPrintFailed,
    TicketRecalled,
    TicketReclassed,
    TicketReleased,
    TicketReprinted,
    TicketRequeued,
    TicketResumed,
    TicketTaken,
    TicketTransferred,
    VisitClosed,
    VisitOpened,
)
from core.policy import Policy
from core.refusals import Refusal


class EvaluationOpened(Fact, frozen=True):
    """The serving `call` may be rated until `due_ms` (待评); it belongs to the clerk who finished it."""

    call: int
    due_ms: int
    staff: str
    counter: int
    service: str
    department: str
    person_ref: str = ""
    handling_ms: int = 0


class EvaluationShown(Fact, frozen=True):
    """The evaluator has asked."""

    call: int


class EvaluationSubmitted(Fact, frozen=True):
    """The one counted rating of a serving (评价). `late`: after the next call or on another channel (补评)."""

    call: int
    level: int
    staff: str
    counter: int
    service: str
    department: str
    channel: str
    latency_ms: int
    late: bool
    options: tuple[str, ...] = ()
    option_set: str = ""
    comment_ref: str = ""
    device: str = ""
    appeal_due_ms: int = 0


class EvaluationRejected(Fact, frozen=True):
    """A rating that cannot be counted, and why. Kept with level and device."""

    reason: Refusal
    level: int = 0
    channel: str = ""
    device: str = ""
    call: int = 0
    key: int = -1


class EvaluationExpired(Fact, frozen=True):
    """Nobody rated in time (未评)."""

    call: int


class EvaluationDefaulted(Fact, frozen=True):
    """The default of the policy for an unrated serving (默认评价); never mixed with ratings."""

    call: int
    level: int


class CaseOpened(Fact, frozen=True):
    """A follow-up began (工单). Due times 0: no such clock; `revisit`: a return visit is owed."""

    case: int
    kind: str
    call: int = 0
    counter: int = 0
    staff: str = ""
    service: str = ""
    source: str = ""
    department: str = ""
    text_ref: str = ""
    real_name: bool = False
    verify_due_ms: int = 0
    reply_due_ms: int = 0
    revisit: bool = False


class BookingMade(Fact, frozen=True):
    """A slot was reserved (预约)."""

    booking: int
    service: str
    slot_ms: int
    person_ref: str = ""


class BookingCancelled(Fact, frozen=True):
    """The slot was given back."""

    booking: int


class BookingCheckedIn(Fact, frozen=True):
    """The booked person came."""

    booking: int


class BookingLapsed(Fact, frozen=True):
    """The booked person did not come."""

    booking: int


class StaffSignedOn(Fact, frozen=True):
    """A clerk sat down (签到)."""

    counter: int
    staff: str
    substitute_for: str = ""


class StaffSignedOff(Fact, frozen=True):
    """The clerk left (签退)."""

    counter: int
    staff: str


class CounterPaused(Fact, frozen=True):
    """No calls here (暂停); `pending`: after the current serving."""

    counter: int
    why: str = ""
    pending: bool = False


class CounterResumed(Fact, frozen=True):
    """Calls again (恢复)."""

    counter: int


class CounterSkillsSet(Fact, frozen=True):
    """What the counter serves from now on."""

    counter: int
    primary: tuple[str, ...]
    overflow: tuple[str, ...] = ()
    theta_ms: int = 0


class DeviceRegistered(Fact, frozen=True):
    """A new device."""

    device: str
    kind: str
    profile: str = ""
    counter: int = 0


class DeviceRetired(Fact, frozen=True):
    """Gone for good."""

    device: str


class DeviceQuarantined(Fact, frozen=True):
    """Not listened to any more."""

    device: str


class DeviceReadmitted(Fact, frozen=True):
    """Listened to again."""

    device: str


class DeviceOnline(Fact, frozen=True):
    """A connection began (上线)."""

    device: str
    boot: str
    link: int
    firmware: str = ""
    faults: tuple[str, ...] = ()


class DeviceOffline(Fact, frozen=True):
    """The broker lost it (掉线)."""

    device: str
    link: int


class DeviceStatusChanged(Fact, frozen=True):
    """Faults came or went; none: well again."""

    device: str
    faults: tuple[str, ...] = ()


class PolicyScheduled(Fact, frozen=True):
    """A policy that will act from `effective_ms` on."""

    version: int
    effective_ms: int
    policy: Policy


class PolicyChanged(Fact, frozen=True):
    """This policy acts from here on (规则变更). `periods`: UTC ms, when the hall is open today."""

    version: int
    digest: str
    policy: Policy
    periods: tuple[tuple[int, int], ...] = ()


class DayOpened(Fact, frozen=True):
    """A business day began: its local midnight, its end (`next_cutover_ms`) and opening hours (`periods`), all UTC."""

    day: int
    day_start_ms: int
    next_cutover_ms: int
    periods: tuple[tuple[int, int], ...] = ()


class DayClosed(Fact, frozen=True):
    """A business day ended, with the counts of the conservation law."""

    day: int
    taken: int
    served: int
    cancelled: int
    abandoned: int
    expired: int


class Refused(Fact, frozen=True):
    """The hall said no (拒绝). `type`: the command; `state`: of the ticket or counter, where that is the reason."""

    type: str
    reason: Refusal
    state: str = ""


class JournalRestored(Fact, frozen=True):
    """A copy was put in the journal's place (恢复): rows behind `last` up to `acknowledged` are missing."""

    source: str
    last: int
    acknowledged: int


class JournalErased(Fact, frozen=True):
    """Short-lived facts of this hall older than `before` (ISO date) were erased for good (清除).

    `row` > 0, and no day: what went with that row, its class in its batch, because it should never have been stored.
    """

    before: str
    facts: int
    months: tuple[str, ...] = ()
    row: int = 0


KINDS: Final[dict[int, type[Fact]]] = {
    1: VisitOpened,
    2: VisitClosed,
    3: TicketTaken,
    4: TicketPrinted,
    5: TicketPrintFailed,
    6: TicketReprinted,
    7: TicketCancelled,
    8: TicketReclassed,
    9: TicketRequeued,
    10: TicketEligible,
    11: TicketCalled,
    12: TicketRecalled,
    13: CallAnnounced,
    14: CallAnnounceFailed,
    15: TicketMissed,
    16: TicketReleased,
    17: TicketAbandoned,
    18: TicketHeld,
    19: TicketResumed,
    20: TicketTransferred,
    21: TicketExpired,
    22: ServingStarted,
    23: ServingFinished,
    24: EvaluationOpened,
    25: EvaluationShown,
    26: EvaluationSubmitted,
    27: EvaluationRejected,
    28: EvaluationExpired,
    29: EvaluationDefaulted,
    30: BookingMade,
    31: BookingCancelled,
    32: BookingCheckedIn,
    33: BookingLapsed,
    34: StaffSignedOn,
    35: StaffSignedOff,
    36: CounterPaused,
    37: CounterResumed,
    38: CounterSkillsSet,
    39: DeviceOnline,
    40: DeviceOffline,
    41: DeviceStatusChanged,
    42: DayOpened,
    43: DayClosed,
    44: Refused,
    128: CaseOpened,
    129: PolicyScheduled,
    130: PolicyChanged,
    131: DeviceRegistered,
    132: DeviceRetired,
    133: DeviceQuarantined,
    134: DeviceReadmitted,
    135: JournalRestored,
    136: JournalErased,
    **facts_cases.KINDS,
}
KIND_OF: Final[dict[type[Fact], int]] = {fact: kind for kind, fact in KINDS.items()}
assert len(KIND_OF) == len(KINDS), "one number per fact"
assert all(1 <= kind <= 254 for kind in KINDS), "kind numbers fit the journal's check"
