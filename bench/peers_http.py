"""bench/peers_http.py: the clicks that other queue systems were measured with, over HTTP: issue and call, one by one.

1, 2 and 8 clients, each waiting for its answer, against a bare SQLite transaction: with one serial client group commit
gains nothing, and a click pays one fdatasync like everyone's. Then two clients race for 200 tickets: nobody doubled.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from bench import pairs, runs
from bench.pairs import Options, Ratio, Report, Subject
from bench.plan import Cause
from bench.runs import IOTCORE, Wrong
from bench.rush import hall_policy
from core import policy
from core.policy import DevicePart, Policy
from devices.kit_broker import free_port
from workers import engine
from workers.broker import LOOPBACK
from workers.web.access import new_token

HALL: Final = "h1"
COUNTERS: Final = 10
CLIENTS: Final = (1, 2, 8)
RACE: Final = 200
TOKEN_CLICKS: Final = 40  # a token's burst; a page of a person is not faster
START_S, END_S = 20.0, 30.0
SEEN: Final = "MADO-queue 246 issue/s, 240 call/s; FQM 51, 41; bare transaction there 557/s and 739/s"


class Clicks:
    """One browser: a device, as many tokens as its clicks need."""

    def __init__(
        self, session: aiohttp.ClientSession, site: "Served", device: str, tokens: Iterator[str], boot: str
    ) -> None:
        self._session, self._tokens, self._boot, self._seq = session, tokens, boot, 0
        self._site, self._device, self._token = site, device, ""
        self._url = f"{site.url}/api/v1/commands?hall={HALL}&device={device}"

    async def say(self, kind: str, **more: object) -> dict[str, Any]:
        """One command and its answer, after the commit."""
        if self._seq % TOKEN_CLICKS == 0:
            self._token = next(self._tokens)
        self._seq += 1
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"{self._boot}:{self._seq}"}
        event = {"boot": self._boot, "seq": self._seq, "body": {"type": kind, **more}}
        async with self._session.post(self._url, json=event, headers=headers) as response:
            found = await response.json()
            assert response.status == 200, f"{response.status} {found}"
        self._site.causes.append((self._device, self._boot, self._seq))
        result: dict[str, Any] = found["result"]
        return result


class Served:
    """`jiaohao serve` with pages, the tokens for them, and every click that was answered."""

    def __init__(self, url: str, data: Path, guides: list[str], clerks: list[str]) -> None:
        self.url, self.data = url, data
        self.causes: list[Cause] = []
        self._tokens = {"guide": iter(guides), "caller": iter(clerks)}
        self._lives = 0

    def clicks(self, session: aiohttp.ClientSession, device: str) -> Clicks:
        """A browser that nobody was before."""
        self._lives += 1
        tokens = self._tokens[device.partition("-")[0]]
        return Clicks(session, self, device, tokens, f"page-{self._lives}")


def rules() -> Policy:
    """Guides give out numbers, keypads call."""
    usual = hall_policy(HALL, COUNTERS)
    guides = tuple(DevicePart(f"guide-{no}", "guide") for no in range(1, COUNTERS + 1))
    return msgspec.structs.replace(usual, devices=(*usual.devices, *guides))


@contextmanager
def served(place: Path, clicks: int) -> Iterator[Served]:
    """The real process over the embedded broker, listening; its tokens are enough for so many clicks of a role."""
    with runs.broker(IOTCORE, place) as broker_url:
        (place / "halls").mkdir()
        (place / "halls" / f"{HALL}.json").write_text(policy.document(rules()), "utf-8")
        made = {
            role: [new_token(role, (HALL,)) for _ in range(clicks // TOKEN_CLICKS + 300)] for role in ("guide", "clerk")
        }
        tokens = place / "tokens.toml"
        tokens.write_text("".join(entry for some in made.values() for _, entry in some), "utf-8")
        tokens.chmod(0o600)
        port = free_port()
        command = [sys.executable, "-m", "workers.cli", "serve", "--log=json", f"--broker={broker_url}"]
        command += [f"--data={place / 'data'}", f"--halls={place / 'halls'}", f"--listen={LOOPBACK}:{port}"]
        environment = {**os.environ, "JIAOHAO_WEB__TOKENS_FILE": str(tokens), "JIAOHAO_BROKER__RECEIVE_MAXIMUM": "100"}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                url = f"http://{LOOPBACK}:{port}"
                asyncio.run(_ready(url))
                yield Served(url, place / "data", *([token for token, _ in some] for some in made.values()))
            finally:
                process.terminate()
                process.wait(END_S)


async def _ready(url: str) -> None:
    limit = time.monotonic() + START_S
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if time.monotonic() > limit:
                raise runs.Missing("jiaohao serve is not ready in time")
            await asyncio.sleep(0.05)


async def issue(served_: Served, clients: int, clicks: int) -> float:
    """Tickets a second over `clients` browsers."""

    async def one(session: aiohttp.ClientSession, no: int) -> float:
        page = served_.clicks(session, f"guide-{no}")
        begin = time.perf_counter()
        for at in range(clicks):
            answer = await page.say("ticket.take", service=f"s{(no * 2 + at % 5) % 20}")  # counter `no` has it
            assert answer.get("ok"), answer
        return time.perf_counter() - begin

    return await _together(one, clients, clicks)


async def call(served_: Served, clients: int, clicks: int) -> float:
    """Calls a second; what makes the counter free again is outside the clock."""

    async def one(session: aiohttp.ClientSession, no: int) -> float:
        page, spent = served_.clicks(session, f"caller-{no}"), 0.0
        await page.say("staff.sign_on", staff=f"p{no}")
        for _ in range(clicks):
            begin = time.perf_counter()
            answer = await page.say("ticket.call_next")
            spent += time.perf_counter() - begin
            assert answer.get("ok"), answer
            await page.say("serving.finish")
        return spent

    return await _together(one, clients, clicks)


async def _together(one: Callable[[aiohttp.ClientSession, int], Awaitable[float]], clients: int, clicks: int) -> float:
    async with aiohttp.ClientSession() as session:
        spent = await asyncio.gather(*(one(session, no) for no in range(1, clients + 1)))
    return clicks * clients / (sum(spent) / clients)


async def race(served_: Served, tickets: int) -> tuple[int, int]:
    """Two keypads of equal skills call everybody, released together each time: (called, called twice)."""
    async with aiohttp.ClientSession() as session:
        guide = [served_.clicks(session, f"guide-{no}") for no in range(1, COUNTERS + 1)]
        for at in range(tickets):
            await guide[at % COUNTERS].say("ticket.take", service="s4")  # counters 1 and 2 have it
        pages = [served_.clicks(session, f"caller-{no}") for no in (1, 2)]
        for no, page in enumerate(pages, 1):
            await page.say("staff.sign_on", staff=f"p{no}")
        called: list[int] = []
        for _ in range(tickets):
            answers = await asyncio.gather(*(page.say("ticket.call_next") for page in pages))
            called += [answer["ok"]["ticket"] for answer in answers if "ok" in answer]
            await asyncio.gather(*(page.say("serving.finish") for page in pages))
            if not any("ok" in answer for answer in answers):
                break
    return len(called), len(called) - len(set(called))


def bare(times: int) -> float:
    """Transactions a second: BEGIN IMMEDIATE, UPDATE, INSERT, COMMIT, durable, nothing around it."""
    with tempfile.TemporaryDirectory() as name, closing(engine.writer(Path(name) / "bare.db")) as db:
        db.execute("CREATE TABLE queue(id INTEGER PRIMARY KEY, n INTEGER)")
        db.execute("CREATE TABLE ticket(id INTEGER PRIMARY KEY, number TEXT, at_ms INTEGER)")
        db.execute("INSERT INTO queue VALUES(1, 0)")
        begin = time.perf_counter()
        for at in range(times):
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE queue SET n = n + 1 WHERE id = 1")
            db.execute("INSERT INTO ticket(number, at_ms) VALUES(?, ?)", (f"A{at:05d}", at))
            db.execute("COMMIT")
        return times / (time.perf_counter() - begin)


def run(options: Options, rest: list[str]) -> Report:
    """Ratios to the bare transaction, and the race."""
    assert not rest, f"no such argument: {rest}"
    clicks = 15 if options.quick else 60
    number = options.pairs or (1 if options.quick else pairs.PAIRS)
    found: dict[str, Ratio] = {}
    wrong = Wrong()
    with runs.workplace() as place:
        with served(place, clicks * (number + 2) * 4 * sum(CLIENTS)) as site:
            for name, what in (("issue", issue), ("call", call)):
                for clients in CLIENTS:
                    if what is call:
                        asyncio.run(issue(site, clients, clicks * (2 * number + 2) + 1))  # enough for doubled pairs
                    found[f"{name}, {clients} clients"] = pairs.compare(
                        _subject(what, site, clients, clicks), lambda: bare(clicks * 4), pairs=number
                    )
        wrong += runs.examine(site.data, {HALL: site.causes}, {})
    with runs.workplace() as place:
        with served(place, RACE * 4) as site:
            called, doubled = asyncio.run(race(site, 40 if options.quick else RACE))
        wrong += runs.examine(site.data, {HALL: site.causes}, {})
    rows = [_row(name, ratio) for name, ratio in found.items()]
    gates = runs.correctness("peers-http", wrong + Wrong(called_twice=doubled))[:3]  # nobody asks it for a digest
    extra: dict[str, Any] = {"ratios": {name: msgspec.to_builtins(ratio) for name, ratio in found.items()}}
    notes = [f"{called} tickets called by two racing clients, {doubled} of them twice", f"seen elsewhere: {SEEN}"]
    return Report("peers-http", gates, extra, rows, notes)


def _subject(what: Callable[[Served, int, int], Awaitable[float]], site: Served, clients: int, clicks: int) -> Subject:
    async def whole() -> float:
        return await what(site, clients, clicks)

    return lambda: asyncio.run(whole())


def _row(name: str, ratio: Ratio) -> tuple[str, ...]:
    ours, theirs = ratio.raw[len(ratio.raw) // 2]
    return (
        f"{name:<18}",
        f"{ours:>7.0f}/s",
        f"bare transaction {theirs:>6.0f}/s",
        f"ratio {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
    )
