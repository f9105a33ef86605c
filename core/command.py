"""core/command.py: the form of a command and the bounds of its fields: ids, codes and counts, never free text."""

from typing import Annotated

from msgspec import Meta, Struct

# `$` alone would let a line end pass.
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{0,64}$(?!\n)")]
PersonRef = Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?$(?!\n)")]
CounterNo = Annotated[int, Meta(ge=0, le=999)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Level = Annotated[int, Meta(ge=0, le=255)]
Key = Annotated[int, Meta(ge=-1, le=255)]
Day = Annotated[int, Meta(ge=0, le=99991231)]


class Command(Struct, frozen=True, tag_field="type", gc=False, omit_defaults=True):
    """What is asked. Who asks, and when it was received, stands in the envelope (`Hall.decide`)."""
