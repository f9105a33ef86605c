"""core/commands.py: the catalogue — names, wire types, limits of every field; nothing in it can carry text."""

import re
import string
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest

from core import commands as c


def wire_type(kind: type[c.Command]) -> str:
    return c.TYPE_OF[kind]


@pytest.mark.parametrize("kind", c.COMMANDS)
def test_the_type_is_noun_dot_verb(kind: type[c.Command]) -> None:
    """`CallNext` is ticket.call_next, `ReportPrint` ticket.report_print: the verb stands in both."""
    assert re.fullmatch(r"[a-z]+\.[a-z_]+|tick", wire_type(kind))
    words = [word.lower() for word in re.findall("[A-Z][a-z]+", kind.__name__)]
    told = wire_type(kind).replace(".", "_").split("_")
    assert words[0] in told, (words, told)


def test_types_are_told_once() -> None:
    assert len(set(c.TYPE_OF.values())) == len(c.COMMANDS) == len(set(c.COMMANDS))


@pytest.mark.parametrize("kind", c.COMMANDS)
def test_commands_are_frozen_and_documented(kind: type[c.Command]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__doc__


@pytest.mark.parametrize("kind", c.COMMANDS)
def test_every_field_is_bounded_and_none_is_a_float(kind: type[c.Command]) -> None:
    """Strings match a pattern of ids, numbers have both bounds: whatever passes fits the journal."""
    for spec in msgspec.structs.fields(kind):
        if (kind, spec.name) == (c.ChangePolicy, "document"):
            continue  # the whole policy, validated by the rules
        bounded(spec.type, f"{kind.__name__}.{spec.name}")


def bounded(annotation: Any, name: str) -> None:
    if get_origin(annotation) is tuple:
        bounded(get_args(annotation)[0], name)
        return
    if annotation is bool:
        return
    assert get_origin(annotation) is Annotated, f"{name} is not bounded"
    plain, meta = get_args(annotation)
    assert plain in (int, str), name
    if plain is int:
        assert meta.ge is not None and meta.le is not None and meta.le < 2**63, name
    else:
        assert meta.pattern.startswith("^") and meta.pattern.endswith(r"$(?!\n)"), name


CODES = {"Id": c.Id, "Code": c.Code, "PersonRef": c.PersonRef}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("text", ["张三", "a b", "a\n", "\n", "é", "a" * 65, "a;b", "a/b", "\x00"])
def test_names_and_text_do_not_pass_as_ids(name: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, CODES[name])


@pytest.mark.parametrize("text", ["si", "staff-7", "A_1", "a" * 64])
def test_ids_pass(text: str) -> None:
    assert msgspec.convert(text, c.Id) == text


def test_a_person_is_32_hex_digits_or_nobody() -> None:
    for text in ("", "0" * 32, "0123456789abcdef" * 2):
        assert msgspec.convert(text, c.PersonRef) == text
    for text in ("0" * 31, "0" * 33, "A" * 32, string.ascii_lowercase[:6] * 4):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, c.PersonRef)


@pytest.mark.parametrize("level", [-1, 256, 10**30])
def test_a_level_beyond_a_byte_is_no_level(level: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "evaluation.submit", "level": level}, c.SubmitEvaluation)
