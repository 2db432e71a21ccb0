"""Prepares a TFDS data set as array_record files, which are then read without TensorFlow.

    python scripts/prepare_data.py NAME [--data-dir DIR] [--yes]

Says what would be downloaded, and downloads only with --yes. `digits` and generated sets need no download.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from lanes.data.tfds_preparing import plan, prepare
from lanes.errors import RequestError


@dataclasses.dataclass(frozen=True)
class PrepareData:
    """Prepares a TFDS data set as array_record files; says what it would download, and downloads only with --yes."""

    name: Annotated[str, tyro.conf.Positional]
    """Name of the data set, as in TFDS: mnist, mnist:3.0.1, set/config."""
    data_dir: str | None = None
    """Folder for prepared sets. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    yes: bool = False
    """Download, after saying what."""


def main(options: PrepareData) -> int:
    """Returns the exit status: 0 the set is ready; 2 it is not, and nothing was downloaded."""
    try:
        chosen = plan(options.name, options.data_dir)
        if chosen is None:
            print(f"{options.name}: is generated when it is used; nothing to prepare")
            return 0
        if isinstance(chosen, Path):
            print(f"{options.name}: is prepared in {chosen}")
            return 0
        print("\n".join(chosen.lines()))
        if not options.yes:
            print("nothing was downloaded; add --yes to do it", file=sys.stderr)
            return 2
        prepare(chosen)
        return 0
    except RequestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(tyro.cli(PrepareData)))
