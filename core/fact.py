"""core/fact.py: the form of a fact and of its cause."""

from typing import NamedTuple

from msgspec import Struct


class Cause(NamedTuple):
    """The device message behind a fact: (device, boot, seq) as on the wire, and a CRC-32 of its body."""

    device: str
    boot: str
    seq: int
    body: int


class Fact(Struct, frozen=True, array_like=True, gc=False):
    """What happened. Encoded as a MessagePack array of its fields."""
