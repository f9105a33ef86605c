"""bench/ranking.py, bench/peers.py: every peer answers as the oracle does, and the suite names all its gates."""

import json
import shutil

import pytest

from bench import ranking
from bench.__main__ import main
from bench.pairs import Gate
from bench.peers import HeapLazy, ListScan, Ours, SortedContainers, SqliteStaticKey, SqlOrderBy
from bench.ranking import CLASSES, Make, Rig, Row, Size, passes_oracle, skills

GATES = {
    "ranking.call_vs_sortedcontainers_10k",
    "ranking.call_vs_sortedcontainers_100",
    "ranking.ahead_vs_sortedcontainers_10k",
    "ranking.call_vs_sqlite_static_key_10k",
    "ranking.ahead_vs_sqlite_static_key_10k",
    "ranking.call_vs_sql_order_by_10k",
    "ranking.call_vs_redis_lua_10k",
    "ranking.call_vs_list_scan_10k",
    "ranking.call_vs_floor",
}


@pytest.mark.parametrize("peer", [Ours, SortedContainers, HeapLazy, SqliteStaticKey, SqlOrderBy])
def test_peers_pass_the_oracle(peer: Make) -> None:
    assert passes_oracle(peer, seed=2)


class Wrong(ListScan):
    """Calls the second best now and then."""

    def call_next(self, profile: int, t: int) -> int | None:
        if len(self.calls[profile]) == 3 and len(order := self.order(self.profiles[profile].primary, t)) > 1:
            self.tickets.pop(order[1])
            self.calls[profile].append(False)
            return order[1]
        return super().call_next(profile, t)


def test_a_wrong_peer_is_labelled() -> None:
    assert not passes_oracle(Wrong, seed=2)
    assert "WRONG" in ranking.label(Wrong, 2)


def test_the_load_is_a_function_of_the_seed() -> None:
    rigs = [Rig(Ours, Size(200, 20, 1), seed, CLASSES, skills(overflow=True)) for seed in (5, 5, 6)]
    for rig in rigs:
        rig.calls()
        rig.adds()
        rig.aheads()
    assert rigs[0].waiting == rigs[1].waiting != rigs[2].waiting
    assert len(rigs[0].waiting) == 200


def test_the_suite_names_every_gate_and_gives_no_verdict_when_quick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shape only: the halls are small here."""
    rows = [Row(row.name, row.goal, row.peer, row.what, 60, 10) for row in ranking.ROWS]
    monkeypatch.setattr(ranking, "ROWS", rows)
    monkeypatch.setattr(ranking, "SIZES", (60, 60))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)  # as where there is no Redis
    assert main(["ranking", "--quick", "--json", "--pairs", "2"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {one["name"] for one in document["gates"]} >= GATES
    assert document["verdict"] == "no verdict: --quick"
    (redis,) = [one for one in document["gates"] if "redis" in one["name"]]
    assert redis["ok"] is None and redis["note"].startswith("not run")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "ROWS", [row for row in ranking.ROWS if row.peer is SortedContainers])
    monkeypatch.setattr(ranking, "SIZES", (60, 60))
    monkeypatch.setattr(ranking.importlib.util, "find_spec", lambda _: None)
    gates: list[Gate] = ranking.run(ranking.Options(quick=True, pairs=2), []).gates
    missing = [one for one in gates if "sortedcontainers" in one.name]
    assert len(missing) == 3 and all(one.ok is None and "not installed" in one.note for one in missing)
