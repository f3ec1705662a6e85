"""Files that are whole or absent: written under a temporary name in the same folder, then renamed.

A reader (or a run that is resumed after a crash) never meets half a picture, because `os.replace` within one folder is
atomic.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from matplotlib.figure import Figure


@contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write to; it becomes `path` if the block succeeds and disappears if it fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomically(Path(folder) / "new" / "a.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     (Path(folder) / "new" / "a.txt").read_text()
        'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile.mkstemp: its files are readable by their owner alone, and stay so after the renaming
    temporary = target.with_name(f".{uuid4().hex}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Writes a figure, cut to its contents, and returns its path.

    Args:
        figure: Any figure of this package.
        path: Ends in .png (or .pdf, .svg); its folder is made if it is missing.
        dpi: Pixels per inch.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Figure(), Path(folder) / "figures" / "empty.png").name
        'empty.png'
    """
    with atomically(path) as temporary:
        kind = temporary.suffix[1:] or "png"
        figure.savefig(temporary, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.08)
    return Path(path)
