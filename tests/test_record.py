"""core/record.py: every kind of fact as bytes and back; newer and damaged ones are told apart."""

import msgspec
import pytest

from core import facts as f
from core.fact import Cause, Fact
from core.record import VERSION, Forms, UnknownFact, Upcaster, decode, encode
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


class DoorOpenedV1(Fact, frozen=True):
    """As the first release wrote it: seconds."""

    door: int
    at_s: int


class DoorOpenedV2(Fact, frozen=True):
    """Milliseconds since the second."""

    door: int
    at_ms: int


class DoorOpened(Fact, frozen=True):
    """A name since the third."""

    door: str
    at_ms: int
    why: str = "unknown"


LIFTED = {
    (7, 1): Upcaster(DoorOpenedV1, lambda old: DoorOpenedV2(old.door, old.at_s * 1000)),
    (7, 2): Upcaster(DoorOpenedV2, lambda old: DoorOpened(f"door-{old.door}", old.at_ms)),
}


@pytest.mark.parametrize(("v", "fields"), [(1, [3, 9]), (2, [3, 9000]), (3, ["door-3", 9000])])
def test_every_version_ever_written_is_read_in_its_newest_form(v: int, fields: list[object]) -> None:
    forms = Forms({7: DoorOpened}, LIFTED)
    assert forms.decode(7, v, msgspec.msgpack.encode([fields, 5, "clerk"])) == (DoorOpened("door-3", 9000), 5, "clerk")


def test_only_the_newest_version_is_written() -> None:
    kind, v, payload = Forms({7: DoorOpened}, LIFTED).encode(DoorOpened("door-3", 9000))
    assert (kind, v) == (7, 3)
    assert msgspec.msgpack.decode(payload) == [["door-3", 9000, "unknown"], 0, ""]
    with pytest.raises(UnknownFact, match="fact kind 7 v4"):
        Forms({7: DoorOpened}, LIFTED).decode(7, 4, payload)


def test_an_upcaster_that_was_taken_away_is_missed_at_once() -> None:
    with pytest.raises(AssertionError, match="no gaps"):
        Forms({7: DoorOpened}, {(7, 2): LIFTED[7, 2]})
    with pytest.raises(AssertionError, match="no gaps"):
        Forms({7: DoorOpened}, {(8, 1): LIFTED[7, 1]})
