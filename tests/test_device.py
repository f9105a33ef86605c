"""core/device.py: every state against every fact, with and without faults, and the table as the design writes it."""

import msgspec
import pytest

from core.device import TRANSITIONS, Device, DeviceState
from core.fact import Fact
from core.facts import DeviceOnline, DeviceStatusChanged
from tests.halls import EXAMPLES, off_the_table, table, written

AWAY = "DeviceOnline online, DeviceQuarantined quarantined, DeviceRetired retired"
THERE = f"{AWAY}, DeviceStatusChanged online, DeviceOffline offline"
DESIGN = (
    f"registered: {AWAY}\noffline: {AWAY}\nonline: {THERE}\ndegraded: {THERE}\n"
    "quarantined: DeviceReadmitted offline, DeviceRetired retired\nretired:"
)


def test_advance_follows_the_table() -> None:
    assert off_the_table(TRANSITIONS, lambda state: Device("k1", "kiosk", state=state)) == []


def test_the_table_is_the_designs() -> None:
    assert written(TRANSITIONS) == table(DESIGN)


@pytest.mark.parametrize("kind", [DeviceOnline, DeviceStatusChanged])
@pytest.mark.parametrize("state", [DeviceState.ONLINE, DeviceState.DEGRADED])
def test_faults_make_a_device_degraded_and_their_end_makes_it_well(state: DeviceState, kind: type[Fact]) -> None:
    device = Device("k1", "kiosk", state=state)
    device.advance(msgspec.structs.replace(EXAMPLES[kind], faults=("paper",)))
    assert (device.state, device.faults) == (DeviceState.DEGRADED, ("paper",))
    device.advance(msgspec.structs.replace(EXAMPLES[kind], faults=()))
    assert (device.state, device.faults) == (DeviceState.ONLINE, ())
