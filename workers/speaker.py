"""workers/speaker.py: effects of one hall become messages: pictures of the committed state, orders with id.

Called between a commit and the next fold, so the state is what the journal holds. Pictures that only count people are
drawn at most once a second and hall: nobody reads faster, and a take would else repaint every keypad. A hall's seconds
begin where its name puts them: the pictures of all halls at once would hold up a key pressed anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from msgspec.structs import replace

from core.counter import CounterState
from core.device import Device, DeviceState
from core.effects import Effects, Print, Say
from core.hall import Hall
from devices import pictures, speech, topics, wire
from workers.ports import Outgoing
from workers.proofs import Proofs

WAITING_GAP_MS: Final = 1000
SAY_LIVES_MS: Final = 30_000
PRINT_LIVES_MS: Final = 120_000
SYNC_WITHIN_MS: Final = 2000


class Speaker:
    """Says what a hall's facts mean outside. One a hall; `real_ms` paces, `now_ms` is the hall's clock."""

    def __init__(
        self,
        hall: Hall,
        epoch: int,
        now_ms: Callable[[], int],
        real_ms: Callable[[], int],
        proofs: Proofs | None = None,
    ) -> None:
        self._hall, self._epoch, self._proofs = hall, epoch, proofs
        self._now_ms, self._real_ms = now_ms, real_ms
        self._known: list[int] = []
        self._at_counter: dict[int, list[Device]] = {}
        self._shared: dict[str, list[Device]] = {}
        self._phase_ms = crc32(hall.state.hall.encode()) % WAITING_GAP_MS
        self._counting_due_ms = 0
        self._stale = False

    @property
    def stale(self) -> bool:
        """Whether pictures wait for their second to be over."""
        return self._stale

    def messages(
        self, effects: Effects, *, repaint: bool = False, pressed: Mapping[int, float] | None = None
    ) -> list[Outgoing]:
        """Everything to be sent for these effects; all pictures of the hall when `repaint`. `pressed`: counter -> when
        the call that its screen shows was received, on the loop's clock."""
        if self._hall.state.policy is None:
            return []
        self._learn()
        found: list[Outgoing] = []
        for order in effects.orders:
            found += self._order(order)
        chosen = self._chosen(effects, repaint)
        now_ms, revision = self._now_ms(), self._hall.state.n
        for device in chosen.values():
            body = None if device.state is _GONE else self._draw(device)
            if body is not None:
                payload = wire.encode(wire.Screen(self._epoch, revision, now_ms, body))
                since_s = pressed.get(device.counter, 0.0) if pressed and device.kind == "counter_screen" else 0.0
                new = device.counter in effects.counters or (device.kind == "board" and effects.board)
                topic, again = self._topic(device, topics.SCREEN), repaint and not new
                found.append(Outgoing(topic, payload, retain=True, pressed_s=since_s, again=again))
        return found

    def _draw(self, device: Device) -> pictures.Picture | None:
        """A picture; one that asks for a rating carries the token of that serving."""
        state = self._hall.state
        body = pictures.draw(state, device)
        if self._proofs is None or not isinstance(body, pictures.EvaluatorPicture) or not body.call:
            return body
        token = self._proofs.mint(state.hall, body.call, state.evaluations[body.call].due_ms)
        return replace(body, token=token, address=self._proofs.address(token))

    def sync(self) -> list[Outgoing]:
        """To every device: publish your birth, resend your outbox."""
        self._learn()
        now_ms = self._now_ms()
        order = wire.Message(self._hall.state.n, now_ms, now_ms + SAY_LIVES_MS, wire.DeviceSync(now_ms, SYNC_WITHIN_MS))
        payload = wire.encode(order)
        found = [one for one in self._hall.state.devices.values() if one.state is not _GONE]
        return [self._ordered(one, payload, 0, order.until_ms) for one in found]

    def _learn(self) -> None:
        """Which devices stand where; anew when policy or registry have changed. A record kept here keeps its id."""
        state = self._hall.state
        known = [state.policy.version if state.policy else 0, *map(id, state.devices.values())]
        if known == self._known:
            return
        self._known, self._at_counter, self._shared = known, {}, {}
        for device in state.devices.values():
            if device.kind in pictures.AT_COUNTER:
                self._at_counter.setdefault(device.counter, []).append(device)
            else:
                self._shared.setdefault(device.kind, []).append(device)

    def _chosen(self, effects: Effects, repaint: bool) -> dict[str, Device]:
        chosen: dict[str, Device] = {}
        for counter in self._at_counter if repaint else effects.counters:
            for device in self._at_counter.get(counter, ()):
                chosen[device.device] = device
        if effects.board or repaint:
            self._add(chosen, "board")
        self._stale = self._stale or effects.waiting or effects.kiosks
        real_ms = self._real_ms()
        if repaint or (self._stale and real_ms >= self._counting_due_ms):
            self._stale = False
            self._counting_due_ms = real_ms + WAITING_GAP_MS - (real_ms - self._phase_ms) % WAITING_GAP_MS
            for kind in pictures.SHARED:
                self._add(chosen, kind)
            for devices in self._at_counter.values():
                chosen.update({one.device: one for one in devices if one.kind == "caller"})
        return chosen

    def _add(self, chosen: dict[str, Device], kind: str) -> None:
        chosen.update({device.device: device for device in self._shared.get(kind, ())})

    def _topic(self, device: Device, leaf: str) -> str:
        return topics.build(self._hall.state.hall, device.device, leaf)

    def _order(self, order: Say | Print) -> list[Outgoing]:
        state, now_ms = self._hall.state, self._now_ms()
        if isinstance(order, Print):
            ticket = state.tickets.get(order.ticket)
            body = wire.KioskPrint(order.ticket, ticket.number if ticket else "")
            return self._send(order.n, now_ms, order.at_ms + PRINT_LIVES_MS, body, [order.device])
        if now_ms > order.at_ms + SAY_LIVES_MS or not self._still_called(order):
            return []
        assert state.policy is not None, "asked before"
        voices = [one.device for one in self._shared.get("voice", ()) if one.zone in ("", order.zone)]
        lang = speech.language(state.policy, order.lang)
        text = speech.sentence(state, order.number, order.counter, lang)
        times = state.policy.voice.times
        said = wire.VoiceSay(order.call, text, lang, times, order.number, order.counter, order.zone)
        return self._send(order.n, now_ms, order.at_ms + SAY_LIVES_MS, said, voices)

    def _still_called(self, order: Say) -> bool:
        """Whether anybody is waited for at the counter: whoever has come, or was sent on, is not called any more."""
        counter = self._hall.state.counters.get(order.counter)
        return counter is not None and counter.state is CounterState.CALLED and counter.call == order.call

    def _send(
        self, n: int, now_ms: int, until_ms: int, body: wire.VoiceSay | wire.KioskPrint, devices: list[str]
    ) -> list[Outgoing]:
        payload = wire.encode(wire.Message(n, now_ms, until_ms, body))
        there = [self._hall.state.devices[one] for one in devices]
        return [self._ordered(one, payload, n, until_ms) for one in there if one.state is not _GONE]

    def _ordered(self, device: Device, payload: bytes, n: int, until_ms: int) -> Outgoing:
        topic, hall = self._topic(device, topics.COMMAND), self._hall.state.hall
        return Outgoing(topic, payload, hall=hall, n=n, kind=device.kind, until_ms=until_ms)


_GONE: Final = DeviceState.RETIRED
