"""What a VAE is compared with: modules of the same parts without Pyro programs, trained by criteria of their own."""

from pyrovae.baselines.gan import GAN, Generator, spectrally_normalised
from pyrovae.baselines.minimax import Minimax

__all__ = ["GAN", "Generator", "Minimax", "spectrally_normalised"]
