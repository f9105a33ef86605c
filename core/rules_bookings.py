"""core/rules_bookings.py: decide and evolve for reserved slots (预约): make, cancel, check in."""

from core.commands import CancelBooking, CheckInBooking, MakeBooking
from core.deadlines import Due
from core.fact import Fact
from core.facts import BookingCancelled, BookingCheckedIn, BookingLapsed, BookingMade
from core.policy import DAY_MS, MINUTE_MS
from core.refusals import Refusal
from core.rules_seats import Decision
from core.rules_tickets import BOOKED, ORDINARY
from core.rules_visits import errand_of, exhausted, has_open, next_number, taken_fact
from core.state import HallState
from core.visit import Booking, BookingState


def make(state: HallState, command: MakeBooking, at_ms: int, device: str) -> Decision:
    """A slot in the days to come, while there is a place."""
    found = state.rules.services.get(command.service)
    if found is None:
        return Refusal.SERVICE_UNKNOWN
    assert state.policy is not None
    rules = state.policy.booking
    if command.slot_ms <= at_ms or command.slot_ms > at_ms + rules.days_ahead * DAY_MS:
        return Refusal.SLOT_PAST
    made = [b for b in state.bookings.values() if b.state is BookingState.MADE]
    if sum(b.service == found[0] and b.slot_ms == command.slot_ms for b in made) >= rules.slot_places:
        return Refusal.SLOT_FULL
    mine = [b for b in made if command.person_ref and b.person_ref == command.person_ref]
    if sum(abs(b.slot_ms - command.slot_ms) < DAY_MS for b in mine) >= rules.per_person_day:
        return Refusal.BOOKED_ALREADY
    return [BookingMade(state.next_booking, command.service, command.slot_ms, command.person_ref)]


def cancel(state: HallState, command: CancelBooking, at_ms: int, device: str) -> Decision:
    """Give it back, in time."""
    booking = state.bookings.get(command.booking)
    if booking is None:
        return Refusal.BOOKING_UNKNOWN
    if booking.state is not BookingState.MADE:
        return Refusal.WRONG_STATE
    assert state.policy is not None
    if booking.slot_ms - at_ms < state.policy.booking.cancel_min * MINUTE_MS:
        return Refusal.TOO_LATE
    return [BookingCancelled(booking.booking)]


def check_in(state: HallState, command: CheckInBooking, at_ms: int, device: str) -> Decision:
    """The booked person is here. On time counts from before the slot; late is an ordinary ticket; later is void."""
    booking = state.bookings.get(command.booking)
    if booking is None:
        return Refusal.BOOKING_UNKNOWN
    code = state.services[booking.service]
    if code not in state.rules.services:
        return Refusal.SERVICE_UNKNOWN
    if booking.state is not BookingState.MADE:
        return Refusal.WRONG_STATE
    if not state.day_is_open:
        return Refusal.HALL_CLOSED
    if has_open(state, booking.person_ref, booking.service):
        return Refusal.OPEN_TICKET_EXISTS
    if booking.slot_ms >= state.next_cutover_ms:
        return Refusal.SLOT_OTHER_DAY
    assert state.policy is not None
    rules = state.policy.booking
    late_ms = at_ms - booking.slot_ms
    if late_ms > rules.void_min * MINUTE_MS or booking.slot_ms < state.day_start_ms:
        return Refusal.SLOT_OVER
    return _checked_in(state, booking, at_ms)


def _checked_in(state: HallState, booking: Booking, at_ms: int) -> Decision:
    """The ticket of a booking: booked and with its credit while on time, else an ordinary one."""
    assert state.policy is not None
    rules, code = state.policy.booking, state.services[booking.service]
    late_ms = at_ms - booking.slot_ms
    on_time = late_ms <= rules.late_min * MINUTE_MS
    opens_ms = booking.slot_ms - rules.early_min * MINUTE_MS
    part = state.rules.services[code][1]
    if exhausted(state, part.prefix):
        return Refusal.NUMBERS_EXHAUSTED
    visit, opened = errand_of(state, booking.person_ref) if booking.person_ref else (0, [])
    taken = taken_fact(
        state,
        part,
        BOOKED if on_time and BOOKED in state.rules.classes else ORDINARY,
        at_ms,
        number=next_number(state, part.prefix),
        t_eff_ms=booking.slot_ms - rules.credit_min * MINUTE_MS if on_time else at_ms,
        origin="booking",
        eligible_ms=opens_ms if opens_ms > at_ms else 0,
        booking=booking.booking,
        visit=visit,
        person_ref=booking.person_ref,
    )
    facts: list[Fact] = [BookingCheckedIn(booking.booking), *opened, taken]
    return facts


def made(state: HallState, fact: BookingMade, at_ms: int) -> None:
    """Fold a booking; it lapses when check-in becomes void."""
    assert state.policy is not None
    service = state.rules.services[fact.service][0]
    lapse_ms = fact.slot_ms + state.policy.booking.void_min * MINUTE_MS
    state.bookings[fact.booking] = Booking(fact.booking, service, fact.slot_ms, lapse_ms, fact.person_ref)
    state.next_booking = fact.booking + 1
    state.deadlines.add(lapse_ms, Due.BOOKING_LAPSE, fact.booking)


def cancelled(state: HallState, fact: BookingCancelled, at_ms: int) -> None:
    """Fold a cancellation."""
    state.bookings[fact.booking].advance(BookingState.CANCELLED)


def checked_in(state: HallState, fact: BookingCheckedIn, at_ms: int) -> None:
    """Fold a check-in."""
    state.bookings[fact.booking].advance(BookingState.CHECKED_IN)


def lapsed(state: HallState, fact: BookingLapsed, at_ms: int) -> None:
    """Fold a no-show."""
    state.bookings[fact.booking].advance(BookingState.LAPSED)
