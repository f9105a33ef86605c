"""workers/web/cases_api.py: POST /api/v1/cases?hall= and /api/v1/devices?hall=: what an operator decides; once each.

The steps of a case; ratings that came by SMS, telephone or on paper; appeals, conduct, postings, inspections, honors;
which device is not listened to any more (隔离), or again. The same window as devices.
`{boot, seq, body}` with `Idempotency-Key: boot:seq`, as from a device; the number is that of the token, so that the
journal says who. Texts are kept elsewhere: a case refers to them by number; a rating's own words are read here.
"""

import zlib
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from core import commands as c
from core import commands_cases as cc
from core.fact import Cause
from core.refusals import Refusal
from devices import wire
from devices.privacy import personal, remark
from workers.door import Desks
from workers.proofs import Proofs
from workers.web import gate
from workers.web.gate import SITE, Refuse, answer, paced, posted

ACTS: Final = "operator"  # an auditor looks on


class Entered(Struct, frozen=True, tag_field="type", tag="evaluation.submit"):
    """A rating that somebody gave elsewhere, typed in later (补录). `reference`: its token, as an SMS quotes it."""

    level: Annotated[int, Meta(ge=1, le=5)]
    channel: Literal["sms", "hotline", "paper"]
    call: c.Count = 0
    reference: Annotated[str, Meta(max_length=200)] = ""
    options: Annotated[tuple[c.Code, ...], Meta(max_length=16)] = ()
    option_set: c.Code = ""
    comment: str = ""
    real_name: bool = False


Step = (
    Entered
    | cc.OpenCase
    | cc.AssignCase
    | cc.VerifyCase
    | cc.RectifyCase
    | cc.ReplyCase
    | cc.RevisitCase
    | cc.CloseCase
    | cc.ReopenCase
    | cc.ExtendCase
    | cc.AppealEvaluation
    | cc.DecideAppeal
    | cc.RecordConduct
    | cc.VoidConduct
    | cc.RaiseFinding
    | cc.ReviewFinding
    | cc.PostStaff
    | cc.RotateStaff
    | cc.ReturnStaff
    | cc.RecordInspection
    | cc.GrantHonor
    | cc.RevokeHonor
    | cc.RecordVolunteer
)


class Event(Struct, frozen=True):
    """A step under its number."""

    boot: Annotated[str, Meta(pattern=wire.BOOT_PATTERN)]
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    body: Step
    sent_ms: int = 0


class Decision(Struct, frozen=True):
    """About a device, under its number."""

    boot: Annotated[str, Meta(pattern=wire.BOOT_PATTERN)]
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    body: c.QuarantineDevice | c.ReadmitDevice
    sent_ms: int = 0


_EVENT: Final = msgspec.json.Decoder(Event)
_DECISION: Final = msgspec.json.Decoder(Decision)
_PACK: Final = msgspec.msgpack.Encoder()


async def step(request: web.Request) -> web.Response:
    """One step of a case; its result after the commit."""
    return await _decided(request, "cases", _EVENT)


async def device(request: web.Request) -> web.Response:
    """A device quarantined or readmitted; the result after the commit."""
    return await _decided(request, "ops", _DECISION)


async def _decided(
    request: web.Request, page: str, decoder: "msgspec.json.Decoder[Event] | msgspec.json.Decoder[Decision]"
) -> web.Response:
    site = request.app[SITE]
    body = await posted(request)
    hall = request.query.get("hall", "")
    grant = gate.entitled(request, page, hall)
    if grant.role != ACTS:
        raise Refuse(403, "forbidden", "role")
    paced(request, "command", grant.id)
    event: Event | Decision = gate.decoded(decoder, body)
    if request.headers.get("Idempotency-Key") != f"{event.boot}:{event.seq}":
        raise Refuse(400, "other", "form")
    taken, comment = command_of(site.proofs, hall, event.body)
    if personal(event.boot) or comment is None or any(personal(text) for text in texts(taken)):
        site.refused["personal_data"] += 1
        result = wire.Result(event.seq, refused=str(Refusal.PERSONAL_DATA))
    else:
        cause = Cause(grant.person, event.boot, event.seq, zlib.crc32(_PACK.encode(event.body)))
        result = await gate.answered(site.door.perform(hall, cause, taken, comment))
    return answer({"now_ms": site.now_ms(), "result": result})


async def written(request: web.Request) -> web.Response:
    """GET /api/v1/cases/texts?hall=&case=: what people wrote about a case, for those who see the case desk."""
    site = request.app[SITE]
    hall, case = request.query.get("hall", ""), request.query.get("case", "")
    paced(request, "look", gate.entitled(request, "cases", hall).id)

    def refs(desks: Desks) -> tuple[str, ...]:
        found = desks[hall].hall.state.cases.get(int(case)) if hall in desks else None
        return found.texts if found is not None else ()

    wanted = await gate.answered(site.door.look(refs)) if case.isdecimal() and len(case) < 16 else ()
    kept = await site.notes(hall, wanted)
    return answer({"texts": [kept[ref] for ref in wanted if ref in kept], "gone": [r for r in wanted if r not in kept]})


def command_of(proofs: Proofs, hall: str, body: "Entered | c.Command") -> tuple[c.Command, str | None]:
    """The command of a step, and the words that go beside it: None where a number of somebody stands in them."""
    if not isinstance(body, Entered):
        return body, ""
    claim = proofs.read(body.reference)
    sound = claim is not None and claim.sound and claim.hall == hall and body.call in (0, claim.call)
    call, proof = (claim.call, "token") if claim is not None and sound else (body.call, "operator")
    if body.reference and not sound:
        call, proof = 0, "bad"
    rated = c.SubmitEvaluation(
        call=call,
        level=body.level,
        options=body.options,
        option_set=body.option_set,
        channel=body.channel,
        proof=proof,
        real_name=body.real_name,
    )
    return rated, remark(body.comment)


def texts(command: Struct) -> list[str]:
    """Every text of a command."""
    values = msgspec.structs.astuple(command)
    some = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [one for one in some if isinstance(one, str)]
