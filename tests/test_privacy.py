"""devices/privacy.py: identity and phone numbers are found however they are written, and nothing else is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import privacy
from devices.privacy import REMARK_MAX, masked, personal, remark

IDENTITY = "11010519491231002X"
PHONE = "13812345678"


@pytest.mark.parametrize(
    "text",
    [
        IDENTITY,
        IDENTITY.lower(),
        f"我的身份证{IDENTITY}谢谢",
        "110105 19491231 002X",
        "110105-19491231-002X",
        "１１０１０５１９４９１２３１００２Ｘ",
        PHONE,
        f"电话{PHONE}。",
        "+86 138 1234 5678",
        "138-1234-5678",
        "138.1234.5678",
        "１３８１２３４５６７８",
        f"x{PHONE}y",
        f"{PHONE}x",
        f"窗口 5 {PHONE}",
        "3 138 1234 5678 2",
        f"{'1' * 40} {IDENTITY}",
        f"86 {PHONE}",
    ],
)
def test_numbers_of_people_are_found(text: str) -> None:
    assert personal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "等太久",
        "A012",
        "110105194912310021",
        "12812345678",
        "1381234567",
        "138123456789",
        "0" * 18,
        "13812345678" * 2,
        "2026 1124 0830 1700",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not personal(text)


@pytest.mark.parametrize("between", ["", " ", "-", " . "])
def test_a_comment_is_looked_at_as_far_as_it_is_kept(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = between.join(PHONE)
    assert remark("等" * (REMARK_MAX - 1) + phone) is None, "the cut splits none"
    assert remark("等" * (REMARK_MAX + 200) + phone) == "等" * REMARK_MAX
    assert remark("  等太久  ") == "等太久"
    seen: list[str] = []
    monkeypatch.setattr(privacy, "personal", seen.append)
    remark("1 2 " * 4096)
    assert [len(text) for text in seen] == [REMARK_MAX + privacy.MARGIN], "what is dropped anyway costs nothing"


def test_many_numbers_are_masked_in_one_text() -> None:
    assert masked(f"{PHONE} {IDENTITY}, 5 {PHONE}") == "138****5678 110*************2X, 5 138****5678"
    assert masked("138-1234-5678 1-2") == "138****5678 1-2"


def test_masks_leave_the_ends() -> None:
    assert masked(f"证{IDENTITY}电话{PHONE}") == "证110*************2X电话138****5678"
    assert masked("等太久 A012") == "等太久 A012"


WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@settings(max_examples=200, derandomize=True)
@given(
    digits=st.lists(st.integers(0, 9), min_size=17, max_size=17),
    around=st.text(alphabet="字 ,。", max_size=3),
    separator=st.sampled_from(["", " ", "-", "."]),
)
def test_every_valid_identity_number_is_found_and_masked(digits: list[int], around: str, separator: str) -> None:
    check = "10X98765432"[sum(a * b for a, b in zip(digits, WEIGHTS, strict=True)) % 11]
    number = "".join(map(str, digits)) + check
    text = around + separator.join([number[:6], number[6:14], number[14:]]) + around
    assert personal(text)
    assert number not in masked(text) and not personal(masked(text))


@settings(max_examples=200, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_can_be_judged_and_what_is_masked_is_clean(text: str) -> None:
    personal(text)
    assert not personal(masked(text))
