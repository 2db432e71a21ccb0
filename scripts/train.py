"""`lanes train` from a checkout: python scripts/train.py --out DIR [--FIELD VALUE …]"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("train")
