r"""A prior put together from independent ones, each over its own dimensions.

.. math:: p(z) = \prod_j p_j(z_j), \qquad p(z \mid y) = p_i(z_i \mid y) \prod_{j \ne i} p_j(z_j)
"""

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar

import torch
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.errors import PyrovaeError

EXAMPLE = '{name = "laplace", latent_dim = 2}'


class Concatenation(TorchDistribution):
    r"""Independent distributions side by side, :math:`p(z) = \prod_j p_j(z_j)` over consecutive slices of z.

    Args:
        parts: Distributions over real vectors, batch shapes that broadcast.

    Example:
        >>> from pyro.distributions import Laplace, Normal
        >>> parts = Normal(torch.zeros(2), 1.0).to_event(1), Laplace(torch.zeros(3), 1.0).to_event(1)
        >>> Concatenation(parts).event_shape
        torch.Size([5])
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, parts: Iterable[TorchDistribution], *, validate_args: bool | None = None) -> None:
        parts = list(parts)
        batch_shape = torch.broadcast_shapes(*(part.batch_shape for part in parts))
        self.parts = [part.expand(batch_shape) for part in parts]
        self.sizes = [part.event_shape[0] for part in parts]
        self.has_rsample = all(part.has_rsample for part in parts)
        super().__init__(batch_shape, torch.Size([sum(self.sizes)]), validate_args=validate_args)

    def __repr__(self) -> str:
        return f"Concatenation(parts: {len(self.parts)}, event_shape: {tuple(self.event_shape)})"

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts], -1)

    @property
    def variance(self) -> Tensor:
        return torch.cat([part.variance for part in self.parts], -1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Concatenation":
        return Concatenation([part.expand(batch_shape) for part in self.parts], validate_args=self._validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return torch.cat([part.sample(torch.Size(sample_shape)) for part in self.parts], -1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return torch.cat([part.rsample(torch.Size(sample_shape)) for part in self.parts], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        slices = value.split(self.sizes, -1)
        return torch.stack([part.log_prob(z) for part, z in zip(self.parts, slices, strict=True)]).sum(0)


class Product(nn.Module):
    """Product of independent priors over parts of z, of which one may read labels (Paquet et al., 2018).

    In an experiment file a part is a table: ``{name = "gaussian-mixture", latent_dim = 2, components = 5}``.

    Args:
        latent_dim: Dimension of z, the sum of the parts'.
        classes: Number of classes of the data.
        parts: Each a prior's ``name``, its ``latent_dim`` and its options.

    Raises:
        PyrovaeError: A part is unknown, cannot be one, or has wrong options; dimensions do not add up; or two parts
            read labels, whose marginal would be no product.

    Example:
        >>> parts = [{"name": "gaussian-mixture", "latent_dim": 2}, {"name": "laplace", "latent_dim": 3}]
        >>> Product(5, parts=parts)()
        Concatenation(parts: 2, event_shape: (5,))
    """

    def __init__(self, latent_dim: int, classes: int = 0, *, parts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        check_parts(parts, latent_dim)
        self.parts = nn.ModuleList(made(f"prior.parts[{j}]", part, classes) for j, part in enumerate(parts))
        readers = [j for j, part in enumerate(self.parts) if getattr(part, "classes", 0)]
        if len(readers) > 1:
            raise PyrovaeError(
                f"{' and '.join(f'prior.parts[{j}]' for j in readers)} read labels, and only one part may",
                hint=f"set prior.parts[{readers[1]}].labels to false",
            )
        self.reader = readers[0] if readers else None
        self.classes = classes if readers else 0

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        return Concatenation(part(y) for part in self.parts)

    def labels(self) -> Categorical:
        """Returns p(y), that of the part that reads labels."""
        weights: Categorical = self._reader.labels()
        return weights

    def freeze_weights(self) -> None:
        """Keeps p(y) as it is, for programs that do not score y."""
        self._reader.freeze_weights()

    @property
    def _reader(self) -> Any:
        if self.reader is None:
            raise PyrovaeError("no part of the prior reads labels", hint="set labels = true in one of prior.parts")
        return self.parts[self.reader]


def check_parts(parts: Sequence[Mapping[str, Any]], latent_dim: int) -> None:
    """Refuses parts that say what cannot be, all mistakes at once."""
    found = [problem for j, part in enumerate(parts) for problem in problems_of(f"prior.parts[{j}]", part)]
    if found:
        raise PyrovaeError(
            "\n".join(found),
            hint="each part is {name, latent_dim, options}; pyrovae list priors shows the names and their options",
            exit_code=2,
        )
    sizes = [part["latent_dim"] for part in parts]
    if sum(sizes) != latent_dim:
        raise PyrovaeError(
            f"prior.parts have {' + '.join(map(str, sizes)) or 'no'} dimensions, but vae.latent_dim = {latent_dim}",
            hint=f"set vae.latent_dim to {sum(sizes)}" if parts else "give prior.parts a table for each part",
            exit_code=2,
        )


def problems_of(key: str, part: Any) -> list[str]:
    """Returns what is wrong with one part, each with its key."""
    from pyrovae import schema  # which reads the table that this prior stands in

    if not isinstance(part, Mapping):
        return [f"{key} should be a table such as {EXAMPLE}, got {part!r}"]
    if missing := [name for name in ("name", "latent_dim") if name not in part]:
        return [f"{key} needs {' and '.join(missing)}, as in {EXAMPLE}, got {dict(part)!r}"]
    size = part["latent_dim"]
    wrong = {} if schema.fits(size, int) and size > 0 else {"latent_dim": f"should be above 0, got {size!r}"}
    wrong |= schema.problems("prior", options_of(part) | {"name": part["name"]})
    if "name" not in wrong and (reason := unfit(schema.row("priors", part["name"]))):
        wrong = {"name": f"'{part['name']}' {reason}"}
    return [f"{key}.{name}: {problem}" for name, problem in wrong.items()]


def unfit(prior: Any) -> str:
    """Returns why a prior cannot be a part, or nothing."""
    if "posterior" in signature(prior).parameters:
        return "cannot be a part: its components are posteriors of all of z"
    if not getattr(prior, "proper", True):
        return "cannot be a part: nothing has a KL to a product that is improper in some dimensions"
    return "cannot be a part of itself: write its parts into the outer one" if issubclass(prior, Product) else ""


def options_of(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in ("name", "latent_dim")}


def made(key: str, part: Mapping[str, Any], classes: int) -> nn.Module:
    """Makes a part; what its constructor refuses is told with the part's own key."""
    from pyrovae import schema

    context = {"latent_dim": part["latent_dim"], "classes": classes}
    try:
        prior: nn.Module = schema.construct(schema.row("priors", part["name"]), options_of(part), context)
    except PyrovaeError as error:
        message, hint = (text.replace("prior.", f"{key}.") for text in (str(error), error.hint))
        raise PyrovaeError(message, hint=hint, exit_code=error.exit_code) from None
    return prior
