"""devices/access.py: who may speak to the broker: passwords and the access list of mosquitto, as text. No I/O.

The username is `hall/device`, so one pattern pins a device to its own topics. A password is shown once; only its hash
is kept, in mosquitto's own form: `$7$iterations$salt$PBKDF2-HMAC-SHA512`, base64 (as mosquitto_passwd writes it).
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

import msgspec
from msgspec import Struct

from devices import topics

CORE: Final = "core"  # without a slash: no device can have this name
ITERATIONS: Final = 101  # mosquitto's own; 128 random bits need no stretching
SALT_BYTES: Final = 12
PASSWORD_BYTES: Final = 16
_WRITES: Final = (topics.ACK, topics.COMMAND, topics.SCREEN)


class Credential(Struct, frozen=True):
    """One user of the broker. `hash` empty: revoked, or known to the broker by certificate alone."""

    hash: str
    changed_ms: int
    revoked: bool = False


class Register(Struct, frozen=True):
    """devices.json: who has a password. `hall/device` -> credential. The hall files say what a device is."""

    v: int = 1
    users: dict[str, Credential] = {}


def parse(text: str) -> Register:
    """The register in `text`. ValueError says what is wrong."""
    register = msgspec.json.decode(text, type=Register)
    for user in register.users:
        if user != CORE and not is_user(user):
            raise ValueError(f"{user!r} is no hall/device")
    return register


def document(register: Register) -> str:
    """The register as text, a line a user would be hard to compare otherwise."""
    return msgspec.json.format(msgspec.json.encode(register, order="sorted"), indent=1).decode() + "\n"


def is_user(user: str) -> bool:
    """Whether this is the username of a device."""
    hall, slash, device = user.partition("/")
    return bool(slash and topics.IDENT.match(hall) and topics.IDENT.match(device))


def new_password() -> str:
    """22 characters that need no quoting, 128 bits."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def hashed(password: str, salt: bytes | None = None) -> str:
    """The password as mosquitto keeps it."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches(password: str, kept: str) -> bool:
    """Whether this is the password of the hash. ValueError: it is no hash of this form."""
    _, form, iterations, salt, digest = kept.split("$")
    if form != "7":
        raise ValueError(f"a hash of form {form!r}")
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(found, base64.b64decode(digest))


def added(register: Register, user: str, password: str, at_ms: int) -> Register:
    """With a new password for this user; an old one is void."""
    assert user == CORE or is_user(user), f"{user!r} is no user"
    return Register(register.v, register.users | {user: Credential(hashed(password), at_ms)})


def revoked(register: Register, user: str, at_ms: int) -> Register:
    """This user gets in no more. KeyError: it never could."""
    if user not in register.users:
        raise KeyError(user)
    return Register(register.v, register.users | {user: Credential("", at_ms, revoked=True)})


def password_file(register: Register) -> str:
    """The text of broker.passwd."""
    return "".join(f"{user}:{one.hash}\n" for user, one in sorted(register.users.items()) if one.hash)


def acl_file() -> str:
    """The text of broker.acl: the same for every hall, since the patterns hold the names. One rule a line."""
    whole = f"{topics.ROOT}/+/+"
    own = f"{topics.ROOT}/%u"
    return "\n".join(
        [
            "# Written by Jiaohao for mosquitto. The dispatcher:",
            f"user {CORE}",
            *(f"topic read {whole}/{leaf}" for leaf in topics.UP),
            *(f"topic write {whole}/{leaf}" for leaf in _WRITES),
            f"topic write {topics.PROBE}",
            f"topic read {topics.DROPPED}",
            "# Every device: %u is its username, hall/device.",
            *(f"pattern write {own}/{leaf}" for leaf in topics.UP),
            *(f"pattern read {own}/{leaf}" for leaf in _WRITES),
            "",
        ]
    )
