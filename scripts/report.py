"""`lanes report` from a checkout: python scripts/report.py DIR [DIR …]"""

from lanes.cli.main import main

if __name__ == "__main__":
    main("report")
