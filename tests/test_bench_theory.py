"""bench/theory.py: the closed forms give the printed rows, and the real pool gives the closed forms."""

import json
from fractions import Fraction

import pytest

from bench.__main__ import main
from bench.theory import ACCUMULATING, FCFS, STRICT, Queue, closed_form, cobham, erlang_c, kleinrock, parse, simulate


def a_queue(lam: tuple[float, ...], b: tuple[object, ...], servers: int = 1, discipline: str = ACCUMULATING) -> Queue:
    rates = tuple(Fraction(str(rate)) for rate in b)
    return Queue(lam, (1.0,) * len(lam), rates, (0.0,) * len(lam), servers, discipline)


ROWS = {
    "K1": (a_queue((0.3, 0.3, 0.3), (1, 2, 4)), (14.40000, 8.04706, 4.55294)),
    "K2": (a_queue((0.4, 0.4), (1, 3)), (5.45455, 2.54545)),
    "K3": (a_queue((0.45, 0.45), (1, 2)), (11.61290, 6.38710)),
    "K4": (a_queue((6.3, 1.8, 0.9), (1, 2, 5), 10), (0.79801, 0.44118, 0.21889)),
    "C2": (a_queue((0.2, 0.3, 0.4), (1, 1, 1), discipline=STRICT), (1.12500, 2.25000, 18.00000)),
}


@pytest.mark.parametrize("row", ROWS)
def test_closed_forms_are_the_printed_rows(row: str) -> None:
    queue, waits = ROWS[row]
    assert closed_form(queue) == pytest.approx(waits, abs=5e-6)


@pytest.mark.parametrize(
    ("servers", "load", "delayed", "wait"),
    [
        (1, 0.8, 0.8, 4.0),
        (2, 1, 0.333333, 0.333333),
        (3, 2, 0.444444, 0.444444),
        (10, 8, 0.409180, 0.204590),
        (30, 27, 0.471408, 0.157136),
    ],
)
def test_erlang_c_is_the_printed_table(servers: int, load: float, delayed: float, wait: float) -> None:
    found = erlang_c(servers, load)
    assert found == pytest.approx(delayed, abs=5e-7)
    assert found / (servers - load) == pytest.approx(wait, abs=5e-7)


def test_the_mean_over_classes_is_the_wait_without_priorities() -> None:
    """Conservation, for rates in any order and several servers."""
    lam, mu = (1.2, 0.7, 2.0, 0.9), (1.0,) * 4
    fcfs = erlang_c(6, sum(lam)) / (6 - sum(lam))
    for waits in (kleinrock(lam, (3, 1, 8, 1), mu, 6), cobham(lam, mu, 6), kleinrock(lam, (2, 2, 2, 2), mu, 6)):
        assert waits is not None
        assert sum(rate * wait for rate, wait in zip(lam, waits, strict=True)) / sum(lam) == pytest.approx(fcfs)
    unsorted, ordered = kleinrock(lam, (3, 1, 8, 1), mu, 6), kleinrock((0.7, 0.9, 1.2, 2.0), (1, 1, 3, 8), mu, 6)
    assert unsorted and ordered and sorted(unsorted) == pytest.approx(sorted(ordered))


def test_no_closed_form_is_none() -> None:
    assert kleinrock((1, 1), (1, 2), (1, 2), 3) is None
    assert cobham((1, 1), (1, 2), 3) is None
    assert kleinrock((0.6, 0.6), (1, 2), (1, 1)) is None
    assert closed_form(Queue((0.3,), (1.0,), (Fraction(1),), (2.0,))) is None


SHORT = [ROWS["K2"][0], a_queue((1.0, 1.0), (1, 1), 3, STRICT), a_queue((0.5, 0.2), ("0.5", 7), discipline=FCFS)]


@pytest.mark.parametrize("queue", SHORT, ids=["K2", "strict, three servers", "fcfs"])
def test_the_pool_gives_the_closed_form_on_a_short_run(queue: Queue) -> None:
    assert simulate(queue, 300_000, seed=1) == pytest.approx(closed_form(queue), rel=0.05)


def test_rates_need_not_be_whole() -> None:
    """Only ratios matter: 1/3 to 1 is 1 to 3, draw by draw."""
    thirds, whole = a_queue((0.4, 0.4), ("1/3", 1)), a_queue((0.4, 0.4), (1, 3))
    assert simulate(thirds, 3_000, seed=5) == simulate(whole, 3_000, seed=5)


def test_head_starts_shift_waits_between_classes() -> None:
    plain = Queue((0.4, 0.4), (1.0, 1.0), (Fraction(1),) * 2, (0.0, 0.0))
    favoured = Queue((0.4, 0.4), (1.0, 1.0), (Fraction(1),) * 2, (0.0, 5.0))
    before, after = simulate(plain, 20_000, seed=1), simulate(favoured, 20_000, seed=1)
    assert after[0] > before[0] and after[1] < before[1]


def test_the_command_line_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "theory --lam .2,.3 --b 2,1 --mu 1 --servers 1 --seed 4 --arrivals 40000 --json --quick"
    assert main(arguments.split()) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["suite"] == "theory" and document["seed"] == 4 and document["gates"] == []
    assert document["closed_form"] == kleinrock((0.2, 0.3), (2, 1), (1, 1))
    assert document["mean_wait"] == pytest.approx(document["closed_form"], rel=0.1)
    assert document["machine"]["cores"] and "disk" not in document["machine"]


@pytest.mark.parametrize("wrong", ["--lam .6,.6", "--lam .1,.2 --b 1", "--lam .1 --b 0", "--lam .1 --servers 0"])
def test_wrong_arguments_exit_2(wrong: str) -> None:
    with pytest.raises(SystemExit) as left:
        parse(wrong.split())
    assert left.value.code == 2


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_pool_gives_every_row_at_full_length(row: str) -> None:
    queue, waits = ROWS[row]
    assert simulate(queue, 900_000, seed=1) == pytest.approx(waits, rel=0.05)
