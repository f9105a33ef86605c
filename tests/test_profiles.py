"""devices/profiles.py: which kind may send what."""

from typing import get_args

import pytest

from core import commands as c
from core import commands_cases as cc
from core.policy import DevicePart
from devices.profiles import ALLOWED

DEVICE_COMMANDS = set(get_args(c.DeviceCommand))


def test_every_kind_of_the_policy_has_an_entry() -> None:
    kinds = get_args(DevicePart.__annotations__["kind"])
    assert set(ALLOWED) == set(kinds)


@pytest.mark.parametrize("kind", ALLOWED)
def test_no_kind_may_send_what_belongs_to_the_shell(kind: str) -> None:
    assert ALLOWED[kind] <= DEVICE_COMMANDS


def test_every_device_command_is_some_kinds() -> None:
    assert frozenset().union(*ALLOWED.values()) == DEVICE_COMMANDS


def test_no_clerks_key_carries_a_rating_and_no_kiosk_calls() -> None:
    raters = {kind for kind, commands in ALLOWED.items() if c.SubmitEvaluation in commands}
    callers = {kind for kind, commands in ALLOWED.items() if c.CallNext in commands}
    assert (raters, callers) == ({"evaluator", "self_service"}, {"caller"})


def test_cameras_and_pads_send_their_state_alone_and_people_counters_one_number() -> None:
    """Never an image or a signature (高拍仪、签名板)."""
    assert ALLOWED["peripheral"] == frozenset()
    assert ALLOWED["sensor"] == {cc.CountZone}


def test_only_the_guide_diverts() -> None:
    assert [kind for kind, commands in ALLOWED.items() if cc.DivertQueue in commands] == ["guide"]
