"""Files and folders of the user's own that data sets are read from."""

import os
from pathlib import Path

from lanes.errors import DamagedFileError, RequestError
from lanes.files import read_regular

MOST_BYTES = 1 << 32  # of a file that is read whole


def found(path: str, data_dir: str | None, kind: str) -> Path:
    """Where a data set's file or folder is: in `data_dir` if it is there, else relative to the current folder.

    Args:
        path: as described; `~` is the home folder.
        data_dir: the value of --data-dir.
        kind: "file" or "folder".

    Raises RequestError if there is none, or one of the other kind.
    """
    asked = Path(path).expanduser()
    places = [Path(data_dir).expanduser() / asked, asked] if data_dir is not None else [asked]
    for place in places:
        if place.is_dir() if kind == "folder" else place.is_file():
            return place
    if any(place.exists() for place in places):
        raise RequestError(f"{path} is not a {kind}: give the path of a {kind}")
    below = f"{data_dir} or {os.getcwd()}" if data_dir is not None else os.getcwd()
    raise RequestError(
        f"{kind} {path} is not there"
        + ("" if asked.is_absolute() else f" (below {below})")
        + ": give its path from the current folder or an absolute one, or --data-dir the folder that it is in"
    )


def content_of(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises RequestError for anything else, and for a file of more than MOST_BYTES.
    """
    try:
        return read_regular(path, MOST_BYTES)
    except DamagedFileError as error:
        raise RequestError(f"{path} {error}: a data file belongs there") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror})") from None
