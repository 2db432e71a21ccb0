"""`python -m benchmarks` under its old name: python scripts/benchmark.py NAME [--repeats R] [--quick] [--write] …"""

import sys

from benchmarks.__main__ import run
from lanes.cli.command import leave

if __name__ == "__main__":
    leave(run(sys.argv[1:]))
