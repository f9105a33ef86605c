"""devices/topics.py: the tree, and what is none of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.topics import ACK, COMMAND, EVENT, PROBE, SCREEN, STATE, Topic, build, split


@pytest.mark.parametrize("leaf", [EVENT, STATE])
def test_what_goes_up_is_taken_apart(leaf: str) -> None:
    assert split(build("h1", "kiosk-1", leaf)) == Topic("h1", "kiosk-1", leaf)


@pytest.mark.parametrize("leaf", [ACK, COMMAND, SCREEN, "other", ""])
def test_what_goes_down_is_not_heard(leaf: str) -> None:
    assert split(build("h1", "kiosk-1", leaf)) is None


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "jh/v1/h1/k1",
        "jh/v1/h1/k1/event/x",
        "jh/v2/h1/k1/event",
        "JH/v1/h1/k1/event",
        "/jh/v1/h1/k1/event",
        "jh/v1//k1/event",
        "jh/v1/h1//event",
        "jh/v1/h 1/k1/event",
        "jh/v1/h.1/k1/event",
        "jh/v1/厅/k1/event",
        "jh/v1/h1/+/event",
        "jh/v1/h1/k1\n/event",
        "jh/v1/_h/k1/event",
        "jh/v1/h1/_k/event",
        f"jh/v1/{'h' * 65}/k1/event",
        PROBE,
    ],
)
def test_what_is_none_of_ours(topic: str) -> None:
    assert split(topic) is None


def test_the_longest_id_is_64() -> None:
    assert split(build("h" * 64, "k" * 64, EVENT)) == Topic("h" * 64, "k" * 64, EVENT)


@settings(max_examples=200, derandomize=True)
@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert split(text) is None
    assert split(f"jh/v1/{text}/k1/event") in (None, Topic(text, "k1", "event"))
