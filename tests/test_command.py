"""core/command.py: ids and codes carry no text, and every catalogue of commands keeps to them."""

import msgspec
import pytest

from core import command, commands
from core.command import Code, Command, Id


def test_the_catalogue_gives_the_same_names_as_its_source() -> None:
    assert commands.Command is Command and commands.Id is Id and commands.Code is Code


@pytest.mark.parametrize("text", ["张三", "a b", "a\n", "13812345678 "])
def test_text_is_no_code(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Code)


@pytest.mark.parametrize(("bound", "over"), [("CounterNo", 1000), ("Day", 10**8), ("Level", 256), ("Key", 256)])
def test_numbers_have_both_bounds(bound: str, over: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(over, getattr(command, bound))
