"""`lanes prepare` from a checkout: python scripts/prepare_data.py NAME [--yes]"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("prepare")
