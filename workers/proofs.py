"""workers/proofs.py: the one-time token of a rating (评价码): right to rate one serving until its window ends.

`k.hall.call.expires.mac`: key id, hall, call, expiry (UTC s) in clear; mac = HMAC-SHA256(hall key,
"1|hall|call|expires") cut to 128 bits, base32. Single use is the core's: the first accepted rating of a serving stands.
"""

import hmac
import os
from base64 import b32encode
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from workers import mark

MAC_BYTES: Final = 16
KEY_BYTES: Final = 32
LONGEST: Final = 160


class Claim(NamedTuple):
    """What a token says. `sound`: it is ours; `expires_ms` by the hall's clock."""

    hall: str
    call: int
    expires_ms: int
    sound: bool


class Proofs:
    """Mints and reads. One secret a site, from which every hall's key and the cookies' key are derived."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) >= KEY_BYTES, "a key of 256 bits"
        self._secret = secret
        self.base_url = ""  # how phones reach the pages; known once these listen
        self.key_id = sha256(b"id|" + secret).hexdigest()[:4]

    def derived(self, use: str) -> bytes:
        """A key for one use."""
        return hmac.digest(self._secret, use.encode(), "sha256")

    def mint(self, hall: str, call: int, expires_ms: int) -> str:
        """The token of a serving; the same each time, so that it can be shown again."""
        expires_s = expires_ms // 1000
        return f"{self.key_id}.{hall}.{call}.{expires_s}.{self._mac(hall, call, expires_s)}"

    def address(self, token: str) -> str:
        """Where a phone rates with it."""
        return f"{self.base_url}/e/{token}"

    def read(self, token: str) -> Claim | None:
        """What it says; None: no token at all."""
        parts = token.split(".")
        if len(token) > LONGEST or len(parts) != 5 or not token.isascii():
            return None
        key_id, hall, call, expires, mac = parts
        if not (call.isdecimal() and expires.isdecimal() and len(call) < 16 and len(expires) < 14 and hall):
            return None
        mine = self._mac(hall, int(call), int(expires))
        sound = key_id == self.key_id and hmac.compare_digest(mine, mac)
        return Claim(hall, int(call), int(expires) * 1000, sound)

    def _mac(self, hall: str, call: int, expires_s: int) -> str:
        said = f"1|{hall}|{call}|{expires_s}".encode()
        mac = hmac.digest(self.derived(f"hall|{hall}"), said, "sha256")[:MAC_BYTES]
        return b32encode(mac).decode().rstrip("=")


def key_of(path: Path) -> bytes:
    """The secret in a file, made with mode 0600 where there is none. ValueError: too short, or others may read it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        mark.write_whole(path, os.urandom(KEY_BYTES).hex().encode() + b"\n", 0o600)  # half of one lets no start go on
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path}: others may read it; chmod 600 it")
    secret = path.read_bytes().strip()
    if len(secret) < KEY_BYTES:
        raise ValueError(f"{path}: shorter than {KEY_BYTES} bytes")
    return secret
