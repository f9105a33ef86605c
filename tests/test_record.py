"""core/record.py: every kind of fact as bytes and back; newer and damaged ones are told apart."""

import msgspec
import pytest

from core import facts as f
from core.fact import Cause, Fact
from core.record import VERSION, UnknownFact, decode, encode
from tests.halls import EXAMPLES


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_fact_round_trips_with_its_body_and_actor(kind: type[Fact]) -> None:
    fact = EXAMPLES[kind]
    number, v, payload = encode(fact, Cause("k1", "boot", 4, 0xFFFFFFFF), "clerk-7")
    assert (f.KINDS[number], v) == (kind, VERSION)
    assert decode(number, v, payload) == (fact, 0xFFFFFFFF, "clerk-7")


def test_a_fact_of_the_shell_has_no_body() -> None:
    assert decode(*encode(f.DeviceRetired("k1"))) == (f.DeviceRetired("k1"), 0, "")


def test_fields_that_an_older_program_did_not_write_have_their_defaults() -> None:
    """Fields are only added at the end: an array that ends early is read."""
    payload = msgspec.msgpack.encode([["k1", "kiosk"], 0, ""])
    assert decode(f.KIND_OF[f.DeviceRegistered], VERSION, payload)[0] == f.DeviceRegistered("k1", "kiosk")


@pytest.mark.parametrize(("kind", "v"), [(127, VERSION), (0, VERSION), (1, VERSION + 1)])
def test_an_unknown_kind_or_version_says_that_a_newer_program_wrote_it(kind: int, v: int) -> None:
    with pytest.raises(UnknownFact, match=f"fact kind {kind} v{v}: newer program needed"):
        decode(kind, v, encode(EXAMPLES[f.DeviceRetired])[2])


@pytest.mark.parametrize("kind", EXAMPLES)
def test_damaged_bytes_are_a_decode_error(kind: type[Fact]) -> None:
    number, v, payload = encode(EXAMPLES[kind])
    for damaged in (payload[:-1], b"", b"\xc1" + payload[1:], payload + b"\x00"):
        with pytest.raises(msgspec.DecodeError):
            decode(number, v, damaged)
