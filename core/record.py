"""core/record.py: a fact as bytes and back: MessagePack of [fact, CRC of the command's body, actor].

A kind number and a version name the form; an old version is lifted by its upcaster, never by `evolve`.
"""

from typing import Final

import msgspec

from core.fact import Cause, Fact
from core.facts import KIND_OF, KINDS

VERSION: Final = 1
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODERS: Final = {kind: msgspec.msgpack.Decoder(tuple[fact, int, str]) for kind, fact in KINDS.items()}  # type: ignore[valid-type]  # one decoder a kind


class UnknownFact(Exception):
    """A kind or version that this program does not know: a newer one wrote it."""


def encode(fact: Fact, cause: Cause | None = None, actor: str = "") -> tuple[int, int, bytes]:
    """Kind, version, payload."""
    return KIND_OF[type(fact)], VERSION, _ENCODER.encode((fact, cause.body if cause is not None else 0, actor))


def decode(kind: int, v: int, payload: bytes) -> tuple[Fact, int, str]:
    """The fact, the CRC of the body behind it, the actor. UnknownFact, or msgspec.DecodeError when damaged."""
    decoder = _DECODERS.get(kind)
    if decoder is None or v != VERSION:
        raise UnknownFact(f"fact kind {kind} v{v}: newer program needed")
    fact, body, actor = decoder.decode(payload)
    return fact, body, actor
