"""tests/fuzz.py: a bounded run over everything that reads bytes of strangers finds no crash; a planted one is found."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.processes import ROOT

RUNS = 200_000


def fuzzed(corpus: Path, runs: int, seed: int, script: Path = ROOT / "tests" / "fuzz.py") -> tuple[int, str]:
    """Exit code and output of one run. Skips without atheris; where servers are required, fails instead."""
    if importlib.util.find_spec("atheris") is None:
        why = "atheris is not installed: it has no wheel for this Python or machine"
        if os.environ.get("JIAOHAO_REQUIRE_SERVERS") == "1":
            pytest.fail(why)
        pytest.skip(why)
    corpus.mkdir()
    done = subprocess.run(
        [sys.executable, script, str(runs), str(seed), corpus],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    return (
        done.returncode,
        f"seed {seed}: `python tests/fuzz.py {runs} {seed} DIRECTORY`\n{done.stdout[-1500:]}{done.stderr[-3000:]}",
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_bytes_of_strangers_crash_nothing(tmp_path: Path) -> None:
    seed = SystemRandom().randrange(1, 2**31)
    print(f"seed {seed}")
    code, output = fuzzed(tmp_path / "corpus", RUNS, seed)
    assert code == 0 and f"Done {RUNS}" in output, output


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_planted_crash_is_found(tmp_path: Path) -> None:
    """A reader that dies of a wrong tail behind a right sum: no seed has one."""
    script = tmp_path / "planted.py"
    text = (ROOT / "tests" / "fuzz.py").read_text("utf-8")
    planted = "    reader.expire(at_ms + frames.HALF_MS)\n"
    assert planted in text
    text = text.replace(planted, planted + "    assert not reader.bad.tail\n")
    script.write_text(text.replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})"), "utf-8")
    code, output = fuzzed(tmp_path / "corpus", RUNS, 1, script)
    assert code != 0 and "AssertionError" in output, output
