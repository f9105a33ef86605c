"""core/rules_day.py: decide and evolve for the business day, the policy, and whatever time itself brings (`Tick`)."""

import msgspec

from core import rules_cases, rules_conduct, rules_records, rules_staff
from core.calendar import business_day
from core.commands import ChangePolicy, CloseDay, OpenDay
from core.counter import Counter
from core.deadlines import STAGE_OF, Due
from core.device import Device
from core.fact import Fact
from core.facts import (
    BookingLapsed,
    DayClosed,
    DayOpened,
    EvaluationDefaulted,
    EvaluationExpired,
    PolicyChanged,
    PolicyScheduled,
    Refused,
)
from core.facts_tickets import TicketAbandoned, TicketEligible, TicketExpired
from core.policy import DAY_MS, MINUTE_MS, CounterPart, Policy, digest, from_document, option_sets, problems
from core.ranking import RankingPool, Skills
from core.refusals import Refusal
from core.rules_calls import missed_fact
from core.rules_seats import Decision
from core.rules_visits import errand_facts
from core.state import HallState, Tally, class_rule, compiled
from core.ticket import AT_COUNTER, OPEN
from core.visit import BookingState

DEFAULT_LEVEL = 3
SETS_KEPT_MS = 61 * DAY_MS  # the longest window to rate, and a day


def change_policy(state: HallState, command: ChangePolicy, at_ms: int, device: str) -> Decision:
    """A newer document that can act: now, or scheduled."""
    try:
        policy = from_document(command.document)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return Refusal.POLICY_INVALID
    if problems(policy) or policy.hall.id != state.hall or _drops_open(state, policy):
        return Refusal.POLICY_INVALID
    if state.policy is not None and policy.version <= state.policy.version:
        return Refusal.VERSION_NOT_NEWER
    if state.policy is not None and command.effective_ms > at_ms:
        return [PolicyScheduled(policy.version, command.effective_ms, policy)]
    return _policy_facts(state, policy, at_ms)


def _policy_facts(state: HallState, policy: Policy, at_ms: int) -> list[Fact]:
    """The change, and the first business day of a hall that has none yet."""
    today = business_day(policy, at_ms)
    periods = today.periods if today.day == state.day or not state.day else state.periods
    changed = PolicyChanged(policy.version, digest(policy), policy, periods)
    return [changed] if state.day else [changed, DayOpened(*today)]


def _drops_open(state: HallState, policy: Policy) -> bool:
    """Whether a service, class or counter with open tickets would disappear."""
    services = {part.code for part in policy.services}
    classes = {part.code for part in policy.classes}
    counters = {part.no for part in policy.counters}
    for ticket in state.tickets.values():
        if ticket.state in OPEN:
            if state.services[ticket.service] not in services or state.rules.class_codes[ticket.cls] not in classes:
                return True
            if ticket.counter and ticket.counter not in counters:
                return True
    return False


def open_day(state: HallState, command: OpenDay, at_ms: int, device: str) -> Decision:
    """Open by hand a day that was closed by hand."""
    if state.policy is None or state.day_is_open:
        return Refusal.DAY_OPEN if state.day_is_open else Refusal.HALL_CLOSED
    return [DayOpened(*business_day(state.policy, at_ms))]


def close_day(state: HallState, command: CloseDay, at_ms: int, device: str) -> Decision:
    """Close by hand; open tickets expire."""
    return close_facts(state) if state.day_is_open else Refusal.DAY_CLOSED


def close_facts(state: HallState) -> list[Fact]:
    """Every open ticket expires, then the day closes with its counts."""
    still_open = [ticket for ticket in state.tickets.values() if ticket.state in OPEN]
    facts: list[Fact] = [
        TicketExpired(ticket.ticket, ticket.counter if ticket.state in AT_COUNTER else 0) for ticket in still_open
    ]
    tally = state.tally
    expired = tally.expired + len(still_open)
    facts.append(DayClosed(state.day, tally.taken, tally.served, tally.cancelled, tally.abandoned, expired))
    return facts


def due_facts(state: HallState, now_ms: int) -> list[Fact]:
    """What the next deadline brings; it holds and is due. One at a time, so that each sees the one before."""
    due_ms, what, ident = state.deadlines.head()
    match what:
        case Due.ELIGIBLE:
            return [TicketEligible(ident)]
        case Due.RETURN_OVER | Due.HOLD_OVER:
            why = "return_over" if what is Due.RETURN_OVER else "hold_over"
            return [TicketAbandoned(ident, 0, why), *errand_facts(state, state.tickets[ident], due_ms)]
        case Due.NO_ARRIVAL:
            return [missed_fact(state, state.tickets[ident], due_ms, timeout=True)]
        case Due.BOOKING_LAPSE:
            return [BookingLapsed(ident)]
        case Due.EVALUATION_OVER:
            return _unrated(state, ident)
        case Due.CASE_VERIFY | Due.CASE_RECTIFY | Due.CASE_REPLY:
            return rules_cases.overdue_facts(state, STAGE_OF[what], ident)
        case Due.UNCOVERED:
            return rules_staff.uncovered_facts(state, ident, due_ms)
        case Due.ALERT:
            return rules_records.alert_facts(state, ident)
        case Due.POLICY:
            return _pending_facts(state, due_ms)
        case Due.CUTOVER:
            assert state.policy is not None
            today = business_day(state.policy, now_ms)  # the same day where a policy has moved its end: it goes on
            closing = close_facts(state) if state.day_is_open and today.day != state.day else []
            return [*closing, DayOpened(*today)]


def _pending_facts(state: HallState, due_ms: int) -> list[Fact]:
    """The scheduled policy acts; not while it would drop what open tickets need: then after the day's end."""
    policy = state.pending
    assert policy is not None
    if _drops_open(state, policy):
        return [PolicyScheduled(policy.version, state.next_cutover_ms + 1, policy)]
    return _policy_facts(state, policy, due_ms)


def _unrated(state: HallState, call: int) -> list[Fact]:
    assert state.policy is not None
    if state.policy.evaluation.unrated == "default3":
        return [EvaluationExpired(call), EvaluationDefaulted(call, DEFAULT_LEVEL)]
    return [EvaluationExpired(call)]


def policy_scheduled(state: HallState, fact: PolicyScheduled, at_ms: int) -> None:
    """Fold a policy to come; the newest wins."""
    state.pending, state.pending_ms = fact.policy, fact.effective_ms
    state.deadlines.add(fact.effective_ms, Due.POLICY, 0)


def policy_changed(state: HallState, fact: PolicyChanged, at_ms: int) -> None:
    """Fold a policy: open tickets keep class, number and key, clocks their due time."""
    before, policy = state.rules, fact.policy
    rings = _rings(state) if state.policy is not None and state.policy.classes == policy.classes else {}
    _retire_sets(state, policy, at_ms)
    if state.policy is not None and state.policy.alerts != policy.alerts:
        state.alerts = {}
    state.policy, state.periods = policy, fact.periods
    if state.pending is not None and state.pending.version <= policy.version:
        state.pending = None
    state.services += [part.code for part in policy.services if part.code not in state.services]
    state.rules = compiled(policy, state.services)
    for ticket in state.tickets.values():
        code = before.class_codes[ticket.cls]
        ticket.cls = state.rules.classes.get(code, state.rules.classes["ordinary"])
    _set_counters(state, policy)
    _keep_rings(state, rings)
    _set_devices(state, policy)
    rules_staff.watch_counters(state)
    for service, _ in state.rules.services.values() if state.rules.alerts else ():
        state.watch(service)


def _retire_sets(state: HallState, policy: Policy, at_ms: int) -> None:
    """Option sets that are shown no more are accepted while a rating of before may still come."""
    before = option_sets(state.policy) if state.policy is not None else []
    now = option_sets(policy)
    fresh = {name: at for name, at in state.retired_sets.items() if at > at_ms - SETS_KEPT_MS and name not in now}
    state.retired_sets = {**fresh, **{name: at_ms for name in before if name not in now}}


def _rings(state: HallState) -> dict[Skills, list[int]]:
    """How many of the last calls were green and contested, by the skills of the counters that made them."""
    return {state.pool.skills_of(profile): ring for profile, ring in state.pool.rings().items()}


def _keep_rings(state: HallState, rings: dict[Skills, list[int]]) -> None:
    """The cap of the green channel goes on counting where counters with these skills are still there."""
    known = {state.pool.skills_of(profile): profile for profile in state.pool.rings()}
    state.pool.restore_rings({known[skills]: ring for skills, ring in rings.items() if skills in known})


def _set_counters(state: HallState, policy: Policy) -> None:
    """Counters and the ranking by the new document, the waiting tickets put in again."""
    state.pool = RankingPool([class_rule(part) for part in policy.classes])
    for index in range(len(state.services)):
        state.pool.add_service(index)
    state.waits, state.views_open = {}, {}
    numbers = [part.no for part in policy.counters]
    for gone in [no for no in state.counters if no not in numbers]:
        del state.counters[gone]
    for part in policy.counters:
        profile = state.pool.set_profile(part.no, skills_of(state, part))
        counter = state.counters.setdefault(part.no, Counter(part.no, profile))
        counter.profile, counter.zone = profile, part.zone
    for ticket in state.tickets.values():
        if ticket.eligible:
            state.pool.add(state.serial(ticket.ticket), ticket.service, ticket.cls, state.t(ticket.t_eff_ms))


def skills_of(state: HallState, part: CounterPart) -> Skills:
    """The skills of a counter in the ranking's numbers."""
    index = state.rules.services
    return Skills(
        primary=tuple(index[code][0] for code in part.primary),
        overflow=tuple(index[code][0] for code in part.overflow),
        theta_ms=part.theta_min * MINUTE_MS if part.overflow else 0,
        handicap=part.handicap_min * MINUTE_MS * state.pool.classes()[state.rules.classes["ordinary"]].rate,
    )


def _set_devices(state: HallState, policy: Policy) -> None:
    """Devices of the document; what is known of each stays."""
    for part in policy.devices:
        known = state.devices.setdefault(part.id, Device(part.id, part.kind))
        known.kind, known.profile, known.counter = part.kind, part.profile, part.counter
        known.zone, known.offline_prefix = part.zone, part.offline_prefix


def day_opened(state: HallState, fact: DayOpened, at_ms: int) -> None:
    """Fold a new day. The same day opened again keeps its numbers; one that is still open only gets another end."""
    if fact.day != state.day:
        state.numbers, state.printed, state.taken_of = {}, {}, {}
        state.tally = Tally()
        state.noted = {}
        for counter in state.counters.values():
            counter.uncovered = False
    if fact.day != state.day or not state.day_is_open:
        state.first_ticket = state.next_ticket
    state.day, state.day_start_ms, state.day_is_open = fact.day, fact.day_start_ms, True
    state.next_cutover_ms, state.periods = fact.next_cutover_ms, fact.periods
    state.deadlines.add(fact.next_cutover_ms, Due.CUTOVER, fact.day)
    rules_staff.watch_counters(state)


def day_closed(state: HallState, fact: DayClosed, at_ms: int) -> None:
    """Fold the day's end: tickets and visits go, and ratings whose time is over."""
    state.day_is_open = False
    state.tickets, state.visits, state.visit_of_person, state.held, state.calls = {}, {}, {}, {}, {}
    state.bookings = {b.booking: b for b in state.bookings.values() if b.state is BookingState.MADE}
    state.last_calls = []
    state.alerts, state.told_s = {}, {}
    over = [e.call for e in state.evaluations.values() if not e.kept(at_ms)]
    for call in over:
        del state.evaluations[call]
    state.forgotten_call = max([state.forgotten_call, *over])
    rules_cases.forget(state, at_ms)
    rules_conduct.forget(state)


def ticket_expired(state: HallState, fact: TicketExpired, at_ms: int) -> None:
    """Fold a ticket that was still open at the end."""
    ticket = state.tickets[fact.ticket]
    if ticket.counter in state.held and ticket.ticket in state.held[ticket.counter]:
        state.unhold(ticket)
    ticket.advance(fact)
    if fact.counter:
        state.counters[fact.counter].advance(fact)
        state.leave(ticket)
    state.tally.expired += 1
    state.end(ticket)


def refused(state: HallState, fact: Refused, at_ms: int) -> None:
    """A refusal changes no table; the window keeps its answer."""
