"""Programs: the kinds of systems that ``pyrovae run`` makes, trains, judges and draws.

An experiment names one by ``program = "..."`` beside its seed. A new one is a module, a criterion that trains it (see
:mod:`pyrovae.objectives.criterion`), one file here and one line in the table: the loop, the engines, checkpoints and
resumption are those of all.
"""

from pyrovae.programs.gan import GAN_PROGRAM
from pyrovae.programs.program import Program
from pyrovae.programs.stacked_autoencoder import STACKED_PROGRAM
from pyrovae.programs.vae import VAE_PROGRAM

PROGRAMS: dict[str, Program] = {
    "vae": VAE_PROGRAM,
    "gan": GAN_PROGRAM,
    "stacked-autoencoder": STACKED_PROGRAM,
}

__all__ = ["PROGRAMS", "Program"]
