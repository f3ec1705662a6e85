"""``python -m pyrovae`` is the command line, as torchrun needs it."""

import os
import sys

from pyrovae.cli import main


def leave(code: int) -> None:
    """Ends one of several processes without the C++ destructors of its libraries.

    When all work was done and written, a thread of torch's own aborted about one process in fifteen there (torch 2.14,
    gloo), which a launcher takes for a failure and starts all processes again.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        main(prog_name="pyrovae")
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            leave(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
