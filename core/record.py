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


class Forms:
    """A catalogue and its old forms. The newest version of a kind is one above its last upcaster."""

    def __init__(self, kinds: Mapping[int, type[Fact]], upcasters: Mapping[tuple[int, int], Upcaster]) -> None:
        old = {kind: max([v for other, v in upcasters if other == kind], default=VERSION - 1) for kind in kinds}
        assert {(kind, v) for kind, last in old.items() for v in range(VERSION, last + 1)} == set(upcasters), "no gaps"
        self._upcasters = upcasters
        self._newest = {form: (kind, old[kind] + 1) for kind, form in kinds.items()}
        self._encoder = msgspec.msgpack.Encoder()
        forms = {(kind, v): step.form for (kind, v), step in upcasters.items()}
        forms |= {newest: form for form, newest in self._newest.items()}
        self._readers = {key: msgspec.msgpack.Decoder(tuple[form, int, str]).decode for key, form in forms.items()}  # type: ignore[valid-type]  # one decoder a form

    def encode(self, fact: Fact, cause: Cause | None = None, actor: str = "") -> tuple[int, int, bytes]:
        """Kind, version, payload."""
        kind, v = self._newest[type(fact)]
        return kind, v, self._encoder.encode((fact, cause.body if cause is not None else 0, actor))

    def decode(self, kind: int, v: int, payload: bytes) -> tuple[Fact, int, str]:
        """The fact in its newest form, the CRC of the body behind it, the actor.

        UnknownFact, or msgspec.DecodeError when damaged.
        """
        read = self._readers.get((kind, v))
        if read is None:
            raise UnknownFact(f"fact kind {kind} v{v}: newer program needed")
        if not self._upcasters:
            return read(payload)
        fact, body, actor = read(payload)
        while (step := self._upcasters.get((kind, v))) is not None:
            fact, v = step.lift(fact), v + 1
        return fact, body, actor


_FORMS: Final = Forms(KINDS, UPCASTERS)
encode: Final = _FORMS.encode
decode: Final = _FORMS.decode
