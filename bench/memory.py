"""bench/memory.py: what a waiting ticket, a hall, a device and a finished day cost in resident memory.

Each figure is a slope of RSS in a process of its own; bare Structs of the same fields are its baseline.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench import pairs, runs
from bench.pairs import Options, Report
from bench.product import rss_mb
from bench.rush import hall_policy
from core import commands as c
from core import policy
from core.fact import Cause
from core.hall import Hall
from core.policy import DevicePart
from core.state import HallState
from core.ticket import Ticket

NOW_MS: Final = 1_795_480_200_000
DAY_MS: Final = 86_400_000
FIELDS: Final = len(Ticket.__struct_fields__)
GOAL: Final = 1_500


class Asked(msgspec.Struct, frozen=True):
    """What one process measures: the slope of `what` between two sizes."""

    what: str
    low: int
    high: int


class Driver:
    """A hall without a shell: commands in, facts folded, causes noted in the windows."""

    def __init__(self, name: str, **more: Any) -> None:
        self.hall = Hall(HallState(name))
        self.at_ms, self.seqs = NOW_MS, dict[str, int]()
        rules = msgspec.structs.replace(hall_policy(name), **more)
        self.ask(c.ChangePolicy(1, policy.digest(rules), policy.document(rules)))

    def ask(self, command: c.Command, device: str = "") -> None:
        """One command and everything that follows from it."""
        cause = None
        if device:
            seq = self.seqs[device] = self.seqs.get(device, 0) + 1
            cause = Cause(device, "boot", seq, seq)
        for fact in self.hall.decide(command, self.at_ms, device):
            self.hall.evolve(fact, self.at_ms, cause)

    def visit(self, no: int) -> None:
        """From the kiosk to the rating."""
        self.at_ms += 100
        self.ask(c.TakeTicket(f"s{no * 2}"), "kiosk")
        for command in (c.CallNext(), c.StartServing(), c.FinishServing()):
            self.ask(command, f"caller-{no}")
        self.ask(c.SubmitEvaluation(level=5), f"ev-{no}")

    def night(self) -> None:
        """The day ends, the next begins; a day's ratings may still come for a week."""
        self.at_ms = (self.at_ms // DAY_MS + 1) * DAY_MS
        while (due := self.hall.due(self.at_ms)) is not None:
            for fact in due[1]:
                self.hall.evolve(fact, due[0])


def tickets() -> Callable[[int], None]:
    """Waiting in one hall."""
    driver, taken = Driver("h1"), [0]

    def grow(size: int) -> None:
        for at in range(taken[0], size):
            driver.at_ms += 10
            driver.ask(c.TakeTicket(f"s{at % 20}"), "kiosk")
        taken[0] = size

    return grow


def structs() -> Callable[[int], None]:
    """The baseline: the same fields in a list."""
    kept: list[Ticket] = []

    def grow(size: int) -> None:
        for at in range(len(kept), size):
            base = NOW_MS + at * 10
            kept.append(Ticket(at, f"A{at:05d}", at % 20, 3, base, base))

    return grow


def halls() -> Callable[[int], None]:
    """Open, with twelve counters and their devices."""
    kept: list[Driver] = []
    return lambda size: kept.extend(Driver(f"h{at}") for at in range(len(kept), size))


def devices() -> Callable[[int], None]:
    """In halls of 100 boards; the hall itself is in it, and small."""
    kept: list[Driver] = []
    boards = tuple(DevicePart(f"board-{at}", "board") for at in range(100))

    def grow(size: int) -> None:
        kept.extend(Driver(f"h{at}", devices=boards) for at in range(len(kept), size // 100))

    return grow


def days() -> Callable[[int], None]:
    """Finished days of 1,000 visits each in one hall."""
    driver, past = Driver("h1"), [0]
    for no in range(1, 13):
        driver.ask(c.SignOnStaff(f"p{no}", no))

    def grow(size: int) -> None:
        for _ in range(past[0], size):
            for at in range(1_000):
                driver.visit(at % 9 + 1)
            driver.night()
            for no in range(1, 13):
                driver.ask(c.SignOnStaff(f"p{no}", no))
        past[0] = size

    return grow


SUBJECTS: Final = {"ticket": tickets, "struct": structs, "hall": halls, "device": devices, "day": days}
SIZES: Final = {
    "ticket": (10_000, 100_000),
    "struct": (10_000, 100_000),
    "hall": (20, 220),
    "device": (1_000, 21_000),
    "day": (8, 16),  # the first week still keeps its ratings open
}
QUICK: Final = {
    "ticket": (2_000, 12_000),
    "struct": (2_000, 12_000),
    "hall": (5, 25),
    "device": (500, 2_500),
    "day": (1, 2),
}


def slope(asked: Asked) -> float:
    """Bytes for one more."""
    grow = SUBJECTS[asked.what]()
    grow(asked.low)
    gc.collect()
    low = rss_mb()
    grow(asked.high)
    gc.collect()
    return (rss_mb() - low) * 2**20 / (asked.high - asked.low)


def run(options: Options, rest: list[str]) -> Report:
    """The gate is of the waiting ticket; the others are shown."""
    assert not rest, f"no such argument: {rest}"
    number = options.pairs or (1 if options.quick else 5)
    found: dict[str, list[float]] = {}
    for what, (low, high) in (QUICK if options.quick else SIZES).items():
        times = number if what in ("ticket", "struct") else 1
        found[what] = [_measured(Asked(what, low, high)) for _ in range(times)]
    ratio = pairs.ratio_of(list(zip(found["ticket"], found["struct"], strict=True)))
    bare = pairs.ratio_of([(one, 1.0) for one in found["ticket"]])
    gate = pairs.gate("memory.bytes_per_waiting_ticket", bare, GOAL, at_least=False)
    rows = [(f"{what:<8}", f"{sorted(values)[len(values) // 2]:,.0f} bytes") for what, values in found.items()]
    rows.append(("ticket over bare Structs of its fields", f"{ratio.median:.1f}"))
    notes = ["a day: 1,000 finished visits, after the first week; what remains is numbers, windows and statistics"]
    return Report("memory", [gate], {"bytes": found, "ratio": msgspec.to_builtins(ratio)}, rows, notes)


def _measured(asked: Asked) -> float:
    with runs.child("bench.memory", msgspec.json.encode(asked).decode()) as process:
        return float(process.line())


if __name__ == "__main__":
    print(slope(msgspec.json.decode(sys.argv[1], type=Asked)), flush=True)
