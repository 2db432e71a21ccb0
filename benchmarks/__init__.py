"""Benchmarks: `.venv/bin/python -m benchmarks NAME` times lanes and its peers in turn, each peer in its own process."""
