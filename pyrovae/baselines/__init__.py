"""Systems that are no VAEs, to compare with: run, stopped, resumed and judged like them."""

from pyrovae.baselines.gan import GAN, Generator, spectrally_normalised
from pyrovae.baselines.minimax import Minimax
from pyrovae.baselines.stacked import StackedAutoencoder

__all__ = ["GAN", "Generator", "Minimax", "StackedAutoencoder", "spectrally_normalised"]
