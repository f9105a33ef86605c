"""workers/web/access.py: tokens are known by their digest, cookies by their mac, roles by their table."""

from pathlib import Path
from typing import get_args

import pytest

from core.policy import DevicePart
from workers.web.access import COOKIE_S, KINDS, PAGES, Access, Grant, Role, digest, new_token, read_tokens

CLERK = Grant(digest("token-of-a-clerk"), "clerk", ("h1",), ("caller-1",))


def access(now_s: float = 1000.0) -> Access:
    return Access([CLERK], b"key", lambda: now_s)


def test_every_role_has_its_pages_and_kinds() -> None:
    kinds = set(get_args(DevicePart.__annotations__["kind"]))
    assert set(KINDS) == set(PAGES) == set(get_args(Role))
    assert frozenset().union(*KINDS.values()) <= kinds
    assert not KINDS["operator"] and not KINDS["auditor"], "who looks does not act"


def test_a_role_sees_its_pages_of_its_halls() -> None:
    assert CLERK.sees("console", "h1")
    assert not CLERK.sees("console", "h2") and not CLERK.sees("ops", "h1")


def test_a_token_speaks_for_its_kinds_and_for_those_devices_it_names() -> None:
    assert CLERK.speaks_for("h1", "caller-1", "caller")
    assert not CLERK.speaks_for("h1", "caller-2", "caller")
    assert not CLERK.speaks_for("h1", "caller-1", "evaluator") and not CLERK.speaks_for("h2", "caller-1", "caller")
    assert Grant(digest("x"), "clerk", ("h1",)).speaks_for("h1", "caller-2", "caller")


def test_a_token_is_swapped_for_a_cookie_that_ends() -> None:
    assert access().by_token("token-of-a-clerk") == CLERK
    assert access().by_token("token-of-nobody!") is None and access().by_token("x" * 500) is None
    cookie = access().cookie(CLERK)
    assert access().by_cookie(cookie) == CLERK
    assert access(1000 + COOKIE_S).by_cookie(cookie) is None
    assert "token-of" not in cookie and CLERK.sha256 not in cookie


@pytest.mark.parametrize("value", ["", "a|b", "a|b|c", "|||", "é|1|2"])
def test_a_cookie_of_somebody_else_is_none(value: str) -> None:
    assert access().by_cookie(value) is None


def test_a_forged_cookie_is_none() -> None:
    ident, expires, mac = access().cookie(CLERK).split("|")
    assert access().by_cookie(f"{ident}|{int(expires) + 1}|{mac}") is None
    assert Access([CLERK], b"other", lambda: 1000.0).by_cookie("|".join((ident, expires, mac))) is None


def test_a_cookie_ends_with_its_token() -> None:
    assert Access([], b"key", lambda: 1000.0).by_cookie(access().cookie(CLERK)) is None


def test_what_is_made_is_what_is_read(tmp_path: Path) -> None:
    token, entry = new_token("guide", ("h1", "h2"), ("guide-1",), 'desk "2"')
    path = tmp_path / "tokens.toml"
    path.write_text(entry + "\n" + new_token("clerk", ("h1",))[1])
    path.chmod(0o600)
    first, second = read_tokens(path)
    assert (first.role, first.halls, first.devices, first.note) == ("guide", ("h1", "h2"), ("guide-1",), 'desk "2"')
    assert second.role == "clerk" and first.sha256 == digest(token) and token not in path.read_text()
    assert len(token) == 52, "256 bits"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[token]]\nrole = 'clerk'\n", "sha256"),
        ("x", "tokens.toml"),
        ("[[token]]\nrole='god'\nhalls=[]\nsha256='a'", "tokens.toml"),
    ],
)
def test_a_file_that_is_wrong_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=said):
        read_tokens(path)


def test_a_file_that_others_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    with pytest.raises(ValueError, match=r"tokens\.toml"):
        read_tokens(path)
    path.write_text("")
    path.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        read_tokens(path)
