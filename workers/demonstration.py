"""workers/demonstration.py: a whole hall on one machine: broker, dispatcher in a process of its own, devices, people.

What is told at the end was compared: every acknowledgement that a device saw against the journal, every screen against
the fold of it.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from core import policy
from core.state import HallState
from devices.simulator import Simulator, example_policy
from devices.tally import Tally, compare, screens_wrong
from workers import replays
from workers.broker import EmbeddedBroker
from workers.cli_tokens import write
from workers.clock import Clock, monotonic_s, utc_ms
from workers.link_settings import parse_url
from workers.ports import Missing
from workers.web.access import new_token

HALL: Final = "demo"
TOKENS: Final = "tokens.toml"
OPENING_MS: Final = 30_600_000  # 08:30
DAY_MS: Final = 86_400_000
CHINA_MS: Final = 28_800_000
START_S: Final = 15.0
STOP_S: Final = 15.0
IOTCORE_UNACKED: Final = 100


class Wish(NamedTuple):
    """What was asked for. `seconds` 0: until interrupted; `speed`: hall seconds a second."""

    seconds: int
    seed: int
    counters: int
    services: int
    speed: int
    broker: str
    port: int
    keep: Path | None
    as_json: bool


class Latency(msgspec.Struct):
    """Milliseconds from a key press to the picture on the counter's own screen; absent without a press."""

    p50: float | None
    p99: float | None


class Outcome(msgspec.Struct):
    """The tally of what every simulated device saw, held against the journal."""

    v: int
    taken: int
    called: int
    served: int
    rated: int
    waiting: int
    refused: int
    commands_acked: int
    facts_journaled: int
    lost: int
    duplicated: int
    screens_wrong: int
    press_to_screen_ms: Latency
    digest_equal: bool
    seed: int
    seconds: float


async def show(wish: Wish) -> None:
    """Run, tell. Raises when something was lost, doubled or shown wrong."""
    with tempfile.TemporaryDirectory(prefix="jiaohao-demo-") as place:
        directory = wish.keep or Path(place)
        outcome = await _run(wish, directory)
    if wish.as_json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    else:
        Console().print(_final(outcome))
    if outcome.lost or outcome.duplicated or outcome.screens_wrong or not outcome.digest_equal:
        raise SystemExit(1)


async def _run(wish: Wish, directory: Path) -> Outcome:
    rules = example_policy(hall=HALL, counters=wish.counters, services=wish.services)
    rules = msgspec.structs.replace(rules, devices=(*rules.devices, policy.DevicePart("guide-1", "guide")))
    halls = directory / "halls"
    await asyncio.to_thread(halls.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((halls / f"{HALL}.json").write_text, policy.document(rules), "utf-8")
    tokens = await asyncio.to_thread(_tokens, directory / TOKENS)
    async with _broker(wish.broker) as (devices_url, link_url, unacked):
        clock = _clock(wish.speed)
        async with dispatcher(directory, link_url, clock, port=wish.port, unacked=unacked) as (process, url):
            simulator = Simulator(
                rules,
                devices_url,
                seed=wish.seed,
                speed=wish.speed,
                now_ms=clock.now_ms,
                seconds=float(wish.seconds) or None,
            )
            started = monotonic_s()
            if not wish.as_json:
                sys.stderr.write(_links(url, tokens) + ("" if wish.seconds else "Ctrl-C ends it, and compares\n"))
            await _watched(simulator, wish, url)
            took = monotonic_s() - started
            digest = await _settled(url)
            await _stop(process)
        return await _outcome(simulator, directory, digest, wish, took)


@asynccontextmanager
async def _broker(url: str) -> AsyncIterator[tuple[str, str, int]]:
    """Addresses for devices and for the link; the embedded broker, unless one is named."""
    if url:
        address = parse_url(url)
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
        except OSError as error:
            raise Missing(f"no broker answers at {url}: {error.strerror}") from error
        writer.close()
        await writer.wait_closed()
        yield url, url, 1000
        return
    async with EmbeddedBroker() as broker:
        yield broker.url, broker.url_v5, IOTCORE_UNACKED


def _tokens(file: Path) -> dict[str, str]:
    """By role: a token for this run."""
    made = {role: new_token(role, (HALL,)) for role in ("clerk", "guide", "operator", "device")}
    write(file, "\n".join(entry for _, entry in made.values()))
    return {role: token for role, (token, _) in made.items()}


def _links(url: str, tokens: dict[str, str]) -> str:
    """Where to look. A token behind # logs in at once and reaches no server's log."""
    pages = (
        ("clerk", "console", f"/console?hall={HALL}&device=caller-01"),
        ("device", "pad", f"/pad/ev-01?hall={HALL}"),
        ("guide", "guide desk", "/guide"),
        ("operator", "overview", "/ops"),
        ("operator", "case desk", "/cases"),
    )
    lines = [f"board       {url}/board/{HALL}"]
    lines += [f"{name:11} {url}/login?next={quote(path)}#token={tokens[role]}" for role, name, path in pages]
    return "\n".join([*lines, f"metrics     {url}/metrics", ""])


def _clock(speed: int) -> Clock:
    """The hall's day begins at its opening."""
    now_ms = utc_ms()
    midnight_ms = (now_ms + CHINA_MS) // DAY_MS * DAY_MS - CHINA_MS
    return Clock(speed, midnight_ms + OPENING_MS, now_ms)


@asynccontextmanager
async def dispatcher(
    directory: Path, broker: str, clock: Clock, *, port: int = 0, unacked: int = 1000
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`jiaohao serve` as a child, listening; ended by its own handle. Missing when it does not start."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")},
        "JIAOHAO_CLOCK__SPEED": str(clock.speed),
        "JIAOHAO_CLOCK__ORIGIN_MS": str(clock.origin_ms),
        "JIAOHAO_CLOCK__ANCHOR_MS": str(clock.anchor_ms),
        "JIAOHAO_BROKER__RECEIVE_MAXIMUM": str(unacked),
        "JIAOHAO_BROKER__CLIENT_ID": "jiaohao-demo",
    }
    if (directory / TOKENS).exists():
        environment["JIAOHAO_WEB__TOKENS_FILE"] = str(directory / TOKENS)
    command = [sys.executable, "-m", "workers.cli", "serve", "--log", "json", "--broker", broker]
    command += ["--data", str(directory / "data"), "--halls", str(directory / "halls"), "--listen", f"127.0.0.1:{port}"]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    drain: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_S):
            url, drain = await _listening(process)
        yield process, url
    finally:
        await _stop(process)
        if drain is not None:
            await drain


async def _listening(process: asyncio.subprocess.Process) -> tuple[str, "asyncio.Task[None]"]:
    """Reads the child's log until it says where it listens and that the broker is there."""
    assert process.stderr is not None
    url, told = "", []
    while line := await process.stderr.readline():
        told.append(line.decode(errors="replace"))
        event = _event(line)
        url = event.get("url", url)
        if event.get("event") == "link.connected":
            return str(url), asyncio.create_task(_log(process.stderr), name="log")
    raise Missing(f"the dispatcher did not start:\n{''.join(told)}")


def _event(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


async def _log(stream: asyncio.StreamReader) -> None:
    """What the dispatcher logs beside its ordinary life is shown."""
    while line := await stream.readline():
        if _event(line).get("level") not in ("info", "warning"):
            sys.stderr.write(line.decode(errors="replace"))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _settled(url: str) -> tuple[int, str]:
    """(n, digest) of the running hall, once they stand still."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        before: tuple[int, str] = (-1, "")
        for _ in range(50):
            async with session.get(f"{url}/digest") as answer:
                found = (await answer.json())[HALL]
            now = (int(found["n"]), str(found["digest"]))
            if now == before:
                break
            before = now
            await asyncio.sleep(0.1)
        return before


async def _outcome(simulator: Simulator, directory: Path, digest: tuple[int, str], wish: Wish, took: float) -> Outcome:
    data = directory / "data"
    rows = [(hall, n, row) async for hall, n, row in replays.rows(data)]
    halls, _ = await replays.folded(data, digest[0])
    running = halls[HALL].state.digest()
    whole, _ = await replays.folded(data, 0)
    state: HallState = whole[HALL].state
    tally = simulator.tally
    found = compare(tally.acked, rows)
    screens = simulator.screens()
    return Outcome(
        v=1,
        taken=tally.taken,
        called=tally.called,
        served=tally.served,
        rated=tally.rated,
        waiting=len(state.pool),
        refused=tally.refused,
        commands_acked=tally.commands_acked,
        facts_journaled=len(rows),
        lost=len(found.lost),
        duplicated=len(found.duplicated),
        screens_wrong=len(screens_wrong(state, screens)),
        press_to_screen_ms=Latency(_quantile(tally, 0.5), _quantile(tally, 0.99)),
        digest_equal=running == digest[1],
        seed=wish.seed,
        seconds=round(took, 1),
    )


def _quantile(tally: Tally, share: float) -> float | None:
    return round(tally.press_quantile_ms(share), 2) if tally.press_ms else None


async def _watched(simulator: Simulator, wish: Wish, url: str) -> None:
    """Run the hall; on a terminal its figures move."""
    console = Console()
    if wish.as_json or not console.is_terminal:
        await _until_stopped(simulator)
        return
    with Live(_table(simulator, url), console=console, refresh_per_second=4) as live:
        running = asyncio.create_task(_until_stopped(simulator))
        while not running.done():
            await asyncio.wait([running], timeout=0.25)
            live.update(_table(simulator, url))
        await running


async def _until_stopped(simulator: Simulator) -> None:
    """Ctrl-C ends the day early, in order: what is asked is still answered, and then compared."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, simulator.stop)
    try:
        await simulator.run()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _table(simulator: Simulator, url: str) -> Table:
    tally = simulator.tally
    table = Table(title=f"Jiaohao 叫号  {url}/metrics", show_header=False)
    waiting = max(0, tally.taken - tally.called)
    rows = (
        ("waiting 等候", f"{waiting}"),
        ("taken 取号", f"{tally.taken}"),
        ("called 叫号", f"{tally.called}"),
        ("served 办结", f"{tally.served}"),
        ("rated 评价", f"{tally.rated}"),
        ("refused 拒绝", f"{tally.refused}"),
        ("acknowledged", f"{tally.commands_acked}"),
        ("press to screen p50", f"{_quantile(tally, 0.5) or '-'} ms"),
        ("press to screen p99", f"{_quantile(tally, 0.99) or '-'} ms"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _final(outcome: Outcome) -> Table:
    table = Table(title="what every device saw, against the journal")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in msgspec.to_builtins(outcome).items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, shown)
    return table
