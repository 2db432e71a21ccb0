"""The page's section of diagnoses: the pictures that `lanes diagnose` left in the directory."""

import base64
from collections.abc import Iterable
from pathlib import Path

from lanes.files import oddity
from lanes.reporting.markup import Markup, escape, paragraph, together
from lanes.storage.directory import DIAGNOSES

PNG = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 600_000  # of pictures on a page


def diagnoses(directories: Iterable[Path]) -> Markup:
    """The pictures of each directory's diagnoses, by name, up to 600 kB in all; those left out are named. Empty without any."""
    shown: list[Markup] = []
    left_out: list[str] = []
    spent = 0
    for path in [path for directory in directories for path in _pictures(directory / DIAGNOSES)]:
        content = path.read_bytes()
        if not content.startswith(PNG):
            continue
        if spent + len(content) > MOST_BYTES:
            left_out.append(path.name)
            continue
        spent += len(content)
        shown.append(_figure(path, content))
    note = f"Not on the page, which would become large: {', '.join(left_out)}." if left_out else ""
    return together(*shown, paragraph(note, "quiet"))


def _pictures(folder: Path) -> list[Path]:
    """The regular PNG files of a folder by name; none where it is a link or no folder."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in sorted(folder.glob("*.png")) if not path.is_symlink() and oddity(path) is None]


def _figure(path: Path, content: bytes) -> Markup:
    name = path.stem.replace("_", " ")
    source = base64.b64encode(content).decode()
    caption = f"{name} ({DIAGNOSES}/{path.name}; numbers in the Parquet files beside it)"
    return Markup(
        f'<figure><img src="data:image/png;base64,{source}" alt="{escape(name)}" style="max-width:100%">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
