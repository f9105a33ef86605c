"""Bad input through the wire: real brokers, a real process. No crash, nothing vanishes, nobody is named.

Each row of the table: what is sent, what the device hears, what is counted, what is kept. Then a good command works.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import aiomqtt
import mqtt5
import msgspec
import pytest

from bench.rush import hall_policy
from core.policy import DevicePart
from tests.bad_input import IDENTITY, PHONE, REPRINT, ROWS, TAKE, Row, event, many
from tests.brokers import RunningBroker
from tests.processes import Served
from workers import engine
from workers.recovery import newest_file

TIMEOUT_S = 15


@dataclass
class Stage:
    """A broker and the process."""

    broker: RunningBroker
    served: Served

    async def play(self, what: "Callable[[Device], Awaitable[None]]", *topics: str) -> None:
        async with aiomqtt.Client("127.0.0.1", self.broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
            device = Device(self, client)
            for topic in topics:
                await client.subscribe(topic, qos=1)
            async with asyncio.timeout(TIMEOUT_S):
                await what(device)

    async def metrics(self) -> dict[str, float]:
        return await asyncio.to_thread(self.served.metrics)

    async def until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        return await asyncio.to_thread(self.served.until, holds)

    def hall(self) -> tuple[int, str]:
        return self.served.digests()["h1"]

    def stored(self, sql: str, *values: object) -> list[Any]:
        path = newest_file(self.served.data)
        assert path is not None
        db = engine.reader(path)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()


@dataclass
class Device:
    """A client that sends whatever it likes and reads what it hears."""

    stage: Stage
    client: aiomqtt.Client

    async def send(self, topic: str, *payloads: bytes, **more: Any) -> None:
        for payload in payloads:
            await self.client.publish(topic, payload, **({"qos": 1} | more))

    async def acks(self, results: int, faults: int = 0) -> tuple[list[dict[str, Any]], list[str]]:
        """So many results and faults; anything more would be noticed by the next."""
        found: list[dict[str, Any]] = []
        words: list[str] = []
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            ack = msgspec.json.decode(message.payload)
            found += ack["results"]
            words += [ack["fault"]] if "fault" in ack else []
            if len(found) >= results and len(words) >= faults:
                break
        assert (len(found), len(words)) == (results, faults)
        return found, words


ONLINE = 'jiaohao_devices{hall="h1",kind="kiosk",state="online"}'
COUNTERS = (
    "wire_",
    "refused_",
    "duplicates_",
    "device_",
    "clock_clamped_",
    "link_dropped_",
    "outbox_lost_",
    "devices_",
)


def counted(found: dict[str, float]) -> Iterator[str]:
    """Names of what counts bad input, and of what devices are thought to be."""
    return (name for name in found if name.removeprefix("jiaohao_").startswith(COUNTERS) and "_seconds" not in name)


def unusual(reason: str) -> str:
    return f'jiaohao_wire_unusual_total{{reason="{reason}"}}'


def bystander(stage: Stage, boot: str) -> str:
    """Another device goes on: its take is answered."""
    told: list[str] = []

    async def scenario(device: Device) -> None:
        await device.send("jh/v1/h1/bystander/event", event(1, boot=boot))
        ((result,), _) = await device.acks(1)
        told.append(result["ok"]["type"])

    asyncio.run(stage.play(scenario, "jh/v1/h1/bystander/ack"))
    return told[0]


def policy() -> Any:
    devices = [DevicePart(id=row.sender, kind=row.kind) for row in ROWS if row.hall == "h1" and not row.device]
    more = [
        DevicePart(id=name, kind="kiosk")
        for name in ("good", "noise", "private", "quiet", "bystander", "state-syntax", "state-schema", "state-size")
    ]
    whole = hall_policy("h1")
    return msgspec.structs.replace(whole, devices=(*whole.devices, *devices, *more))


@pytest.fixture(scope="module", params=["iotcore", pytest.param("mosquitto", marks=pytest.mark.broker)])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One process for the whole table: whatever came before, the next row holds."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    broker = RunningBroker(request.param, directory)
    try:
        broker.start()
        with Served(directory, [policy()], broker.url, broker__receive_maximum=broker.receive_max) as served:
            served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
            yield Stage(broker, served)
            assert served.terminate() == 0, served.text
            assert "Traceback" not in served.text
    finally:
        broker.stop()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_each_kind_of_bad_input_is_answered_counted_and_kept(stage: Stage, row: Row) -> None:
    topic = f"jh/v1/{row.hall}/{row.sender}"

    async def scenario(device: Device) -> None:
        before, (n, digest) = await stage.metrics(), await asyncio.to_thread(stage.hall)
        await device.send(f"{topic}/event", *row.sends)
        results, faults = await device.acks(len(row.hears), bool(row.fault))
        heard = [(one["seq"], one.get("refused", "ok")) for one in results]
        assert sorted(heard) == sorted(row.hears), "in order within a life of the device"
        assert faults == ([row.fault] if row.fault else [])
        assert {one.get("keep", False) for one in results} <= {row.keep}
        expected = {name: before[name] + count for name, count in row.counts.items()}
        after = await stage.until(lambda found: all(found[name] == count for name, count in expected.items()))
        moved = {name for name in counted(before) if after[name] != before[name]}
        suspects = 'jiaohao_devices_suspect{hall="h1"}'
        assert moved == {*row.counts, *([suspects] if row.suspect else [])}, "these and no others"
        now_n, now_digest = await asyncio.to_thread(stage.hall)
        assert now_n - n == row.facts and (now_digest == digest) is (row.facts == 0)
        if row.good_after:
            await device.send(f"{topic}/event", event(20, boot="good"))
            ((good,), _) = await device.acks(1)
            assert good["ok"]["type"] == "ticket"

    asyncio.run(stage.play(scenario, f"{topic}/ack"))
    assert bystander(stage, row.sender[:32]) == "ticket"
    letters = stage.stored("SELECT reason, digest, payload, seq FROM letter WHERE topic = ?", f"{topic}/event")
    assert [reason for reason, *_ in letters] == list(row.letters)
    for (_, digest_, kept, seq), payload in zip(letters, row.sends[-1:], strict=False):
        assert (digest_, kept) == (sha256(payload).digest(), row.kept(payload))
        if row.facts:
            sql = "SELECT count(*) FROM batch JOIN journal ON seq BETWEEN first AND last JOIN word ON word.id = device"
            ((together,),) = stage.stored(f"{sql} WHERE ? BETWEEN first AND last AND text = ?", seq, row.sender)
            assert together >= 1, "the letter is stored in the transaction of its fact"


def test_a_comment_with_a_number_in_it_is_dropped_and_the_rating_counts(stage: Stage) -> None:
    async def scenario(device: Device) -> None:
        steps: list[tuple[str, dict[str, Any]]] = [
            ("caller-1", {"type": "staff.sign_on", "staff": "s-1"}),
            ("good", {"type": "ticket.take", "service": "s2"}),
            ("caller-1", {"type": "ticket.call_next"}),
            ("caller-1", {"type": "serving.start"}),
            ("caller-1", {"type": "serving.finish"}),
            ("ev-1", {"type": "evaluation.submit", "level": 1, "comment": f"电话 {PHONE}"}),
        ]
        for seq, (name, body) in enumerate(steps, 1):
            await device.send(f"jh/v1/h1/{name}/event", event(seq, body, boot="rate"))
            ((result,), _) = await device.acks(1)
            assert "ok" in result, (body, result)
        assert result["dropped"] == ["comment"]

    asyncio.run(stage.play(scenario, "jh/v1/h1/+/ack"))


@pytest.mark.parametrize("topic", ["jh/v1/h 1/quiet/event", "jh/v1/_x/quiet/event", "jh/v1/h1/_quiet/state"])
def test_a_topic_that_is_none_is_counted_and_kept(stage: Stage, topic: str) -> None:
    async def scenario(device: Device) -> None:
        name, commits = 'jiaohao_wire_rejected_total{reason="topic"}', "jiaohao_journal_commits_total"
        before = await stage.metrics()
        await device.send(topic, event(1))
        await stage.until(lambda found: found[name] == before[name] + 1 and found[commits] > before[commits])

    asyncio.run(stage.play(scenario))
    ((reason,),) = stage.stored("SELECT reason FROM letter WHERE topic = ?", topic)
    assert reason == "topic"


def test_at_most_once_retained_and_stale_wills_are_taken_as_usual_and_counted(stage: Stage) -> None:
    topic, qos0, retained = "jh/v1/h1/quiet", unusual("qos0"), unusual("retained")

    async def scenario(device: Device) -> None:
        before = await stage.metrics()
        await device.send(f"{topic}/event", event(1), qos=0)
        await device.send(f"{topic}/event", event(2, REPRINT), retain=True)
        results, _ = await device.acks(2)
        assert [one["seq"] for one in results] == [1, 2]
        says_so = stage.broker.kind == "mosquitto"  # iotcore hands on everything at QoS 1, without the flag
        after = await stage.until(lambda found: found[qos0] == before[qos0] + says_so)
        assert after[retained] == before[retained] + says_so
        await device.send(f"{topic}/event", b"", retain=True)  # it is taken away again
        birth, will = (b'{"state":"%s","boot":"quiet","link":%d}' % pair for pair in ((b"ready", 2), (b"lost", 1)))
        await device.send(f"{topic}/state", birth, retain=True)
        await stage.until(lambda found: found[ONLINE] == before[ONLINE] + 1)
        n, digest = await asyncio.to_thread(stage.hall)
        await device.send(f"{topic}/state", will, retain=True)
        await stage.until(lambda found: found[unusual("stale_will")] == before[unusual("stale_will")] + 1)
        assert await asyncio.to_thread(stage.hall) == (n, digest)
        await device.send(f"{topic}/state", birth.replace(b"ready", b"lost"), retain=True)
        await stage.until(lambda found: found[ONLINE] == before[ONLINE])

    asyncio.run(stage.play(scenario, f"{topic}/ack"))


@pytest.mark.parametrize(
    ("payload", "fault", "reason"),
    [
        (b"?", "not_json", "syntax"),
        (b'{"state":"asleep"}', "bad_field", "schema"),
        (b'{"state":"ready"' + b" " * 17_000 + b"}", "too_large", "size"),
    ],
)
def test_a_state_of_nonsense_changes_nothing(stage: Stage, payload: bytes, fault: str, reason: str) -> None:
    topic = f"jh/v1/h1/state-{reason}"

    async def scenario(device: Device) -> None:
        before, hall = await stage.metrics(), await asyncio.to_thread(stage.hall)
        await device.send(f"{topic}/state", payload)
        assert (await device.acks(0, 1))[1] == [fault]
        name = f'jiaohao_wire_rejected_total{{reason="{reason}"}}'
        after = await stage.until(lambda found: found[name] == before[name] + 1)
        assert [one for one in counted(before) if after[one] != before[one]] == [name]
        assert await asyncio.to_thread(stage.hall) == hall

    asyncio.run(stage.play(scenario, f"{topic}/ack"))
    assert bystander(stage, f"state-{reason}") == "ticket"


def test_a_megabyte_hurts_its_sender_alone(stage: Stage) -> None:
    """Bytes by hand: the broker hangs up in the middle of it, which no client likes."""
    flood = mqtt5.PublishPacket("jh/v1/h1/noise/event", b"x" * 1_000_000, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1)
    with socket.create_connection(("127.0.0.1", stage.broker.port_v5), timeout=TIMEOUT_S) as sender:
        sender.sendall(mqtt5.ConnectPacket("noise", keep_alive=60).write())
        assert sender.recv(64), "connected"
        with suppress(ConnectionError):
            sender.sendall(flood.write())
            while sender.recv(4096):
                pass
    good_command(stage, "megabyte")


def good_command(stage: Stage, boot: str) -> None:
    async def scenario(device: Device) -> None:
        await device.send("jh/v1/h1/good/event", event(1, boot=boot))
        ((result,), _) = await device.acks(1)
        assert result["ok"]["type"] == "ticket"

    asyncio.run(stage.play(scenario, "jh/v1/h1/good/ack"))


def test_random_bytes_stop_nothing(stage: Stage) -> None:
    rng = Random(11)
    whole = event(1)
    payloads = [rng.randbytes(rng.randrange(200)) for _ in range(150)]
    payloads += [bytes(rng.choice((b, rng.randrange(256))) for b in whole) for _ in range(75)]
    payloads += [whole[: rng.randrange(len(whole))] for _ in range(75)]

    async def scenario(device: Device) -> None:
        before = sum(value for name, value in (await stage.metrics()).items() if "wire_rejected" in name)
        await device.send("jh/v1/h1/noise/event", *payloads)
        await stage.until(
            lambda found: sum(value for name, value in found.items() if "wire_rejected" in name) >= before + 250
        )

    asyncio.run(stage.play(scenario))
    good_command(stage, "random")
    letters = stage.stored("SELECT count(*) FROM letter WHERE topic = ?", "jh/v1/h1/noise/event")[0][0]
    assert letters <= 20, "ten a minute, whatever comes"


def entries(text: str, seq: int) -> Iterator[bytes]:
    """A text where a device could put it."""
    yield f"call me: {text}".encode()
    yield event(seq, {"type": "x", "who": text})
    yield json.dumps(
        {"boot": "boot", "seq": seq, "body": {"type": "ticket.take", "service": text}}, ensure_ascii=False
    ).encode()
    for at, name in enumerate(("number", "assisted_by", "lang", "class", "person_ref", "plan", "visit"), 1):
        body = TAKE | {name: [text] if name == "plan" else text}
        yield json.dumps({"boot": "boot", "seq": seq + at, "body": body}, ensure_ascii=False).encode()
    yield many(event(seq + 20, {"type": "evaluation.submit", "comment": text, "option_set": text}), b"3")
    yield text.encode()
    yield event(1, TAKE, boot=text)


def test_personal_data_sent_through_every_entry_is_found_nowhere(stage: Stage) -> None:
    """Topics, logs, metrics, and every byte of the data directory."""
    spoken: list[tuple[str, bytes]] = []
    texts = (PHONE, IDENTITY, "138 1234 5678", "１３８１２３４５６７８")

    async def scenario(device: Device) -> None:
        before = await stage.metrics()
        for at, text in enumerate(texts):
            for payload in entries(text, 100 * (at + 1)):
                await device.send("jh/v1/h1/private/event", payload)
                await device.send("jh/v1/h9/private/event", payload)
            for name in ("fw", "profile", "boot", "state"):
                await device.send("jh/v1/h1/private/state", json.dumps({"state": "ready", name: text}).encode())
            await device.send("jh/v1/h1/private/state", json.dumps({"state": "ready", "faults": [text]}).encode())
        for name in (PHONE, IDENTITY):
            await device.send(f"jh/v1/h1/{name}/event", event(1))
            await device.send(f"jh/v1/{name}/private/event", event(1))
            await device.send(f"jh/v1/h1/{name}/state", b"{}")
        await device.send("jh/v1/h1/good/event", event(9, boot="private"))
        await stage.until(
            lambda found: (
                found['jiaohao_link_messages_total{direction="in"}']
                >= before['jiaohao_link_messages_total{direction="in"}'] + 100
            )
        )
        async for message in device.client.messages:
            assert isinstance(message.payload, bytes)
            spoken.append((str(message.topic), message.payload))
            if "good" in spoken[-1][0] and b'"private"' in message.payload:
                break

    asyncio.run(stage.play(scenario, "jh/v1/+/+/ack", "jh/v1/+/+/command", "jh/v1/+/+/screen"))
    assert len(spoken) > 10, "it was answered"
    places = {path.name: path.read_bytes() for path in stage.served.data.rglob("*") if path.is_file()}
    assert len(places) >= 3, "the database, its log, the mark"
    places |= {"log": stage.served.text.encode(), "metrics": stage.served.get("/metrics")[1].encode()}
    places |= {f"message {topic}": topic.encode() + payload for topic, payload in spoken}
    places["digest"] = stage.served.get("/digest")[1].encode()
    for text in (PHONE, IDENTITY, *texts):
        for place, content in places.items():
            assert text.encode() not in content, f"{text} in {place}"


def test_after_all_of_it_the_process_has_said_little_and_is_ready(stage: Stage) -> None:
    assert stage.served.get("/readyz")[0] == 200 and stage.served.get("/healthz")[0] == 200
    assert len(stage.served.text.splitlines()) < 50
    assert len(stage.served.logged("link.connected")) == 1, "no input cost it its connection"
