"""devices/contract.py: the AsyncAPI 3 document of the wire, from the device's side, generated from the Structs.

`document()` is the whole of it, `text()` its YAML. What the Structs do not know (directions, retained or not) stands
in devices/channels.py.
"""

from typing import Any, Final

import msgspec

from core import commands as c
from core.refusals import Refusal
from devices import topics, wire
from devices.channels import CHANNELS, REF, Channel, Screen
from devices.contract_samples import EXAMPLES, Json
from devices.profiles import ALLOWED
from devices.yaml_text import lines

ABOUT: Final = """What a device of a public-service hall says and hears. Everything is UTF-8 JSON over MQTT 3.1.1 or 5.
An event is repeated, with the same boot, seq and body, until its ack has come; the hall applies it once.
Unknown fields and unknown types are ignored; a field never changes its meaning. devices/README.md tells the rest."""


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


def text() -> str:
    """The document as YAML."""
    head = "# Written by `jiaohao contract` from the Structs of devices/wire.py and devices/pictures.py.\n"
    return head + "".join(f"{line}\n" for line in lines(document()))
