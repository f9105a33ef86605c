"""workers/web/access.py: who may do what: tokens of 256 bits, stored as SHA-256 with role and halls; cookies for them.

A browser swaps its token once for a cookie: `token id | expires | mac`, HttpOnly, SameSite=Strict. It ends after 12 h,
or when its token is taken out of the file. No state: a restart logs nobody out.
"""

import hmac
import secrets
import tomllib
from base64 import b32encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Struct

from workers.settings import private

COOKIE: Final = "jiaohao"
COOKIE_S: Final = 12 * 3600
_LETTERS: Final = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")
Role = Literal["clerk", "guide", "operator", "auditor", "device", "metrics"]
KINDS: Final[dict[str, frozenset[str]]] = {  # the kinds of device that a role may speak for
    "clerk": frozenset({"caller"}),
    "guide": frozenset({"guide"}),
    "device": frozenset({"evaluator"}),
    "operator": frozenset(),
    "auditor": frozenset(),
    "metrics": frozenset(),
}
PAGES: Final[dict[str, frozenset[str]]] = {  # the pages of a role; the board and ratings are for everybody
    "clerk": frozenset({"console"}),
    "guide": frozenset({"guide"}),
    "device": frozenset({"pad"}),
    "operator": frozenset({"ops", "cases"}),
    "auditor": frozenset({"ops", "cases"}),
    "metrics": frozenset({"metrics"}),
}


class Grant(Struct, frozen=True, forbid_unknown_fields=True):
    """One token: its SHA-256 (hex), its role, the halls and, if named, the devices it may speak for."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    role: Role
    halls: tuple[str, ...]
    devices: tuple[str, ...] = ()
    note: str = ""

    @property
    def person(self) -> str:
        """What its commands stand under in the journal, where it has no device: letters only, so like no number."""
        return "web-" + self.id.translate(_LETTERS)

    @property
    def id(self) -> str:
        """A name for it that tells nothing of the token."""
        return self.sha256[:16]

    def sees(self, page: str, hall: str) -> bool:
        """Whether this page of this hall is for it."""
        return page in PAGES[self.role] and hall in self.halls

    def speaks_for(self, hall: str, device: str, kind: str) -> bool:
        """Whether it may act as this device."""
        return hall in self.halls and kind in KINDS[self.role] and (not self.devices or device in self.devices)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    token: tuple[Grant, ...] = ()


def read_tokens(path: Path) -> list[Grant]:
    """The grants of a tokens file. ValueError, with what is wrong."""
    try:
        if not private(path, path.stat().st_mode):
            raise ValueError(f"{path}: others may read it; chmod 600 it")
        return list(msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).token)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error


def new_token(role: str, halls: tuple[str, ...], devices: tuple[str, ...] = (), note: str = "") -> tuple[str, str]:
    """A token and the entry that lets it in. The token stands nowhere else."""
    token = b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
    return token, entry_of(Grant(digest(token), cast(Role, role), halls, devices, note))


def entry_of(grant: Grant) -> str:
    """A grant as it stands in a tokens file."""
    lists = [
        f"{name} = [{', '.join(map(_quoted, of))}]"
        for name, of in (("halls", grant.halls), ("devices", grant.devices))
        if of
    ]
    lines = ["[[token]]", f'sha256 = "{grant.sha256}"', f'role = "{grant.role}"', *lists]
    return "\n".join([*lines, f"note = {_quoted(grant.note)}"] if grant.note else lines) + "\n"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def digest(token: str) -> str:
    """How a token is stored."""
    return sha256(token.encode()).hexdigest()


class Access:
    """The tokens of a site and the cookies made of them. `now_s`: real UTC seconds."""

    def __init__(self, grants: list[Grant], key: bytes, now_s: Callable[[], float]) -> None:
        self._key, self._now_s = key, now_s
        self._grants = {one.sha256: one for one in grants}
        self._by_id = {one.id: one for one in grants}

    def by_token(self, token: str) -> Grant | None:
        """Whose token this is. Looked up by its digest: nothing to be learnt from how long it takes."""
        return self._grants.get(digest(token)) if len(token) <= 200 else None

    def cookie(self, grant: Grant) -> str:
        """The value of a new cookie."""
        said = f"{grant.id}|{int(self._now_s()) + COOKIE_S}"
        return f"{said}|{self._mac(said)}"

    def by_cookie(self, value: str) -> Grant | None:
        """Who carries it; None: not ours, over, or its token is no longer known."""
        said, _, mac = value.rpartition("|")
        ident, _, expires = said.partition("|")
        if not value.isascii() or not hmac.compare_digest(self._mac(said), mac):
            return None
        return self._by_id.get(ident) if expires.isdecimal() and int(expires) > self._now_s() else None

    def _mac(self, said: str) -> str:
        return hmac.digest(self._key, said.encode(), "sha256").hex()
