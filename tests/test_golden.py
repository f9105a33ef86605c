"""Facts are for ever: golden files of every version are read by today's code and come to what they came to then."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import record
from core.facts import KINDS, PolicyChanged
from core.hall import Hall
from core.state import HallState, restored
from tests.golden.make import closed, folded, story, summary

GOLDEN = Path(__file__).parent / "golden"
Rows = list[tuple[int, int, int, str, str, int, bytes]]
IN_THE_DAY = (129, 130)  # a whole policy
DIGEST_OF_A_STORY = """
from core.hall import Hall
from core.state import HallState
from tests.golden.make import story
hall = Hall(HallState("golden"))
story(hall)
print(hall.state.digest())
"""


def rows_of(name: str) -> Rows:
    lines = (GOLDEN / name).read_text("utf-8").splitlines()
    return [(*fields, bytes.fromhex(payload)) for *fields, payload in map(json.loads, lines)]


@pytest.fixture(scope="module")
def day() -> tuple[Rows, dict[str, Any]]:
    return rows_of("day-v1.jsonl"), json.loads((GOLDEN / "day-v1.json").read_text("utf-8"))


def test_the_recorded_day_folds_to_what_it_was(day: tuple[Rows, dict[str, Any]]) -> None:
    rows, expected = day
    hall = folded(rows)
    told = [record.decode(kind, v, payload)[0] for _, kind, v, _, _, _, payload in rows]
    assert json.loads(json.dumps(summary(hall))) == {
        k: v for k, v in expected.items() if k not in ("closed", "before_the_change")
    }
    assert closed(told) == expected["closed"]


def test_yesterday_is_not_changed_by_todays_policy(day: tuple[Rows, dict[str, Any]]) -> None:
    """The policy stands in the facts: a change in mid-day changes the future only."""
    rows, expected = day
    changes = [at for at, row in enumerate(rows) if isinstance(record.decode(*row[1:3], row[6])[0], PolicyChanged)]
    assert len(changes) == 2, "the recorded day has a change in mid-day"
    assert folded(rows[: changes[1]]).state.digest() == expected["before_the_change"]
    after = folded(rows).state.policy
    assert after is not None and after.version == 2


def test_a_snapshot_and_the_tail_come_to_the_same_as_the_whole(day: tuple[Rows, dict[str, Any]]) -> None:
    rows, expected = day
    for cut in (1, 100, len(rows) // 2, len(rows) - 1):
        hall = Hall(restored(folded(rows[:cut]).state.snapshot()))
        for at_ms, kind, v, device, boot, seq, payload in rows[cut:]:
            fact, body, _ = record.decode(kind, v, payload)
            hall.evolve(fact, at_ms, record.Cause(device, boot, seq, body) if device else None)
        assert hall.state.digest() == expected["digest"], f"cut at {cut}"


def test_every_kind_has_a_golden_payload_that_is_read_and_written_as_it_was() -> None:
    golden = json.loads((GOLDEN / "facts-v1.json").read_text("utf-8"))
    assert {int(key.split(".")[0]) for key in golden} | set(IN_THE_DAY) == set(KINDS), "a new kind needs a golden"
    for key, one in golden.items():
        kind, v = map(int, key.split("."))
        payload = bytes.fromhex(one["payload"])
        fact, body, actor = record.decode(kind, v, payload)
        assert msgspec.json.decode(msgspec.json.encode(fact)) == one["json"], key
        assert record.encode(fact) == (kind, v, payload), f"{key}: a Struct changed without a new golden"
        assert (body, actor) == (0, "")


def test_a_story_is_the_same_under_any_hash_seed_and_the_recorded_one(day: tuple[Rows, dict[str, Any]]) -> None:
    hall = Hall(HallState("golden"))
    story(hall)
    digests = {hall.state.digest()}
    for seed in ("0", "1", "4711"):
        found = subprocess.run(
            [sys.executable, "-c", DIGEST_OF_A_STORY],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=GOLDEN.parent.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(found.stdout.strip())
    assert digests == {day[1]["digest"]}
