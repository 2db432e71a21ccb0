"""What the scripts share: one-line errors, exit statuses, and the compilation cache."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from lanes.errors import RequestError

WRONG_REQUEST = 2


def run_main(function: Callable[[Any], int | None], arguments: type) -> None:
    """Parse the command line as `arguments`, call `function`, exit with its status; a RequestError is one line, status 2.

    `arguments` is a dataclass with a field `traceback`, which shows where an error came from.
    """
    import tyro

    parsed: Any = tyro.cli(arguments, config=(tyro.conf.OmitSubcommandPrefixes,))
    try:
        status = function(parsed) or 0
    except RequestError as error:
        if getattr(parsed, "traceback", False):
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        status = WRONG_REQUEST
    except BrokenPipeError:
        status = 0
    sys.stdout.flush()
    sys.exit(status)
