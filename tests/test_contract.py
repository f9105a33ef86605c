"""devices/contract.py: the document says what the code does, and the official parser can read it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from devices import contract, gateway, pictures, wire
from devices.contract_samples import EXAMPLES
from devices.frames import Reader
from devices.profiles import ALLOWED
from tests.processes import ROOT, run_cli

NODE = ROOT / "tests" / "node"
KEPT = ROOT / "deploy" / "asyncapi.yaml"


def node_modules() -> Path:
    """The Node packages of tests/node, installed if need be. Skips without Node; fails where servers are required."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    why = f"{' and '.join(missing)} not installed"
    if not missing and not (NODE / "node_modules" / "mqtt").is_dir():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, capture_output=True, text=True
        )
        if done.returncode:
            missing, why = ["packages"], f"npm ci failed: {done.stderr[-300:]}"
    if missing:
        if os.environ.get("JIAOHAO_REQUIRE_SERVERS") == "1":
            pytest.fail(why)
        pytest.skip(why)
    return NODE


def test_the_checked_in_document_is_that_of_the_code() -> None:
    assert KEPT.read_text("utf-8") == contract.text(), "stale: run `jiaohao contract`"


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "asyncapi.yaml"
    assert run_cli("contract", "--out", out).returncode == 0
    assert run_cli("contract", "--out", out, "--check").returncode == 0
    out.write_text(out.read_text("utf-8").replace("retain: false", "retain: true", 1), "utf-8")
    stale = run_cli("contract", "--out", out, "--check")
    assert stale.returncode == 1 and stale.stderr.splitlines()[0] == "the contract is stale"


def test_every_command_answer_order_and_picture_of_the_wire_stands_in_it() -> None:
    schemas = contract.document()["components"]["schemas"]
    spoken = [*get_args(wire.Body), wire.Ack, wire.Result, wire.Ok, wire.State, *get_args(pictures.Picture)]
    orders = (wire.VoiceSay, wire.KioskPrint, wire.Beep, wire.DeviceSync)
    for kind in (*spoken, *orders):
        properties = schemas[kind.__name__]["properties"]
        assert set(properties) == {*kind.__struct_encode_fields__} | ({"type"} if kind.__struct_config__.tag else set())
    types = {one for allowed in contract.document()["x-kinds"].values() for one in allowed}
    assert types == {str(kind.__struct_config__.tag) for kind in get_args(wire.Body)}
    assert set(contract.document()["x-kinds"]) == set(ALLOWED)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_what_the_code_reads(name: str) -> None:
    for example in EXAMPLES[name]:
        msgspec.convert(example, contract.DECODED[name])


def test_every_reference_leads_somewhere() -> None:
    found = contract.document()
    for ref in re.findall(r'"\$ref": ?"(.*?)"', msgspec.json.encode(found).decode()):
        place: Any = found
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.slow
def test_the_official_parser_accepts_it_and_refuses_a_broken_one(tmp_path: Path) -> None:
    def judged(path: Path) -> "subprocess.CompletedProcess[str]":
        command = ["node", "judge.mjs", str(path)]
        return subprocess.run(command, cwd=node_modules(), capture_output=True, text=True, timeout=50)

    good = judged(KEPT)
    assert (good.returncode, good.stdout) == (0, "channels 5 operations 5\n"), good.stderr
    text = KEPT.read_text("utf-8")
    broken = {
        "no direction": ("action: send", "action: shout"),
        "a quality of service that is none": ("qos: 1", "qos: 3"),
        "a reference to nothing": ("#/components/messages/ack", "#/components/messages/nack"),
    }
    for name, (here, there) in broken.items():
        assert here in text
        path = tmp_path / "broken.yaml"
        path.write_text(text.replace(here, there, 1), "utf-8")
        assert judged(path).returncode == 1, name


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_samples_frames_and_kinds_of_the_vendor_page_are_right(name: str) -> None:
    page = (ROOT / "devices" / name).read_text("utf-8")
    samples = re.findall(r"```json (\w+)\n(.*?)\n```", page, re.DOTALL)
    assert {leaf for leaf, _ in samples} == {"event", "ack", "command", "state", "screen"}
    for leaf, sample in samples:
        msgspec.json.decode(sample, type=contract.DECODED[leaf])
    for hexed in re.findall(r"`(FF 68(?: [0-9A-F]{2}){8,9})`", page):
        reader = Reader()
        assert len(reader.feed(bytes.fromhex(hexed), 0)) == 1, hexed
    for kind in ALLOWED:
        assert f"`{kind}`" in page or kind == "guide", "guide is a person's page, no device"
    for plan in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        assert len(gateway.parse(plan).ports[0].devices) == 2
    for path in re.findall(r"`((?:devices|deploy|tests)/[\w./]+)`", page):
        assert (ROOT / path).exists(), path
