"""`lanes diagnose` from a checkout: python scripts/diagnose.py DIR [--best K] [--what NAME …] …"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("diagnose")
