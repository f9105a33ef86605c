"""core/fact.py: a cause is what the envelope of the journal keeps."""

from core.fact import Cause, Fact
from core.facts import DeviceQuarantined, DeviceRetired


def test_a_cause_names_device_boot_number_and_body() -> None:
    assert Cause("k1", "boot", 4, 9)._asdict() == {"device": "k1", "boot": "boot", "seq": 4, "body": 9}


def test_facts_of_all_kinds_are_told_apart() -> None:
    assert issubclass(DeviceRetired, Fact)
    assert DeviceRetired("k1") == DeviceRetired("k1") != DeviceQuarantined("k1")
