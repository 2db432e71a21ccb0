"""Runs: their description and identity, lists of them, and the checks before anything starts."""
