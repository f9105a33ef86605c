"""Pages without a process: a real dispatcher over a hall driven by hand; into its inbox come only nudges."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry

from core.policy import DevicePart
from tests.halls import HALL, POLICY, Driven, opened
from workers.dispatcher import Dispatcher
from workers.door import Door
from workers.memory_journal import MemoryJournal, Stored
from workers.ports import Input, Outgoing, Part, Row
from workers.proofs import Proofs
from workers.tallies import Tallies
from workers.web.access import Grant, digest
from workers.web.server import Web
from workers.web.site import Limit, Site

PROOFS = Proofs(b"k" * 32)
OWN = {"X-Jiaohao": "1"}
ROLES = ("clerk", "guide", "operator", "auditor", "device", "metrics")
WITH_GUIDE = msgspec.structs.replace(POLICY, devices=(*POLICY.devices, DevicePart("guide-1", "guide")))


def token_of(role: str) -> str:
    return f"{role}-token-of-at-least-sixteen"


def grants(halls: tuple[str, ...] = (HALL,)) -> list[Grant]:
    return [Grant(digest(token_of(role)), role, halls) for role in ROLES]  # type: ignore[arg-type]  # a literal


class Nudged:
    """An inbox into which nothing comes."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.closed = False

    def nudge(self) -> None:
        self._news.set()

    async def batches(self) -> AsyncIterator[Sequence[Input]]:
        while not self.closed:
            await self._news.wait()
            self._news.clear()
            yield ()

    async def settle(self, batch: Sequence[Input]) -> None:
        pass


class Listening:
    """An outbox that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[Outgoing] = []

    async def emit(self, messages: Sequence[Outgoing]) -> None:
        self.said += messages


@dataclass
class Around:
    """A site at work. `get` and `post` give status and body; `hold` keeps the journal from committing."""

    driven: Driven
    site: Site
    web: Web
    dispatcher: Dispatcher
    inbox: Nudged
    outbox: Listening
    session: aiohttp.ClientSession
    seqs: dict[str, int] = field(default_factory=dict)

    async def get(self, path: str, role: str = "", **more: Any) -> tuple[int, str]:
        more.setdefault("allow_redirects", False)
        async with self.session.get(self.web.url + path, headers=bearer(role), **more) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """As our own page would."""
        chosen = {**OWN, "Origin": self.web.url, "Content-Type": "application/json"} if headers is None else headers
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.web.url + path, data=sent, headers=chosen) as answer:
            return answer.status, json.loads(await answer.text() or "null")

    async def say(self, role: str, device: str, body: dict[str, Any], *, seq: int = 0, boot: str = "boot") -> Any:
        """One command of a page; its result."""
        seq = seq or self.seqs.get(device, 0) + 1
        self.seqs[device] = seq
        headers = {**bearer(role), "Content-Type": "application/json", "Idempotency-Key": f"{boot}:{seq}"}
        path = f"/api/v1/commands?hall={HALL}&device={device}"
        status, found = await self.post(path, {"boot": boot, "seq": seq, "body": body}, headers)
        return found["result"] if status == 200 else status


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(role)}"} if role else {}


def dispatcher_of(driven: Driven, inbox: Nudged, journal: MemoryJournal, outbox: Listening) -> Dispatcher:
    """A real one, by the hall's own clock."""

    async def upkeep(idle: bool) -> None:
        pass

    return Dispatcher(
        [driven.hall],
        inbox=inbox,
        journal=journal,
        outbox=outbox,
        upkeep=upkeep,
        now_ms=lambda: driven.at_ms,
        epoch=1,
        tallies=Tallies(),
        door=Door(inbox.nudge),
        proofs=PROOFS,
    )


async def noted(dispatcher: Dispatcher, hall: str, refs: Sequence[str]) -> dict[str, str]:
    """What the journal in memory keeps beside the facts."""
    kept = {note.ref: note.text for note in dispatcher._journal.stored.notes}  # type: ignore[attr-defined]  # of memory
    return {ref: kept[ref] for ref in refs if ref in kept and ref.startswith(f"{hall}-")}


def pages_of(driven: Driven, dispatcher: Dispatcher, limit: Limit | None) -> tuple[Site, Web]:
    """Tokens of every role, a free port."""
    site = Site(
        dispatcher.door,
        dispatcher.desks,
        grants=grants(),
        proofs=PROOFS,
        now_ms=lambda: driven.at_ms,
        notes=lambda hall, refs: noted(dispatcher, hall, refs),
        limit=limit,
    )
    registry = CollectorRegistry(auto_describe=False)
    web = Web(
        "127.0.0.1:0",
        registry=registry,
        ready=lambda: {"broker": True},
        alive=lambda: True,
        digests=dict,
        site=site,
    )
    return site, web


@asynccontextmanager
async def running(driven: Driven | None = None, limit: Limit | None = None) -> AsyncIterator[Around]:
    driven = driven or opened()
    driven.hall.take_effects()
    inbox, outbox, journal = Nudged(), Listening(), MemoryJournal(Stored())
    await prime(journal, driven)

    dispatcher = dispatcher_of(driven, inbox, journal, outbox)
    site, web = pages_of(driven, dispatcher, limit)

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.01)
            if dispatcher.restless():
                inbox.nudge()

    await web.start()
    loop = asyncio.create_task(dispatcher.serve())
    beats = asyncio.create_task(beat())
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield Around(driven, site, web, dispatcher, inbox, outbox, session)
    finally:
        beats.cancel()
        inbox.closed = True
        inbox.nudge()
        await loop
        await web.stop()


async def prime(journal: MemoryJournal, driven: Driven) -> None:
    """The journal already holds what was done by hand."""
    rows = [Row(one.at_ms, one.kind, one.v, *(one.cause or ("", "", 0))[:3], one.payload) for one in driven.journal]
    await journal.append([Part(HALL, 0, rows)])


def with_site(
    scenario: Callable[[Around], Awaitable[None]], driven: Driven | None = None, limit: Limit | None = None
) -> None:
    """Run a scenario against a site."""

    async def run() -> None:
        async with running(driven, limit) as around:
            await scenario(around)

    asyncio.run(run())


async def pictures(around: Around, path: str, role: str = "", count: int = 1) -> list[dict[str, Any]]:
    """The first pictures of a stream."""
    found: list[dict[str, Any]] = []
    async with around.session.get(around.web.url + path, headers=bearer(role)) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data:"):
                found.append(json.loads(line[5:]))
                if len(found) == count:
                    break
    return found
