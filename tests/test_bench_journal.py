"""bench/journal.py, bench/recovery.py: every gate is named and measured; one hop a commit is counted, not assumed."""

from bench import journal, journal_paced, journal_runs, recovery
from bench.pairs import Options


def test_the_quick_run_names_every_gate_and_counts_one_hop_a_commit() -> None:
    report = journal.run(Options(quick=True, pairs=1, seconds=0.2), [])
    gates = {gate.name: gate for gate in report.gates}
    assert gates.keys() == {
        "journal.batch_1000_vs_raw",
        "journal.batch_100_vs_raw",
        "journal.vs_row_commit",
        "journal.cpu_1000_vs_raw",
        "journal.hops_per_commit",
        "journal.loop_lag_p99_ms",
        "journal.loop_lag_vs_sync",
        "journal.ack_p99_vs_bound",
        "journal.disk_vs_row",
        "journal.wal_vs_row",
        "journal.checkpoint_p99_ratio",
        "journal.wal_mb",
        "journal.with_projections_vs_raw",
        "journal.with_projections_cpu_vs_raw",
    }
    assert gates["journal.hops_per_commit"].value == 1.0
    assert all(gate.value for gate in gates.values())


def test_the_quick_recovery_folds_every_fact_of_a_real_hall() -> None:
    gates = {gate.name: gate for gate in recovery.run(Options(quick=True, pairs=1), []).gates}
    names = {"rate_vs_fetchmany", "snapshot_encode_ms", "snapshot_decode_ms"}
    assert gates.keys() == {f"recovery.{name}" for name in names} and all(gate.value for gate in gates.values())


def test_lag_is_held_against_the_idle_loop_of_its_pair() -> None:
    assert journal_paced.lag_gate([(2.4, 1.3), (2.5, 1.3)]).ok is True
    assert journal_paced.lag_gate([(5.1, 4.0), (5.2, 4.0)]).ok is False
    assert journal_paced.lag_gate([(4.5, 1.0), (4.6, 1.0)]).ok is False
    assert journal_paced.lag_gate([(1.0, 1.0), (4.0, 1.0), (9.0, 1.0)]).ok is None


def test_the_facts_of_a_run_are_always_the_same() -> None:
    assert journal_runs.facts(60) == journal_runs.facts(60)
    assert len({row.device for row in journal_runs.facts(60)}) == 50
