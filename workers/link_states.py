"""workers/link_states.py: the life of the broker connection as a table.

IDLE ─start▶ DIALING ─up▶ HANDSHAKE ─connack▶ SUBSCRIBING ─suback▶ LIVE ⇄ PAUSED ─stop▶ DRAINING ─drained▶ CLOSED
                ▲ timer                                             │       └ taken over ▶ FAILED
                └──────────────────── BACKOFF ◀─────────────────────┴ lost, silent, refused, late, anything not named
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where the connection is."""

    IDLE = 1
    BACKOFF = 2
    DIALING = 3
    HANDSHAKE = 4
    SUBSCRIBING = 5
    LIVE = 6
    PAUSED = 7  # reading stopped: the inbox is full or a commit is being retried
    DRAINING = 8
    CLOSED = 9
    FAILED = 10  # another dispatcher has our client id


class Event(IntEnum):
    """What can happen to it."""

    START = 1
    TIMER = 2
    UP = 3
    LATE = 4
    LOST = 5
    CONNACK = 6
    REFUSED = 7
    SUBACK = 8
    PUBLISH = 9
    PUBACK = 10
    PONG = 11
    SILENT = 12
    HIGH = 13
    LOW = 14
    TAKEN_OVER = 15
    GARBAGE = 16  # the codec refuses it: named by no state
    STOP = 17
    DRAINED = 18


E, S = Event, State
TABLE: Final[dict[State, dict[Event, State]]] = {
    S.IDLE: {E.START: S.DIALING, E.STOP: S.CLOSED},
    S.BACKOFF: {E.TIMER: S.DIALING, E.STOP: S.CLOSED},
    S.DIALING: {E.UP: S.HANDSHAKE, E.LOST: S.BACKOFF, E.LATE: S.BACKOFF, E.STOP: S.CLOSED},
    S.HANDSHAKE: {
        E.CONNACK: S.SUBSCRIBING,
        E.REFUSED: S.BACKOFF,
        E.LATE: S.BACKOFF,
        E.LOST: S.BACKOFF,
        E.STOP: S.CLOSED,
    },
    S.SUBSCRIBING: {
        E.SUBACK: S.LIVE,
        E.REFUSED: S.BACKOFF,
        E.LATE: S.BACKOFF,
        E.LOST: S.BACKOFF,
        E.PUBLISH: S.SUBSCRIBING,  # a resumed session delivers before SUBACK
        E.TAKEN_OVER: S.FAILED,
        E.STOP: S.CLOSED,
    },
    S.LIVE: {
        E.PUBLISH: S.LIVE,
        E.PUBACK: S.LIVE,
        E.PONG: S.LIVE,
        E.HIGH: S.PAUSED,
        E.SILENT: S.BACKOFF,
        E.LOST: S.BACKOFF,
        E.TAKEN_OVER: S.FAILED,
        E.STOP: S.DRAINING,
    },
    S.PAUSED: {
        E.PUBLISH: S.PAUSED,
        E.PUBACK: S.PAUSED,
        E.PONG: S.PAUSED,
        E.LOW: S.LIVE,
        E.SILENT: S.PAUSED,  # we are not reading: no fault of the broker
        E.LOST: S.BACKOFF,
        E.TAKEN_OVER: S.FAILED,
        E.STOP: S.DRAINING,
    },
    S.DRAINING: {
        E.PUBLISH: S.DRAINING,  # neither taken nor acknowledged: the broker keeps it
        E.PUBACK: S.DRAINING,
        E.PONG: S.DRAINING,
        E.SILENT: S.CLOSED,
        E.LOST: S.CLOSED,
        E.TAKEN_OVER: S.CLOSED,
        E.DRAINED: S.CLOSED,
    },
    S.CLOSED: {},
    S.FAILED: {},
}
CONNECTED: Final = (S.HANDSHAKE, S.SUBSCRIBING, S.LIVE, S.PAUSED, S.DRAINING)
assert TABLE.keys() == set(State), "every state has a row, if an empty one"
