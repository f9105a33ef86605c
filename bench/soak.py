"""bench/soak.py: the product for hours: faults on, kills, memory over time, latency of the last part over the first.

Rounds of presses at a fixed rate, each with devices that have a new life. kill -9 in the middle of rounds of the first
half; the second half runs undisturbed, so that its memory means something. The hall's clock runs faster, so that days
end meanwhile: of that round the presses after midnight find nobody signed on. A serving may be rated for a week:
from the eighth day on, in the first half, as much is forgotten as comes. At the end screens are compared.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import mqtt5
import msgspec

from bench import pairs, plan, runs
from bench.generate import Asked
from bench.latency import Pressed, pressed
from bench.pairs import Gate, Options, Report
from bench.plan import Cause
from bench.product import Setup
from bench.runs import MOSQUITTO, Child, Wrong
from bench.rush import Press, presses
from core.hall import Hall
from core.state import HallState
from devices.tally import screens_wrong
from workers import fold, replays
from workers.link_settings import parse_url

HALLS, COUNTERS, CONNECTIONS = 20, 12, 100
QUICK_HALLS: Final = 4  # a short round has whole visits then
MIDNIGHT_MS: Final = 1_795_449_600_000  # 2026-11-24 in Shanghai
DAY_MS: Final = 86_400_000
DAYS: Final = 16
AWAY_NS: Final = 5_000_000_000
ROUND_S: Final = 60.0
RESENT: Final = 0.01
REST_S: Final = 2.5  # pictures that only count people are drawn once a second
_SCREEN: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Sample(msgspec.Struct):
    """Memory at a moment since the start."""

    at_s: float
    rss_mb: float


class Wish(msgspec.Struct, frozen=True):
    """What is asked for."""

    seed: int
    rate: int
    round_s: float
    halls: int
    minutes: float
    days: float

    @property
    def speed(self) -> int:
        """Hall seconds a second."""
        return max(1, round(self.days * DAY_MS / 60_000 / self.minutes))

    @property
    def origin_ms(self) -> int:
        """The hall's time at the start: half a day before midnight, or half of a shorter run."""
        return MIDNIGHT_MS - int(min(1.0, self.days) * DAY_MS / 2)


class Soak:
    """One broker, one dispatcher at a time, round after round."""

    def __init__(self, place: Path, url: str, wish: Wish) -> None:
        self.place, self.url, self.wish = place, url, wish
        self.seed, self.rate, self.round_s = wish.seed, wish.rate, wish.round_s
        self.anchor_ms = time.time_ns() // 1_000_000
        self.rounds: list[Pressed] = []
        self.samples: list[Sample] = []
        self.causes: dict[str, list[Cause]] = {}
        self.kills = 0
        self.began = time.monotonic()
        self.subject = self.start()
        self.killed_s = 0.0

    def start(self) -> Child:
        """A dispatcher, or the next one: it recovers what the last has left."""
        setup = Setup(
            self.url,
            str(self.place / "data"),
            halls=self.wish.halls,
            counters=COUNTERS,
            seconds=86_400,
            speed=self.wish.speed,
            origin_ms=self.wish.origin_ms,
            anchor_ms=self.anchor_ms,
        )
        subject = Child("bench.product", msgspec.json.encode(setup).decode())
        subject.ready()
        return subject

    def round(self, number: int, *, kill: bool) -> None:
        """New lives, `round_s` of presses, perhaps a kill in the middle."""
        seed, boot = self.seed * 100_003 + number, f"soak-{number}"
        pressed_ = presses(
            halls=self.wish.halls,
            counters=COUNTERS,
            rate=self.rate,
            seconds=self.round_s,
            seed=seed,
            connections=CONNECTIONS,
            boot=boot,
            resent=RESENT,
        )
        self.lose(pressed_.timed, Random(seed), boot)
        made = plan.presses(pressed_)
        file = plan.write(made, self.place / "round")
        for hall, causes in made.causes.items():
            self.causes.setdefault(hall, []).extend(causes)
        with runs.generator(Asked(self.url, str(file), unacked=1, seconds=self.round_s + 60, watch="pictures")) as keys:
            keys.ready()
            keys.tell("0")
            self._watch(self.round_s / 2)
            if kill:
                self.subject.kill()
                self.subject.end()
                self.subject = self.start()
                self.kills, self.killed_s = self.kills + 1, time.monotonic() - self.began
            self._watch(self.round_s / 2)
            found = pressed(runs.generated(keys), 0.0)
        self.rounds.append(found)
        sys.stderr.write(
            f"soak {number}{' killed' if kill else ''}: {found.said()}, {self.samples[-1].rss_mb:.1f} MB\n"
        )

    def lose(self, lanes: list[list[Press]], rng: Random, boot: str) -> None:
        """Devices that lose their connection for a while, once a day of the hall each: what their last will says."""
        share = self.wish.halls * COUNTERS * self.wish.speed * self.round_s * 1000 / DAY_MS
        for _ in range(max(1, round(share))):
            lane = rng.choice([lane for lane in lanes if lane])
            topic = rng.choice(lane).topic.rpartition("/")[0] + "/state"
            due_ns = rng.randrange(int(self.round_s * 0.5e9))
            for at_ns, state in ((due_ns, "lost"), (due_ns + min(AWAY_NS, due_ns), "ready")):
                lane.append(Press(at_ns, topic, f'{{"state":"{state}","boot":"{boot}","link":1}}'.encode()))
            lane.sort(key=lambda one: one.due_ns)

    @property
    def days_ended(self) -> int:
        """How often the hall has gone home."""
        hall_ms = self.wish.origin_ms + (time.time_ns() // 1_000_000 - self.anchor_ms) * self.wish.speed
        return max(0, (hall_ms - MIDNIGHT_MS) // DAY_MS + 1)

    def _watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            self.samples.append(Sample(time.monotonic() - self.began, self.subject.rss_mb()))

    def end(self) -> tuple[Wrong, list[str]]:
        """Screens at rest, dispatcher stopped, journal read."""
        time.sleep(REST_S)
        screens = asyncio.run(retained(self.url))
        self.subject.tell("stop")
        done = runs.done(self.subject)
        self.subject.end()
        wrong = runs.examine(self.place / "data", self.causes, done.digests)
        return wrong, asyncio.run(_screens(self.place / "data", screens))


async def _screens(data: Path, screens: dict[str, dict[str, bytes]]) -> list[str]:
    """Screens that do not show the fold of the journal."""
    halls: dict[str, Hall] = {}
    async for name, n, row in replays.rows(data):
        fold.apply(halls.setdefault(name, Hall(HallState(name))), n, row)
    return [f"{name}/{one}" for name, hall in halls.items() for one in screens_wrong(hall.state, screens.get(name, {}))]


class _Collector(asyncio.Protocol):
    """Subscribes to every screen and keeps the last body of each."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, bytes]] = {}
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(mqtt5.ConnectPacket("collector", clean_start=True, keep_alive=65_535).write())

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        view, at = memoryview(data), 0
        while True:
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is mqtt5.ConnAckPacket and self._transport is not None:
                screens = mqtt5.TopicFilter("jh/v1/+/+/screen", max_qos=mqtt5.QoS.AT_MOST_ONCE)
                self._transport.write(mqtt5.SubscribePacket(1, [screens]).write())
            elif type(packet) is mqtt5.PublishPacket:
                _, _, hall, device, _ = packet.topic.split("/")
                self.found.setdefault(hall, {})[device] = bytes(_SCREEN.decode(packet.payload)["body"])
        self._rest = data[at:]

    def close(self) -> None:
        """Goodbye."""
        if self._transport is not None:
            self._transport.close()


async def retained(url: str, seconds: float = 2.0) -> dict[str, dict[str, bytes]]:
    """What the broker would show a screen that is switched on now: hall -> device -> body."""
    address, collector = parse_url(url), _Collector()
    await asyncio.get_running_loop().create_connection(lambda: collector, address.host, address.port)
    await asyncio.sleep(seconds)
    collector.close()
    return collector.found


def run(options: Options, rest: list[str]) -> Report:
    """G14."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=0.3 if options.quick else 480.0)
    parser.add_argument("--rate", type=int, default=200 if options.quick else 500)
    parser.add_argument("--kill-every", type=float, default=0.1 if options.quick else 60.0, help="minutes, first half")
    parser.add_argument("--days", type=float, default=0.0125 if options.quick else DAYS, help="of the hall meanwhile")
    given = parser.parse_args(rest)
    round_s = min(ROUND_S, given.minutes * 60 / 4)
    count = max(4, round(given.minutes * 60 / round_s))
    every = max(1, round(given.kill_every * 60 / round_s))
    halls = QUICK_HALLS if options.quick else HALLS
    wish = Wish(options.seed, given.rate, round_s, halls, given.minutes, given.days)
    with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
        soak = Soak(place, url, wish)
        try:
            for number in range(count):
                soak.round(number, kill=number % every == every - 1 and number < count // 2)
            ended = soak.days_ended
            wrong, screens = soak.end()
        finally:
            soak.subject.end()
    gates = [
        _growth(soak, given.minutes),
        _tail(soak.rounds, given.minutes),
        runs.zero("soak.screens_wrong", len(screens)),
        *runs.correctness("soak", wrong),
    ]
    extra: dict[str, Any] = {
        "rounds": msgspec.to_builtins([msgspec.structs.replace(one, histogram="") for one in soak.rounds]),
        "rss": [(one.at_s, one.rss_mb) for one in soak.samples[:: max(1, len(soak.samples) // 500)]],
        "minutes": given.minutes,
        "kills": soak.kills,
        "days": ended,
        "speed": wish.speed,
    }
    run_as = f"{count} rounds of {round_s:.0f} s at {given.rate}/s, x{wish.speed}, {ended} days ended"
    rows = [(f"{run_as}, {soak.kills} kills, {wrong.facts} facts",)]
    return Report("soak", gates, extra, rows, screens[:5])


def _growth(soak: Soak, minutes: float) -> Gate:
    """Per cent an hour over the last half, by least squares."""
    last = soak.samples[-1].at_s
    half = [one for one in soak.samples if one.at_s >= max(last / 2, soak.killed_s)]
    mean_s = sum(one.at_s for one in half) / len(half)
    mean_mb = sum(one.rss_mb for one in half) / len(half)
    spread = sum((one.at_s - mean_s) ** 2 for one in half) or 1.0
    slope = sum((one.at_s - mean_s) * (one.rss_mb - mean_mb) for one in half) / spread
    growth = slope * 3600 / mean_mb
    enough = minutes >= 120
    note = "" if enough else "needs two hours at least"
    return Gate("soak.rss_growth_per_hour", growth, 0.01, growth <= 0.01 if enough else None, 0.0, False, note)


def _tail(rounds: list[Pressed], minutes: float) -> Gate:
    """p99 of the last hour over that of the first, rounds with a kill left out by the median."""
    share = max(1, min(len(rounds) // 4, 60))
    first, last = (sorted(one.p99_ms for one in some) for some in (rounds[:share], rounds[-share:]))
    above, below = last[len(last) // 2], first[len(first) // 2]
    gate = pairs.gate("soak.p99_last_vs_first", pairs.ratio_of([(above, below)]), 1.3, at_least=False)
    if minutes >= 120:
        return gate
    return msgspec.structs.replace(gate, ok=None, note="needs two hours at least")
