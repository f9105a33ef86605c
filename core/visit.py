"""core/visit.py: one errand of one person (办事) and a reserved slot (预约)."""

from enum import IntEnum

from msgspec import Struct


class Visit(Struct, array_like=True):
    """One errand: its open tickets in order, the steps still to come, `busy`: the ticket at a counter, or 0."""

    visit: int
    started_ms: int
    person_ref: str = ""
    tickets: list[int] = []
    plan: list[str] = []
    busy: int = 0
    sent_home: bool = False


class BookingState(IntEnum):
    """Where a booking is."""

    MADE = 1
    CHECKED_IN = 2
    CANCELLED = 3
    LAPSED = 4


class Booking(Struct, array_like=True):
    """One reserved slot. A booking is no ticket; check-in takes one."""

    booking: int
    service: int
    slot_ms: int
    lapse_ms: int
    person_ref: str = ""
    state: BookingState = BookingState.MADE

    def advance(self, state: BookingState) -> None:
        """Out of MADE, once; the only line that sets `state`."""
        assert self.state is BookingState.MADE, f"booking {self.booking}: {state.name} in {self.state.name}"
        self.state = state
