"""workers/chain.py: the seal covers every field of head and rows, in order, and goes on from the one before."""

import pytest

from workers import chain
from workers.chain import START, Head, Item, Seal, columns, seal
from workers.ports import Row

HEAD = Head(1, 3, 7, 1000)
ITEMS: list[Item] = [
    ("a", 1, Row(10, 5, 1, "kiosk", "boot", 1, b"one")),
    ("a", 2, Row(11, 200, 1, "", "", 0, b"policy")),
    ("b", 1, Row(12, 5, 2, "kiosk", "boot", 2, b"two")),
]
FACTS = columns(ITEMS)


@pytest.mark.parametrize("field", Head._fields)
def test_every_field_of_the_head_is_sealed(field: str) -> None:
    if field != "first":  # first places the rows; a wrong one is a hole
        changed = HEAD._replace(**{field: getattr(HEAD, field) + 1})
        other, good = seal(START, changed, FACTS), seal(START, HEAD, FACTS)
        assert other.crc != good.crc
        assert other.chain != good.chain


@pytest.mark.parametrize("field", Row._fields)
@pytest.mark.parametrize("place", [0, 1])
def test_every_field_of_a_row_is_sealed(field: str, place: int) -> None:
    hall, n, row = ITEMS[place]
    value = getattr(row, field)
    changed = row._replace(**{field: value + 1 if isinstance(value, int) else value + value[:1] or b"?"})
    items = [(hall, n, changed) if at == place else item for at, item in enumerate(ITEMS)]
    if changed != row:
        assert seal(START, HEAD, columns(items)).crc != seal(START, HEAD, FACTS).crc
        assert seal(START, HEAD, columns(items)).chain != seal(START, HEAD, FACTS).chain


@pytest.mark.parametrize("other", [("b", 1), ("a", 9)])
def test_hall_and_n_are_sealed(other: tuple[str, int]) -> None:
    items = [(*other, ITEMS[0][2]), *ITEMS[1:]]
    assert seal(START, HEAD, columns(items)) != seal(START, HEAD, FACTS)


def test_a_seal_goes_on_from_the_one_before() -> None:
    good = seal(START, HEAD, FACTS)
    assert seal(Seal(1, START.chain), HEAD, FACTS).crc != good.crc
    assert seal(Seal(0, bytes([1]) * 32), HEAD, FACTS).chain != good.chain


def test_rows_are_parted_by_how_long_they_live() -> None:
    short, long = chain.split(list(range(1, len(FACTS.rows) + 1)), FACTS)
    rows = [row for _, _, row in ITEMS]
    assert short == chain.encode(([1, 3], ["a", "b"], [1, 1], [rows[0], rows[2]]))
    assert long == chain.encode(([2], ["a"], [2], rows[1:2]))
    assert chain.split([1], columns(ITEMS[:1])) == (chain.encode(([1], ["a"], [1], rows[:1])), chain.NOTHING)


def test_the_first_long_lived_kind_is_not_erased_with_the_short_lived() -> None:
    facts = columns(
        [
            ("a", 1, Row(10, chain.LONG_FROM - 1, 1, "", "", 0, b"")),
            ("a", 2, Row(10, chain.LONG_FROM, 1, "", "", 0, b"")),
        ]
    )
    _, long = chain.split([1, 2], facts)
    assert long == chain.encode(([2], ["a"], [2], facts.rows[1:]))


def test_the_chain_can_be_followed_when_only_digests_are_left() -> None:
    short, long = (chain.sha256(part).digest() for part in chain.split(list(range(1, len(FACTS.rows) + 1)), FACTS))
    assert chain.link(START.chain, HEAD, short, long) == seal(START, HEAD, FACTS).chain


def test_the_first_seal_is_pinned() -> None:
    """What is stored for ever must not change with the program."""
    crc, link = seal(START, HEAD, FACTS)
    assert (crc, link.hex()[:16]) == (1621291630, "8ed74adca452f73a")
