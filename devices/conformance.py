"""devices/conformance.py: the kit with which a vendor tries own firmware: `python -m devices.conformance --help`.

A broker, a gate and a scripted hall start here; the device connects to them, and a person or a program presses its
keys. Exit code 0: nothing failed. 1: something did. 2: wrong usage. 5: something needed is missing, or no device came.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from devices import conformance_cases
from devices.conformance_stage import Failed, Hands, Limits, Skipped, Stage
from devices.gate import Gate
from devices.kit_broker import Absent, broker
from devices.profiles import ALLOWED
from devices.scripted_core import connected

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
MISSING: Final = 5
NOBODY: Final = (
    "nobody at a terminal to press keys, so cases may have failed for that: give --press COMMAND, --power COMMAND\n"
)


class Outcome(Struct, frozen=True):
    """What became of one case."""

    case: str
    what: str
    result: str
    why: str = ""


class Report(Struct, frozen=True):
    """The whole run."""

    device: str
    profile: str
    broker: str
    cases: list[Outcome]
    v: int = 1

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(one.result != FAILED for one in self.cases)


class Wish(Struct, frozen=True):
    """What is to be examined. `listen`: where the device finds the broker; port 0: a free one."""

    hall: str
    device: str
    profile: str
    broker: str = "embedded"
    listen: tuple[str, int] = ("127.0.0.1", 0)
    only: tuple[str, ...] = ()
    offline_prefix: str = ""
    limits: Limits = Limits()


class Person:
    """Hands of flesh: asked on standard error. Where a command is given, it is run instead."""

    def __init__(self, press: str, power: str, show: str) -> None:
        self._press, self._power, self._show = press, power, show

    @property
    def absent(self) -> bool:
        """Whether nobody can be asked to press: no command, and no terminal."""
        return not self._press and (sys.stdin is None or not sys.stdin.isatty())

    async def press(self) -> bool:
        """Make it send one event."""
        if self._press:
            return await _run(self._press) is not None
        return _ask("press a key of the device, so that it sends one event")

    async def power(self) -> bool:
        """Off and on again."""
        if self._power:
            return await _run(self._power) is not None
        return _ask("switch the device off and on again")

    async def shown(self) -> str | None:
        """What stands on its screen; only a command can say."""
        return await _run(self._show) if self._show else None


def _ask(what: str) -> bool:
    sys.stderr.write(f"    > {what}\n")
    sys.stderr.flush()
    return True


async def _run(command: str) -> str | None:
    """What it printed; None when it failed."""
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    found, _ = await process.communicate()
    return found.decode("utf-8", "replace") if process.returncode == 0 else None


async def examine(wish: Wish, hands: Hands, *, ready: "asyncio.Future[int] | None" = None) -> Report:
    """Every case that is wished, in order. `ready` is told the port when the broker listens. Absent: no device came."""
    async with broker(wish.broker) as port, connected(port, wish.hall, wish.device) as core:
        gate = Gate(port)
        host, wanted = wish.listen
        await gate.start(host, wanted)  # now that somebody listens: a birth is not left to the broker's memory
        try:
            if ready is not None:
                ready.set_result(gate.port)
            sys.stderr.write(f"the device {wish.hall}/{wish.device} is awaited at {host}:{gate.port}\n")
            if not await core.until(lambda: bool(core.births()), wish.limits.boot):
                raise Absent(f"no birth of {wish.hall}/{wish.device} within {wish.limits.boot:.0f} s")
            stage = Stage(core, gate, hands, wish.limits, wish.profile, wish.hall, wish.device, port)
            stage = stage._replace(offline_prefix=wish.offline_prefix)
            return Report(f"{wish.hall}/{wish.device}", wish.profile, wish.broker, await _cases(stage, wish.only))
        finally:
            await gate.stop()


async def _cases(stage: Stage, only: Sequence[str]) -> list[Outcome]:
    found: list[Outcome] = []
    for name, case in conformance_cases.CASES.items():
        if only and name not in only:
            continue
        what = (case.__doc__ or "").strip()
        try:
            await case(stage)
        except Failed as failed:
            found.append(Outcome(name, what, FAILED, str(failed)))
            stage.gate.shut(False)
            await stage.released()
        except Skipped as skipped:
            found.append(Outcome(name, what, SKIPPED, str(skipped)))
        else:
            found.append(Outcome(name, what, PASSED))
        _tell(found[-1])
    return sorted(found, key=lambda one: one.case)


def _tell(one: Outcome) -> None:
    why = f"\n         {one.why}" if one.why else ""
    sys.stderr.write(f"{one.case} {one.result:7} {one.what}{why}\n")
    sys.stderr.flush()


def text(report: Report) -> str:
    """The report as a page."""
    lines = [f"{report.device} as {report.profile}, on {report.broker}"]
    lines += [f"{one.case} {one.result:7} {one.what}" + (f" — {one.why}" if one.why else "") for one in report.cases]
    tally = {word: sum(one.result == word for one in report.cases) for word in (PASSED, FAILED, SKIPPED)}
    lines.append(", ".join(f"{count} {word}" for word, count in tally.items()))
    return "\n".join(lines) + "\n"


def _wish(arguments: Sequence[str] | None) -> tuple[Wish, Person, bool]:
    parser = argparse.ArgumentParser(prog="python -m devices.conformance", description="Tries a device on the wire.")
    parser.add_argument("--device", required=True, metavar="HALL/DEVICE", help="as it names itself, such as h1/kiosk-1")
    parser.add_argument("--profile", required=True, choices=sorted(ALLOWED), help="what kind of device it is")
    parser.add_argument("--broker", default="embedded", choices=("embedded", "mosquitto"))
    parser.add_argument("--listen", default="127.0.0.1:1883", metavar="HOST:PORT", help="where the device connects to")
    parser.add_argument(
        "--press", default="", metavar="COMMAND", help="makes the device send one event; else you are asked"
    )
    parser.add_argument("--power", default="", metavar="COMMAND", help="switches it off and on; else you are asked")
    parser.add_argument("--show", default="", metavar="COMMAND", help="prints what stands on its screen")
    parser.add_argument("--offline-prefix", default="", help="of a kiosk that prints while cut off")
    parser.add_argument("--only", nargs="*", default=[], metavar="CASE", choices=list(conformance_cases.CASES))
    parser.add_argument("--limits", default="{}", metavar="JSON", help='patience in seconds, such as {"quiet": 1}')
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    given = parser.parse_args(arguments)
    hall, slash, device = given.device.partition("/")
    host, _, port = given.listen.rpartition(":")
    try:
        limits = msgspec.json.decode(given.limits, type=Limits)
    except msgspec.MsgspecError as error:
        parser.error(f"--limits: {error}")
    if not slash or not host or not port.isdecimal():
        parser.error("HALL/DEVICE and HOST:PORT are needed")
    wish = Wish(
        hall, device, given.profile, given.broker, (host, int(port)), tuple(given.only), given.offline_prefix, limits
    )
    return wish, Person(given.press, given.power, given.show), given.json


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    wish, hands, as_json = _wish(arguments)
    try:
        report = asyncio.run(examine(wish, hands))
    except (Absent, OSError) as error:
        sys.stderr.write(f"{error}\n{wish.listen[0]}:{wish.listen[1]}\ngive it what it needs, and start again\n")
        return MISSING
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n" if as_json else text(report))
    if not report.passed and hands.absent:
        sys.stderr.write(NOBODY)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
