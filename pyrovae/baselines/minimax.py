"""The game of a GAN as one loss, and what the discriminator says of data that it was not trained on."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrize import is_parametrized

from pyrovae.baselines.gan import GAN
from pyrovae.checks import check_data
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import batches
from pyrovae.objectives.criterion import Criterion
from pyrovae.ranges import NonNegative
from pyrovae.seeding import seeded
from pyrovae.training.history import Record

CHUNK = 1000  # data at once


class Minimax(Criterion):
    r"""Both players' losses in one (Goodfellow et al., 2014), with a penalty on gradients (Mescheder et al., 2018).

    With :math:`D(x) = \sigma(l(x))` the probability that x is real, the discriminator and the generator minimise

    .. math:: L_D = -\log D(x) - \log(1 - D(G(z))) + \frac{\gamma}{2} \lVert \nabla_x l(x) \rVert^2, \qquad
        L_G = -\log D(G(z))

    in nats per datum. The generator's loss is the non-saturating one: its gradient does not vanish where D is sure. The
    sum is minimised in one step, in which each loss sees the other network as it is, so that each network's gradient is
    that of its own loss: simultaneous gradient descent.

    Nothing selects among epochs, since neither loss says how good samples are: the last weights stay.

    Args:
        penalty: The weight gamma of R1, the penalty at real data; without it the game need not settle.
        spectral_norm: Whether the discriminator's weights are normalised, see
            :func:`~pyrovae.baselines.gan.spectrally_normalised`. Their power iteration goes on from call to call, which
            no graph can repeat: the programs then run eagerly.

    Example:
        >>> from pyrovae import MLP, StandardNormal
        >>> from pyrovae.baselines import Generator
        >>> gan = GAN(StandardNormal(2), Generator(MLP, 2, (4,), "real"), MLP((4,), (1,)))
        >>> bool(Minimax().batch_loss(gan, torch.zeros(5, 4)) > 0)
        True
    """

    betas = (0.5, 0.999)  # of Radford, Metz and Chintala (2016): less momentum, against swinging
    warmup = math.inf

    def __init__(self, *, penalty: NonNegative = 1.0, spectral_norm: bool = False) -> None:
        if penalty < 0:
            raise PyrovaeError(f"gan.penalty = {penalty:g}", hint="give 0 or more", exit_code=2)
        self.penalty, self.traceable = penalty, not spectral_norm

    def __repr__(self) -> str:
        return f"Minimax(penalty={self.penalty:g}, spectral_norm={not self.traceable})"

    def batch_loss(self, module: nn.Module, *batch: Any, beta: float | Tensor | None = None) -> Tensor:
        """Returns both losses of a GAN summed over x, the first tensor of the batch, and as many samples."""
        gan: Any = module
        x, made = batch[0], gan.generate(len(batch[0]))
        return self.discriminator_loss(gan, x, made.detach()) + softplus(-gan.logits_beside(made)).sum()

    def discriminator_loss(self, gan: GAN, x: Tensor, made: Tensor) -> Tensor:
        """Returns the discriminator's loss of real and generated data, summed."""
        x = x.detach().requires_grad_(self.penalty > 0)
        real = gan.logits(x)
        loss = Logits(real, gan.logits(made)).discriminator_loss.sum()
        if not self.penalty:
            return loss
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        return loss + self.penalty / 2 * slope.square().sum()


class Logits(NamedTuple):
    """Log odds of being real, of as many real as generated data, each of shape ``(n,)``.

    Example:
        >>> undecided = Logits(torch.zeros(3), torch.zeros(3))
        >>> round(undecided.discriminator_loss[0].item() / math.log(4), 6), undecided.divergence[0].item()
        (1.0, 0.0)
    """

    real: Tensor
    made: Tensor

    @property
    def discriminator_loss(self) -> Tensor:
        """-log D(x) - log(1 - D(G(z))) of each pair, log 4 where D cannot tell."""
        return softplus(-self.real) + softplus(self.made)

    @property
    def generator_loss(self) -> Tensor:
        """-log D(G(z)) of each sample."""
        return softplus(-self.made)

    @property
    def divergence(self) -> Tensor:
        """log 2 - L_D / 2 of each pair, nats.

        Of data that D was not trained on its expectation is at most the Jensen-Shannon divergence of generated from
        real data (Goodfellow et al., 2014), and equal to it for the best D.
        """
        return math.log(2) - self.discriminator_loss / 2

    def numbers(self) -> Record:
        """Returns mean losses, and the shares of real and of generated data that are taken for real."""
        return {
            "generator_loss": self.generator_loss.mean().item(),
            "discriminator_loss": self.discriminator_loss.mean().item(),
            "judged_real": (self.real > 0).double().mean().item(),
            "judged_fake": (self.made > 0).double().mean().item(),
        }


@torch.no_grad()
def logits_of(gan: Any, x: Tensor) -> Logits:
    """Returns the log odds of data and of as many samples, in evaluation mode."""
    gan.eval()
    found = [
        Logits(gan.logits(rows), gan.logits(gan.generate(len(rows)))) for (rows,) in batches(gan, x, None, size=CHUNK)
    ]
    return Logits(*map(torch.cat, zip(*found, strict=True)))


def validate(gan: Any, dataset: Dataset, criterion: Any, seed: int) -> Record:
    """Returns both losses of validation data, without a penalty, and who is taken for real, by the same noise always.

    ``validation_loss`` is their sum, the counterpart of the training's loss.
    """
    with seeded(seed):
        numbers = logits_of(gan, dataset.held_out("validation")[0]).numbers()
    return {"validation_loss": numbers["generator_loss"] + numbers["discriminator_loss"], **numbers}


def check(gan: Any, dataset: Dataset, criterion: Any) -> None:
    """Refuses what cannot work, before the first step.

    Raises:
        PyrovaeError: Data with holes or of another kind than the generator makes, networks that do not fit, or a
            criterion that would trace normalised weights.
    """
    if dataset.missing:
        hint = "impute them first; program 'vae' leaves them out"
        raise PyrovaeError(f"data set {dataset.name} has missing values, which a GAN cannot read", hint=hint)
    check_data(gan, dataset)
    if criterion.traceable and any(map(is_parametrized, gan.discriminator.modules())):
        raise PyrovaeError("weights of the discriminator change at each call", hint="Minimax(spectral_norm=True)")
    check_shapes(gan, dataset)


def check_shapes(gan: GAN, dataset: Dataset) -> None:
    """Refuses networks that do not fit together, which broadcasting could hide."""
    with torch.no_grad(), seeded(0):
        try:
            shape = gan.eval().logits(gan.generate(2)).shape
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise PyrovaeError(f"the parts do not fit together: {reason}", hint="give all one latent_dim") from None
    if shape != (2,):
        hint = f"build it as network({dataset.event_shape}, (1,))"
        raise PyrovaeError(f"the discriminator returns {tuple(shape[1:])} numbers, not one", hint=hint)
