"""A served hall for browser tests: real process, embedded broker, tokens of every role, devices of pages."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from core import record
from core.fact import Fact
from core.policy import DevicePart, Policy, ZonePart
from devices.simulator import example_policy
from tests.brokers import RunningBroker
from tests.processes import Served
from workers import replays
from workers.web.access import new_token

HALL = "h1"
ROLES = ("clerk", "guide", "operator", "auditor", "device", "metrics")
NAMES = {
    "s01": {"zh": "社会保险", "en": "Social insurance"},
    "s02": {"zh": "不动产登记", "en": "Real estate"},
    "s03": {"zh": "税务", "en": "Tax"},
    "s04": {"zh": "户籍", "en": "Household register"},
    "s05": {"zh": "工程建设", "en": "Construction"},
    "s06": {"zh": "公积金", "en": "Housing fund"},
}


def a_policy(counters: int = 6, services: int = 6) -> Policy:
    """The example hall with a guide's device, names and a zone; recalls at once, so that tests need not wait."""
    policy = example_policy(hall=HALL, counters=counters, services=services)
    named = tuple(msgspec.structs.replace(one, name=NAMES.get(one.code, {})) for one in policy.services)
    placed = tuple(msgspec.structs.replace(one, zone="w1" if one.no % 2 else "w2", label={}) for one in policy.counters)
    return msgspec.structs.replace(
        policy,
        services=named,
        counters=placed,
        zones=(ZonePart("w1"), ZonePart("w2")),
        devices=(*policy.devices, DevicePart("guide-1", "guide")),
        calling=msgspec.structs.replace(policy.calling, recall_gap_s=0),
        tickets=msgspec.structs.replace(policy.tickets, press_gap_ms=0),
        evaluation=msgspec.structs.replace(policy.evaluation, prompt_s=120),
    )


class ServedHall:
    """A process, the tokens for it, and what a program with a token may ask."""

    def __init__(self, place: Path, broker: RunningBroker, policy: Policy, **options: object) -> None:
        self.place, self.broker, self.policy = place, broker, policy
        made = {role: new_token(role, (HALL,)) for role in ROLES}
        self.tokens = {role: token for role, (token, _) in made.items()}
        file = place / "tokens.toml"
        file.write_text("\n".join(entry for _, entry in made.values()))
        file.chmod(0o600)
        self._options: dict[str, object] = {
            "broker__receive_maximum": broker.receive_max,
            "web__tokens_file": file,
            **options,
        }
        self._seqs: dict[str, int] = {}
        self.served = self._start()

    def _start(self) -> Served:
        return Served(self.place, [self.policy], self.broker.url, **self._options).up()

    def restart(self) -> None:
        """Killed and started again on the same address."""
        port = self.url.rpartition(":")[2]
        self.served.kill()
        self._options["listen"] = f"127.0.0.1:{port}"
        self.served = self._start()

    @property
    def url(self) -> str:
        return self.served.url

    def say(self, role: str, device: str, body: dict[str, Any]) -> dict[str, Any]:
        """One command of a device, by a program with a token."""
        seq = self._seqs[device] = self._seqs.get(device, 0) + 1
        event = {"boot": f"prog-{device}"[:32], "seq": seq, "body": body}
        request = urllib.request.Request(
            f"{self.url}/api/v1/commands?hall={HALL}&device={device}",
            json.dumps(event).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.tokens[role]}",
                "Idempotency-Key": f"{event['boot']}:{seq}",
            },
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    found: dict[str, Any] = json.loads(answer.read())["result"]
                    return found
            except urllib.error.HTTPError as error:  # too often: again, under the same number
                with error:
                    assert error.code == 429, error.read()
                time.sleep(0.05)

    def take(self, service: str = "s01", **more: Any) -> str:
        """The number of a new ticket."""
        return str(self.say("guide", "guide-1", {"type": "ticket.take", "service": service, **more})["ok"]["number"])

    def clerk(self, counter: int, kind: str, **more: Any) -> dict[str, Any]:
        """What the clerk of a counter does."""
        return self.say("clerk", f"caller-{counter:02d}", {"type": kind, **more})

    def replayed(self, n: int) -> str:
        """The digest of the journal folded anew, up to n."""

        async def fold() -> str:
            halls, _ = await replays.folded(self.place / "data", n)
            return halls[HALL].state.digest()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(fold())).result()

    def facts(self, kind: type[Fact]) -> list[Any]:
        """Facts of a kind in the journal, with the process at work."""

        async def read() -> list[Any]:
            found = [
                record.decode(row.kind, row.v, row.payload)[0] async for _, _, row in replays.rows(self.place / "data")
            ]
            return [fact for fact in found if isinstance(fact, kind)]

        with ThreadPoolExecutor(1) as thread:  # the browser's own loop runs in this one
            return thread.submit(lambda: asyncio.run(read())).result()


@contextmanager
def hall_at_work(place: Path) -> "Iterator[ServedHall]":
    """Staff at every counter, twenty people waiting, three called."""
    with served_hall(place) as one:
        for no in range(1, 7):
            one.clerk(no, "staff.sign_on", staff=f"P{no:03d}")
        for at in range(20):
            one.take(f"s0{at % 6 + 1}")
        for no in (1, 2, 3):
            one.clerk(no, "ticket.call_next")
        yield one


@contextmanager
def served_hall(
    place: Path, policy: Policy | None = None, *, kind: str = "iotcore", **options: object
) -> Iterator[ServedHall]:
    """Broker and process, ended by their own handles."""
    broker = RunningBroker(kind, place)
    try:
        broker.start()
        hall = ServedHall(place, broker, policy or a_policy(), **options)
        try:
            yield hall
        finally:
            hall.served.__exit__(None, None, None)
    finally:
        broker.stop()
