"""devices/gateway.py: old keypads and evaluators on a serial line become devices of the hall, each with its own name.

line ─▶ frame ─▶ same as 300 ms ago? ─no▶ outbox, synced ─▶ echo ─▶ hall        a frame that fails a check: no echo
hall ─▶ picture ─▶ three digits ─▶ line     refused ─▶ two beeps ─▶ line

`python -m devices.gateway gateway.toml`. A port that is unplugged takes its devices away (`lost`) and is tried again
every 2 s; an address that does not echo three displays is `degraded`, until it is heard again.
"""

import asyncio
import contextlib
import signal
import sys
import termios
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

from core import commands as c
from devices import frames
from devices.bus import Address, Counts, Table, Unit
from devices.client import Device
from devices.flight import PATIENT, Timing
from devices.frames import Frame, Reader
from devices.outbox import SqliteOutbox
from devices.poll import Round
from devices.serial_port import Port

REOPEN_S: Final = 2.0
FLUSH_S: Final = 2.0


class Bus(Table, frozen=True):
    """One serial port and who hangs on it. `poll_ms`: how often each is asked, where boxes speak only then; 0: not."""

    path: str
    devices: tuple[Address, ...]
    poll_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    baud: Literal[1200, 2400, 4800, 9600] = 9600


class Plan(Table, frozen=True):
    """The whole of gateway.toml. `state`: directory of the outboxes, one file a device."""

    url: str
    hall: c.Id
    state: str
    ports: tuple[Bus, ...]


def parse(text: str) -> Plan:
    """The plan in `text`. ValueError says what is wrong with it."""
    plan = msgspec.convert(tomllib.loads(text), Plan)
    names = [address.device for bus in plan.ports for address in bus.devices]
    for name in {name for name in names if names.count(name) > 1}:
        raise ValueError(f"device {name!r} stands twice - at `$.ports[].devices[].device`")
    for at, bus in enumerate(plan.ports):
        addresses = [address.addr for address in bus.devices]
        if len(set(addresses)) < len(addresses):
            raise ValueError(f"an address stands twice - at `$.ports[{at}].devices[].addr`")
    return plan


class Line:
    """One port through its pluggings and unpluggings."""

    def __init__(self, plan: Plan, bus: Bus, timing: Timing) -> None:
        self._plan, self._bus, self._timing = plan, bus, timing
        self.counts = Counts()
        self.reader = Reader()
        self.units: dict[int, Unit] = {}
        self._port: Port | None = None
        self._lost, self._stir = asyncio.Event(), asyncio.Event()
        self._round = Round([], bus.poll_ms)

    async def run(self) -> None:
        """For ever: opened, served, lost, tried again."""
        while True:
            self._lost.clear()
            try:
                self._port = Port(self._bus.path, self._bus.baud, self._on_bytes, self._lost.set)
            except (OSError, termios.error):
                await asyncio.sleep(REOPEN_S)
                continue
            self.counts.opened += 1
            self.reader = Reader()
            try:
                await self._serve()
            finally:
                self._port.close()

    async def _serve(self) -> None:
        """The devices of the port, until it is lost: what they have said is still sent, then they are gone."""
        async with contextlib.AsyncExitStack() as stack:
            units = [self._unit(address, stack) for address in self._bus.devices]
            for unit in units:
                await stack.enter_async_context(unit.device)
            obeys = [asyncio.create_task(unit.obey(), name=f"orders of {unit.device.device}") for unit in units]
            self.units = {unit.address.addr: unit for unit in units}
            if self._bus.poll_ms:
                obeys.append(asyncio.create_task(self._poll(), name=f"poll of {self._bus.path}"))
            try:
                await self._lost.wait()
                pending = [answer for unit in units for answer in unit.pending]
                if pending:
                    await asyncio.wait(pending, timeout=FLUSH_S)
                for unit in units:
                    unit.device.drop()
            finally:
                self.units = {}
                for unit in units:
                    unit.rest()
                for task in obeys:
                    task.cancel()

    async def _poll(self) -> None:
        """Each address in turn, one question at a time, while the port is there."""
        asked = [one.addr for one in self._bus.devices if one.polled]
        self._round = Round(asked, self._bus.poll_ms)
        while not self._lost.is_set():
            self._stir.clear()
            address = self._round.turn(_now_ms())
            for one in self._round.silent():
                self.units[one].is_silent()
            if address is not None:
                self.counts.polled += 1
                self.units[address].ask()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((self._round.next_ms - _now_ms()) / 1000):
                    await self._stir.wait()

    def _unit(self, address: Address, stack: contextlib.AsyncExitStack) -> Unit:
        outbox = SqliteOutbox(Path(self._plan.state) / f"{address.device}.db")
        stack.callback(outbox.close)
        device = Device(
            url_of(self._plan, address),
            hall=self._plan.hall,
            device=address.device,
            profile=address.kind,
            outbox=outbox,
            timing=self._timing,
            firmware="gateway",
            on_screen=lambda shown: unit.on_screen(shown),
        )
        unit = Unit(address, device, self._say, self.counts)
        return unit

    def _say(self, frame: Frame) -> None:
        if self._port is None or not self._port.write(frames.encode(frame)):
            self.counts.unsaid += 1

    def _on_bytes(self, found: bytes) -> None:
        self._heard(self.reader.feed(found, _now_ms()))
        if len(self.reader):
            asyncio.get_running_loop().call_later(frames.HALF_MS / 1000, self._expire)

    def _expire(self) -> None:
        self._heard(self.reader.expire(_now_ms()))

    def _heard(self, found: list[Frame]) -> None:
        at_ms = _now_ms()
        for frame in found:
            unit = self.units.get(frame.address)
            if unit is None:
                self.counts.strangers += 1  # nobody's: not echoed, so that whoever installs it notices
            else:
                unit.heard(frame, at_ms)
                self._round.heard(frame.address, at_ms)
                self._stir.set()


def _now_ms() -> int:
    """By the loop's clock, which nobody sets."""
    return int(asyncio.get_running_loop().time() * 1000)


def url_of(plan: Plan, address: Address) -> str:
    """The broker with this device's own name and password."""
    if not address.password_file:
        return plan.url
    password = Path(address.password_file).read_text("utf-8").strip()
    parts = urlsplit(plan.url)
    user = quote(f"{plan.hall}/{address.device}", safe="")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}").geturl()


class Gateway:
    """All ports of a plan. `async with Gateway(plan):` while it lives; leaving says `closed` for each device."""

    def __init__(self, plan: Plan, timing: Timing = PATIENT) -> None:
        self.lines = [Line(plan, bus, timing) for bus in plan.ports]
        self._tasks: list[asyncio.Task[None]] = []
        Path(plan.state).mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> "Gateway":
        self._tasks = [asyncio.create_task(line.run(), name="serial line") for line in self.lines]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(plan: Plan) -> None:
    """Until SIGTERM or SIGINT, or until a line fails by a mistake of ours."""
    async with Gateway(plan) as gateway:
        stop = asyncio.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopped, *gateway._tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in done - {stopped}:
            task.result()


def main() -> None:
    """`python -m devices.gateway gateway.toml`."""
    if len(sys.argv) != 2:
        sys.exit("python -m devices.gateway gateway.toml")
    try:
        plan = parse(Path(sys.argv[1]).read_text("utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n{sys.argv[1]}\ncorrect it and start again\n")
        sys.exit(2)
    asyncio.run(serve(plan))


if __name__ == "__main__":
    main()
