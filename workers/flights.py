"""workers/flights.py: publishes of ours without their PUBACK, in order. Kept over reconnects, bounded by the window."""

from collections import deque
from typing import Final, NamedTuple

FLIGHT_IDS: Final = 60_000  # packet ids of publishes are 1 ... this; those of SUBSCRIBE lie above


class Flight(NamedTuple):
    """What to send again; the token is the sender's."""

    topic: str
    payload: bytes
    retain: bool
    token: object


class Flights:
    """Packet ids stay with their flight until it lands, whatever happens to connections and sessions."""

    def __init__(self) -> None:
        self.window = 0  # 0 = not live
        self._open: dict[int, Flight] = {}
        self.grounded: deque[int] = deque()  # not yet sent again on this connection
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._open)

    def take_off(self, flight: Flight) -> int:
        """Its packet id, or 0 when the window is full."""
        if len(self._open) >= self.window:
            return 0
        packet_id = self._last_id % FLIGHT_IDS + 1
        while packet_id in self._open:
            packet_id = packet_id % FLIGHT_IDS + 1
        self._last_id = packet_id
        self._open[packet_id] = flight
        return packet_id

    def land(self, packet_id: int) -> Flight | None:
        """PUBACK. None: nobody knows the id."""
        return self._open.pop(packet_id, None)

    def ground(self) -> None:
        """The connection is gone: nothing takes off, and all will fly again."""
        self.window = 0
        self.grounded = deque(self._open)

    def again(self) -> list[tuple[int, Flight]]:
        """What is to be sent again now, oldest first: the new window may be smaller than the old one."""
        flying = len(self._open) - len(self.grounded)
        ids = [self.grounded.popleft() for _ in range(min(self.window - flying, len(self.grounded)))]
        return [(one, self._open[one]) for one in ids]
