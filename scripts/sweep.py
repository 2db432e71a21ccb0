"""`lanes sweep` from a checkout: python scripts/sweep.py EXPERIMENT.py --out DIR [--dry-run] …"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("sweep")
