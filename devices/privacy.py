"""devices/privacy.py: identity and phone numbers (身份证号, 手机号) in text, so that none gets in.

Full-width digits and the usual separators do not hide them. Source of the check digit: GB 11643.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

# In text whose separators are blanks. Nothing of it backtracks (`*+`), so that it is linear in any text.
_NUMBER: Final = re.compile(
    r"(?<!\d)(?=\d(?: *+\d){10})"  # a group begins, and there are digits enough
    r"(?:(?=((?:8 *+6 *+)?1 *+[3-9](?: *+\d){9}(?!\d)))|(?=((?:\d *+){17}(?:\d(?!\d)|[Xx]))))"
)
_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[fnrt])")
TELLING: Final = ("comment", "token")  # what people wrote, and a right that still holds
LONGEST: Final = 18
_CHECKS: Final = "10X98765432"
SHORTEST: Final = 11
REMARK_MAX: Final = 500
MARGIN: Final = 64  # a number that the cut would split is looked for whole
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９Ｘｘ", "0123456789Xx")
_BLANKS: Final = dict.fromkeys([*map(ord, "-._·"), *(n for n in range(0x3001) if chr(n).isspace())], " ")
_SIMPLE: Final = _FULL_WIDTH | _BLANKS


def personal(text: str) -> bool:
    """Whether an identity or phone number stands in the text."""
    return len(text) >= SHORTEST and next(_numbers(text.translate(_SIMPLE)), None) is not None


def _numbers(simple: str) -> Iterator[tuple[int, int, str]]:
    """Begin, end and digits of each. One may be written in groups, and other groups may stand beside it: it begins and
    ends with one, so that `窗口 5 138 1234 5678` hides nothing and a longer number is none."""
    for found in _NUMBER.finditer(simple):
        phone, identity = found.groups()
        if phone:
            yield found.start(), found.end(1), phone.replace(" ", "")
        elif _checks(number := identity.replace(" ", "")):
            yield found.start(), found.end(2), number


def _checks(number: str) -> bool:
    """The weights are powers of 2 modulo 11, and so is 13: the weighted sum is twice the number read in base 13."""
    return _CHECKS[2 * int(number[:17], 13) % 11] == number[17].upper()


def masked(text: str) -> str:
    """The text with such numbers starred out: `138****5678`, `530***********12`."""
    plain = text.translate(_FULL_WIDTH)
    while (found := next(_numbers(plain.translate(_BLANKS)), None)) is not None:  # what is starred out is no digit
        begin, end, number = found
        stars = number[:3] + "*" * 13 + number[-2:] if len(number) == LONGEST else number[:-8] + "****" + number[-4:]
        plain = plain[:begin] + stars + plain[end:]
    return plain


def remark(text: str) -> str | None:
    """A comment as it may be kept: at most 500 characters; None where a number of somebody stands in it."""
    text = text.strip()[: REMARK_MAX + MARGIN]
    return None if personal(text) else text[:REMARK_MAX]


def bare(payload: bytes, most: int) -> bytes | None:
    """What may be kept of a message that was not applied, at most so many bytes: its events without comment and token.
    None where these stand in it and cannot be taken out, or a number of somebody does."""
    text = _readable(payload, most)
    if any(word in text for word in TELLING):
        payload = _without(payload)
        text = _readable(payload, most)
        if not payload or any(word in text for word in TELLING):
            return None
    return None if personal(text) else payload[:most]


def _readable(payload: bytes, most: int) -> str:
    text = payload[: most + MARGIN].decode("utf-8", "replace")
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)


def _without(payload: bytes) -> bytes:
    """The same event or events, their bodies without these fields; nothing where they cannot be read."""
    try:
        said: Any = msgspec.json.decode(payload)
        for event in said if isinstance(said, list) else [said]:
            body = event.get("body") if isinstance(event, dict) else None
            if isinstance(body, dict):
                event["body"] = {name: value for name, value in body.items() if name not in TELLING}
        return msgspec.json.encode(said)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return b""
