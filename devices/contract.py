"""devices/contract.py: the AsyncAPI 3 document of the wire, from the device's side, generated from the Structs.

`document()` is the whole of it, `text()` its YAML. What the Structs do not know (directions, quality of service,
retained or not) stands in the table of channels here, and nowhere else in code that a vendor reads.
"""

import json
import re
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from core import commands as c
from core.refusals import Refusal
from devices import pictures, topics, wire
from devices.profiles import ALLOWED

Json = dict[str, Any]
REF: Final = "#/components/schemas/{name}"
ABOUT: Final = """What a device of a public-service hall says and hears. Everything is UTF-8 JSON over MQTT 3.1.1 or 5.
An event is repeated, with the same boot, seq and body, until its ack has come; the hall applies it once.
Unknown fields and unknown types are ignored; a field never changes its meaning. devices/README.md tells the rest."""


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
EXAMPLES: Final[dict[str, tuple[Json | list[Json], ...]]] = {
    "event": (
        {
            "boot": "k7Qx21",
            "seq": 118,
            "sent_ms": 1795420800123,
            "body": {"type": "ticket.take", "service": "si", "class": "ordinary"},
        },
        {"boot": "p04aa9", "seq": 9, "sent_ms": 1795420811000, "body": {"type": "ticket.call_next"}},
        {
            "boot": "e1c0ff",
            "seq": 31,
            "sent_ms": 1795421400500,
            "body": {"type": "evaluation.submit", "level": 2, "options": ["slow"], "option_set": "gov@3"},
        },
    ),
    "events": (
        [
            {"boot": "k7Qx21", "seq": 119, "age_ms": 7100000, "body": {"type": "ticket.report_print", "ticket": 811}},
            {"boot": "k7Qx21", "seq": 120, "age_ms": 7040000, "body": {"type": "ticket.report_print", "ticket": 812}},
        ],
    ),
    "state": (
        {"state": "ready", "boot": "k7Qx21", "link": 4, "fw": "2.1.0", "profile": "kiosk", "faults": []},
        {"state": "lost", "boot": "k7Qx21", "link": 4},
    ),
    "ack": (
        {
            "boot": "k7Qx21",
            "now_ms": 1795420800140,
            "results": [{"seq": 118, "ok": {"type": "ticket", "ticket": 812, "number": "A012", "ahead": 3}}],
        },
        {"boot": "p04aa9", "now_ms": 1795420811009, "results": [{"seq": 9, "refused": "nothing_eligible"}]},
        {"boot": "", "now_ms": 1795420811009, "results": [], "fault": "not_json"},
    ),
    "command": (
        {
            "id": 48213,
            "sent_ms": 1795420811020,
            "until_ms": 1795420841020,
            "body": {"type": "voice.say", "call": 990, "text": "请A012号到3号窗口", "lang": "zh", "times": 2},
        },
    ),
    "screen": (
        {
            "epoch": 1,
            "revision": 48213,
            "sent_ms": 1795420811020,
            "body": {"type": "counter", "counter": 3, "number": "A012", "status": "calling", "staff": "s003"},
        },
    ),
}
DECODED: Final[dict[str, Any]] = {
    "event": wire.Event,
    "events": list[wire.Event],
    "state": wire.State,
    "ack": wire.Ack,
    "command": wire.Message,
    "screen": Screen,
}
assert EXAMPLES.keys() == DECODED.keys() == {name for channel in CHANNELS for name in channel.messages}


def document() -> Json:
    """The document as plain values."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Jiaohao 叫号: devices", "version": "1.0.0", "description": ABOUT},
        "defaultContentType": "application/json",
        "servers": {"hall": _server()},
        "channels": {channel.leaf: _channel(channel) for channel in CHANNELS},
        "operations": {f"{one.action}{one.leaf.capitalize()}": _operation(one) for one in CHANNELS},
        "components": {"messages": _messages(), "schemas": _schemas()},
        "x-kinds": {kind: sorted(c.TYPE_OF[one] for one in allowed) for kind, allowed in sorted(ALLOWED.items())},
        "x-refusals": [str(reason) for reason in Refusal],
    }


def _server() -> Json:
    will = {"topic": topics.build("{hall}", "{device}", topics.STATE), "qos": 1, "retain": True}
    will["message"] = '{"state":"lost","boot":"{boot}","link":{link}}'
    return {
        "host": "{broker}:8883",
        "protocol": "secure-mqtt",
        "protocolVersion": "3.1.1",
        "description": "The broker of the hall. The username is `hall/device`; so is the CN of a client certificate.",
        "variables": {"broker": {"description": "Its name in the hall's network", "default": "broker.hall"}},
        "bindings": {"mqtt": {"cleanSession": True, "keepAlive": 30, "lastWill": will}},
    }


def _channel(channel: Channel) -> Json:
    return {
        "address": topics.build("{hall}", "{device}", channel.leaf),
        "description": channel.about,
        "parameters": {
            "hall": {"description": "The hall's id, 1 to 64 of A-Z a-z 0-9 - _ and no _ first"},
            "device": {"description": "The device's id in its hall, of the same characters"},
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
    }


def _operation(channel: Channel) -> Json:
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{channel.leaf}"},
        "summary": channel.about.partition(".")[0] + ".",
        "messages": [{"$ref": f"#/channels/{channel.leaf}/messages/{name}"} for name in channel.messages],
        "bindings": {"mqtt": {"qos": 1, "retain": channel.retain}},
    }


def _messages() -> Json:
    return {
        name: {
            "name": name,
            "contentType": "application/json",
            "payload": schema,
            "examples": [{"payload": example} for example in EXAMPLES[name]],
        }
        for channel in CHANNELS
        for name, schema in channel.messages.items()
    }


def _schemas() -> Json:
    kinds = [wire.Event, wire.State, wire.Ack, wire.Message, Screen]
    _, found = msgspec.json.schema_components(kinds, ref_template=REF)
    return {name: plain(schema) for name, schema in sorted(found.items())}


def plain(value: Any) -> Any:
    """A schema in the words of draft 07, which AsyncAPI speaks: tuples by `items`; no object as a discriminator."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: plain(one) for name, one in value.items() if name not in ("discriminator", "prefixItems", "items")}
    if "prefixItems" in value:
        found |= {"items": plain(value["prefixItems"])}
        if value.get("items") is False:
            found["additionalItems"] = False
    elif "items" in value:
        found["items"] = plain(value["items"])
    return found


# YAML, as much of it as such a document needs: maps, lists, and scalars as JSON where a bare word could be misread.

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_.]|[A-Za-z_]")
_WORDS: Final = frozenset("y n yes no on off true false null none".split())  # noqa: SIM905 - reads as a list


def text() -> str:
    """The document as YAML."""
    head = "# Written by `jiaohao contract` from the Structs of devices/wire.py and devices/pictures.py.\n"
    return head + "".join(f"{line}\n" for line in _lines(document(), ""))


def _lines(value: Any, pad: str) -> list[str]:
    lines: list[str] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in items:
        lead = f"{pad}{_scalar(name)}:" if isinstance(value, dict) else f"{pad}-"
        if isinstance(one, dict | list) and one:
            inner = _lines(one, pad + "  ")
            if isinstance(value, dict):
                lines += [lead, *inner]
            else:
                lines += [f"{lead} {inner[0].lstrip()}", *inner[1:]]
        else:
            lines.append(f"{lead} {_scalar(one)}")
    return lines


def _scalar(value: Any) -> str:
    bare = isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS
    return str(value) if bare else json.dumps(value, ensure_ascii=False)
