"""IDX, the format of MNIST: `00 00 <type> <dimensions>`, each size as a big-endian 32-bit integer, then the values.

LeCun, Cortes and Burges (1998) published MNIST this way, and the sets made to replace it keep it. Files are compressed
by gzip or not: the first two bytes say which, whatever the name says. What is read is compared with the length that
the header announces, since a loader that only asks whether the file exists trains on what a broken download left.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError

# 20 times MNIST: more than that is a broken header, or an archive made to fill the memory.
MAX_BYTES = 2**30

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | Path, *, dims: int | None = None, hint: str = "delete it and copy it again") -> Tensor:
    """Reads an IDX file of unsigned bytes, compressed or not.

    Args:
        path: The file.
        dims: How many dimensions it should have (3 for images, 1 for labels); any by default.
        hint: The way out that an error names.

    Returns:
        Values as uint8, of the shape that the header announces.

    Raises:
        PyrovaeError: The file is missing, empty, a web page, no IDX file, or longer or shorter than it announces.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "t10k-labels-idx1-ubyte")
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
        >>> read_idx(path)
        tensor([7, 3], dtype=torch.uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            return _read(path.name, gzip.GzipFile(fileobj=file) if compressed else file, dims, hint)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise PyrovaeError(f"data file {path.name} is damaged (gzip: {error})", hint=hint) from error
    except OSError as error:
        raise PyrovaeError(f"cannot read data file {path}: {error.strerror}", hint=hint) from error


def _read(name: str, file: IO[bytes] | gzip.GzipFile, dims: int | None, hint: str) -> Tensor:
    shape = _read_shape(name, file, hint)
    if dims is not None and len(shape) != dims:
        raise PyrovaeError(f"data file {name} has {len(shape)} dimensions, not {dims}", hint=hint)
    header, size = 4 + 4 * len(shape), math.prod(shape)
    if size > MAX_BYTES:
        raise PyrovaeError(f"data file {name} announces {size} bytes, more than {MAX_BYTES}", hint=hint)
    values = file.read(size + 1)  # one more than announced, to notice what should not be there
    if len(values) != size:
        found = f"{header + len(values)} of" if len(values) < size else "more than"
        raise PyrovaeError(f"data file {name} is damaged ({found} {header + size} bytes)", hint=hint)
    return torch.frombuffer(bytearray(values), dtype=torch.uint8).reshape(shape) if size else torch.empty(shape).byte()


def _read_shape(name: str, file: IO[bytes] | gzip.GzipFile, hint: str) -> tuple[int, ...]:
    magic = file.read(4)
    if not magic:
        raise PyrovaeError(f"data file {name} is empty", hint=hint)
    if magic.lstrip()[:1] == b"<":
        raise PyrovaeError(f"data file {name} is a web page, not data: the download failed", hint=hint)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not magic[3]:
        raise PyrovaeError(f"data file {name} is not an IDX file of bytes (it starts with {magic.hex(' ')})", hint=hint)
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise PyrovaeError(f"data file {name} is damaged (it ends within its header)", hint=hint)
    return struct.unpack(f">{magic[3]}I", sizes)
