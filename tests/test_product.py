"""bench/product.py: the process under load speaks, stops when told, and goes on from its journal."""

from pathlib import Path

from bench import plan, runs
from bench.generate import Asked
from bench.product import Done, Setup
from bench.runs import IOTCORE
from bench.rush import presses


def pressed(url: str, place: Path, number: int) -> Done:
    """One life of the product with a second of presses."""
    made = plan.presses(
        presses(halls=1, counters=3, rate=60, seconds=1, seed=number, connections=2, boot=f"life-{number}")
    )
    file = plan.write(made, place / f"plan-{number}")
    setup = Setup(url, str(place / "data"), halls=1, counters=12, receive_max=100, batch_max=100)
    with runs.dispatcher(setup) as subject, runs.generator(Asked(url, str(file), unacked=1, watch="pictures")) as keys:
        subject.ready()
        keys.ready()
        keys.tell("0")
        seen = runs.generated(keys)
        assert seen.finished and seen.acked == seen.sent and len(seen.latency_us) == len(seen.due_ms) > 20
        assert seen.unseen < len(seen.due_ms), "on a busy machine the next picture may take the place of one"
        subject.tell("stop")
        done = runs.done(subject)
    wrong = runs.examine(place / "data", made.causes, done.digests)
    assert (wrong.lost, wrong.doubled, wrong.called_twice, wrong.digests) == (0, 0, 0, True), wrong.words
    return done


def test_it_speaks_stops_and_goes_on(tmp_path: Path) -> None:
    with runs.broker(IOTCORE, tmp_path) as url:
        first = pressed(url, tmp_path, 1)
        assert first.recovered == 0 and first.published["ack"] > 20 and first.published["screen"] > 20
        again = pressed(url, tmp_path, 2)
        assert again.recovered >= first.facts > 50 and again.finished
