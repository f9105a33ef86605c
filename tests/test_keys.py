"""devices/keys.py: the keys of the protocol, read off by hand; test_bus.py presses each of them."""

from hypothesis import given
from hypothesis import strategies as st

from core import commands as c
from devices import keys, wire
from devices.frames import EVALUATOR, Frame


def test_keys_that_mean_nothing_say_so() -> None:
    for data in (b"\x0e", b"\x11", b"\x0f", b"\x05\x0f", b"\x07", b"\x00"):
        assert keys.meaning(Frame(3, 1, data)) == ""
    assert keys.meaning(Frame(3, 1, bytes([1, 2, keys.CALL]))) == "ticket.call_next", "the last byte counts"


def test_a_digit_chooses_the_service_and_a_pause_ends_a_pause() -> None:
    to = ("tax", "id")
    pressed = {b"\x13": "tax", b"\x01\x13": "tax", b"\x02\x13": "id", b"\x03\x13": None, b"\x00\x13": None}
    for data, service in pressed.items():
        wanted = c.TransferTicket(to_service=service) if service else None
        assert keys.command(Frame(3, 1, data), paused=False, transfer_to=to) == wanted
    assert keys.command(Frame(3, 1, b"\x13"), paused=False, transfer_to=()) is None
    for paused, wanted_ in ((True, c.ResumeCounter()), (False, c.PauseCounter(why="break"))):
        assert keys.command(Frame(3, 1, b"\x12"), paused=paused, transfer_to=()) == wanted_


@given(st.integers(0, 255), st.binary(min_size=1, max_size=3), st.booleans())
def test_no_frame_raises_and_only_an_evaluator_rates(function: int, data: bytes, paused: bool) -> None:
    found = keys.command(Frame(1, function, data), paused=paused, transfer_to=("a",))
    assert isinstance(found, wire.Rate) is (function == EVALUATOR)
