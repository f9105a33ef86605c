"""core: the pure queue and evaluation core of one hall. No I/O, clock, randomness, await or logging; see the files' first lines."""
