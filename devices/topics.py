"""devices/topics.py: the topic tree `jh/v1/{hall}/{device}/{leaf}`; nothing else knows it."""

import re
from typing import Final, NamedTuple

ROOT: Final = "jh/v1"
EVENT, ACK, COMMAND, STATE, SCREEN = "event", "ack", "command", "state", "screen"
LEAVES: Final = (EVENT, ACK, COMMAND, STATE, SCREEN)
UP: Final = (EVENT, STATE)
IDENT: Final = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_-]{0,63}\Z")
PROBE: Final = f"{ROOT}/_core/_link/event"
DROPPED: Final = "$SYS/broker/publish/messages/dropped"  # what mosquitto says of itself


class Topic(NamedTuple):
    """A topic taken apart."""

    hall: str
    device: str
    leaf: str


def build(hall: str, device: str, leaf: str) -> str:
    """The topic of one leaf of a device."""
    return f"{ROOT}/{hall}/{device}/{leaf}"


def split(topic: str) -> Topic | None:
    """The parts of a topic a device may publish to; None if it is not one."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["jh", "v1"] or parts[4] not in UP:
        return None
    if not IDENT.match(parts[2]) or not IDENT.match(parts[3]):
        return None
    return Topic(parts[2], parts[3], parts[4])
