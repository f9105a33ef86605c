"""bench/test_micro.py: the parts of bench/micro.py under pytest-benchmark: `pytest bench --benchmark-only`."""

from typing import Any

import pytest

from bench.micro import hall, jobs, slow_jobs

DRIVER = hall()
JOBS = {**jobs(DRIVER), **slow_jobs(DRIVER)}


@pytest.mark.parametrize("name", list(JOBS))
def test_part(name: str, benchmark: Any) -> None:
    benchmark(JOBS[name])
