"""workers/renewal.py: what SIGHUP reads again; what is wrong changes nothing."""

import os
import signal
from pathlib import Path

import msgspec
import pytest

from core.facts import PolicyChanged
from tests.browser.hall import HALL, a_policy, served_hall
from tests.halls import POLICY, changed
from tests.processes import write_halls
from workers.renewal import grants, newer
from workers.settings import SettingsError, WebSection
from workers.web.access import new_token


def test_off_loopback_somebody_has_to_be_named(tmp_path: Path) -> None:
    assert grants(WebSection()) == []
    with pytest.raises(SettingsError, match="needed to listen"):
        grants(WebSection(listen="0.0.0.0:80"))
    file = tmp_path / "tokens.toml"
    file.write_text(new_token("clerk", ("h1",))[1])
    with pytest.raises(SettingsError, match="chmod 600"):
        file.chmod(0o644)
        grants(WebSection(tokens_file=str(file)))
    file.chmod(0o600)
    assert [one.role for one in grants(WebSection(tokens_file=str(file)))] == ["clerk"]


def test_only_what_is_newer_and_all_of_it_or_nothing() -> None:
    later = changed(POLICY, version=POLICY.version + 1)
    assert newer([POLICY], {"h1": None}) == [POLICY]
    assert newer([POLICY], {"h1": POLICY}) == [] == newer([POLICY], {"h1": later})
    assert newer([later], {"h1": POLICY}) == [later]
    edited = changed(POLICY, version=POLICY.version, services=POLICY.services[:2])
    with pytest.raises(SettingsError, match="its version"):
        newer([later, edited], {"h1": POLICY})
    with pytest.raises(SettingsError, match="restart"):
        newer([later], {"h2": None})


def test_a_changed_hall_file_is_a_command_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    with served_hall(tmp_path) as hall:
        first = a_policy()
        halls = tmp_path / "halls"
        (file,) = [path for path in halls.iterdir() if path.suffix in (".toml", ".json")]
        good = file.read_bytes()
        file.write_text("broken")
        os.kill(hall.served.pid, signal.SIGHUP)
        hall.served.wait_for("policy.files_wrong")
        file.write_bytes(good)
        seats = tuple(msgspec.structs.replace(one, seats=7) for one in first.zones)
        file.unlink()
        write_halls(halls, [msgspec.structs.replace(first, version=first.version + 1, zones=seats)])
        os.kill(hall.served.pid, signal.SIGHUP)
        hall.served.wait_for("policy.files_read")
        hall.served.until(lambda found: found['jiaohao_facts_total{kind="PolicyChanged"}'] == 2)
        assert [fact.version for fact in hall.facts(PolicyChanged)] == [first.version, first.version + 1]
        assert hall.take("s01").endswith("001"), "and the hall goes on"
        n, digest = hall.served.digests()[HALL]
        assert hall.replayed(n) == digest
