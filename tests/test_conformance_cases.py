"""devices/conformance_cases.py: the list is whole; what is seen in everything said is seen. The cases themselves are
played in test_conformance.py, each against a fault of its own.
"""

import asyncio
import json

import pytest

from devices.conformance_cases import CASES, c16, c17, c19, c20
from devices.conformance_stage import Failed, Limits, Stage
from devices.gate import Gate
from devices.scripted_core import Core, Said, Sending
from tests.toys import FAULTS, PHONE

OK_EVENT = {
    "boot": "k7Qx21",
    "seq": 118,
    "sent_ms": 1795420800123,
    "body": {"type": "ticket.cancel", "ticket": 13812345678},
}


def stage(*said: tuple[str, object], profile: str = "kiosk") -> Stage:
    """A stage on which this has been said."""
    core, gate = Core.__new__(Core), Gate(0)
    payloads = [(leaf, one if isinstance(one, bytes) else json.dumps(one).encode()) for leaf, one in said]
    core.said = [Said(0, leaf, payload, None) for leaf, payload in payloads]
    core.sendings = [
        Sending(0, ("boot", 1), one["body"], 0) for leaf, one in said if isinstance(one, dict) and leaf == "event"
    ]
    return Stage(core, gate, None, Limits(), profile, "h1", "d", 0)  # type: ignore[arg-type]  # nobody's hands


def test_every_case_of_the_design_is_there_says_what_it_asks_and_has_a_fault() -> None:
    assert sorted(CASES) == [f"C{at:02}" for at in range(1, 23)]
    assert all(case.__doc__ and "\n" not in case.__doc__ for case in CASES.values())
    of_voices = {"C21", "C22"}  # failed in test_conformance_voice
    assert set(FAULTS.values()) == set(CASES) - of_voices, "each is failed by some device"
    whole = list(CASES)[-4:]
    assert whole == ["C16", "C17", "C19", "C20"], "what looks at everything said comes last"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (c16, ("event", b"x" * 16_385)),
        (c16, ("event", b"[]")),
        (c16, ("event", [OK_EVENT] * 65)),
        (c16, ("event", b"\xff")),
        (c16, ("event", OK_EVENT | {"boot": "a b c d"})),
        (c16, ("state", {"boot": "k7Qx21"})),
        (c17, ("event", OK_EVENT | {"note": PHONE})),
        (c17, ("state", {"state": "ready", "faults": [f"call {PHONE}"]})),
        (c20, ("event", OK_EVENT | {"body": {"type": "ticket.call_next"}})),
    ],
)
def test_what_must_not_be_said_is_noticed(case: object, said: tuple[str, object]) -> None:
    with pytest.raises(Failed):
        asyncio.run(case(stage(said)))  # type: ignore[operator]  # a case


def test_what_may_be_said_passes() -> None:
    """A ticket and a time of many digits are no phone number."""
    right = stage(("event", OK_EVENT), ("event", [OK_EVENT]), ("state", {"state": "ready"}), ("state", b""))
    for case in (c16, c17, c20):
        asyncio.run(case(right))


def test_version_5_is_welcome_beside_3_1_1_and_not_alone() -> None:
    for levels, passes in (([4], True), ([5, 4], True), ([5], False), ([], False)):
        one = stage()
        one.gate.levels += levels
        try:
            asyncio.run(c19(one))
        except Failed:
            assert not passes
        else:
            assert passes
