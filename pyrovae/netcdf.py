"""Trees of arrays as NetCDF files, written whole or not at all, with checksums."""

import io
from pathlib import Path
from typing import Any

import xarray as xr

from pyrovae import storage
from pyrovae.errors import PyrovaeError


def save_datatree(tree: xr.DataTree, path: Path | str) -> Path:
    """Writes a tree as NetCDF, with checksums, whole or not at all.

    Example:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"z": ("draw", np.zeros(3))})})
        >>> with TemporaryDirectory() as folder:
        ...     load_datatree(save_datatree(tree, Path(folder) / "analysis.nc")).identical(tree)
        True
    """
    buffer = io.BytesIO()
    tree.to_netcdf(buffer, engine="h5netcdf", encoding={node.path: encoding(node.dataset) for node in tree.leaves})
    storage.write(Path(path), buffer.getvalue())
    return Path(path)


def encoding(dataset: xr.Dataset) -> dict[Any, dict[str, Any]]:
    """Gives numbers checksums, and compresses whole ones: drawn floats would hardly shrink. Text can have neither."""
    compressed = {"zlib": True, "complevel": 1}
    return {
        name: {"fletcher32": True} | (compressed if value.dtype.kind == "i" else {})
        for name, value in dataset.data_vars.items()
        if value.dtype.kind in "if"
    }


def load_datatree(path: Path | str) -> xr.DataTree:
    """Reads a tree into memory.

    Raises:
        PyrovaeError: The file is missing or damaged.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"z": ("draw", [0.5, 1.5])})})
        >>> with TemporaryDirectory() as folder:
        ...     float(load_datatree(save_datatree(tree, Path(folder) / "small.nc"))["posterior"]["z"].mean())
        1.0
    """
    try:
        return xr.load_datatree(path, engine="h5netcdf")
    except FileNotFoundError:
        raise PyrovaeError(f"no file {path}", hint="write one with save_datatree") from None
    except Exception as error:  # HDF5's readers raise a dozen kinds for a file that is not theirs
        raise PyrovaeError(f"{path} is damaged ({type(error).__name__})", hint="write it again") from None
