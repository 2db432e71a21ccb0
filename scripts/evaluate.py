"""`lanes evaluate` from a checkout: python scripts/evaluate.py DIR [--best K] …"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("evaluate")
