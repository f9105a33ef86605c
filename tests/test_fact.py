"""core/fact.py: a cause is what the envelope of the journal keeps."""

from core.fact import Cause, Fact, new_cause, unchecked
from core.facts import DeviceQuarantined, DeviceRetired


def test_a_cause_names_device_boot_number_and_body() -> None:
    assert Cause("k1", "boot", 4, 9)._asdict() == {"device": "k1", "boot": "boot", "seq": 4, "body": 9}


def test_what_is_made_without_the_call_of_its_class_is_what_the_call_makes() -> None:
    made = new_cause(("k1", "boot", 4, 9))
    assert type(made) is Cause and made == Cause("k1", "boot", 4, 9) and made.seq == 4
    assert type(unchecked(Cause)(("k1", "boot", 4, 9))) is Cause


def test_facts_of_all_kinds_are_told_apart() -> None:
    assert issubclass(DeviceRetired, Fact)
    assert DeviceRetired("k1") == DeviceRetired("k1") != DeviceQuarantined("k1")
