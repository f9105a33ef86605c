"""bench/latency.py: which runs count, what they are held against, and that nothing wrong in any run is forgotten."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bench import latency, plan, rush
from bench.generate import Generated
from bench.latency import SAMPLES, Bench, Pair, Pressed, pressed, quantile_ms
from bench.pairs import Options
from bench.product import Setup
from bench.runs import Wrong
from bench.rush import presses


def a_run(p99_ms: float = 10.0, *, samples: int = SAMPLES, late_ms: float = 0.0) -> Pressed:
    return Pressed(samples, 0, late_ms, {"0.9": 1.0, "0.99": p99_ms}, [], 1.0, True)


def a_pair(ours: Pressed, relay: Pressed | None = None) -> Pair:
    return Pair(ours, relay or a_run(4.0), 1.0)


def test_quantiles_are_those_of_the_sorted_run() -> None:
    run = [1000 * one for one in range(100, 0, -1)]
    assert [quantile_ms(run, share) for share in (0, 0.5, 0.99, 1)] == [1.0, 51.0, 100.0, 100.0]
    assert quantile_ms([], 0.99) == 0.0


@pytest.mark.parametrize(("samples", "last"), [(SAMPLES * 10 - 1, "0.99"), (SAMPLES * 10, "0.999")])
def test_a_rare_quantile_needs_more_samples(samples: int, last: str) -> None:
    found = Generated(1, 1, 0, 1.0, 1.0, 0.0, 0.0, True, latency_us=[1000] * samples)
    assert list(pressed(found, 1.0).quantiles_ms)[-1] == last


@pytest.mark.parametrize(
    ("late_ms", "p99_ms", "late"), [(2.0, 10.0, False), (2.1, 99.0, True), (0.9, 4.5, False), (1.0, 4.5, True)]
)
def test_a_generator_is_late_by_so_much_or_by_a_share_of_what_it_measures(
    late_ms: float, p99_ms: float, late: bool
) -> None:
    assert a_run(p99_ms, late_ms=late_ms).late is late


def test_the_bound_is_twice_the_relay_and_twice_the_disk() -> None:
    assert a_pair(a_run()).bound_ms == 2 * 4.0 + 2 * 1.0


@pytest.mark.parametrize(
    "unfair",
    [
        a_pair(a_run(1.0, late_ms=9)),
        a_pair(a_run(1.0), a_run(4.0, late_ms=9)),
        a_pair(a_run(1.0, samples=SAMPLES - 1)),
        a_pair(a_run(1.0), a_run(4.0, samples=SAMPLES - 1)),
    ],
    ids=["we late", "relay late", "we few", "relay few"],
)
def test_only_fair_pairs_are_judged_and_without_any_there_is_no_verdict(unfair: Pair) -> None:
    none = latency._gate([unfair], Options())
    assert none.ok is None and none.value is None and none.note.startswith("not run")
    held = latency._gate([unfair, a_pair(a_run(20.0)), a_pair(a_run(20.0))], Options())
    assert (held.value, held.ok, held.note) == (2.0, False, "1 pairs void"), "of p99, ours over the bound"


def test_pairs_turn_round_and_the_first_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def ran(who: str) -> Pressed:
        order.append(who)
        return a_run(float(len(order)))

    monkeypatch.setattr("bench.latency.machine.fdatasync_p99_us", lambda: 1000.0)
    bench: Any = SimpleNamespace(ours=lambda: ran("ours"), theirs=lambda: ran("relay"))
    found = latency._pairs(bench, 500, 3, discard=True)
    assert order == ["ours", "relay", "relay", "ours"] * 2
    assert [(pair.ours.p99_ms, pair.relay.p99_ms, pair.fdatasync_p99_ms) for pair in found] == [
        (4.0, 3.0, 1.0),
        (5.0, 6.0, 1.0),
        (8.0, 7.0, 1.0),
    ]


@pytest.mark.parametrize("bad", range(5))
def test_what_is_wrong_in_any_run_reaches_the_gates(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    """Two rates, the product run twice at each, and the door that opens: one of the five runs has lost something."""
    wrongs = iter([Wrong(lost=int(at == bad)) for at in range(5)])
    made = plan.presses(rush.presses(halls=1, counters=1, rate=2, seconds=1, seed=1, connections=1))

    @contextmanager
    def a_child(*_: object, **__: object) -> Any:
        yield SimpleNamespace(ready=lambda: None, tell=lambda *_: None)

    @contextmanager
    def a_broker(*_: object, **__: object) -> Any:
        yield "mqtt://nowhere"

    generated = Generated(1, 1, 0, 1.0, 1.0, 0.0, 0.0, True, latency_us=[1000])
    for name, fake in (("dispatcher", a_child), ("generator", a_child), ("noop", a_child), ("broker", a_broker)):
        monkeypatch.setattr(f"bench.latency.runs.{name}", fake)
    monkeypatch.setattr("bench.latency.runs.generated", lambda _: generated)
    monkeypatch.setattr("bench.latency.runs.done", lambda _: SimpleNamespace(cpu_s=1.0, received=1, digests={}))
    monkeypatch.setattr("bench.latency.runs.received", lambda _: SimpleNamespace(cpu_us=1.0))
    monkeypatch.setattr("bench.latency.runs.examine", lambda *_: next(wrongs))
    monkeypatch.setattr("bench.latency.machine.fdatasync_p99_us", lambda: 1000.0)
    for way in ("presses", "opening"):
        monkeypatch.setattr(Bench, way, lambda place, *_, **__: Bench(made, place / "plan", 1.0, Setup("", "")))
    report = latency.run(Options(quick=True, pairs=2), ["--rates", "10", "20"])
    assert [(gate.name, gate.value) for gate in report.gates if gate.value and gate.goal == 0] == [
        ("latency.lost", 1.0)
    ]
    assert next(wrongs, None) is None, "every run was looked at"


@pytest.mark.parametrize("rate", latency.RATES)
def test_a_run_has_the_samples_that_a_p99_needs(rate: int) -> None:
    """Only whole visits are played, so that a little more time may bring nothing."""
    played = presses(
        halls=latency.HALLS,
        counters=latency.COUNTERS,
        rate=rate,
        seconds=latency.SENT / rate,
        seed=1,
        connections=latency.CONNECTIONS,
    )
    assert sum(bool(one.screen) for lane in played.timed for one in lane) >= latency.SAMPLES
