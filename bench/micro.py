"""bench/micro.py: the small parts one by one, as ratios to decoding the same event with msgspec alone.

`python -m bench core`, or under pytest-benchmark: `pytest bench --benchmark-only` (bench/test_micro.py).
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench import pairs
from bench.memory import NOW_MS, Driver
from bench.pairs import Options, Report
from core import commands as c
from core import record
from core.fact import Cause, Fact
from core.refusals import Refusal
from core.state import restored
from core.window import TicketAnswer
from devices import pictures, wire

Job = Callable[[], object]
TAKE: Final = (
    b'{"boot":"bench-1","seq":118,"sent_ms":1795420800123,'
    b'"body":{"type":"ticket.take","service":"s2","class":"ordinary"}}'
)
CALL: Final = b'{"boot":"bench-1","seq":118,"sent_ms":1795420800123,"body":{"type":"ticket.call_next"}}'
WAITING: Final = 200
_EVENT: Final = msgspec.json.Decoder(wire.Event)


def hall() -> Driver:
    """Some wait, counter 1 is idle, 2 has called, 3 serves, 4 has finished."""
    driver = Driver("h1")
    for no in range(1, 13):
        driver.ask(c.SignOnStaff(f"p{no}", no))
    for at in range(WAITING):
        driver.at_ms += 1_000
        driver.ask(c.TakeTicket(f"s{at % 20}"), "kiosk")
    for no, steps in ((2, 1), (3, 2), (4, 3)):
        for command in (c.CallNext(), c.StartServing(), c.FinishServing())[:steps]:
            driver.ask(command, f"caller-{no}")
    return driver


COMMANDS: Final[dict[str, tuple[c.Command, str]]] = {
    "take": (c.TakeTicket("s2"), "kiosk"),
    "call_next": (c.CallNext(), "caller-1"),
    "start": (c.StartServing(), "caller-2"),
    "finish": (c.FinishServing(), "caller-3"),
    "rate": (c.SubmitEvaluation(level=5), "ev-4"),
    "refused": (c.CallNext(), "caller-2"),
}


def decides(driver: Driver) -> dict[str, Job]:
    """Decide by kind: reads only, so it can be done again and again."""
    decide, at_ms = driver.hall.decide, driver.at_ms
    found: dict[str, Job] = {}
    for name, (command, device) in COMMANDS.items():
        found[f"decide {name}"] = lambda command=command, device=device: decide(command, at_ms, device)  # type: ignore[misc]  # mypy cannot infer a bound default
    return found


class Folded:
    """Evolve and react of one command; each time on a hall put back from a snapshot, outside the clock."""

    def __init__(self, driver: Driver, name: str, times: int) -> None:
        command, device = COMMANDS[name]
        self.snapshot, self.device = driver.hall.state.snapshot(), device
        self.facts: list[Fact] = driver.hall.decide(command, driver.at_ms, device)
        self.at_ms, self.times = driver.at_ms, times

    def cost(self, what: str) -> float:
        """Seconds of one command's facts."""
        spent = []
        for turn in range(self.times):
            one = Driver("h1").hall
            one.state = restored(self.snapshot)
            cause = Cause(self.device, "bench", turn + 1, 7)
            begin = time.perf_counter()
            for fact in self.facts:
                one.evolve(fact, self.at_ms, cause)
            folded = time.perf_counter()
            for fact in self.facts:
                one.react(fact, cause)
            spent.append((folded - begin) if what == "evolve" else time.perf_counter() - folded)
        return min(spent)


def jobs(driver: Driver) -> dict[str, Job]:
    """Everything that can be called over and over."""
    state = driver.hall.state
    device = state.devices["caller-1"]
    board = state.devices["board"]
    fact = driver.hall.decide(c.TakeTicket("s2"), driver.at_ms, "kiosk")[0]
    cause = Cause("kiosk", "bench-1", 118, 7)
    kind, v, payload = record.encode(fact, cause)
    answer = TicketAnswer(812, "A012", 3, 540, 900)
    refused = wire.result_of(9, driver.hall.settled(Cause("caller-2", "boot", 1, 1)))
    ack = wire.Ack("bench-1", NOW_MS, [wire.result_of(118, answer)])
    picture = pictures.draw(state, device)
    assert picture is not None and refused.refused is None
    screen = wire.Screen(1, state.n, NOW_MS, picture)
    return {
        "msgspec decode alone": lambda: _EVENT.decode(TAKE),
        "an empty function": lambda: None,
        "wire decode take": lambda: wire.decode(TAKE, "kiosk"),
        "wire decode call_next": lambda: wire.decode(CALL, "caller-1"),
        "wire encode ack": lambda: wire.encode(ack),
        "wire encode screen": lambda: wire.encode(screen),
        "judge": lambda: driver.hall.judge(cause),
        "record encode": lambda: record.encode(fact, cause),
        "record decode": lambda: record.decode(kind, v, payload),
        "draw a keypad": lambda: pictures.draw(state, device),
        "draw a board": lambda: pictures.draw(state, board),
        **decides(driver),
    }


def slow_jobs(driver: Driver) -> dict[str, Job]:
    """Once a snapshot, not once an event."""
    state, data = driver.hall.state, driver.hall.state.snapshot()
    return {
        f"digest of {WAITING} waiting": state.digest,
        f"snapshot of {WAITING} waiting": state.snapshot,
        f"restore of {WAITING} waiting": lambda: restored(data),
        "published ranking": lambda: state.pool.snapshot(state.t(driver.at_ms)),
    }


def best(job: Job, times: int, rounds: int) -> float:
    """Seconds a call, the best of some rounds."""
    found = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(times):
            job()
        found = min(found, time.perf_counter() - begin)
    return found / times


def run(options: Options, rest: list[str]) -> Report:
    """Shown, not judged: no gate hangs on a single part."""
    assert not rest, f"no such argument: {rest}"
    times, rounds = (200, 3) if options.quick else (2_000, 9)
    driver = hall()
    assert all(not isinstance(one, Refusal) for one in COMMANDS)
    every = jobs(driver)
    baseline = every["msgspec decode alone"]
    rows, found = [], dict[str, dict[str, float]]()
    for name, job in (*every.items(), *slow_jobs(driver).items()):
        count = times if name in every else max(5, times // 50)
        raw = [(best(job, count, rounds), best(baseline, times, rounds)) for _ in range(3)]
        rows.append(_row(name, pairs.ratio_of(raw), found))
    for name in COMMANDS:
        for what in ("evolve", "react"):
            cost = Folded(driver, name, 20 if options.quick else 200).cost(what)
            raw = [(cost, best(baseline, times, rounds)) for _ in range(3)]
            rows.append(_row(f"{what} {name}", pairs.ratio_of(raw), found))
    extra: dict[str, Any] = {"micro": found}
    return Report("core", [], extra, rows, ["ratios to msgspec decoding one event of 125 bytes"])


def _row(name: str, ratio: pairs.Ratio, found: dict[str, dict[str, float]]) -> tuple[str, ...]:
    cost = min(above for above, _ in ratio.raw) * 1e6
    found[name] = {"us": cost, "ratio": ratio.median}
    return (f"{name:<26}", f"{cost:>9.3f} us", f"{ratio.median:>8.2f} x")
