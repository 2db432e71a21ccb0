"""A run, its identity, lists of runs, and whether they make sense."""
