"""core/facts_tickets.py: what happened to visits, tickets, calls and servings. See `core/facts.py`."""

from core.fact import Fact
from core.why import Why


class VisitOpened(Fact, frozen=True):
    """One errand began (办事)."""

    visit: int
    person_ref: str = ""
    plan: tuple[str, ...] = ()


class VisitClosed(Fact, frozen=True):
    """No ticket open and none to come. `once_done`: the last was served, and nobody was sent home for more papers."""

    visit: int
    once_done: bool


class TicketTaken(Fact, frozen=True):
    """A number was allotted (取号). `t_eff_ms` UTC: the ranking's time; `eligible_ms` > 0: held until then."""

    ticket: int
    number: str
    day: int
    service: str
    cls: str
    t_eff_ms: int
    ahead: int
    eta_s: int | None = None
    eta_p90_s: int | None = None
    visit: int = 0
    eligible_ms: int = 0
    origin: str = "kiosk"
    person_ref: str = ""
    assisted_by: str = ""
    lang: str = ""
    party: int = 1
    booking: int = 0
    happened_ms: int = 0
    offline: bool = False
    ahead_pool: int = 0


class TicketPrinted(Fact, frozen=True):
    """The slip came out."""

    ticket: int


class TicketPrintFailed(Fact, frozen=True):
    """The slip did not come out: out of paper, jam."""

    ticket: int
    fault: str = ""


class TicketReprinted(Fact, frozen=True):
    """The slip is to be printed again."""

    ticket: int
    times: int


class TicketCancelled(Fact, frozen=True):
    """The place was given up (取消)."""

    ticket: int
    why: str = ""


class TicketReclassed(Fact, frozen=True):
    """Another class, same effective time (改类)."""

    ticket: int
    cls: str
    why: str = ""


class TicketRequeued(Fact, frozen=True):
    """Back after the `times`-th missed call, behind the N-th waiting (过号返回)."""

    ticket: int
    t_eff_ms: int
    times: int


class TicketEligible(Fact, frozen=True):
    """An early booking was released; `idle`: since a counter would otherwise have stayed idle."""

    ticket: int
    idle: bool = False


class TicketCalled(Fact, frozen=True):
    """A ticket was called to a counter (叫号). `waited_ms`: taken to this call."""

    call: int
    ticket: int
    number: str
    counter: int
    staff: str
    service: str
    waited_ms: int
    why: Why
    picked: bool = False
    first: bool = True


class TicketRecalled(Fact, frozen=True):
    """The called ticket was announced again (重呼)."""

    call: int
    ticket: int
    counter: int
    recalls: int


class CallAnnounced(Fact, frozen=True):
    """A screen or voice box has shown or said the call."""

    call: int
    zone: str = ""
    medium: str = ""


class CallAnnounceFailed(Fact, frozen=True):
    """A screen or voice box could not."""

    call: int
    zone: str = ""
    medium: str = ""


class TicketMissed(Fact, frozen=True):
    """Nobody came (过号). May come back until `return_until_ms` (0: never)."""

    call: int
    ticket: int
    counter: int
    times: int
    return_until_ms: int
    timeout: bool = False


class TicketReleased(Fact, frozen=True):
    """The call was undone (释放)."""

    call: int
    ticket: int
    counter: int
    why: str = ""


class TicketAbandoned(Fact, frozen=True):
    """Left for good (弃号); `counter` 0: was not at one."""

    ticket: int
    counter: int = 0
    why: str = ""


class TicketHeld(Fact, frozen=True):
    """Set aside (挂起) until resumed here, at the latest `until_ms`."""

    ticket: int
    call: int
    counter: int
    holds: int
    until_ms: int
    why: str = ""


class TicketResumed(Fact, frozen=True):
    """Called back from hold (回呼), under a new call id."""

    call: int
    ticket: int
    number: str
    counter: int
    staff: str
    service: str
    waited_ms: int


class TicketTransferred(Fact, frozen=True):
    """On to another service (转移). `counter` 0: was waiting."""

    ticket: int
    counter: int
    service: str
    t_eff_ms: int
    hops: int
    to_counter: int = 0
    why: str = ""
    diverted: bool = False


class TicketExpired(Fact, frozen=True):
    """Still open at the day's end (日终清号)."""

    ticket: int
    counter: int = 0


class ServingStarted(Fact, frozen=True):
    """The act began (办理); `implied`: nobody pressed the key, the finish tells."""

    call: int
    ticket: int
    counter: int
    implied: bool = False


class ServingFinished(Fact, frozen=True):
    """The act ended (办结). `handling_ms`: over all its parts; the clerk of this line owns the rating."""

    call: int
    ticket: int
    counter: int
    staff: str
    service: str
    department: str
    outcome: str
    handling_ms: int
    waited_ms: int
    visit: int = 0
    implied: bool = False
    project_ref: str = ""
