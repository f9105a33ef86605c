"""workers/flights.py: publishes keep their packet id until they land."""

from hypothesis import given
from hypothesis import strategies as st

from workers.flights import FLIGHT_IDS, Flight, Flights

A = Flight("t", b"", False, "a")


def test_nothing_takes_off_before_the_link_is_live() -> None:
    assert Flights().take_off(A) == 0


def test_an_id_is_not_used_twice_at_a_time() -> None:
    flights = Flights()
    flights.window = 2
    first = flights.take_off(A)
    for _ in range(FLIGHT_IDS + 5):
        other = flights.take_off(A)
        assert 0 < other <= FLIGHT_IDS and other != first
        assert flights.take_off(A) == 0, "the window is full"
        flights.land(other)


def test_an_unknown_id_lands_nothing() -> None:
    assert Flights().land(5) is None


@given(st.integers(1, 20), st.integers(0, 30), st.lists(st.integers(1, 20), max_size=4))
def test_after_a_reconnect_all_fly_again_once_oldest_first(window: int, count: int, windows: list[int]) -> None:
    flights = Flights()
    flights.window = window
    ids = [one for _ in range(count) if (one := flights.take_off(A))]
    for smaller in windows:
        flights.ground()
        assert flights.take_off(A) == 0 and flights.again() == []
        flights.window = smaller
        again = [packet_id for packet_id, _ in flights.again()]
        assert again == ids[:smaller] and flights.again() == []
    if windows and ids:
        flights.land(ids[0])
        assert [packet_id for packet_id, _ in flights.again()] == ids[windows[-1] : windows[-1] + 1]
