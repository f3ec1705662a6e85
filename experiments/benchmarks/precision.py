"""Whether bfloat16 costs anything: test ELBO of short MNIST trainings in both precisions, three seeds each.

    python experiments/benchmarks/precision.py --threads 2

The network is that of `mnist-standard-normal`. The difference of the two means is judged by its own standard error,
from the standard deviations over training seeds.
"""

import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click
from harness import cpu_info, machine, pin, publish, table, tell

from pyrovae import configuration, fit
from pyrovae.evaluation import distortion, rate
from pyrovae.experiment import prepare
from pyrovae.seeding import seeded

EXPERIMENT = Path(__file__).parents[1] / "mnist-standard-normal.toml"
PRECISIONS = ("fp32", "bf16")


def test_elbo(seed: int, precision: str, epochs: int) -> float:
    """Trains, and returns the mean test ELBO of the kept weights, by the same noise for all; nats per datum."""
    overrides = [f"train.epochs={epochs}", f"train.precision={precision}"]
    experiment = configuration.read(EXPERIMENT, overrides, seed=seed)
    made = prepare(experiment)
    options: dict[str, Any] = experiment.chosen("train")
    fit(made.module, made.dataset, made.objective, seed, **options)
    x, _ = made.dataset.held_out("test")
    with seeded(0):
        return -(rate(made.module, x) + distortion(made.module, x)).mean().item()


@click.command()
@click.option("--threads", default=2, show_default=True, help="Threads of torch.")
@click.option("--seeds", default=3, show_default=True, help="Trainings in each precision.")
@click.option("--epochs", default=3, show_default=True, help="Of each training.")
@click.option("--write", is_flag=True, help="Put the table into the README instead of printing it.")
def main(*, threads: int, seeds: int, epochs: int, write: bool) -> None:
    """Compare bfloat16 with float32 by what they learn."""
    pin(threads)
    elbos: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(seeds):
        for precision in PRECISIONS:
            elbos[precision].append(test_elbo(seed, precision, epochs))
            tell(f"{precision}, seed {seed}: test ELBO {elbos[precision][-1]:.3f}")
    difference = mean(elbos["bf16"]) - mean(elbos["fp32"])
    error = math.sqrt(sum(stdev(values) ** 2 / seeds for values in elbos.values()))
    rows = [
        [name, f"{mean(values):.3f}", f"{stdev(values):.3f}", ", ".join(f"{v:.3f}" for v in values)]
        for name, values in elbos.items()
    ]
    verdict = "hit" if abs(difference) < 2 * error else "missed"
    hardware = " ".join(flag for flag in ("avx512_bf16", "amx_bf16") if flag in cpu_info().get("flags", "").split())
    body = "\n\n".join(
        [
            machine(threads),
            f"MNIST, `mnist-standard-normal` with {epochs} epochs, seeds 0 to {seeds - 1}; nats per test datum. "
            f"bfloat16 in hardware: {hardware or 'none'}.",
            table(["precision", "test ELBO", "sd over seeds", "each"], rows),
            f"bf16 - fp32 = {difference:+.3f} ± {error:.3f}; target: below 2 standard errors: {verdict}.",
        ]
    )
    publish("precision", "bfloat16 against float32, by what is learned", body, write=write)


if __name__ == "__main__":
    main()
