"""devices/channels.py: the five topics of a device as a table: who speaks, kept or not, which messages, and why."""

from typing import Any, Final, NamedTuple

from msgspec import Struct

from devices import pictures, topics, wire

Json = dict[str, Any]
REF: Final = "#/components/schemas/{name}"


class Channel(NamedTuple):
    """One leaf of the topic tree. `action`: what the device does; `messages`: name -> schema."""

    leaf: str
    action: str
    retain: bool
    about: str
    messages: dict[str, Json]


class Screen(Struct, frozen=True):
    """A whole picture. Newer is the larger (epoch, revision); an older one is ignored."""

    epoch: int
    revision: int
    sent_ms: int
    body: pictures.Picture


assert Screen.__struct_fields__ == wire.Screen.__struct_fields__, "the same message, its body spelled out"


def _ref(kind: type[Struct]) -> Json:
    return {"$ref": REF.format(name=kind.__name__)}


CHANNELS: Final = (
    Channel(
        topics.EVENT,
        "send",
        False,
        "What happened at the device: one event, or an array of 1 to 64. At most 16 KiB. One message at a time is "
        "unacknowledged; the next is sent when the ack of the last has come.",
        {
            "event": _ref(wire.Event),
            "events": {"type": "array", "minItems": 1, "maxItems": wire.MAX_BATCH, "items": _ref(wire.Event)},
        },
    ),
    Channel(
        topics.STATE,
        "send",
        True,
        "The device's own state: `ready` or `degraded` after each connection (the birth), `closed` before an orderly "
        "end, and `lost` as the last will. Retained. An empty payload means `lost`.",
        {"state": _ref(wire.State)},
    ),
    Channel(
        topics.ACK,
        "receive",
        False,
        "What became of events, sent after the commit. Only this lets an event leave the outbox; a PUBACK does not.",
        {"ack": _ref(wire.Ack)},
    ),
    Channel(
        topics.COMMAND,
        "receive",
        False,
        "An order to be carried out once: the same (id, type) again is ignored, and so is one after `until_ms`.",
        {"command": _ref(wire.Message)},
    ),
    Channel(
        topics.SCREEN,
        "receive",
        True,
        "The whole picture that the device must show. Retained, so that it is right after any reconnect.",
        {"screen": _ref(Screen)},
    ),
)
