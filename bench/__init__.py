"""bench: loads, baselines and ratios. Run as `python -m bench SUITE`; not part of the wheel."""
