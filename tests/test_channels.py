"""devices/channels.py: directions and bindings in the document are those of the topics."""

from devices import contract, topics, wire
from devices.channels import CHANNELS, Screen
from devices.pictures import KioskPicture


def test_directions_and_bindings_are_those_of_the_topics() -> None:
    """Retained are state and screen; the device sends what `topics.UP` names; everything is QoS 1."""
    found = contract.document()
    sends = {
        one["channel"]["$ref"].rpartition("/")[2] for one in found["operations"].values() if one["action"] == "send"
    }
    assert sends == set(topics.UP)
    bindings = {
        one["channel"]["$ref"].rpartition("/")[2]: one["bindings"]["mqtt"] for one in found["operations"].values()
    }
    assert bindings == {leaf: {"qos": 1, "retain": leaf in ("state", "screen")} for leaf in found["channels"]}
    assert set(bindings) == {topics.EVENT, topics.ACK, topics.COMMAND, topics.STATE, topics.SCREEN}
    will = found["servers"]["hall"]["bindings"]["mqtt"]["lastWill"]
    assert (will["topic"], will["qos"], will["retain"]) == ("jh/v1/{hall}/{device}/state", 1, True)
    message = will["message"].replace("{boot}", "k7Qx21").replace("{link}", "4")
    assert wire.decode_state(message.encode()) == wire.State("lost", "k7Qx21", 4)


def test_what_is_sent_is_what_a_device_may_publish_and_screens_carry_any_picture() -> None:
    assert {one.leaf for one in CHANNELS if one.action == "send"} == set(topics.UP)
    picture = KioskPicture(open=True, services=[("si", 3, -1)])
    assert wire.encode(wire.Screen(1, 2, 3, picture)) == wire.encode(Screen(1, 2, 3, picture))  # type: ignore[arg-type]  # the same bytes
