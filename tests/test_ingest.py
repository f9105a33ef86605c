"""bench/ingest.py: both sides of a pair see every message; what is told of them has the names of the gates."""

from pathlib import Path

import pytest

from bench import ingest, runs
from bench.ingest import Bench, Run
from bench.pairs import Options
from bench.runs import IOTCORE, MOSQUITTO
from tests.brokers import MOSQUITTO as BINARY


@pytest.mark.parametrize("broker", [MOSQUITTO, IOTCORE])
def test_ours_and_the_baseline_see_the_same_load(broker: str, tmp_path: Path) -> None:
    if broker == MOSQUITTO and BINARY is None:
        pytest.skip("mosquitto is not installed")
    bench = Bench(tmp_path, 600, seed=1, halls=4)
    mine, other = bench.ours(broker, "ingest", 100), bench.theirs(broker, relay=False)
    assert mine.finished and other.finished and mine.received == other.received == 600
    assert mine.facts > 600 and mine.commits >= 6 and mine.cpu_us > 0
    assert (bench.wrong.lost, bench.wrong.doubled, bench.wrong.called_twice, bench.wrong.digests) == (0, 0, 0, True)


def test_gates_have_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(100, 1.0, 0.001, True, 120, 3)
    monkeypatch.setattr(ingest, "interleaved", lambda *_: [(run, run)])
    for suite, wanted in (
        (ingest.ingest, ["ingest.durable_vs_noop", "ingest.cpu_vs_noop", "ingest.iotcore_durable_vs_noop"]),
        (ingest.loop, ["loop.full_vs_relay"]),
        (ingest.link, []),
    ):
        report = suite(Options(quick=True), ["--count", "100"])
        name = report.suite
        counted = [f"{name}.{one}" for one in ("lost", "doubled", "called_twice", "digest_differs", "unfinished")]
        assert [gate.name for gate in report.gates] == [*wanted, *counted]
        assert report.extra["load"]["digest"] and report.rows


def test_a_missing_broker_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(runs.Missing, match="mosquitto is not installed"), runs.broker(MOSQUITTO, tmp_path):
        pass
