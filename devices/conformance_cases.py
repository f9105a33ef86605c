"""devices/conformance_cases.py: what a device must do on the wire, case by case (C01 to C22). Each says why it failed.

A case may ask the hands for a press or a power cycle; it must leave every event answered, so that the next begins
with an empty outbox. What the wire cannot show is skipped, with a reason, never passed.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from core import commands as c
from devices import wire
from devices.conformance_stage import Skipped, Stage, announcement, need
from devices.conformance_voice import c21, c22
from devices.privacy import personal
from devices.profiles import ALLOWED
from devices.scripted_core import Sending, granted, retained_state, silent

PRINTS: Final = ("kiosk", "self_service")
HOUR_MS: Final = 3_600_000


async def c01(stage: Stage) -> None:
    """Will and birth: `lost` when the cable is pulled, `ready` before any event, both retained"""
    core = stage.core
    last, states = core.births()[-1], len(core.states())
    core.answer = silent
    event = await stage.event()
    at = len(core.said)
    stage.gate.cut()
    lost = await core.until(lambda: "lost" in [one.get("state") for one in core.states()[states:]], stage.limits.answer)
    need(lost, "no will: the cable was pulled, and the broker said nothing on `state`")
    will = next(one for one in core.states()[states:] if one.get("state") == "lost")
    need(
        will.get("boot") == last.get("boot"), f"the will says boot {will.get('boot')!r}, the birth {last.get('boot')!r}"
    )
    need(
        will.get("link") == last.get("link"), f"the will says link {will.get('link')!r}, the birth {last.get('link')!r}"
    )
    await stage.again(event, stage.limits.reconnect, "it did not come back with its event")
    after = [one for one in core.said[at:] if one.leaf == "event" or (one.value or {}).get("state") != "lost"]
    need(after[0].leaf == "state", "an event came before the birth")
    born = after[0].value
    need(isinstance(born, dict) and born.get("boot") == last.get("boot"), "another boot without a restart")
    need(born.get("link", 0) > last.get("link", 0), f"`link` does not count connections: {born.get('link')!r}")
    kept = await retained_state(stage.broker_port, stage.hall, stage.device, stage.limits.answer)
    need(kept is not None and kept[1] == born, f"the birth is not retained; the broker keeps {kept and kept[1]}")
    need(kept is not None and kept[0] == 1, "the birth is not sent with QoS 1")
    await stage.released()


async def c02(stage: Stage) -> None:
    """Numbers: each event has the seq of the one before and 1"""
    await stage.event()
    await stage.quiet()
    keys = [(await stage.event()).key for _ in range(2)]
    (boot, first), (other, second) = keys
    need(boot == other, "another boot without a restart")
    need(second == first + 1, f"seq {second} after {first}")


async def c03(stage: Stage) -> None:
    """One message at a time: the next waits for the ack of the last"""
    stage.core.answer = silent
    first = await stage.event()
    before = len(stage.core.sendings)
    await stage.press()
    await stage.quiet()
    others = {one.key for one in stage.core.sendings[before:]} - {first.key}
    need(not others, f"sent {sorted(others)} while {first.key} had no ack")
    known = set(stage.core.seen())
    stage.core.answer = granted
    await stage.core.tell("ack", stage.core.ack(first, **granted(first)))
    await stage.fresh(known, stage.limits.answer, "the next event did not follow the ack of the first")
    await stage.released()


async def c04(stage: Stage) -> None:
    """A PUBACK is no ack: without one the event is sent again, after 30 s or so"""
    stage.core.answer = silent
    event = await stage.event()
    later = await stage.again(event, stage.limits.resend, "the event was never sent again: it left with the PUBACK")
    need(later.at_s - event.at_s > 0.2, "sent again at once, without a pause")
    await stage.released()


async def c05(stage: Stage) -> None:
    """A cut: after the reconnect the same boot, seq and body"""
    stage.core.answer = silent
    event, births = await stage.event(), len(stage.core.births())
    stage.gate.cut()
    await stage.born(births, stage.limits.reconnect)
    await stage.again(event, stage.limits.answer, f"event {event.key} was not sent again after a reconnect")
    await stage.released()


async def c06(stage: Stage) -> None:
    """A power cycle: the boot is kept with its numbers and events, or a new one begins at 1"""
    stage.core.answer = silent
    event, births = await stage.event(), len(stage.core.births())
    if not await stage.hands.power():
        await stage.released()
        raise Skipped("nobody can switch it off and on")
    birth = await stage.born(births, stage.limits.boot)
    if birth.get("boot") == event.key[0]:
        await stage.again(event, stage.limits.answer, f"kept boot {event.key[0]} and lost event {event.key}")
        await stage.released()
        later = await stage.event()
        need(later.key[1] > event.key[1], f"kept boot {event.key[0]} and used seq {later.key[1]} again")
    else:
        await stage.released()
        later = await stage.event()
        known = [seq for boot, seq in stage.core.seen() if boot == later.key[0]]
        need(min(known) == 1, f"a new boot begins with seq {min(known)}")
    need(later.key[0] == birth.get("boot"), "the event has another boot than the birth")


async def c07(stage: Stage) -> None:
    """A lost counter: `seq_reused` brings a new boot, and the event under it; `again` of a boot in use brings none"""
    await stage.event()  # answered afresh: since then the hall knows nobody else under this boot
    stage.core.answer = lambda event: granted(event) | {"again": True}
    event = await stage.event()
    stage.core.answer = granted
    await stage.quiet()
    twice = [one.key for one in stage.core.sendings if one.key[0] != event.key[0] and one.at_s > event.at_s]
    need(not twice, f"told `again` of its only sending it drew a new boot: the hall does {event.key} twice as {twice}")
    refused: list[Sending] = []

    def answer(event: Sending) -> dict[str, Any] | None:
        if not refused:
            refused.append(event)
            return {"refused": "seq_reused"}
        return granted(event) if event.key != refused[0].key else {"refused": "seq_reused"}

    def others() -> list[Sending]:
        return [one for one in stage.core.sendings if one.key[0] != event.key[0] and one.key not in known]

    stage.core.answer, known = answer, set(stage.core.seen())
    event = await stage.event()
    need(await stage.core.until(lambda: bool(others()), stage.limits.answer), "`seq_reused`, and no new boot")
    later = others()[0]
    need(later.key[1] == 1, f"a new boot begins with seq {later.key[1]}")
    need(later.body == event.body, "another body under the new boot")
    await stage.released()


async def c08(stage: Stage) -> None:
    """A refusal is final: not sent again, not even after a reconnect"""
    stage.core.answer = lambda event: {"refused": "service_closed"}
    event, births = await stage.event(), len(stage.core.births())
    await stage.quiet()
    stage.gate.cut()
    await stage.born(births, stage.limits.reconnect)
    await stage.quiet()
    need(len(stage.sendings_of(event)) == 1, f"event {event.key} was refused, and sent again")
    stage.core.answer = granted
    later = await stage.event()
    need(later.key == (event.key[0], event.key[1] + 1), f"{later.key} after the refused {event.key}")


async def c09(stage: Stage) -> None:
    """`keep`: the event stays, and is sent again after 60 s or more"""
    stage.core.answer = lambda event: {"refused": "device_unknown", "keep": True}
    event = await stage.event()
    stage.core.answer = granted
    least, most = stage.limits.keep
    later = await stage.again(event, most, f"event {event.key} was to be kept, and was not sent again")
    waited_s = later.at_s - event.at_s
    need(waited_s >= least, f"sent again after {waited_s:.1f} s; {least:.0f} s were asked for")
    await stage.released()


async def c10(stage: Stage) -> None:
    """What it does not know it ignores: fields, orders, pictures, bytes that are no JSON"""
    core, births = stage.core, len(stage.core.births())
    await core.order({"type": "lamp.blink", "colour": "red"})
    picture = {"epoch": 2**40, "revision": 1, "sent_ms": 1, "body": {"type": "hologram"}}
    await core.tell("screen", picture)
    for leaf in ("ack", "command", "screen"):
        for payload in (b"\xff\x00", b"[", b"[]", b"{}", b"null", b""):
            await core.tell(leaf, payload)
    core.answer = lambda event: {**granted(event), "mood": "good"}
    event = await stage.event()
    await stage.quiet()
    need(len(stage.sendings_of(event)) == 1, "an ack with an unknown field was not understood")
    need(len(core.births()) == births, "it lost its connection over a message that it does not know")
    await stage.released()


async def c11(stage: Stage) -> None:
    """The newest picture stays: one of a lower revision is ignored, one of a higher epoch is not"""
    if stage.profile not in ("caller", "counter_screen"):
        raise Skipped(f"a {stage.profile} shows no number")
    start = {"epoch": 2**41, "sent_ms": 1}
    for number, (epoch, revision) in (("A777", (0, 7)), ("A666", (0, 6)), ("A555", (-1, 9))):
        body = {"type": PICTURE[stage.profile], "counter": 1, "number": number, "status": "calling"}
        body |= {"staff": ""} if stage.profile == "counter_screen" else {"waiting": 1, "held": 0, "why": {}}
        await stage.core.tell("screen", start | {"epoch": start["epoch"] + epoch, "revision": revision, "body": body})
    await stage.quiet()
    shown = await stage.hands.shown()
    if shown is None:
        raise Skipped("nobody can say what it shows")
    need("777" in shown, f"it shows {shown!r}; A777 was the newest")


PICTURE: Final = {"caller": "caller", "counter_screen": "counter"}


async def c12(stage: Stage) -> None:
    """An order that comes twice is carried out once"""
    before, body = _carried_out(stage), _order(stage)
    order = await stage.core.order(body)
    await stage.core.order(body, order=order)
    need(await _done(stage, before + 1), "no report of what became of the order")
    await stage.quiet()
    found = _carried_out(stage) - before
    need(found == 1, f"carried out {found} times")


async def c13(stage: Stage) -> None:
    """An order that comes too late is not carried out, by the hall's clock, whatever its own says"""
    core, body = stage.core, _order(stage)
    try:
        for core.clock_ms in (-HOUR_MS, HOUR_MS):  # its own clock is wrong by an hour, as far as the hall is concerned
            await stage.event()  # an ack tells it the hall's time
            await stage.quiet()
            before = _carried_out(stage)
            await core.order(body)
            need(await _done(stage, before + 1), "an order in time was not carried out: its clock is off by an hour")
            await core.order(body, lives_ms=-1000)
            await stage.quiet()
            need(_carried_out(stage) == before + 1, "an order was carried out after its `until_ms`")
    finally:
        core.clock_ms = 0


def _order(stage: Stage) -> dict[str, Any]:
    if stage.profile in PRINTS:
        return {"type": "kiosk.print", "ticket": 1, "number": "A001"}
    if stage.profile == "voice":
        return announcement(1)
    raise Skipped(f"a {stage.profile} reports no orders")


def _carried_out(stage: Stage) -> int:
    """Reports of success, each event once."""
    wanted = "call.report" if stage.profile == "voice" else "ticket.report_print"
    return len({s.key for s in stage.core.sendings if s.body.get("type") == wanted and s.body.get("ok", True)})


async def _done(stage: Stage, count: int) -> bool:
    """Whether so many have been reported, in time."""
    return await stage.core.until(lambda: _carried_out(stage) >= count, stage.limits.press)


async def c14(stage: Stage) -> None:
    """Cut off, a kiosk prints numbers of its own prefix; a take that was under way is replaced"""
    prefix = stage.offline_prefix
    if stage.profile not in PRINTS or not prefix:
        raise Skipped("no kiosk with numbers of its own (--offline-prefix)")
    before = set(stage.core.seen())
    stage.gate.shut(True)
    try:
        for _ in range(2):  # it has time to notice the cut
            await asyncio.sleep(stage.limits.offline)
            await stage.hands.press()
    finally:
        stage.gate.shut(False)
    await stage.fresh(before, stage.limits.reconnect, "nothing was reported after the cut")
    await stage.quiet()
    bodies = {one.key: one.body for one in stage.core.sendings if one.key not in before}
    numbers = [str(body.get("number", "")) for body in bodies.values() if body.get("type") == "ticket.take"]
    own = [number for number in numbers if re.fullmatch(re.escape(prefix) + r"\d{1,5}", number)]
    need(len(own) >= 2, f"numbers of prefix {prefix} were printed while cut off: {numbers}")
    need(len(set(own)) == len(own), f"a number was printed twice: {own}")
    stage.core.answer = silent
    under_way = await stage.event()
    known = set(stage.core.seen())
    stage.core.answer = lambda event: None if event.key == under_way.key else granted(event)
    await asyncio.sleep(stage.limits.offline)
    await stage.released()
    later = await stage.fresh(known, stage.limits.answer, "a take without an answer for 3 s was not replaced")
    need(later.body.get("replaces") == under_way.key[1], f"`replaces` is {later.body.get('replaces')!r}")


async def c15(stage: Stage) -> None:
    """Time: an event says how long ago it happened, whatever the clock"""
    if stage.profile == "voice":
        raise Skipped("a voice box hears nothing while it is cut off, and has nothing to report")
    before, births = set(stage.core.seen()), len(stage.core.births())
    stage.gate.shut(True)
    try:
        pressed_s = asyncio.get_running_loop().time()
        if not await stage.hands.press():
            raise Skipped("nobody can press a key")
        await asyncio.sleep(stage.limits.offline)
    finally:
        stage.gate.shut(False)
    await stage.born(births, stage.limits.reconnect)
    event = await stage.fresh(before, stage.limits.answer, "what was pressed while cut off never came")
    ago_ms = (event.at_s - pressed_s) * 1000
    off_ms = abs(event.age_ms - ago_ms)
    need(off_ms < stage.limits.offline * 400, f"it happened {ago_ms:.0f} ms ago and says {event.age_ms}")
    await stage.released()


async def c16(stage: Stage) -> None:
    """Size and form: nothing above 16 KiB, arrays of 1 to 64, every message as the contract says"""
    for said in stage.core.said:
        need(len(said.payload) <= wire.MAX_PAYLOAD, f"{len(said.payload)} bytes on `{said.leaf}`")
        if said.leaf == "state":
            state = wire.decode_state(said.payload)
            need(isinstance(state, wire.State), f"a state that cannot be read: {said.payload[:200]!r}")
            continue
        for one in wire.decode(said.payload, stage.device):
            need(isinstance(one, wire.Heard), f"an event that cannot be read: {said.payload[:200]!r}")


async def c17(stage: Stage) -> None:
    """Privacy: no identity or phone number in anything that it said"""
    for said in stage.core.said:
        text = said.payload.decode("utf-8", "replace")
        need(not personal(_without_numbers(text)), f"a number of a person on `{said.leaf}`")


def _without_numbers(text: str) -> str:
    """Times and references of the contract are longer than a phone number; they are no text."""
    return re.sub(r'"(sent_ms|age_ms|seq|ticket|call|person_ref|boot)":\s*("[^"]*"|-?\d+)', '""', text)


async def c18(stage: Stage) -> None:
    """`device.sync`: the birth again, and what is unanswered, within the time that it names"""
    stage.core.answer = silent
    event, births = await stage.event(), len(stage.core.births())
    await stage.core.order({"type": "device.sync", "now_ms": stage.core.now_ms(), "within_ms": 500})
    await stage.born(births, 0.5 + stage.limits.answer)
    await stage.again(event, stage.limits.answer, "what was unanswered was not sent again")
    await stage.released()


async def c19(stage: Stage) -> None:
    """MQTT 3.1.1 is enough"""
    need(4 in stage.gate.levels, f"it spoke protocol levels {sorted(set(stage.gate.levels))}; 3.1.1 is level 4")


async def c20(stage: Stage) -> None:
    """Only what its kind may say"""
    allowed = {c.TYPE_OF[kind] for kind in ALLOWED[stage.profile]}
    spoken = {str(one.body.get("type")) for one in stage.core.sendings}
    need(spoken <= allowed, f"a {stage.profile} may not say {sorted(spoken - allowed)}")


Case = Callable[[Stage], Awaitable[None]]
# What looks at everything that was said stands last.
CASES: Final[dict[str, Case]] = {
    f"C{at:02}": case
    for at, case in (
        *enumerate((c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14, c15), 1),
        (18, c18),
        (21, c21),
        (22, c22),
        (16, c16),
        (17, c17),
        (19, c19),
        (20, c20),
    )
}
