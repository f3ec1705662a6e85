"""Options that several commands share."""

from pathlib import Path

import click

runs_dir = click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of the runs."
)
data_dir = click.option("--data-dir", type=click.Path(path_type=Path), help="Where data are looked for first.")
threads = click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
device = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
loggers = click.option("--logger", "loggers", multiple=True, help="Mirror the record: tensorboard, wandb or trackio.")
seed = click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replaces the experiment's seed.")
noise = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the draws.")
label = click.option("--class", "label", help="Draw, or read the data as, this class, by name or number.")
output = click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="A .png, .npy or .csv file; of sounds a .wav too."
)
rows = click.option(
    "--data", "rows", type=click.Path(path_type=Path), help="Your file; by default the run's test data."
)
