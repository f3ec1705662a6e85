"""Pictures of a trained VAE, drawn from arrays alone.

Every function takes numpy arrays or torch tensors that someone else computed and returns a `matplotlib.figure.Figure`:
nothing here trains, loads a model or opens a window, and nothing global changes. Prior samples need no function of
their own, they are an `image_grid` with a title.

- `training_curves`: what happened during training;
- `image_grid`, `reconstructions`, `pools`: data, data beside their reconstructions, data by class;
- `latent_map`: where the data and the components of the prior lie;
- `manifold`, `traversals`, `interpolation`: what the decoder makes of chosen latent points;
- `text_table`: texts, where other data are pictures;
- `greedy_curves`, `place_map`: the training of a stack of autoencoders, and where it puts texts;
- `rate_distortion`: what several models pay for their reconstructions;
- `walk_path`, `animate`: a round trip through latent space, as a GIF;
- `save`: a PNG that is either whole or absent.
"""

from pyrovae.figures.animation import animate, walk_path
from pyrovae.figures.curves import training_curves
from pyrovae.figures.decoded import interpolation, manifold, manifold_points, traversals
from pyrovae.figures.grids import image_grid, pools, reconstructions
from pyrovae.figures.images import to_image
from pyrovae.figures.latent import latent_map
from pyrovae.figures.places import greedy_curves, place_map
from pyrovae.figures.rate_distortion import rate_distortion
from pyrovae.figures.saving import save
from pyrovae.figures.texts import text_table

__all__ = [
    "animate",
    "greedy_curves",
    "image_grid",
    "interpolation",
    "latent_map",
    "manifold",
    "manifold_points",
    "place_map",
    "pools",
    "rate_distortion",
    "reconstructions",
    "save",
    "text_table",
    "to_image",
    "training_curves",
    "traversals",
    "walk_path",
]
