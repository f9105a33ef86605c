"""devices/privacy.py: identity and phone numbers (身份证号, 手机号) in text, so that none gets in.

Full-width digits and the usual separators do not hide them. Source of the check digit: GB 11643.
"""

import re
from typing import Final

_SEPARATORS: Final = re.compile(r"(?<=\d)[\s\-._·]+(?=[\dXx])")
_IDENTITY: Final = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_PHONE: Final = re.compile(r"(?<!\d)(?:86)?1[3-9]\d{9}(?!\d)")
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
SHORTEST: Final = 11
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９Ｘｘ", "0123456789Xx")


def personal(text: str) -> bool:
    """Whether an identity or phone number stands in the text."""
    if len(text) < SHORTEST:
        return False
    plain = _SEPARATORS.sub("", text.translate(_FULL_WIDTH))
    return bool(_PHONE.search(plain)) or any(_checks(match.group()) for match in _IDENTITY.finditer(plain))


def _checks(number: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _WEIGHTS, strict=True))
    return _CHECKS[total % 11] == number[17].upper()


def masked(text: str) -> str:
    """The text with such numbers starred out: `138****5678`, `530***********12`."""
    plain = _SEPARATORS.sub("", text.translate(_FULL_WIDTH))
    plain = _IDENTITY.sub(lambda found: found.group()[:3] + "*" * 13 + found.group()[-2:], plain)
    return _PHONE.sub(lambda found: found.group()[:-8] + "****" + found.group()[-4:], plain)
