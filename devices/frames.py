"""devices/frames.py: frames of the old RS-485 keypads and evaluators (串口协议). Pure: bytes and times in, frames out.

FF 68 │ L │ L │ 68 │ address │ function │ data… │ sum │ 16      L = 2 + data bytes, 3 to 5
sum = (address + function + data) mod 256. Both L, both 68, the sum and the tail are checked; after a frame that is
none the search goes on one byte behind its start. Half a frame dies after 100 ms. Seen in JackQChen/QueueSystem.
"""

from typing import Final, NamedTuple

HEAD: Final = b"\xff\x68"
MIDDLE: Final = 0x68
TAIL: Final = 0x16
LENGTHS: Final = range(3, 6)
AROUND: Final = 7  # bytes of a frame besides the L that are counted
HALF_MS: Final = 100

EVALUATOR: Final = 0x11  # function of a rating; its acknowledgement says KEYPAD and a sum less by 10 (hex)
KEYPAD: Final = 0x01
SHOW: Final = 0x02
BEEP: Final = 0x03
FROM_HOST: Final = frozenset({SHOW, BEEP})  # heard from a device, they are the echo of what we said
BLANK: Final = 0x0A


class Frame(NamedTuple):
    """One frame, checked."""

    address: int
    function: int
    data: bytes


def encode(frame: Frame) -> bytes:
    """Its bytes."""
    inner = bytes((frame.address, frame.function, *frame.data))
    assert len(inner) in LENGTHS, "a frame holds 1 to 3 bytes of data"
    return HEAD + bytes((len(inner), len(inner), MIDDLE)) + inner + bytes((sum(inner) & 0xFF, TAIL))


def echo(frame: Frame) -> Frame:
    """What acknowledges it: itself; a rating under the keypad's function."""
    return frame._replace(function=KEYPAD) if frame.function == EVALUATOR else frame


def show(address: int, number: str) -> Frame:
    """Three digits of a number on a display; blank where there are none."""
    digits = "".join(one for one in number if one.isascii() and one.isdigit())[-3:]
    return Frame(address, SHOW, bytes([BLANK] * (3 - len(digits)) + [int(one) for one in digits]))


def beep(address: int) -> Frame:
    """Make yourself heard."""
    return Frame(address, BEEP, b"\x01")


class Bad(NamedTuple):
    """How often something was none of a frame."""

    noise: int = 0
    length: int = 0
    middle: int = 0
    sum: int = 0
    tail: int = 0
    half: int = 0


class Reader:
    """One direction of a line. `feed` what has come, at the time it came; `expire` when nothing comes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at_ms = 0
        self.bad = Bad()

    def __len__(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._bytes)

    def feed(self, more: bytes, at_ms: int) -> list[Frame]:
        """The frames that are whole now, in order."""
        found = self.expire(at_ms)
        if more:
            self._bytes += more
            self._at_ms = at_ms
        return found + self._whole()

    def expire(self, at_ms: int) -> list[Frame]:
        """If nothing has come for 100 ms, what is half is none; what stands behind its start may still be whole."""
        found: list[Frame] = []
        while self._bytes and at_ms - self._at_ms >= HALF_MS:
            self._drop("half")
            found += self._whole()
        return found

    def _drop(self, why: str) -> None:
        del self._bytes[0]
        self.bad = self.bad._replace(**{why: getattr(self.bad, why) + 1})

    def _whole(self) -> list[Frame]:
        found: list[Frame] = []
        while True:
            self._seek()
            held = self._bytes
            why = _wrong(held)
            if why:
                self._drop(why)
            elif len(held) > 2 and len(held) >= held[2] + AROUND:
                found.append(Frame(held[5], held[6], bytes(held[7 : 5 + held[2]])))
                del held[: held[2] + AROUND]
            else:
                return found

    def _seek(self) -> None:
        """On to what may be the start of a frame."""
        at = self._bytes.find(HEAD)
        if at < 0:
            at = len(self._bytes) - (self._bytes[-1:] == HEAD[:1])
        if at:
            del self._bytes[:at]
            self.bad = self.bad._replace(noise=self.bad.noise + at)


def _wrong(held: bytearray) -> str:
    """Why these bytes cannot become a frame; nothing if they still can. As early as can be told."""
    if len(held) > 2 and held[2] not in LENGTHS:
        return "length"
    if len(held) > 3 and held[3] != held[2]:
        return "length"
    if len(held) > 4 and held[4] != MIDDLE:
        return "middle"
    end = 5 + held[2] if len(held) > 2 else 0
    if end and len(held) > end and held[end] != sum(held[5:end]) & 0xFF:
        return "sum"
    if end and len(held) > end + 1 and held[end + 1] != TAIL:
        return "tail"
    return ""
