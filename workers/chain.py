"""workers/chain.py: the seal of a batch, a CRC-32 against damage and a SHA-256 chain against tampering.

short, long = MessagePack of ([seq ...], [hall ...], [n ...], [row ...]) by class of kind; head = first, last, epoch,
at_ms. Columns, because a list of tuples would keep the garbage collector busy.

crc   = CRC-32(crc before, head ‖ short ‖ long)
chain = SHA-256(chain before ‖ head ‖ SHA-256(short) ‖ SHA-256(long))
Rows are sealed with their words, not with word numbers, so a changed word table is found as well. When a class is
erased, its SHA-256 is kept in the batch row and the chain can still be followed.
"""

import struct
import zlib
from collections.abc import Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from workers.ports import Row, Stored

LONG_FROM: Final = 128  # kinds from here live long: policy, cases, conduct, findings, appeals
HEAD: Final = struct.Struct("<QQQq")
SNAPSHOT_HEAD: Final = struct.Struct("<QQQq")
encode: Final = msgspec.msgpack.Encoder().encode

Item = tuple[str, int, Stored]  # hall, n, row


class Head(NamedTuple):
    """What a batch row says about itself."""

    first: int
    last: int
    epoch: int
    at_ms: int


class Columns(NamedTuple):
    """The facts of a batch in seq order."""

    halls: list[str]
    ns: list[int]
    rows: list[Stored]


class Seal(NamedTuple):
    """Where the CRC and the chain stand after a batch."""

    crc: int
    chain: bytes


START: Final = Seal(0, bytes(32))
KIND: Final = itemgetter(Row._fields.index("kind"))
NOTHING: Final = encode(([], [], [], []))


def columns(items: Sequence[Item]) -> Columns:
    """The same facts by column."""
    return Columns([item[0] for item in items], [item[1] for item in items], [item[2] for item in items])


def split(seqs: list[int], facts: Columns) -> tuple[bytes, bytes]:
    """The bytes of the short-lived rows and of the long-lived ones."""
    table = (seqs, *facts)
    long = [at for at, kind in enumerate(map(KIND, facts.rows)) if kind >= LONG_FROM]
    if not long:
        return encode(table), NOTHING
    return encode([without(column, long) for column in table]), encode([[one[at] for at in long] for one in table])


def without(column: list[Any], places: list[int]) -> list[Any]:
    """What stays of a column, in few slices: long-lived rows are rare in most batches."""
    kept, start = list[Any](), 0
    for at in places:
        kept += column[start:at]
        start = at + 1
    return kept + column[start:]


def seal(before: Seal, head: Head, facts: Columns) -> Seal:
    """The seal after a whole batch."""
    short, long = split(list(range(head.first, head.first + len(facts.rows))), facts)
    crc = zlib.crc32(long, zlib.crc32(short, zlib.crc32(HEAD.pack(*head), before.crc)))
    return Seal(crc, link(before.chain, head, sha256(short).digest(), sha256(long).digest()))


def digests(seqs: list[int], facts: Columns) -> tuple[bytes, bytes]:
    """SHA-256 of the short-lived and of the long-lived rows: what the chain links."""
    short, long = split(seqs, facts)
    return sha256(short).digest(), sha256(long).digest()


def link(before: bytes, head: Head, short: bytes, long: bytes) -> bytes:
    """The chain after a batch of which only the digests of its classes are needed."""
    return sha256(before + HEAD.pack(*head) + short + long).digest()


def snapshot_crc(hall: str, hall_seq: int, seq: int, fmt: int, at_ms: int, data: bytes) -> int:
    """CRC-32 of a whole snapshot row, so that a changed column is found as surely as changed data. -1, which none is,
    where damage has made another kind of a value."""
    try:
        return zlib.crc32(hall.encode(), zlib.crc32(SNAPSHOT_HEAD.pack(hall_seq, seq, fmt, at_ms), zlib.crc32(data)))
    except (AttributeError, TypeError, struct.error):
        return -1
