"""devices/privacy.py: identity and phone numbers (身份证号, 手机号) in text, so that none gets in.

Full-width digits and the usual separators do not hide them. Source of the check digit: GB 11643.
"""

import re
from collections.abc import Iterator
from typing import Final

_RUN: Final = re.compile(r"\d(?:[\s\-._·]*\d){10,}(?:[\s\-._·]*[Xx])?")
_GROUP: Final = re.compile(r"\d+|[Xx]")
_IDENTITY: Final = re.compile(r"\d{17}[\dXx]")
_PHONE: Final = re.compile(r"(?:86)?1[3-9]\d{9}")
LONGEST: Final = 18
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
SHORTEST: Final = 11
REMARK_MAX: Final = 500
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９Ｘｘ", "0123456789Xx")


def personal(text: str) -> bool:
    """Whether an identity or phone number stands in the text."""
    return len(text) >= SHORTEST and next(_numbers(text.translate(_FULL_WIDTH)), None) is not None


def _numbers(plain: str) -> Iterator[tuple[int, int, str]]:
    """Begin, end and digits of each. One may be written in groups, and other groups may stand beside it: it begins and
    ends with one, so that `窗口 5 138 1234 5678` hides nothing and a longer number is none."""
    for run in _RUN.finditer(plain):
        groups = list(_GROUP.finditer(plain, run.start(), run.end()))
        for at, first in enumerate(groups):
            number = ""
            for last in groups[at:]:
                number += last.group()
                if len(number) > LONGEST:
                    break
                if _PHONE.fullmatch(number) or (_IDENTITY.fullmatch(number) and _checks(number)):
                    yield first.start(), last.end(), number
                    break


def _checks(number: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _WEIGHTS, strict=True))
    return _CHECKS[total % 11] == number[17].upper()


def masked(text: str) -> str:
    """The text with such numbers starred out: `138****5678`, `530***********12`."""
    plain = text.translate(_FULL_WIDTH)
    while (found := next(_numbers(plain), None)) is not None:  # what is starred out is no digit any more
        begin, end, number = found
        stars = number[:3] + "*" * 13 + number[-2:] if len(number) == LONGEST else number[:-8] + "****" + number[-4:]
        plain = plain[:begin] + stars + plain[end:]
    return plain


def remark(text: str) -> str | None:
    """A comment as it may be kept: at most 500 characters; None where a number of somebody stands in it."""
    return None if personal(text) else text.strip()[:REMARK_MAX]
