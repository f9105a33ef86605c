"""Pages of a real process: what it refuses to start with, what outlives kill -9, how soon it stops."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, get_args

import msgspec
import paho.mqtt.client as paho
import pytest

from tests.browser.hall import HALL, ServedHall, a_policy, served_hall
from tests.processes import run_cli, write_halls
from workers.app import STOP_S
from workers.web import cases_api
from workers.web.access import new_token


def refused(place: Path, **more: str) -> list[str]:
    """The three lines of a start that is refused."""
    halls = write_halls(place / "halls", [a_policy()])
    done = run_cli("serve", f"--data={place / 'data'}", f"--halls={halls}", "--broker=mqtt://127.0.0.1:1", **more)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2 and len(lines) == 3, done.stderr
    return lines


def test_off_loopback_somebody_has_to_be_named(tmp_path: Path) -> None:
    assert "web.tokens_file" in refused(tmp_path, JIAOHAO_WEB__LISTEN="0.0.0.0:0")[1]


@pytest.mark.parametrize(("text", "mode", "said"), [("x", 0o600, "tokens.toml"), ("", 0o644, "chmod 600")])
def test_a_tokens_file_that_is_wrong_is_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    file.chmod(mode)
    assert said in refused(tmp_path, JIAOHAO_WEB__TOKENS_FILE=str(file))[1]


def test_a_key_that_others_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "web.key"
    file.write_text("k" * 64)
    file.chmod(0o644)
    assert "web.key_file" in refused(tmp_path, JIAOHAO_WEB__KEY_FILE=str(file))[1]


def cookie_of(hall: ServedHall, role: str) -> str:
    request = urllib.request.Request(
        hall.url + "/api/v1/login",
        json.dumps({"token": hall.tokens[role]}).encode(),
        {"Content-Type": "application/json", "X-Jiaohao": "1", "Origin": hall.url},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["Set-Cookie"]).partition(";")[0]


def status(hall: ServedHall, path: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(hall.url + path, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_after_a_crash_a_press_sent_again_is_known_and_nobody_logs_in_anew(tmp_path: Path) -> None:
    with served_hall(tmp_path) as hall:
        cookie = cookie_of(hall, "operator")
        hall.clerk(1, "staff.sign_on", staff="P001")
        hall.take("s01")
        first = hall.clerk(1, "ticket.call_next")
        hall.restart()
        hall._seqs["caller-01"] -= 1
        again: dict[str, Any] = hall.clerk(1, "ticket.call_next")
        assert again == {**first, "again": True}
        assert status(hall, "/api/v1/me", Cookie=cookie) == 200
        assert (tmp_path / "data" / "web.key").stat().st_mode & 0o777 == 0o600


def test_tokens_are_read_again_when_asked(tmp_path: Path) -> None:
    with served_hall(tmp_path) as hall:
        cookie = cookie_of(hall, "operator")
        token, entry = new_token("auditor", (HALL,))
        file = tmp_path / "tokens.toml"
        file.write_text("broken")
        os.kill(hall.served.pid, signal.SIGHUP)
        hall.served.wait_for("web.tokens_wrong")
        assert status(hall, "/api/v1/me", Cookie=cookie) == 200, "a wrong file changes nothing"
        file.write_text(entry)
        os.kill(hall.served.pid, signal.SIGHUP)
        hall.served.wait_for("web.tokens_read")
        assert status(hall, "/api/v1/me", Cookie=cookie) == 401
        assert status(hall, "/api/v1/me", Authorization=f"Bearer {token}") == 200
        assert token not in hall.served.text and "P001" not in hall.served.text


def test_it_stops_soon_with_boards_open(tmp_path: Path) -> None:
    with served_hall(tmp_path) as hall:
        host, port = hall.url.removeprefix("http://").split(":")
        boards = []
        for _ in range(20):
            board = socket.create_connection((host, int(port)), timeout=10)
            board.sendall(f"GET /events/board?hall={HALL} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b"200 OK" in board.recv(4096)
            boards.append(board)
        started = time.monotonic()
        assert hall.served.terminate() == 0
        assert time.monotonic() - started < STOP_S, "nobody waited for them"
        for board in boards:
            board.close()


IDENTITY, PHONE = "11010519491231002X", "13912345678"


def planted_in(kind: type[msgspec.Struct], number: str) -> dict[str, Any]:
    """A body of this kind with the number in every text."""
    body: dict[str, Any] = {"type": kind.__struct_config__.tag}
    for one in msgspec.structs.fields(kind):
        if isinstance(one.default, str) or "str" in str(one.type):
            body[one.encode_name] = number
        elif one.required:
            body[one.encode_name] = 1
    return body | ({"channel": "paper"} if kind is cases_api.Entered else {})


def served_once(hall: ServedHall) -> None:
    """A serving that may be rated, and somebody waits."""
    hall.clerk(1, "staff.sign_on", staff="P001")
    for press in ("", "ticket.call_next", "serving.start", "serving.finish", ""):
        if press:
            hall.clerk(1, press)
        else:
            hall.take("s01")


class Overheard:
    """Everything that is said on MQTT, topics and payloads, until it is asked for."""

    def __init__(self, port: int) -> None:
        self._said: list[bytes] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, data, found: self._said.append(found.topic.encode() + found.payload)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()

    def all(self) -> bytes:
        self._client.disconnect()
        self._client.loop_stop()
        return b"\n".join(self._said)


def test_a_persons_number_gets_nowhere(tmp_path: Path) -> None:
    """Through every entry of the pages; then looked for in journal, log, metrics and what pages show."""

    def rude(path: str, body: object, **headers: str) -> None:
        own = {"Content-Type": "application/json", "X-Jiaohao": "1", "Origin": hall.url, **headers}
        request = urllib.request.Request(hall.url + path, json.dumps(body).encode(), own)
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            error.close()

    with served_hall(tmp_path) as hall:
        served_once(hall)
        heard, operator = Overheard(hall.broker.port), f"Bearer {hall.tokens['operator']}"
        for number in (IDENTITY, PHONE):
            for body in (
                {"type": "ticket.take", "service": "s01", "assisted_by": number},
                {"type": "ticket.take", "service": number},
                {"type": "ticket.take", "service": "s01", "person_ref": number, "lang": number},
                {"type": "ticket.cancel", "ticket": 1, "why": number},
                {"type": "ticket.reclass", "ticket": 1, "class": number, "why": number},
                {"type": number},
            ):
                hall.say("guide", "guide-1", body)
            hall.clerk(1, "staff.sign_on", staff=number)
            hall.clerk(1, "counter.pause", why=number)
            path, bearer = f"/api/v1/commands?hall={HALL}&device=caller-01&x={number}", f"Bearer {hall.tokens['clerk']}"
            event = {"boot": number, "seq": 1, "body": {"type": "ticket.call_next"}}
            rude(path, event, Authorization=bearer, **{"Idempotency-Key": f"{number}:1"})
            rude("/api/v1/login", {"token": number})
            rude(f"/api/v1/e/1.{HALL}.1.1.{number}", {"level": 1, "options": [number], "option_set": "gov@3"})
            rude(f"/api/v1/e/1.{HALL}.1.1.x", {"level": 1, "option_set": number})
            rate = {"type": "evaluation.submit", "call": 1, "level": 1, "comment": f"找 {number}"}
            assert hall.say("device", "ev-01", rate).get("dropped") == ["comment"] or number == PHONE
            for seq, kind in enumerate(get_args(cases_api.Step), 1):
                event, key = {"boot": "step", "seq": seq, "body": planted_in(kind, number)}, f"step:{seq}"
                rude(f"/api/v1/cases?hall={HALL}", event, Authorization=operator, **{"Idempotency-Key": key})
            for path in (f"/board/{number}", f"/e/{number}", f"/{number}", f"/events/board?hall={HALL}&name={number}"):
                status(hall, path)
            status(hall, f"/api/v1/ticket?hall={HALL}&number={number}", Authorization=f"Bearer {hall.tokens['guide']}")
        shown = hall.served.get("/metrics")[1] + hall.served.text
        assert hall.served.terminate() == 0
        said = heard.all()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"P001" in kept, "it was looked for in the right place"
    assert b'"screen"' in said or b"screen" in said, "it was listened to"
    for number in (IDENTITY, PHONE):
        assert number.encode() not in said
        assert number.encode() not in kept and number not in shown + hall.served.text
