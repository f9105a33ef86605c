"""bench/flood.py: a part of the hall was cut off for two hours; 300 devices send 29,000 events while keys are pressed.

The same keys in the same run, before it and while it lasts: how much slower. `spread` as devices come back (a random
part of 10 s, by the contract), or all of them in the same instant. Each sends arrays of 64, one after the other.
"""

import json
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bench import plan, runs
from bench.generate import Asked, Generated
from bench.latency import quantile_ms
from bench.plan import Plan
from bench.product import Setup
from bench.runs import MOSQUITTO, Wrong
from bench.rush import hall_policy, presses
from core import policy
from core.policy import DevicePart

DEVICES: Final = 300
ARRAY: Final = 64
RATE: Final = 100  # key presses a second, of twelve counters
LEAD_S: Final = 1.5  # until both generators are at their start
SPREAD_S: Final = 10.0  # as far as the contract spreads a reconnect after a long outage
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PREFIXES: Final = [one + other for one in LETTERS[10:] for other in LETTERS][:DEVICES]  # of services: A to J


class Flooded(msgspec.Struct):
    """One run. Seconds of the flood until its last PUBACK; press to screen before it and during it."""

    seconds: float
    quiet_p99_ms: float
    live_p99_ms: float
    quiet: int
    live: int

    @property
    def ratio(self) -> tuple[float, float]:
        """What was measured, to be divided."""
        return self.live_p99_ms, self.quiet_p99_ms

    def said(self) -> str:
        """For people."""
        return (
            f"p99 {self.live_p99_ms:.1f} ms of {self.live} while the flood lasted, "
            f"{self.quiet_p99_ms:.1f} ms of {self.quiet} before"
        )


class Bench:
    """One plan of presses and one of the flood."""

    def __init__(self, place: Path, events: int, seed: int, quiet_s: float, spread_s: float) -> None:
        self.quiet_s, self.spread_s, self.events = quiet_s, spread_s, events
        self.live_s = quiet_s + max(spread_s, 2.0) + 1.0
        live = plan.presses(presses(halls=1, counters=12, rate=RATE, seconds=self.live_s, seed=seed, connections=16))
        flood = self._flood(events, Random(f"{seed}/flood"))
        self.causes = {"h0": [*live.causes["h0"], *flood.causes["h0"]]}
        self.files = {
            "before": plan.write(Plan(live.before, [], {}, ""), place / "before"),
            "live": plan.write(Plan([], live.timed, {}, ""), place / "live"),
            "flood": plan.write(flood, place / "flood"),
        }
        usual = hall_policy("h0")
        kiosks = [DevicePart(id=f"away-{at}", kind="kiosk", offline_prefix=one) for at, one in enumerate(PREFIXES)]
        whole = msgspec.structs.replace(usual, devices=(*usual.devices, *kiosks))
        self.policies = place / "policies"
        self.policies.write_bytes(msgspec.json.encode(([policy.document(whole)], [])))
        self.wrong = Wrong()

    def _flood(self, events: int, rng: Random) -> Plan:
        """A lane a device; the next array follows the PUBACK of the last, or its time."""
        lanes = []
        for at in range(DEVICES):
            count = events // DEVICES + (at < events % DEVICES)
            due_ns = int((self.quiet_s + rng.uniform(0, self.spread_s)) * 1e9)
            said = [_event(at, seq, count) for seq in range(1, count + 1)]
            arrays = [said[start : start + ARRAY] for start in range(0, count, ARRAY)]
            lanes.append([(due_ns, f"jh/v1/h0/away-{at}/event", json.dumps(one).encode()) for one in arrays])
        return plan.timed(lanes)

    def run(self) -> Flooded:
        """Sign on, press in quiet, then the flood comes while the same keys are pressed."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            setup = Setup(url, str(place / "data"), policies=str(self.policies), seconds=600)
            live = Asked(url, str(self.files["live"]), unacked=1, seconds=self.live_s + 30, watch="pictures")
            flood = Asked(url, str(self.files["flood"]), unacked=1, seconds=self.live_s + 30, name="away")
            with runs.dispatcher(setup) as subject:
                subject.ready()
                with runs.generator(Asked(url, str(self.files["before"]), seconds=60)) as first:
                    first.ready()
                    first.tell("0")
                    runs.generated(first)
                with runs.generator(live) as keys, runs.generator(flood) as away:
                    keys.ready()
                    away.ready()
                    start = str(time.monotonic_ns() + int(LEAD_S * 1e9))
                    keys.tell(start)
                    away.tell(start)
                    sent, pressed = runs.generated(away), runs.generated(keys)
                subject.tell("stop")
                done = runs.done(subject)
            self.wrong += runs.examine(place / "data", self.causes, done.digests)
        return self._flooded(sent, pressed)

    def _flooded(self, sent: Generated, pressed: Generated) -> Flooded:
        """By when a press was intended. The flood lasts as long as its own generator, and two seconds at least."""
        end_s = max(sent.seconds - LEAD_S, self.quiet_s + max(2.0, self.spread_s))
        seen = list(zip(pressed.latency_us, pressed.due_ms, strict=True))
        quiet = [one for one, due in seen if due < self.quiet_s * 1000]
        live = [one for one, due in seen if self.quiet_s * 1000 <= due < end_s * 1000]
        return Flooded(end_s - self.quiet_s, quantile_ms(quiet, 0.99), quantile_ms(live, 0.99), len(quiet), len(live))


def _event(at: int, seq: int, count: int) -> dict[str, object]:
    """Half of it numbers of its own, as printed over two hours; half reports on slips."""
    body: dict[str, object] = {"type": "ticket.report_print", "ticket": 10**9}
    if seq % 2:
        body = {"type": "ticket.take", "service": f"s{seq % 20}", "number": f"{PREFIXES[at]}{seq // 2 + 1:03}"}
    return {"boot": "away", "seq": seq, "age_ms": 7_200_000 * (count - seq) // count, "body": body}
