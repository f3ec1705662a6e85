"""A round trip through latent space as a GIF: the path is found here, decoded by the caller, written here.

path = walk_path(vae.posterior(x[:8]).mean, steps=96, seed=0)
animate(vae.likelihood(torch.as_tensor(path)).mean, "walk.gif")
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from scipy.interpolate import CubicSpline

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array, to_batch
from pyrovae.figures.images import Range, to_image, value_range
from pyrovae.figures.saving import atomically

SMALLEST = 128  # pixels: below this a browser shows a stamp


def walk_path(z: ArrayLike, *, steps: int, seed: int) -> Array:
    """Returns a smooth closed path that visits every latent point once, `(steps, D)`.

    A periodic cubic spline runs through the points in an order drawn with `seed`; each stretch gets the same number of
    steps, up to one. The first point is not repeated at the end: the step after the last one leads back to it, so that
    a loop does not stutter.

    Args:
        z: Points to visit, `(n, D)`; all are on the path.
        steps: Points on the path, n or more.
        seed: Of the order of the visits.

    Example:
        >>> walk_path([[0.0], [1.0]], steps=4, seed=0).round(2).ravel().tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    anchors = to_batch(z, "z", leading=2).astype(float)
    if steps < len(anchors):
        raise PyrovaeError(f"'steps' should be {len(anchors)} or more to visit every point, got {steps}")
    tour = np.random.default_rng(seed).permutation(anchors)
    knots = np.arange(len(anchors) + 1)
    spline = CubicSpline(knots, np.concatenate([tour, tour[:1]]), bc_type="periodic")
    # whole steps between visits, so that the path meets each point and does not just pass near it
    visits = np.round(np.linspace(0, steps, len(knots)))
    return spline(np.interp(np.arange(steps), visits, knots))


def animate(
    frames: ArrayLike,
    path: str | os.PathLike[str],
    *,
    fps: int = 12,
    scale: int | None = None,
    span: Range | None = None,
) -> Path:
    """Writes data as an animated GIF that loops for ever, and returns its path.

    Equal frames in a row are merged into one that stays longer, as the format wants.

    Args:
        frames: Data, `(n, *event)`.
        path: The file, written whole or not at all.
        fps: Frames per second; GIF counts in hundredths of a second, so 12 becomes 12.5.
        scale: Each pixel becomes `scale` by `scale`; by default the least that makes both sides 128 pixels or more.
        span: The values drawn black and white, the same for all frames.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Image.open(animate(np.eye(4).reshape(4, 2, 2), Path(folder) / "a.gif")) as gif:
        ...         gif.n_frames, gif.size
        (4, (128, 128))
    """
    batch = to_batch(frames, "frames")
    span = span or value_range(batch)
    pages = [_page(to_image(event, span=span), scale) for event in batch]
    with atomically(path) as temporary:
        first, *rest = pages
        # "gif" by name: the suffix of `path` is the caller's business
        first.save(temporary, format="gif", save_all=True, append_images=rest, duration=round(100 / fps) * 10, loop=0)
    return Path(path)


def _page(picture: Array, scale: int | None) -> Image.Image:
    """Turns [0, 1] into bytes and every pixel into a square of pixels."""
    page = Image.fromarray(np.round(np.nan_to_num(picture) * 255).astype(np.uint8))
    scale = scale or -(-SMALLEST // min(page.size))
    return page.resize((page.width * scale, page.height * scale), Image.Resampling.NEAREST)
