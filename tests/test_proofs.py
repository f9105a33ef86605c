"""workers/proofs.py: a token says what it is good for, and nobody else can make one."""

from pathlib import Path

import pytest

from workers import mark
from workers.proofs import Claim, Proofs, key_of

PROOFS = Proofs(b"k" * 32)
TOKEN = PROOFS.mint("h1", 990, 1_795_421_400_500)


def test_a_token_is_read_as_it_was_minted() -> None:
    assert PROOFS.read(TOKEN) == Claim("h1", 990, 1_795_421_400_000, True)
    assert PROOFS.mint("h1", 990, 1_795_421_400_999) == TOKEN, "the same each time it is shown"
    assert len(TOKEN.rpartition(".")[2]) == 26, "128 bits"


@pytest.mark.parametrize("change", [("990", "991"), ("h1", "h2"), ("1795421400", "1795421401")])
def test_another_call_hall_or_expiry_needs_another_mac(change: tuple[str, str]) -> None:
    claim = PROOFS.read(TOKEN.replace(*change))
    assert claim is not None and not claim.sound


def test_every_bit_of_the_mac_counts() -> None:
    for at in range(len(TOKEN) - 26, len(TOKEN)):
        forged = TOKEN[:at] + ("A" if TOKEN[at] != "A" else "B") + TOKEN[at + 1 :]
        claim = PROOFS.read(forged)
        assert claim is not None and not claim.sound


def test_another_site_has_other_keys() -> None:
    other = Proofs(b"o" * 32)
    claim = other.read(TOKEN)
    assert claim is not None and not claim.sound
    assert other.derived("cookie") != PROOFS.derived("cookie") != PROOFS.derived("hall|h1")


@pytest.mark.parametrize(
    "text", ["", "a", "a.b.c.d", "a.h1.x.1.m", "a.h1.1.-1.m", "a.h1.1.1.m.n", "a..1.1.m", "é.h1.1.1.m"]
)
def test_what_is_no_token_says_nothing(text: str) -> None:
    assert PROOFS.read(text) is None
    assert PROOFS.read(TOKEN + "A" * 200) is None


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "web.key"
    key = key_of(path)
    assert key == key_of(path) and len(key) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        key_of(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="shorter"):
        key_of(path)


def test_a_secret_is_whole_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut before leaves no file, none that is empty; the next start makes one."""
    path, synced, rename = tmp_path / "key", dict[Path, int](), Path.rename
    monkeypatch.setattr(mark, "sync_file", lambda one: synced.update({one: one.stat().st_size}))

    def cut(part: Path, to: Path) -> Path:
        assert synced[part] == 65 and not to.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", cut)
    with pytest.raises(KeyboardInterrupt):
        key_of(path)
    assert not path.exists()
    monkeypatch.setattr(Path, "rename", rename)
    assert len(key_of(path)) == 64 and [one.name for one in tmp_path.iterdir()] == ["key"]
