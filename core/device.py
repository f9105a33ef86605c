"""core/device.py: the devices of a hall (设备) and whether they are there.

REGISTERED, OFFLINE ─DeviceOnline▶ ONLINE ⇄ DEGRADED (DeviceStatusChanged) ─DeviceOffline▶ OFFLINE
any ─DeviceQuarantined▶ QUARANTINED ─DeviceReadmitted▶ OFFLINE     any ─DeviceRetired▶ RETIRED
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from core.fact import Fact
from core.facts import (
    DeviceOffline,
    DeviceOnline,
    DeviceQuarantined,
    DeviceReadmitted,
    DeviceRetired,
    DeviceStatusChanged,
)


class DeviceState(IntEnum):
    """Whether a device is there."""

    REGISTERED = 1
    ONLINE = 2
    DEGRADED = 3
    OFFLINE = 4
    QUARANTINED = 5
    RETIRED = 6


_AWAY: Final[dict[type[Fact], DeviceState]] = {
    DeviceOnline: DeviceState.ONLINE,
    DeviceQuarantined: DeviceState.QUARANTINED,
    DeviceRetired: DeviceState.RETIRED,
}
_THERE: Final[dict[type[Fact], DeviceState]] = {
    **_AWAY,
    DeviceStatusChanged: DeviceState.ONLINE,  # or DEGRADED, when faults are left
    DeviceOffline: DeviceState.OFFLINE,
}
TRANSITIONS: Final[dict[DeviceState, dict[type[Fact], DeviceState]]] = {
    DeviceState.REGISTERED: _AWAY,
    DeviceState.OFFLINE: _AWAY,
    DeviceState.ONLINE: _THERE,
    DeviceState.DEGRADED: _THERE,
    DeviceState.QUARANTINED: {DeviceReadmitted: DeviceState.OFFLINE, DeviceRetired: DeviceState.RETIRED},
    DeviceState.RETIRED: {},
}
assert TRANSITIONS.keys() == set(DeviceState), "every state has a row, if an empty one"


class Device(Struct, array_like=True):
    """One device. `last_*`: its last take, to tell a double press."""

    device: str
    kind: str
    profile: str = ""
    counter: int = 0
    zone: str = ""
    offline_prefix: str = ""
    state: DeviceState = DeviceState.REGISTERED
    boot: str = ""
    link: int = 0
    firmware: str = ""
    faults: tuple[str, ...] = ()
    last_take_ms: int = 0
    last_service: int = -1

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; faults make an online device degraded."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"device {self.device}: {type(fact).__name__} in {self.state.name}"
        if isinstance(fact, DeviceOnline | DeviceStatusChanged):
            self.faults = fact.faults
            target = DeviceState.DEGRADED if fact.faults else DeviceState.ONLINE
        self.state = target
