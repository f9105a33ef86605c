"""devices/frames.py: whatever is on the line, whole frames are found, and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import frames, keys
from devices.frames import Frame, Reader, encode
from tests.processes import ROOT

VECTORS = ROOT / "devices" / "vectors" / "frames"
CASES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(VECTORS.glob("*.json"))}
ANY = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(min_size=1, max_size=3))
CALL = bytes.fromhex("FF68030368 03010C 10 16")


def read(stream: bytes, reader: Reader | None = None) -> list[Frame]:
    """All at once, then silence."""
    reader = Reader() if reader is None else reader
    return reader.feed(stream, 0) + reader.expire(frames.HALF_MS)


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_stream_gives_what_its_file_says(name: str) -> None:
    case = CASES[name]
    reader, found = Reader(), []
    for at_ms, text in case["stream"]:
        found += reader.feed(bytes.fromhex(text), at_ms)
    found += reader.expire(case["stream"][-1][0] + frames.HALF_MS)
    assert [[one.address, one.function, one.data.hex()] for one in found] == case["frames"]
    assert [keys.meaning(one) for one in found] == case["means"]
    assert [encode(frames.echo(one)).hex() for one in found] == case["echo"]
    assert {word: count for word, count in reader.bad._asdict().items() if count} == case["bad"]


def test_the_three_frames_of_the_protocol_as_they_were_recorded() -> None:
    assert encode(Frame(3, frames.KEYPAD, bytes([keys.CALL]))) == CALL
    assert encode(Frame(3, 1, bytes([keys.ABANDON, keys.DIGIT]))) == bytes.fromhex("FF680404680301060F1916")
    rating = Frame(5, frames.EVALUATOR, b"\x03")
    assert encode(rating) == bytes.fromhex("FF6803036805110319 16".replace(" ", ""))
    assert encode(frames.echo(rating)) == bytes.fromhex("FF68030368050103 09 16")


@given(st.lists(ANY, max_size=8))
def test_what_is_encoded_is_read_back(sent: list[Frame]) -> None:
    reader = Reader()
    assert read(b"".join(map(encode, sent)), reader) == sent
    assert reader.bad == frames.Bad() and not len(reader)


@given(st.lists(ANY, max_size=5), st.data())
def test_it_does_not_matter_how_the_bytes_are_cut(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    reader, found, at = Reader(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        found += reader.feed(stream[at : at + step], at)  # less than 100 ms between any two
        at += step
    assert found == sent


@given(st.binary(max_size=40).filter(lambda noise: b"\xff" not in noise), ANY)
def test_noise_before_a_frame_hides_nothing(noise: bytes, frame: Frame) -> None:
    reader = Reader()
    assert read(noise + encode(frame), reader) == [frame]
    assert reader.bad == frames.Bad(noise=len(noise))


@given(st.binary(max_size=60), ANY)
def test_any_noise_then_silence_then_a_frame_is_that_frame(noise: bytes, frame: Frame) -> None:
    """A half frame may swallow what follows at once; what follows a silence it may not."""
    reader = Reader()
    reader.feed(noise, 0)
    reader.expire(frames.HALF_MS)
    assert not len(reader), "nothing is kept for ever"
    assert reader.feed(encode(frame), frames.HALF_MS) == [frame]


@given(ANY, ANY, st.data())
def test_a_broken_byte_costs_its_own_frame_and_no_other(first: Frame, second: Frame, data: st.DataObject) -> None:
    """Whatever else stands in a broken frame, the next one is found: the search goes on one byte behind the start."""
    broken = bytearray(encode(first))
    at = data.draw(st.integers(0, len(broken) - 1))
    broken[at] ^= data.draw(st.integers(1, 255))
    found = read(bytes(broken) + encode(second))
    assert found[-1:] == [second] and first not in found[:-1]


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_nothing_on_the_line_raises_and_every_byte_is_accounted_for(stream: bytes) -> None:
    reader = Reader()
    found = read(stream, reader)
    assert sum(len(encode(one)) for one in found) + sum(reader.bad) == len(stream)
    assert all(encode(one) in stream for one in found), "only what stood there, sum and all"


@given(st.lists(st.sampled_from([b"\xff", b"\x68", b"\x03", b"\x04", b"\x05", b"\x16", CALL, CALL[:5], CALL[:7]])))
def test_what_looks_like_frames_is_read_the_same_byte_by_byte(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    reader, found = Reader(), []
    for one in stream:
        found += reader.feed(bytes([one]), 0)
    found += reader.expire(frames.HALF_MS)
    assert found == read(stream)


def test_a_start_inside_a_frame_that_failed_is_found() -> None:
    """Half a frame, and a whole one right behind it, both within 100 ms."""
    half = bytes.fromhex("FF68050568 0301")
    reader = Reader()
    assert reader.feed(half, 0) == [] and reader.feed(CALL, 20) == [Frame(3, 1, b"\x0c")]
    assert reader.bad.sum == 1


def test_half_a_frame_lives_99_ms_and_dies_at_100() -> None:
    for gap_ms, lives in ((99, True), (100, False)):
        reader = Reader()
        reader.feed(CALL[:6], 1000)
        assert bool(reader.feed(CALL[6:], 1000 + gap_ms)) is lives
        assert bool(reader.bad.half) is not lives


@pytest.mark.parametrize(
    ("at", "word"), [(2, "length"), (3, "length"), (4, "middle"), (5, "sum"), (8, "sum"), (9, "tail")]
)
def test_each_check_has_its_own_count(at: int, word: str) -> None:
    broken = bytearray(CALL)
    broken[at] ^= 0x80
    reader = Reader()
    assert read(bytes(broken), reader) == [] and getattr(reader.bad, word) == 1


def test_a_length_of_2_or_6_is_none() -> None:
    for length in (2, 6):
        inner = bytes([3, 1, *[0x0C] * (length - 2)])
        stream = frames.HEAD + bytes([length, length, 0x68]) + inner + bytes([sum(inner) & 0xFF, 0x16])
        assert read(stream) == []
    with pytest.raises(AssertionError):
        encode(Frame(3, 1, b"1234"))


@pytest.mark.parametrize(
    ("number", "digits"),
    [("A012", "000102"), ("A1234", "020304"), ("7", "0a0a07"), ("", "0a0a0a"), ("AB", "0a0a0a"), ("A９1", "0a0a01")],
)
def test_a_display_shows_three_digits(number: str, digits: str) -> None:
    assert frames.show(9, number) == Frame(9, frames.SHOW, bytes.fromhex(digits))
