"""How Orbax is called: by paths that it takes literally, without its log, and by one process, whatever others do."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

PATTERN = re.compile(r"[*?\[\]\\{}]")


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[Path]:
    """The folder by a path without the characters that Orbax takes for a pattern: the path itself, or a link to it."""
    folder = folder.absolute()
    if not PATTERN.search(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="lanes-") as temporary:
        link = Path(temporary) / "folder"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def own_process() -> Any:
    """Orbax's options for a checkpoint that one process writes or reads, whatever the others do."""
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    own = jax.process_index()
    prefix = f"lanes-{own}"
    return ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own}, barrier_sync_key_prefix=prefix)


class quiet:
    """Silence Orbax's log: whatever goes wrong it also raises."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("absl")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)
