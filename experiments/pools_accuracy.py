"""Does pool 3 draw threes? An independent classifier reads samples of each class pool of a trained run.

    python experiments/pools_accuracy.py runs/mnist-gaussian-mixture --data-dir DATA

The classifier is a small convolutional network that sees real training images only, grey as they are, and nothing of
the VAE. Its accuracy on real test images is printed first: what it cannot read there it cannot judge here. Samples are
E[x | z] with z drawn from the pool at temperature 1. Intervals are binomial, 95 %.
"""

from pathlib import Path

import click
import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from pyrovae import runs, storage
from pyrovae.data import DATA, Dataset
from pyrovae.experiment import load_vae


def make_classifier() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(128), nn.ReLU(), nn.LazyLinear(10)),
    )


def train_classifier(data: Dataset, *, epochs: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    classifier = make_classifier()
    classifier(data.batch(torch.arange(2))[0])  # fixes the lazy layers' sizes
    optimizer = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    steps = epochs * (len(data.train) // 100)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in tqdm(range(steps), desc="classifier", disable=None):
        if step % (steps // epochs) == 0:
            order = torch.randperm(len(data.train))
        x, y = data.batch(order[step % (steps // epochs) * 100 :][:100])
        optimizer.zero_grad()
        cross_entropy(classifier(x), y).backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


@torch.no_grad()
def read(classifier: nn.Sequential, x: Tensor) -> Tensor:
    return torch.cat([classifier(chunk).argmax(1) for chunk in x.split(1000)])


def share(correct: Tensor) -> str:
    """Returns the share of hits with its 95 % interval (Wilson, 1927), which has a width at 100 % too."""
    hits = binomtest(int(correct.sum()), len(correct))
    low, high = hits.proportion_ci(method="wilson")
    return f"{hits.statistic:.1%} ({low:.1%} to {high:.1%})"


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path))
@click.option("--count", default=100, show_default=True, help="Draws of each pool.")
@click.option("--epochs", default=4, show_default=True, help="Of the classifier.")
@click.option("--seed", default=0, show_default=True, help="Of classifier and draws.")
def main(*, run: Path, data_dir: Path | None, count: int, epochs: int, seed: int) -> None:
    """Judge the class pools of RUN."""
    name = storage.read_json(run / runs.MANIFEST)["data"]["name"]
    grey = DATA[name](data_dir, binarize="none")
    classifier = train_classifier(grey, epochs=epochs, seed=seed)
    x, y = grey.held_out("test")
    click.echo(f"classifier on {len(x):,} real test images: {share(read(classifier, x) == y)}")
    vae = load_vae(run)
    torch.manual_seed(seed)
    hits = {name: read(classifier, vae.sample(count, y=label)) == label for label, name in enumerate(grey.classes)}
    click.echo(f"all pools, {count} draws each, read as their own class: {share(torch.cat(list(hits.values())))}")
    for name, correct in hits.items():
        click.echo(f"pool {name}: {share(correct)}")


if __name__ == "__main__":
    main()
