"""tests/simulation/plan.py: what happens in one run, drawn from one seed before it begins: presses and faults.

A plan is data, so a failing one can be made smaller: whatever can be left out while it still fails is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import msgspec

from core.policy import DevicePart, Policy
from tests.halls import POLICY, VARIANTS

LENGTH_S = 200.0
MORE = (DevicePart("screen-1", "counter_screen", counter=1), DevicePart("voice-1", "voice"))
POLICIES: tuple[Policy, ...] = tuple(
    msgspec.structs.replace(one, devices=(*one.devices, *MORE)) for one in (POLICY, *VARIANTS[:4])
)
KIOSKS = ("take", "take", "take", "take", "take", "cancel", "reprint", "requeue", "report", "offline")
PRESSES = {
    "kiosk-1": KIOSKS,
    "kiosk-2": KIOSKS,
    "caller-1": ("work",) * 6 + ("wild",),
    "caller-2": ("work",) * 6 + ("wild",),
    "caller-3": ("work",) * 4 + ("wild",),
    "ev-1": ("rate", "rate", "shown", "comment", "junk"),
    "ev-2": ("key", "key", "shown"),
}
WEIGHTS = {"kiosk-1": 5, "kiosk-2": 4, "caller-1": 6, "caller-2": 6, "caller-3": 2, "ev-1": 3, "ev-2": 2}


class Press(NamedTuple):
    """Somebody presses. `a`, `b` choose among what the device knows at that moment."""

    at_s: float
    device: str
    verb: str
    a: int
    b: int


class Fault(NamedTuple):
    """Something breaks. What `a` and `b` mean depends on the kind: see `World`."""

    at_s: float
    kind: str
    a: int
    b: float
    device: str = ""


@dataclass(frozen=True)
class Plan:
    """One run. The rest of the chance (delays, tries) comes from `seed`, too."""

    seed: int
    policy: int
    window: int
    batch_max: int
    snapshot_every: int
    presses: tuple[Press, ...]
    faults: tuple[Fault, ...]


def _crash(rng: Random) -> tuple[int, float]:
    """Killed at that step from now on; back after so many seconds."""
    return rng.choice([rng.randint(1, 12), rng.randint(1, 60), rng.randint(1, 400)]), rng.uniform(0.2, 4.0)


FAULTS: dict[str, tuple[int, Callable[[Random], tuple[int, float]]]] = {
    "crash": (6, _crash),
    "crash_committed": (6, lambda rng: (rng.randint(1, 14), rng.uniform(0.2, 4.0))),
    "stop": (2, lambda rng: (0, rng.uniform(0.2, 3.0))),
    "cut": (3, lambda rng: (rng.randrange(4), 0.0)),
    "cut_appending": (3, lambda rng: (rng.randrange(4), rng.uniform(0.0, 3.0))),
    "cut_saying": (3, lambda rng: (1, rng.uniform(0.2, 4.0))),
    "broker": (3, lambda rng: (rng.randrange(2), rng.choice([0.5, 5.0, 40.0]))),
    "broker_appending": (2, lambda rng: (rng.randrange(2), rng.uniform(1.0, 6.0))),
    "off": (3, lambda rng: (0, rng.uniform(0.2, 15.0))),
    "unheard": (4, lambda rng: (rng.randrange(3), rng.uniform(3.0, 40.0))),
    "reboot": (3, lambda rng: (rng.randrange(2), rng.uniform(0.5, 10.0))),
    "image": (3, lambda rng: (0, rng.uniform(5.0, 90.0))),
    "full": (2, lambda rng: (0, rng.choice([0.1, 2.0, 12.0]))),
    "error": (3, lambda rng: (rng.randrange(2), 0.0)),
    "slow_disk": (2, lambda rng: (rng.randint(50, 800), rng.uniform(1.0, 10.0))),
    "slow_net": (2, lambda rng: (0, rng.uniform(1.0, 10.0))),
    "reorder": (1, lambda rng: (0, 0.0)),
    "clock": (2, lambda rng: (rng.choice([-300_000, -2000, 90_000, 660_000]), 0.0)),
    "snapshot": (1, lambda rng: (0, 0.0)),
    "freeze": (2, lambda rng: (rng.randrange(3), rng.uniform(0.5, 20.0))),
}


def generate(seed: int) -> Plan:
    """The plan of a seed."""
    rng = Random(f"plan {seed}")
    bursts = sorted(rng.uniform(2.0, LENGTH_S) for _ in range(rng.randint(6, 14)))
    devices, weights = list(WEIGHTS), list(WEIGHTS.values())
    presses = []
    for _ in range(rng.randint(50, 100)):
        device = rng.choices(devices, weights)[0]
        at_s = rng.choice(bursts) + rng.expovariate(0.3)
        presses.append(Press(at_s, device, rng.choice(PRESSES[device]), rng.randrange(100), rng.randrange(100)))
    kinds, chances = list(FAULTS), [weight for weight, _ in FAULTS.values()]
    faults = []
    for _ in range(rng.choice([0, 2, 4, 7, 10])):
        kind = rng.choices(kinds, chances)[0]
        at_s = rng.choice([rng.choice(bursts) + rng.expovariate(1.0), rng.uniform(0.0, LENGTH_S)])
        faults.append(Fault(at_s, kind, *FAULTS[kind][1](rng), rng.choice(devices)))
    return Plan(
        seed,
        policy=rng.randrange(len(POLICIES)),
        window=rng.choice([1, 1, 4]),
        batch_max=rng.choice([1, 3, 1000, 1000]),
        snapshot_every=rng.choice([1, 5, 20, 200_000]),
        presses=tuple(sorted(presses)),
        faults=tuple(sorted(faults)),
    )


def shrink(plan: Plan, fails: Callable[[Plan], bool], tries: int = 150) -> Plan:
    """A smaller plan that fails as well. First halves are left out, then less and less; at most so many runs."""
    best = plan
    for name in ("faults", "presses", "faults"):
        size = max(1, len(getattr(best, name)) // 2)
        while size and tries > 0:
            at, smaller = 0, False
            while at < len(getattr(best, name)) and tries > 0:
                items = getattr(best, name)
                candidate = replace(best, **{name: items[:at] + items[at + size :]})
                tries -= 1
                if fails(candidate):
                    best, smaller = candidate, True
                else:
                    at += size
            size = size if smaller and size == 1 else size // 2
    return best
