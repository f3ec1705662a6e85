"""The live monitor: what each epoch says of validation data, shown as it goes."""

import sys
from typing import Any

import pyro
import torch
from tqdm import tqdm

from pyrovae.data import Dataset
from pyrovae.densities import densities
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.latent import COLLAPSED, active_units, kl_of_dimensions
from pyrovae.objectives import Objective
from pyrovae.seeding import seeded
from pyrovae.training.history import Record
from pyrovae.vae import VAE

CHUNK = 1000  # validation data at once, or draws of fewer data
LOOKED_AT = 500  # validation data whose codes tell which units are active
# Of an epoch, where it has them.
SHOWN = (
    "train_loss", "validation_loss", "rate", "distortion", "label_loss", "discriminator_loss", "generator_loss",
)  # fmt: skip
TOO_EARLY = 5  # epochs in which a rate near 0 is no surprise


@torch.no_grad()
def validate(vae: VAE, dataset: Dataset, objective: Any, seed: int) -> Record:
    """Returns minus the bound at beta = 1 and its terms for the validation data, by the same noise every time.

    For the sampled ELBO it is the sum of rate, distortion and label loss, -log p(y), exactly. Where prior and posterior
    factorise over dimensions, ``kl`` is the closed form of each one.
    """
    vae.eval()
    particles = objective.num_particles
    sums: dict[str, Any] = dict.fromkeys(("validation_loss", "rate", "distortion", "label_loss"), 0.0)
    x, y = dataset.held_out("validation")
    # A store of its own: the average is another module whose parameters have the same names.
    with seeded(seed), pyro.get_param_store().scope():
        for batch in batches(vae, x, y, size=max(1, CHUNK // particles)):
            sites = densities(vae.model, vae.guide, *batch, particles=particles)
            ours = isinstance(objective, Objective)
            sums["validation_loss"] -= (
                objective.judged(sites).sum().item() if ours else -objective.loss(vae.model, vae.guide, *batch)
            )
            sums["rate"] += sites.divergence.mean(0).sum().item()
            sums["distortion"] -= sites.model["x"].log_prob.mean(0).sum().item()
            if "y" in sites.model:
                sums["label_loss"] -= sites.model["y"].log_prob.mean(0).sum().item()
            if (kl := kl_of_dimensions(sites)) is not None:
                sums["kl"] = sums.get("kl", 0.0) + kl
        active = active_units(vae, x[:LOOKED_AT], None if y is None else y[:LOOKED_AT]) if len(x) > 1 else None
    means = {name: value / len(x) for name, value in sums.items()}
    return means | {
        **({"kl": means["kl"].tolist()} if "kl" in means else {}),
        **({} if active is None else {"active_units": int(active.sum()), "latent_dim": len(active)}),
    }


def collapse(record: Record) -> str:
    """Says that the codes tell nothing of the data, where that is so after the first epochs.

    Example:
        >>> collapse({"epoch": 9, "rate": 0.01, "active_units": 0, "latent_dim": 8})[:41]
        'posterior collapse: 0 of 8 latent dimensi'
        >>> collapse({"epoch": 9, "rate": 0.0, "active_units": 8, "latent_dim": 8})  # an autoencoder
        ''
    """
    if record["epoch"] < TOO_EARLY or record.get("active_units") is None:
        return ""
    # exactly 0 is -log p(z) of an autoencoder, under a flat prior
    if record["active_units"] and (record["rate"] > COLLAPSED or record["rate"] == 0):
        return ""
    units = f"{record['active_units']} of {record['latent_dim']} latent dimensions carry data"
    cure = "warm up with objective.beta = { schedule = 'linear', steps = 2000 }, or set objective.free_bits = 0.1"
    return f"posterior collapse: {units}, rate {record['rate']:.2f} nats per datum; {cure}"


def show(bar: "tqdm[Any]", record: Record) -> None:
    """Writes the epoch beside the bar on a terminal, as a line elsewhere."""
    text = ", ".join(
        f"{name} {record[name]:.2f}" for name in SHOWN if name in record and (record[name] or name != "label_loss")
    )
    if bar.disable:
        active = (
            f"; {record['active_units']} of {record['latent_dim']} units active" if "active_units" in record else ""
        )
        print(f"epoch {record['epoch']}: {text} nats per datum{active}", file=sys.stderr)
    else:
        bar.set_postfix_str(text)
