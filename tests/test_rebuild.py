"""workers/rebuild.py: pictures made anew are those that were made as it happened. More in test_workers_views.py."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_fold import a_morning, stored
from tests.test_workers_views import meta, tables
from workers import engine, owner, recovery
from workers.rebuild import rebuild, wipe


def test_a_journal_that_never_had_pictures_gets_them(tmp_path: Path) -> None:
    driven = a_morning()
    stored(tmp_path, driven)
    assert tables(tmp_path)["ticket"] == []
    asyncio.run(rebuild(tmp_path, lambda: 0))
    assert len(tables(tmp_path)["ticket"]) == len(driven.state.tickets)
    assert meta(tmp_path, "proj_seq") == len(driven.journal)


def test_wiped_is_empty(tmp_path: Path) -> None:
    stored(tmp_path, a_morning())
    asyncio.run(rebuild(tmp_path, lambda: 0))
    path = recovery.newest_file(tmp_path)
    assert path is not None
    with closing(engine.connect(path, isolation_level=None)) as db:
        wipe(db)
    assert not any(tables(tmp_path).values())
    assert meta(tmp_path, "proj_seq") == 0


def test_only_the_owner_rebuilds(tmp_path: Path) -> None:
    held = owner.take(tmp_path)
    with pytest.raises(owner.Taken):
        asyncio.run(rebuild(tmp_path, lambda: 0))
    held.release()
