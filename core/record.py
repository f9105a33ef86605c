"""core/record.py: a fact as bytes and back: MessagePack of [fact, CRC of the command's body, actor].

A kind number and a version name the form. An old form keeps its Struct here and is lifted by its upcaster, version by
version: pure, without state, clock or policy. `evolve` knows the newest form only.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from core.fact import Cause, Fact
from core.facts import KINDS

VERSION: Final = 1


class UnknownFact(Exception):
    """A kind or version that this program does not know: a newer one wrote it."""


Lift = Callable[..., Fact]  # type: ignore[explicit-any]  # from an old form, which differs, to the next


class Upcaster(NamedTuple):
    """An old form, and its step to the next version."""

    form: type[Fact]
    lift: Lift


UPCASTERS: Final[dict[tuple[int, int], Upcaster]] = {}
"""By kind and old version. An entry is never removed: the journal is for ever."""


Read = tuple[Fact, int, str]  # the fact in its newest form, the CRC of the body behind it, the actor
Reader = Callable[[bytes], Read]


class Readers(dict[tuple[int, int], Reader]):
    """By kind and version: bytes to fact. A reader raises msgspec.DecodeError when they are damaged."""

    def __missing__(self, key: tuple[int, int]) -> Reader:
        raise UnknownFact(f"fact kind {key[0]} v{key[1]}: newer program needed")


class Forms:
    """A catalogue and its old forms. The newest version of a kind is one above its last upcaster."""

    def __init__(self, kinds: Mapping[int, type[Fact]], upcasters: Mapping[tuple[int, int], Upcaster]) -> None:
        old = {kind: max([v for other, v in upcasters if other == kind], default=VERSION - 1) for kind in kinds}
        assert {(kind, v) for kind, last in old.items() for v in range(VERSION, last + 1)} == set(upcasters), "no gaps"
        self._newest = {form: (kind, old[kind] + 1) for kind, form in kinds.items()}
        self._encoder = msgspec.msgpack.Encoder()
        forms = {(kind, v): step.form for (kind, v), step in upcasters.items()}
        forms |= {newest: form for form, newest in self._newest.items()}
        decoders = {key: msgspec.msgpack.Decoder(tuple[form, int, str]).decode for key, form in forms.items()}  # type: ignore[valid-type]  # one decoder a form
        self.readers = Readers({key: _lifting(read, upcasters, *key) for key, read in decoders.items()})

    def encode(self, fact: Fact, cause: Cause | None = None, actor: str = "") -> tuple[int, int, bytes]:
        """Kind, version, payload."""
        kind, v = self._newest[type(fact)]
        return kind, v, self._encoder.encode((fact, cause.body if cause is not None else 0, actor))

    def decode(self, kind: int, v: int, payload: bytes) -> Read:
        """The fact in its newest form, the CRC of the body behind it, the actor.

        UnknownFact, or msgspec.DecodeError when damaged.
        """
        return self.readers[kind, v](payload)


def _lifting(read: Reader, upcasters: Mapping[tuple[int, int], Upcaster], kind: int, v: int) -> Reader:
    """The decoder of a newest form as it is; of an old one, what it reads is lifted step by step."""
    if (kind, v) not in upcasters:
        return read

    def lifted(payload: bytes) -> Read:
        (fact, body, actor), at = read(payload), v
        while (step := upcasters.get((kind, at))) is not None:
            fact, at = step.lift(fact), at + 1
        return fact, body, actor

    return lifted


_FORMS: Final = Forms(KINDS, UPCASTERS)
encode: Final = _FORMS.encode
decode: Final = _FORMS.decode
READERS: Final = _FORMS.readers
"""`decode` without a call in between, where a million facts are read."""
