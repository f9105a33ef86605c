"""devices/vectors: each file is played against the real process on a real broker, exactly as a vendor would.

A case has steps; a step is a message, and what must then be heard, counted, stored and shown. Nothing else may be.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from core import commands as c
from core.policy import Policy, parse
from core.refusals import Refusal
from devices import wire
from devices.client import NODELAY
from devices.profiles import ALLOWED
from tests.brokers import RunningBroker
from tests.processes import ROOT, Served, run_cli
from workers import engine
from workers.recovery import newest_file

DIRECTORY = ROOT / "devices" / "vectors"
POLICY = parse((DIRECTORY / "hall.toml").read_text("utf-8"))
PATHS = sorted(path for path in DIRECTORY.glob("*.json"))
CASES = {path.stem: json.loads(path.read_text("utf-8")) for path in PATHS}
VOLATILE = ("now_ms", "eta_s", "eta_p90_s")
REJECTIONS = ("jiaohao_wire_rejected_total", "jiaohao_refused_total", "jiaohao_duplicates_total")
TIMEOUT_S = 10


def payload_of(step: dict[str, Any]) -> bytes:
    """`send` is text, or a list of texts and [text, times]; `hex` is bytes that are no text."""
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    parts = [step["send"]] if isinstance(step["send"], str) else step["send"]
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode()


def steady(value: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {name: steady(one) for name, one in value.items() if name not in VOLATILE}
    return [steady(one) for one in value] if isinstance(value, list) else value


def contains(found: Any, wanted: Any) -> bool:
    """Whether every field that is wanted is there."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and contains(found[name], one) for name, one in wanted.items()
        )
    return bool(found == wanted)


def policy_of(name: str) -> Policy:
    return msgspec.structs.replace(POLICY, hall=msgspec.structs.replace(POLICY.hall, id=name))


class Stage:
    """A broker and a process with a hall for each case."""

    def __init__(self, broker: RunningBroker, served: Served) -> None:
        self.broker, self.served = broker, served

    @asynccontextmanager
    async def listening(self, hall: str) -> AsyncIterator["Listener"]:
        v3 = aiomqtt.ProtocolVersion.V311
        async with aiomqtt.Client("127.0.0.1", self.broker.port, protocol=v3, socket_options=(NODELAY,)) as client:
            patterns = [f"jh/v1/{hall}/+/{leaf}" for leaf in ("ack", "command", "screen")]
            await client.subscribe([(one, 1) for one in (*patterns, "jh/v1/elsewhere/+/ack")])
            yield Listener(self, hall, client)

    def stored(self, sql: str, *values: object) -> list[Any]:
        path = newest_file(self.served.data)
        assert path is not None
        db = engine.reader(path)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()


class Listener:
    """Sends and hears for one case."""

    def __init__(self, stage: Stage, hall: str, client: aiomqtt.Client) -> None:
        self.stage, self.hall, self.client = stage, hall, client
        self.heard: list[tuple[str, str, Any]] = []

    def here(self, topic: str) -> str:
        return topic.replace("jh/v1/h1/", f"jh/v1/{self.hall}/", 1)

    async def next(self) -> tuple[str, str, Any]:
        message = await anext(aiter(self.client.messages))
        assert isinstance(message.payload, bytes)
        _, _, _, device, leaf = str(message.topic).split("/")
        self.heard.append((device, leaf, msgspec.json.decode(message.payload)))
        return self.heard[-1]

    async def ack(self, device: str) -> Any:
        """The next acknowledgement, which must be for this device."""
        while True:
            who, leaf, found = await self.next()
            if leaf == "ack":
                assert who == device
                return steady(found)

    async def until(self, device: str, leaf: str, body: dict[str, Any]) -> None:
        """Until such a picture or order has come, or if it came already and, for a picture, is the newest."""
        mine = [found for who, what, found in self.heard if (who, what) == (device, leaf)]
        candidates = mine[-1:] if leaf == "screen" else mine
        while not any(contains(one["body"], body) for one in candidates):
            who, what, found = await self.next()
            candidates = [found] if (who, what) == (device, leaf) else []

    async def now(self) -> tuple[dict[str, float], int]:
        """What is counted of bad input, and how many facts this hall has."""
        text = (await asyncio.to_thread(self.stage.served.get, "/metrics"))[1]
        found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(REJECTIONS)]
        facts = json.loads((await asyncio.to_thread(self.stage.served.get, "/digest"))[1])[self.hall]["n"]
        return {name: float(value) for name, _, value in found}, facts


async def play(stage: Stage, name: str, case: dict[str, Any]) -> None:
    async with asyncio.timeout(TIMEOUT_S), stage.listening(name) as listener:
        counts, facts = await listener.now()
        for step in case["steps"]:
            await take(listener, step)
            for counter, count in step.get("counted", {}).items():
                counts[f"jiaohao_{counter}"] += count
            facts += step.get("facts", 0)
        while await listener.now() != (counts, facts):
            await asyncio.sleep(0.02)
    for topic, reasons in letters(case).items():
        found = stage.stored("SELECT reason FROM letter WHERE topic = ?", listener.here(topic))
        assert [reason for (reason,) in found] == reasons


def letters(case: dict[str, Any]) -> dict[str, list[str]]:
    """By topic the letters that must be kept, none where none is named."""
    found: dict[str, list[str]] = {step["topic"]: [] for step in case["steps"]}
    for step in case["steps"]:
        found[step["topic"]] += step.get("letters", [])
    return found


async def take(listener: Listener, step: dict[str, Any]) -> None:
    """One step: sent, heard, shown. The next is sent when this one is through."""
    topic = listener.here(step["topic"])
    await listener.client.publish(topic, payload_of(step), qos=1, retain=step.get("retain", False))
    if step.get("hear") is not None:
        assert await listener.ack(topic.split("/")[3]) == step["hear"]
    for leaf in ("screen", "command"):
        for to, body in step.get(leaf, {}).items():
            await listener.until(to, leaf, body)


@pytest.fixture(
    scope="module", params=["iotcore", pytest.param("mosquitto", marks=[pytest.mark.broker, pytest.mark.slow])]
)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    broker = RunningBroker(request.param, directory)
    try:
        broker.start()
        policies = [policy_of(name) for name in CASES]
        with Served(directory, policies, broker.url, broker__receive_maximum=broker.receive_max) as served:
            served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
            yield Stage(broker, served)
            assert served.terminate() == 0, served.text
        replayed = run_cli("replay", served.data)
        assert replayed.returncode == 0, replayed.stderr  # folding the journal gives the states that were stored
    finally:
        broker.stop()


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_is_answered_counted_and_shown_as_the_file_says(stage: Stage, name: str) -> None:
    asyncio.run(play(stage, name, CASES[name]))


def steps() -> Iterator[dict[str, Any]]:
    for case in CASES.values():
        yield from case["steps"]


def test_the_kind_of_each_step_is_that_of_the_hall() -> None:
    kinds = {device.id: device.kind for device in POLICY.devices}
    for step in steps():
        _, _, hall, device, _ = step["topic"].split("/")
        assert step["kind"] == (kinds.get(device, "unknown") if hall == "h1" else "unknown"), step


def test_every_command_is_done_and_refused_at_least_once() -> None:
    done: dict[str, set[bool]] = {}
    for step in steps():
        for one in wire.decode(payload_of(step), "device"):
            if isinstance(one, wire.Heard) and step.get("hear"):
                results = {result["seq"]: "ok" in result for result in step["hear"]["results"]}
                done.setdefault(c.TYPE_OF[type(one.command)], set()).add(results[one.cause.seq])
    allowed = {c.TYPE_OF[kind] for kinds in ALLOWED.values() for kind in kinds}
    assert {kind for kind in allowed if done.get(kind) != {True, False}} <= ONLY, "each both ways"


ONLY = {"booking.check_in"}
"""Nobody can book over the wire, so a check-in is only ever refused here."""


def test_every_reason_of_the_envelope_and_every_fault_word_is_heard() -> None:
    heard = {result.get("refused", "") for step in steps() if step.get("hear") for result in step["hear"]["results"]}
    envelope = [Refusal(reason) for reason in list(Refusal)[: list(Refusal).index(Refusal.FORBIDDEN) + 1]]
    assert set(envelope) <= heard
    faults = {step["hear"].get("fault", "") for step in steps() if step.get("hear")}
    assert {"not_json", "bad_field", "bad_batch", "too_large"} <= faults


def written(case: dict[str, Any]) -> str:
    """A case as text: a line for each field of a step."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))

    steps = [",\n".join(f"  {compact(name)}: {compact(one)}" for name, one in step.items()) for step in case["steps"]]
    inner = "\n },\n {\n".join(steps)
    return f'{{"about": {compact(case["about"])},\n "steps": [\n {{\n{inner}\n }}\n]}}\n'


@pytest.mark.parametrize("name", CASES)
def test_files_are_written_in_one_way(name: str) -> None:
    assert (DIRECTORY / f"{name}.json").read_text("utf-8") == written(CASES[name])
    for step in CASES[name]["steps"]:
        assert set(step) <= set(FIELDS), "a field with a slip in its name would be believed"


FIELDS = ("topic", "kind", "send", "hex", "retain", "hear", "facts", "counted", "letters", "screen", "command")
