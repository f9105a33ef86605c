"""core/rules_devices.py: there, gone, not listened to; only a change is a fact."""

from core import commands as c
from core import facts as f
from core.device import DeviceState
from tests.halls import Driven, opened


def hello(link: int = 1, boot: str = "boot", faults: tuple[str, ...] = ()) -> c.HelloDevice:
    return c.HelloDevice("kiosk-1", boot, link, "2.1.0", "kiosk", faults)


def test_only_a_change_is_a_fact() -> None:
    hall = opened()
    assert hall.ask(hello()) == [f.DeviceOnline("kiosk-1", "boot", 1, "2.1.0")]
    assert hall.ask(hello()) == []
    assert hall.ask(hello(faults=("paper",))) == [f.DeviceStatusChanged("kiosk-1", ("paper",))]
    assert hall.ask(hello(faults=("paper",))) == []
    assert hall.state.devices["kiosk-1"].state is DeviceState.DEGRADED
    assert hall.ask(hello()) == [f.DeviceStatusChanged("kiosk-1")]
    assert hall.ask(hello(link=2)) == [f.DeviceOnline("kiosk-1", "boot", 2, "2.1.0")]
    assert hall.ask(hello(boot="anew")) == [f.DeviceOnline("kiosk-1", "anew", 1, "2.1.0")]


def test_a_will_older_than_the_newest_birth_means_nothing() -> None:
    hall = opened()
    hall.ask(hello(link=2))
    assert hall.ask(c.LoseDevice("kiosk-1", "boot", 1)) == []
    assert hall.ask(c.LoseDevice("kiosk-1", "other", 9)) == []
    assert hall.ask(c.LoseDevice("kiosk-1", "boot", 2)) == [f.DeviceOffline("kiosk-1", 2)]
    assert hall.ask(c.LoseDevice("kiosk-1", "boot", 2)) == []
    hall.ask(hello(link=3))
    assert hall.ask(c.LoseDevice("kiosk-1")) == [f.DeviceOffline("kiosk-1", 3)]


def test_nobody_knows_a_device_that_is_not_there() -> None:
    hall = opened()
    for command in (c.HelloDevice("x"), c.LoseDevice("x"), c.RetireDevice("x"), c.QuarantineDevice("x")):
        assert hall.refused(command) == "device_unknown"


def test_a_quarantined_device_is_not_heard_until_it_is_readmitted() -> None:
    hall = opened()
    assert hall.refused(c.ReadmitDevice("kiosk-1")) == "wrong_state"
    hall.ask(c.QuarantineDevice("kiosk-1"))
    assert hall.refused(c.QuarantineDevice("kiosk-1")) == "wrong_state"
    assert hall.ask(hello()) == []
    assert hall.refused(c.TakeTicket("si"), "kiosk-1") == "device_quarantined"
    hall.ask(c.ReadmitDevice("kiosk-1"))
    assert hall.take().number == "A001"


def test_a_device_is_registered_once_and_again_after_it_was_retired() -> None:
    hall = opened()
    new = c.RegisterDevice("pad-9", "evaluator", "pad", 1)
    assert hall.ask(new) == [f.DeviceRegistered("pad-9", "evaluator", "pad", 1)]
    assert hall.refused(new) == "device_exists"
    assert hall.refused(c.RegisterDevice("pad-8", "evaluator", "pad", 9)) == "counter_unknown"
    hall.ask(c.RetireDevice("pad-9"))
    assert hall.ask(c.HelloDevice("pad-9")) == []
    assert hall.refused(c.RetireDevice("pad-9")) == "wrong_state"
    assert hall.ask(new) == [f.DeviceRegistered("pad-9", "evaluator", "pad", 1)]


def test_devices_come_with_the_policy() -> None:
    known = Driven().state.devices
    assert (known["caller-2"].counter, known["kiosk-1"].offline_prefix, known["ev-2"].profile) == (2, "X", "keys4")
    assert {device.state for device in known.values()} == {DeviceState.REGISTERED}
