"""core/rules_devices.py: decide and evolve for devices: there, gone, not listened to. Only a change is a fact."""

from core.commands import HelloDevice, LoseDevice, QuarantineDevice, ReadmitDevice, RegisterDevice, RetireDevice
from core.device import TRANSITIONS, Device, DeviceState
from core.fact import Fact
from core.facts import (
    DeviceOffline,
    DeviceOnline,
    DeviceQuarantined,
    DeviceReadmitted,
    DeviceRegistered,
    DeviceRetired,
    DeviceStatusChanged,
)
from core.refusals import Refusal
from core.rules_seats import Decision
from core.state import HallState

THERE = (DeviceState.ONLINE, DeviceState.DEGRADED)


def register(state: HallState, command: RegisterDevice, at_ms: int, device: str) -> Decision:
    """A new device, or a retired one back in service."""
    known = state.devices.get(command.device)
    if known is not None and known.state is not DeviceState.RETIRED:
        return Refusal.DEVICE_EXISTS
    if command.counter and command.counter not in state.counters:
        return Refusal.COUNTER_UNKNOWN
    return [DeviceRegistered(command.device, command.kind, command.profile, command.counter)]


def hello(state: HallState, command: HelloDevice, at_ms: int, device: str) -> Decision:
    """A birth or a report of status. What is known already leaves no fact."""
    known = state.devices.get(command.device)
    if known is None:
        return Refusal.DEVICE_UNKNOWN
    if known.state in (DeviceState.QUARANTINED, DeviceState.RETIRED):
        return []
    same_life = (known.boot, known.link) == (command.boot, command.link)
    if known.state not in THERE or not same_life:
        return [DeviceOnline(command.device, command.boot, command.link, command.firmware, command.faults)]
    if known.faults != command.faults:
        return [DeviceStatusChanged(command.device, command.faults)]
    return []


def lose(state: HallState, command: LoseDevice, at_ms: int, device: str) -> Decision:
    """A will. One older than the newest birth means nothing."""
    known = state.devices.get(command.device)
    if known is None:
        return Refusal.DEVICE_UNKNOWN
    stale = bool(command.boot) and (command.boot != known.boot or command.link < known.link)
    if known.state not in THERE or stale:
        return []
    return [DeviceOffline(command.device, known.link)]


def retire(state: HallState, command: RetireDevice, at_ms: int, device: str) -> Decision:
    """Gone for good."""
    return _step(state, command.device, DeviceRetired(command.device))


def quarantine(state: HallState, command: QuarantineDevice, at_ms: int, device: str) -> Decision:
    """A person has decided not to listen to it."""
    return _step(state, command.device, DeviceQuarantined(command.device))


def readmit(state: HallState, command: ReadmitDevice, at_ms: int, device: str) -> Decision:
    """Listened to again."""
    return _step(state, command.device, DeviceReadmitted(command.device))


def _step(state: HallState, device: str, fact: Fact) -> Decision:
    known = state.devices.get(device)
    if known is None:
        return Refusal.DEVICE_UNKNOWN
    return [fact] if type(fact) in TRANSITIONS[known.state] else Refusal.WRONG_STATE


def registered(state: HallState, fact: DeviceRegistered, at_ms: int) -> None:
    """Fold a registration."""
    state.devices[fact.device] = Device(fact.device, fact.kind, fact.profile, fact.counter)


def online(state: HallState, fact: DeviceOnline, at_ms: int) -> None:
    """Fold a birth."""
    known = state.devices[fact.device]
    known.advance(fact)
    known.boot, known.link, known.firmware = fact.boot, fact.link, fact.firmware


def moved(
    state: HallState,
    fact: DeviceOffline | DeviceStatusChanged | DeviceRetired | DeviceQuarantined | DeviceReadmitted,
    at_ms: int,
) -> None:
    """Fold a change that the table alone describes."""
    state.devices[fact.device].advance(fact)
