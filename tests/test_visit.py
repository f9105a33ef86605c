"""core/visit.py: a booking leaves MADE once."""

import itertools

import pytest

from core.visit import Booking, BookingState, Visit


@pytest.mark.parametrize(("state", "target"), list(itertools.product(BookingState, BookingState)))
def test_a_booking_leaves_made_once(state: BookingState, target: BookingState) -> None:
    booking = Booking(1, 0, 0, 0, state=state)
    if state is BookingState.MADE:
        booking.advance(target)
        assert booking.state is target
    else:
        with pytest.raises(AssertionError, match=f"{target.name} in {state.name}"):
            booking.advance(target)
        assert booking.state is state


def test_visits_share_nothing() -> None:
    first, second = Visit(1, 0), Visit(2, 0)
    first.tickets.append(7)
    assert second.tickets == []
