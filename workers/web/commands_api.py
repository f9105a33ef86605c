"""workers/web/commands_api.py: commands, ratings by token, login, look-ups. JSON, answered after the commit.

A page is a device: POST /api/v1/commands?hall=&device= with `Idempotency-Key: boot:seq` and `{boot, seq, body}` goes
through the same window as MQTT, so a page may resend until it hears. A refusal of the hall is an answer: 200.
"""

from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from core import commands as c
from core.commands_cases import SupplementEvaluation
from core.evaluation import EvaluationState
from core.fact import Fact
from core.facts import EvaluationRejected, EvaluationSubmitted, Refused
from core.facts_cases import EvaluationSupplemented
from core.policy import Names
from core.refusals import Refusal
from devices import wire
from devices.privacy import personal, remark
from workers.door import Desks
from workers.proofs import Claim
from workers.web import cases_api, drawings, guidance, oversight
from workers.web.access import COOKIE, COOKIE_S, Grant
from workers.web.gate import SITE, Refuse, address, answer, answered, decoded, entitled, grant_of, paced, posted
from workers.web.ring import Sample
from workers.web.site import Site

UNRATED: Final = (EvaluationState.EXPIRED, EvaluationState.DEFAULTED)
HOME: Final = {"clerk": "/console", "guide": "/guide", "operator": "/ops", "auditor": "/ops", "device": "/pad"}


class _Head(Struct):
    boot: str
    seq: int


class Login(Struct):
    """What the login page sends."""

    token: Annotated[str, Meta(min_length=16, max_length=200)]


class Rating(Struct):
    """What a phone sends. `options`: reasons of the set; others are left out. `comment`: kept beside the journal."""

    level: Annotated[int, Meta(ge=1, le=5)]
    options: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    option_set: c.Code = ""
    comment: str = ""
    real_name: bool = False


class Rateable(Struct, frozen=True):
    """What a token stands for. `phase`: open, bad, used or over; more: rated, and reasons may still be added."""

    phase: str
    counter: int = 0
    service: Names = {}
    option_set: str = ""
    reasons: list[str] = []


class Supplement(Struct):
    """Reasons and words added to a rating (追评), at least one of them; the level stays."""

    options: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    option_set: c.Code = ""
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.options and not self.comment.strip():
            raise ValueError("nothing to add")


_HEAD: Final = msgspec.json.Decoder(_Head)
_LOGIN: Final = msgspec.json.Decoder(Login)
_RATING: Final = msgspec.json.Decoder(Rating)
_SUPPLEMENT: Final = msgspec.json.Decoder(Supplement)


async def command(request: web.Request) -> web.Response:
    """POST /api/v1/commands."""
    site = request.app[SITE]
    body = await posted(request)
    grant = grant_of(request)
    if grant is None:
        raise Refuse(401, "unauthorized", "token")
    hall, device = request.query.get("hall", ""), request.query.get("device", "")
    state = site.state(hall)
    known = site.device(state, device) if state is not None else None
    if known is None or not grant.speaks_for(hall, device, known.kind):
        raise Refuse(403, "forbidden", "role")
    paced(request, "command", grant.id)
    head = decoded(_HEAD, body)
    if request.headers.get("Idempotency-Key") != f"{head.boot}:{head.seq}":
        raise Refuse(400, "other", "form")
    result: wire.Result = await answered(site.door.submit(hall, device, body))
    return answer({"now_ms": site.now_ms(), "result": result})


async def login(request: web.Request) -> web.Response:
    """POST /api/v1/login: a token for a cookie."""
    site = request.app[SITE]
    paced(request, "login", address(request))
    form = decoded(_LOGIN, await posted(request))
    grant = site.access.by_token(form.token.strip())
    if grant is None:
        raise Refuse(401, "unauthorized", "token")
    response = answer({"role": grant.role, "home": HOME.get(grant.role, "/")})
    response.set_cookie(
        COOKIE,
        site.access.cookie(grant),
        max_age=COOKIE_S,
        httponly=True,
        samesite="Strict",
        secure=site.proofs.base_url.startswith("https:"),
        path="/",
    )
    return response


async def logout(request: web.Request) -> web.Response:
    """POST /api/v1/logout."""
    await posted(request)
    response = answer({})
    response.del_cookie(COOKIE, path="/")
    return response


async def me(request: web.Request) -> web.Response:
    """GET /api/v1/me: the role and what it may speak for."""
    grant = _known(request)
    site = request.app[SITE]
    devices = [
        {"hall": hall, "device": one.device, "kind": one.kind, "counter": one.counter}
        for hall, one in site.devices_of(grant)
    ]
    return answer({"role": grant.role, "halls": grant.halls, "devices": devices})


def _known(request: web.Request) -> Grant:
    grant = grant_of(request)
    if grant is None:
        raise Refuse(401, "unauthorized", "token")
    return grant


async def ticket(request: web.Request) -> web.Response:
    """GET /api/v1/ticket?hall=&number=: where a ticket stands; null when there is none."""
    hall, number = request.query.get("hall", ""), request.query.get("number", "")[:16].upper()
    paced(request, "look", entitled(request, "guide", hall).id)
    site = request.app[SITE]

    def read(desks: Desks) -> guidance.Found | None:
        desk = desks.get(hall)
        return None if desk is None else guidance.find(desk.hall.state, number, site.now_ms())

    return answer(await answered(site.door.look(read)))


async def series(request: web.Request) -> web.Response:
    """GET /api/v1/series?hall=: the ring of a hall."""
    hall = request.query.get("hall", "")
    paced(request, "look", entitled(request, "ops", hall).id)
    return answer({"fields": Sample._fields, "rows": request.app[SITE].ring.series(hall)})


async def audit(request: web.Request) -> web.Response:
    """GET /api/v1/audit?hall=: what was changed by hand, newest first, and what was found."""
    site, hall = request.app[SITE], request.query.get("hall", "")
    paced(request, "audit", entitled(request, "ops", hall).id)

    def read(desks: Desks) -> list[oversight.Found]:
        return oversight.findings(desks[hall].hall.state) if hall in desks else []

    lines = await site.trail(hall) if site.trail is not None else []
    return answer({"audit": lines, "findings": await answered(site.door.look(read))})


# Ratings by token.


async def rateable(site: Site, claim: Claim | None) -> Rateable:
    """What a token stands for now."""
    if claim is None or not claim.sound or site.state(claim.hall) is None:
        return Rateable("bad")

    def read(desks: Desks) -> Rateable:
        state = desks[claim.hall].hall.state
        found = state.evaluations.get(claim.call)
        if found is None or site.now_ms() >= found.due_ms:
            return Rateable("over")
        evaluation = drawings.rules(state).evaluation
        phase = "open"
        if found.state is not EvaluationState.OPENED:
            may_add = evaluation.supplement and found.state is EvaluationState.SUBMITTED and not found.supplemented
            phase = "more" if may_add else "over" if found.state in UNRATED else "used"
        if phase in ("used", "over"):
            return Rateable(phase)
        part = state.rules.services.get(found.service)
        service = drawings.names(part[1].name if part is not None else {}, found.service)
        return Rateable(phase, found.counter, service, evaluation.options, drawings.reasons(state, evaluation.options))

    found: Rateable = await answered(site.door.look(read))
    return found


async def rate(request: web.Request) -> web.Response:
    """POST /api/v1/e/{token}: the rating of one serving, or why not. Both are facts.

    A comment with somebody's number in it is left out and said to be; the rating counts.
    """
    form, claim = await _asked(request, _RATING)
    site, comment = request.app[SITE], remark(form.comment)
    known = known_to(site, claim.hall, form.option_set, form.options)
    rated = c.SubmitEvaluation(
        call=claim.call if claim.sound else 0,  # one whose token is not ours names no call
        level=form.level,
        options=known,
        option_set=form.option_set,
        channel="qr",
        proof="token" if claim.sound else "bad",
        real_name=form.real_name,
    )
    said = outcome(site, await answered(site.door.ask(claim.hall, rated, comment or "")))
    return answer(said if comment is not None else {**said, "dropped": [_not_kept(site)]})


async def supplement(request: web.Request) -> web.Response:
    """POST /api/v1/e/{token}/more: reasons and words added to a rating, once. With somebody's number in it nothing is
    added, so that it can be sent again without."""
    form, claim = await _asked(request, _SUPPLEMENT)
    site, comment = request.app[SITE], remark(form.comment)
    if comment is None:
        _not_kept(site)
        return answer({"refused": str(Refusal.PERSONAL_DATA)})
    known = known_to(site, claim.hall, form.option_set, form.options)
    added = SupplementEvaluation(
        claim.call if claim.sound else 0, known, form.option_set, proof="token" if claim.sound else "bad"
    )
    return answer(outcome(site, await answered(site.door.ask(claim.hall, added, comment))))


def _not_kept(site: Site) -> str:
    """Counted; the text is said to nobody."""
    site.refused["personal_data"] += 1
    return "comment"


async def _asked(request: web.Request, decoder: "msgspec.json.Decoder[Any]") -> tuple[Any, Claim]:
    """The form and the token that it comes with. Refuse where there is no token at all."""
    site, token = request.app[SITE], request.match_info["token"]
    paced(request, "rating_address", address(request))
    paced(request, "rating_token", token[:200])
    form = decoded(decoder, await posted(request))
    if personal(form.option_set):
        raise Refuse(400, "other", "form")
    claim = site.proofs.read(token)
    if claim is None or site.state(claim.hall) is None:
        raise Refuse(404, "not_found", "token")
    if not claim.sound:
        paced(request, "rating_forged", address(request))
    return form, claim


def known_to(site: Site, hall: str, option_set: str, options: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the options that the set has; nothing else of what a phone sends is kept."""
    state = site.state(hall)
    known = drawings.reasons(state, option_set) if state is not None else []
    return tuple(dict.fromkeys(one for one in options if one in known))


def outcome(site: Site, facts: list[Fact]) -> dict[str, str]:
    """What became of a rating."""
    for fact in facts:
        if isinstance(fact, EvaluationSubmitted | EvaluationSupplemented):
            return {"ok": "done"}
        if isinstance(fact, EvaluationRejected | Refused):
            site.refused["token"] += 1
            return {"refused": str(fact.reason)}
    raise Refuse(503, "busy", "busy", 1.0)


def routes() -> list[Any]:
    """All of them."""
    return [
        web.post("/api/v1/commands", command),
        web.post("/api/v1/cases", cases_api.step),
        web.get("/api/v1/cases/texts", cases_api.written),
        web.post("/api/v1/devices", cases_api.device),
        web.post("/api/v1/login", login),
        web.post("/api/v1/logout", logout),
        web.post("/api/v1/e/{token}", rate),
        web.post("/api/v1/e/{token}/more", supplement),
        web.get("/api/v1/me", me),
        web.get("/api/v1/ticket", ticket),
        web.get("/api/v1/series", series),
        web.get("/api/v1/audit", audit),
    ]
