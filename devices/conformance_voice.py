"""devices/conformance_voice.py: what a voice box must do beside what every device must: C21 and C22."""

import time
from typing import Final

from devices.conformance_stage import Skipped, Stage, announcement, need

TOGETHER: Final = 0.3  # of the time of the first: reports so close behind each other are of voices that spoke at once


async def c21(stage: Stage) -> None:
    """One announcement after the other: the next begins when the last is over, and each is reported, in order"""
    _has_a_voice(stage)
    began_s, first = time.monotonic(), 1000 + len(stage.core.said)
    calls = [first, first + 1, first + 2]
    for call in calls:
        await stage.core.order(announcement(call))
    done = await stage.core.until(lambda: set(calls) <= {call for call, _, _ in _reports(stage)}, stage.limits.press)
    need(done, "not every call was reported")
    found = [one for one in _reports(stage) if one[0] in calls]
    need(
        [call for call, _, _ in found] == calls, f"told to speak {calls}, it reported {[call for call, _, _ in found]}"
    )
    need(all(ok for _, ok, _ in found), "a call was reported as not spoken")
    alone_s, both_s = found[0][2] - began_s, found[1][2] - found[0][2]
    need(
        both_s >= alone_s * TOGETHER, f"the first took {alone_s:.2f} s, the second {both_s:.2f} s more: spoken at once"
    )
    await stage.released()


async def c22(stage: Stage) -> None:
    """A call that comes too late is not spoken, and that is reported: `ok` false"""
    _has_a_voice(stage)
    await stage.event()  # an ack tells it the hall's time
    await stage.quiet()
    call = 2000 + len(stage.core.said)
    await stage.core.order(announcement(call), lives_ms=-1000)
    told = await stage.core.until(lambda: call in {one for one, _, _ in _reports(stage)}, stage.limits.answer)
    need(told, "nothing was reported of a call that came too late")
    need(not any(ok for one, ok, _ in _reports(stage) if one == call), "reported as spoken, after its `until_ms`")
    await stage.released()


def _has_a_voice(stage: Stage) -> None:
    if stage.profile != "voice":
        raise Skipped(f"a {stage.profile} does not speak")


def _reports(stage: Stage) -> list[tuple[int, bool, float]]:
    """Call, whether it was spoken, when that was heard; each event once."""
    found: dict[tuple[str, int], tuple[int, bool, float]] = {}
    for one in stage.core.sendings:
        if one.body.get("type") == "call.report":
            found.setdefault(one.key, (int(one.body.get("call", 0)), bool(one.body.get("ok", True)), one.at_s))
    return list(found.values())
