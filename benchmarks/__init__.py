"""How fast: `.venv/bin/python -m benchmarks NAME` times lanes and its peers in turn, peers in processes of their own."""
