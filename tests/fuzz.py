"""tests/fuzz.py RUNS SEED [CORPUS]: atheris tries bytes on what reads bytes of strangers, guided by what they reach.

The first byte chooses: a message, a state, a topic, a serial line. Needs the package `atheris`; ends by itself.
"""

import re
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["devices", "core.refusals"]):
    from core.refusals import Refusal
    from devices import frames, topics, wire
    from workers.tallies import REASONS

FAULTS = ("not_json", "bad_field", "bad_batch", "too_large")
BOOT = re.compile(r"[A-Za-z0-9_-]{4,32}")


def message(data: bytes) -> None:
    """Commands or what is wrong with them, never nothing, and never an exception."""
    found = wire.decode(data, "kiosk-1")
    assert found
    for one in found:
        if one.cause is not None:
            assert one.cause.device == "kiosk-1" and BOOT.fullmatch(one.cause.boot) and 1 <= one.cause.seq < 2**53
        if isinstance(one, wire.Bad):
            assert one.counted in REASONS
            assert (one.reason in FAULTS) if one.cause is None else Refusal(one.reason)


def state(data: bytes) -> None:
    found = wire.decode_state(data)
    assert isinstance(found, wire.State) or found.counted in REASONS


def topic(data: bytes) -> None:
    """Taken apart and put together it is the same; else it is none."""
    text = data.decode("utf-8", "replace")
    found = topics.split(text)
    assert found is None or topics.build(*found) == text


def line(data: bytes) -> None:
    """In pieces, with pauses: every byte is of a frame, counted as bad, or still waited for; each frame reads back."""
    reader, at_ms, fed, size, whole = frames.Reader(), 0, 0, 1 + (data[:1] or b"\0")[0] % 16, 0
    for start in range(1, len(data), size):
        piece = data[start : start + size]
        fed += len(piece)
        for frame in reader.feed(piece, at_ms):
            whole += len(frames.encode(frame))
            assert frames.Reader().feed(frames.encode(frame), 0) == [frame]
            frames.encode(frames.echo(frame))
        at_ms += piece[-1] % 150
    assert whole + sum(reader.bad) + len(reader) == fed
    reader.expire(at_ms + frames.HALF_MS)
    assert len(reader) == 0


TARGETS = (message, state, topic, line)


def one(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds(into: Path) -> None:
    """What is right, to begin with: the examples of the vendor page and the recorded frames of its table."""
    page = (Path(__file__).resolve().parent.parent / "devices" / "README.md").read_text("utf-8")
    messages = re.findall(r"```json (\w+)\n(.*?)\n```", page, re.DOTALL)
    found = [b"\1" + text.encode() if kind == "state" else b"\0" + text.encode() for kind, text in messages]
    found += [b"\2" + text.encode() for text in re.findall(r"`(jh/v1/\S+)`", page)]
    found += [b"\3\7" + bytes.fromhex(text) for text in re.findall(r"`((?:[0-9A-F]{2} ){6,}[0-9A-F]{2})`", page)]
    assert len(found) > 10
    for at, data in enumerate(found):
        (into / str(at)).write_bytes(data)


if __name__ == "__main__":
    runs, seed, corpus = sys.argv[1:]
    seeds(Path(corpus))
    atheris.Setup(
        [sys.argv[0], f"-atheris_runs={runs}", f"-seed={seed}", "-max_len=400", f"-artifact_prefix={corpus}/", corpus],
        one,
    )
    atheris.Fuzz()
