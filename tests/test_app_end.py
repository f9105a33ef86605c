"""workers/app.py: how it ends: each part is closed, whatever fails in another."""

import asyncio
from pathlib import Path

import pytest

from tests.test_app import running
from workers.months import Months
from workers.nightly import Nightly
from workers.web.server import Web


def test_what_fails_while_it_ends_leaves_nothing_else_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    stop = Web.stop

    async def fails(_: Nightly) -> None:
        closed.append("nightly")
        raise OSError("no child")

    async def closes(_: Months) -> None:
        closed.append("months")

    async def stops(web: Web) -> None:
        closed.append("web")
        await stop(web)

    monkeypatch.setattr(Nightly, "close", fails)
    monkeypatch.setattr(Months, "close", closes)
    monkeypatch.setattr(Web, "stop", stops)

    async def scenario() -> None:
        with pytest.raises(OSError, match="no child"):
            async with running(tmp_path):
                pass

    asyncio.run(scenario())
    assert closed == ["nightly", "months", "web"]
