"""devices/clerk.py: the floor of a simulated hall: its devices with their faults, and the clerks at their keypads.

idle ─next▶ calling ─recall, start▶ serving ─finish, hold, transfer▶ idle       calling ─miss▶ idle       idle ⇄ paused
A clerk acts on what the display shows and the hall answers, nothing else: whoever restarts the hall is served on.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import blake2b
from random import Random
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from core import commands as c
from core.policy import DevicePart
from devices import people, wire
from devices.client import Device, SwitchedOff
from devices.flight import Timing
from devices.intake import Shown
from devices.outbox import MemoryOutbox, OutboxFull
from devices.people import Habits, Person
from devices.pictures import CallerPicture, CounterPicture
from devices.tally import Tally

KNOWN_MAX: Final = 100_000  # people in the hall; beyond, the oldest are forgotten and served as strangers
GLANCE_S: Final = 0.5  # real: how long a clerk looks at a display that does not change
PAUSE_EVERY_MS, PAUSE_MS = 60 * people.MINUTE_MS, 5 * people.MINUTE_MS
RECALL_GAP_MS: Final = 25_000
RETRY_MS: Final = 20_000
IMPATIENCE: Final = 0.1  # how often a clerk presses although nobody waits
BREATH_MS: Final = (6_000, 12_000)  # between two people
OFF_MS: Final = 5_000
HASTE: Final = Timing(resend_s=5.0, keep_s=10.0, backoff_max_s=2.0)
_CALLER: Final = msgspec.json.Decoder(CallerPicture)
_COUNTER: Final = msgspec.json.Decoder(CounterPicture)
K = TypeVar("K")
V = TypeVar("V")


class Faults(Struct, frozen=True):
    """What goes wrong with devices: a share of messages sent again, of slips that do not come out; times a day."""

    resend: float = 0.01
    paper_out: float = 0.002
    reboots_day: float = 1.0
    drops_day: float = 1.0


class Floor:
    """What everybody in the hall shares. `speed`: hall seconds a real second."""

    def __init__(self, url: str, hall: str, *, seed: int, speed: float, now_ms: Callable[[], int]) -> None:
        self.url, self.hall, self.seed, self.speed, self.now_ms = url, hall, seed, speed, now_ms
        self.timing, self.faults, self.habits = HASTE, Faults(), Habits()
        self.tally = Tally()
        self.calm, self.over = asyncio.Event(), asyncio.Event()
        self.last_screen = 0.0
        self.inside = 0
        self.known: dict[int, Person] = {}
        self.number: dict[str, int] = {}
        self.rater: dict[int, Person] = {}
        self.comes_back: Callable[[int, Person], None] = lambda ticket, person: None
        self._salt = secrets.token_bytes(8)
        self._strangers = self.rng("strangers")
        self._press: dict[int, Press] = {}

    def rng(self, who: str) -> Random:
        """The draws of one of us: the same from the same seed, whatever the others do."""
        return Random(f"{self.seed}/{who}")  # noqa: S311 - a simulation

    def real_s(self, hall_ms: float) -> float:
        """Hall time as real seconds."""
        return hall_ms / 1000 / self.speed

    async def sleep(self, hall_ms: float) -> None:
        """So long by the hall's clock."""
        await asyncio.sleep(self.real_s(hall_ms))

    def person_ref(self, person: Person) -> str:
        """Keyed, like a kiosk's, with a key of this run: a second run brings other people."""
        return blake2b(str(person.no).encode(), key=self._salt, digest_size=16).hexdigest() if person.has_ref else ""

    def takes(self, person: Person, ticket: int, number: str) -> None:
        """Who holds which ticket."""
        remember(self.known, ticket, person)
        remember(self.number, number, ticket)

    def leaves(self, person: Person) -> None:
        """One who came before we were here was never counted."""
        self.inside -= person.arrives_ms > 0

    def stranger(self) -> Person:
        """Somebody who took a ticket before we were here."""
        return people.stranger(self._strangers, self.habits)

    # From the key 呼叫 to the counter's own screen, in real time.

    def presses(self, counter: int) -> None:
        """The key is down."""
        self.tally.presses += 1
        self._press[counter] = Press(time.perf_counter())

    def answered(self, counter: int, number: str) -> None:
        """The hall has called this number, or nobody."""
        press = self._press.get(counter)
        if press is None:
            return
        if not number:
            del self._press[counter]
        elif press.shown_s and press.number == number:
            self._seen(counter, press.shown_s - press.down_s)
        else:
            press.number, press.shown_s = number, 0.0

    def on_counter(self, body: bytes) -> None:
        """The counter's screen has changed."""
        picture = _COUNTER.decode(body)
        press = self._press.get(picture.counter)
        if press is None or picture.status != "calling":
            return
        now_s = time.perf_counter()
        if press.number == picture.number:
            self._seen(picture.counter, now_s - press.down_s)
        else:
            press.number, press.shown_s = picture.number, now_s

    def _seen(self, counter: int, seconds: float) -> None:
        self.tally.press_ms.append(seconds * 1000)
        del self._press[counter]


class Press(Struct):
    """`number`: what the screen or the answer, whichever came first, has said. `shown_s` 0: not yet on the screen."""

    down_s: float
    number: str = ""
    shown_s: float = 0.0


def remember(table: dict[K, V], key: K, value: V) -> None:
    """Bounded: the oldest goes."""
    table[key] = value
    if len(table) > KNOWN_MAX:
        del table[next(iter(table))]


class Unit:
    """A device of the hall through its reboots. A kiosk and a voice box keep their storage, the others begin anew."""

    def __init__(self, floor: Floor, part: DevicePart) -> None:
        self.floor, self.part = floor, part
        self.rng = floor.rng(part.id)
        self.changed = asyncio.Event()
        self.body = b""
        self.device = self._new(MemoryOutbox())
        self.up = False
        self.on_body: Callable[[bytes], None] | None = None
        self.on_shown: Callable[[Shown], None] | None = None
        self.obey: Callable[[Device], Awaitable[None]] | None = None
        self.on_new: Callable[[Device], None] | None = None

    def _new(self, outbox: MemoryOutbox) -> Device:
        floor, part = self.floor, self.part
        return Device(
            floor.url,
            hall=floor.hall,
            device=part.id,
            profile=part.profile or part.kind,
            now_ms=floor.now_ms,
            outbox=outbox,
            rng=self.rng,
            timing=floor.timing,
            firmware="sim",
            observer=floor.tally.observe,
            on_screen=self._shown,
        )

    def _shown(self, shown: Shown) -> None:
        self.body = bytes(shown.body)
        self.changed.set()
        self.floor.last_screen = time.monotonic()
        if self.on_body is not None:
            self.on_body(self.body)
        if self.on_shown is not None:
            self.on_shown(shown)

    async def live(self) -> None:
        """On until the hall is over, with its faults."""
        while True:
            async with self.device as device:
                self.up = True
                orders = asyncio.create_task(self._obey(device))
                try:
                    await self._until_reboot(device)
                finally:
                    self.up = False
                    orders.cancel()
                    await asyncio.wait([orders])
            if self.floor.over.is_set():
                return
            await self.floor.sleep(OFF_MS)
            keeps = self.part.kind in ("kiosk", "self_service", "voice")
            self.device = self._new(device.outbox if keeps else MemoryOutbox())
            if self.on_new is not None:
                self.on_new(self.device)

    async def _obey(self, device: Device) -> None:
        if self.obey is not None:
            await self.obey(device)

    async def _until_reboot(self, device: Device) -> None:
        """Cables are pulled, and at last the power; nothing happens any more when the hall is calm."""
        floor = self.floor
        reboot_ms = people.until_fault(self.rng, floor.faults.reboots_day)
        while not floor.calm.is_set():
            drop_ms = people.until_fault(self.rng, floor.faults.drops_day)
            with suppress(TimeoutError):
                async with asyncio.timeout(floor.real_s(min(drop_ms, reboot_ms))):
                    await floor.calm.wait()
                break
            device.drop()
            if reboot_ms <= drop_ms:
                return
            reboot_ms -= drop_ms
        await floor.over.wait()

    def post(self, command: c.Command | wire.Rate) -> "asyncio.Future[wire.Result] | None":
        """Said without waiting; None when the device is off or full."""
        if not self.up:
            return None
        try:
            answer = self.device.post(command)
        except OutboxFull:
            return None
        self.may_repeat()
        return answer

    def may_repeat(self) -> None:
        """Some messages are sent twice."""
        if self.rng.random() < self.floor.faults.resend:
            asyncio.get_running_loop().call_later(self.rng.uniform(0.001, 0.02), self.device.resend)

    async def say(self, command: c.Command | wire.Rate) -> wire.Result | None:
        """The answer of the hall; None when the device went off before it came: look at the screen."""
        answer = self.post(command)
        if answer is None:
            await asyncio.sleep(0.05)
            return None
        try:
            return await answer
        except SwitchedOff:
            return None

    async def look(self, seconds: float = GLANCE_S) -> None:
        """Until the screen changes, at most so long (real)."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()


class Clerk:
    """Behind one counter, with a keypad. Acts on its display; what it does is drawn with the person."""

    def __init__(self, floor: Floor, keypad: Unit) -> None:
        self.floor, self.keypad, self.no = floor, keypad, keypad.part.counter
        self.rng = floor.rng(f"clerk {self.no}")
        self.person: Person | None = None
        self.ticket = self.call = 0
        self.number = ""
        self.held: set[int] = set()
        self.next_pause_ms = floor.now_ms() + self.rng.randrange(PAUSE_EVERY_MS // 4, PAUSE_EVERY_MS)

    def picture(self) -> CallerPicture | None:
        """What the keypad shows."""
        return _CALLER.decode(self.keypad.body) if self.keypad.body else None

    async def work(self) -> None:
        """All day."""
        steps = {"closed": self.sign_on, "idle": self.idle, "calling": self.meet, "serving": self.serve}
        steps["paused"] = self.rest
        while True:
            picture = self.picture()
            if picture is None or not await steps[picture.status]():
                await self.keypad.look()

    async def _does(self, command: c.Command, before: str) -> bool:
        """Whether it was granted and the display no longer says `before`."""
        result = await self.keypad.say(command)
        if result is None or result.ok is None:
            return False
        return await self._after(before)

    async def _after(self, before: str) -> bool:
        picture = self.picture()
        if picture is not None and picture.status == before:
            await self.keypad.look()
        picture = self.picture()
        return picture is not None and picture.status != before

    async def sign_on(self) -> bool:
        return await self._does(c.SignOnStaff(staff=f"s{self.no:03d}"), "closed")

    async def rest(self) -> bool:
        await self.floor.sleep(PAUSE_MS)
        self.next_pause_ms = self.floor.now_ms() + PAUSE_EVERY_MS
        return await self._does(c.ResumeCounter(), "paused")

    async def idle(self) -> bool:
        """A break, somebody on hold, or the next."""
        if self.floor.now_ms() >= self.next_pause_ms:
            return await self._does(c.PauseCounter(why="break"), "idle")
        await self.floor.sleep(self.rng.uniform(*BREATH_MS))
        picture = self.picture()
        if picture is not None and not picture.waiting and self.rng.random() >= IMPATIENCE:
            return False
        if picture is not None and picture.held and self.rng.random() < 0.5:
            result = await self.keypad.say(c.ResumeTicket())
        else:
            result = await self.press()
        if result is None or result.ok is None:
            if result is not None and result.refused == "nothing_eligible":
                await self.keypad.look(max(0.1, self.floor.real_s(RETRY_MS)))
            return False
        self.take(result.ok)
        return await self._after("idle")

    async def press(self) -> wire.Result | None:
        """The key 呼叫, timed to the counter's own screen; at times pressed twice."""
        self.floor.presses(self.no)
        first = self.keypad.say(c.CallNext())
        twice = self.rng.random() < self.floor.habits.double_press
        result = (await asyncio.gather(first, self.keypad.say(c.CallNext())))[0] if twice else await first
        granted = result is not None and result.ok is not None and result.ok.type == "called"
        self.floor.answered(self.no, result.ok.number if granted and result is not None and result.ok else "")
        return result

    def take(self, called: wire.Ok) -> None:
        """Who is called, and who will rate under this call."""
        self.ticket, self.call, self.number = called.ticket, called.call, called.number
        self.person = self.floor.known.get(called.ticket) or self.floor.stranger()
        remember(self.floor.rater, called.call, self.person)

    def recognise(self, number: str) -> Person:
        """Whoever stands there, if the answer to the call never reached us."""
        if self.person is None or self.number != number:
            self.ticket, self.number, self.call = self.floor.number.get(number, 0), number, 0
            self.person = self.floor.known.get(self.ticket) or self.floor.stranger()
        return self.person

    async def meet(self) -> bool:
        """Called: recalls, and then the person comes or is missed."""
        picture = self.picture()
        assert picture is not None
        person = self.recognise(picture.number)
        for _ in range(person.recalls):
            await self.floor.sleep(RECALL_GAP_MS)
            await self.keypad.say(c.RecallTicket())
        await self.floor.sleep(person.walk_ms)
        if person.shows_up:
            return await self._does(c.StartServing(), "calling")
        ticket, self.person = self.ticket, None
        if await self._does(c.MissTicket(), "calling"):
            if person.returns and ticket:
                self.floor.comes_back(ticket, person)
            else:
                self.floor.leaves(person)
            return True
        return False

    async def serve(self) -> bool:
        """The act, and how it ends."""
        picture = self.picture()
        assert picture is not None
        person = self.recognise(picture.number)
        again = self.ticket in self.held
        await self.floor.sleep(person.service_ms // 3 if person.is_held or again else person.service_ms)
        command: c.Command = c.FinishServing(outcome="consulted" if person.no % 7 == 0 else "done")
        if person.is_held and not again:
            command = c.HoldTicket(why="papers")
            self.held.add(self.ticket)
        elif person.transfer_to:
            command = c.TransferTicket(to_service=person.transfer_to, why="wrong_window")
            once = msgspec.structs.replace(person, transfer_to="")
            remember(self.floor.known, self.ticket, once)
        else:
            self.held.discard(self.ticket)
        done = await self._does(command, "serving")
        if not done and type(command) is not c.FinishServing:
            done = await self._does(c.FinishServing(), "serving")
        if done:
            self.person = None
            if type(command) is c.FinishServing:
                self.floor.leaves(person)
        return done
