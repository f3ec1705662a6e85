"""How long log p(x) by importance sampling takes, with 1,000 draws a datum, for three ways and the same weights.

    python experiments/benchmarks/log_marginal.py --threads 2

`pyrovae.log_marginal`, which also gives k-hat; a plain loop in PyTorch that does what is needed and no more; and
pythae's `get_nll` as its users call it, in a process of its own. The VAE is trained for a moment, so that its weights
matter. All three estimate one number, so their means must agree within the Monte-Carlo error.
"""

import math
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, stdev

import click
import numpy as np
import torch
from harness import Target, Times, interleave, machine, pin, publish, ratio, table, target_table, tell
from ours import Training, make_data, make_vae
from pictures import SETTINGS, pictures
from torch import Tensor
from torch.nn.functional import softplus
from workers import UnavailableError, Worker

from pyrovae import VAE, log_marginal

SETTING = SETTINGS[1]
OURS, LOOP, PYTHAE = "pyrovae, log_marginal", "plain PyTorch loop", "pythae, get_nll"
TRAINING = 5000  # pictures that the VAE is trained on
ROWS = 2000  # data times draws that the plain loop decodes at once: 6 MB of logits
AGREE = 4.0  # standard errors

NOTE = """\
{data} data, {particles:,} draws each, network {name}; medians of ratios over {repeats} repeats (smallest - largest).
All have the same weights. `log_marginal` also fits the tail of the weights, for k-hat. `get_nll` is called without
gradients and with its own batch of 100 draws. The last column is the distance of the mean estimate from the plain
loop's, over all runs, in Monte-Carlo standard errors (of the runs, or by the delta method if that is larger): above
{agree:g} they would not estimate the same number."""


@torch.no_grad()
def plain_loop(vae: VAE, x: Tensor, particles: int) -> Tensor:
    """Returns log p(x) of each datum, shape `(n,)`, from the networks of a VAE with a standard normal prior."""
    posterior = vae.posterior(x).base_dist
    loc, scale = posterior.loc, posterior.scale
    chunk, parts = max(1, ROWS // len(x)), []
    for start in range(0, particles, chunk):
        noise = torch.randn(min(chunk, particles - start), *loc.shape)
        z = loc + scale * noise
        logits = vae.likelihood.decoder(z)
        log_likelihood = torch.einsum("knd,nd->kn", logits, x) - softplus(logits).sum(-1)
        # log p(z) - log q(z | x), whose constants cancel.
        parts.append(log_likelihood + 0.5 * (noise.square() - z.square()).sum(-1) + scale.log().sum(-1))
    return torch.cat(parts).logsumexp(0) - math.log(particles)


def trained(epochs: int, data: int) -> tuple[VAE, Tensor]:
    """Returns a VAE that has seen some pictures, and others as zeros and ones."""
    torch.manual_seed(0)
    pixels = pictures(TRAINING + data)
    vae = make_vae(SETTING)
    training = Training(vae, make_data(pixels[:TRAINING]), SETTING.batch)
    for _ in range(epochs):
        training.steps()
    x = torch.randint(0, 255, (data, pixels.shape[1]), dtype=torch.uint8) < pixels[TRAINING:]
    return vae.eval(), x.float()


def start_pythae(stack: ExitStack, python: str, threads: int, vae: VAE, x: Tensor, particles: int) -> Worker:
    """Starts pythae with the same data, and the same weights by the names of its modules."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    parts = {"encoder": vae.posterior.encoder, "decoder": vae.likelihood.decoder}
    weights = {f"{part}.{key}": w.numpy() for part, net in parts.items() for key, w in net.state_dict().items()}
    np.save(folder / "x.npy", x.numpy())
    np.savez(folder / "weights.npz", **weights)
    files = {"x": str(folder / "x.npy"), "weights": str(folder / "weights.npz")}
    config = SETTING._asdict() | files | {"particles": particles, "threads": threads}
    worker = Worker(python, "pythae_worker.py", config)
    stack.callback(worker.close)
    return worker


def rows(times: Times, estimates: dict[str, list[float]], mc_error: float) -> list[list[str]]:
    """Returns a row of each contender: two ratios, its estimate, and how far that is from the plain loop's."""
    written = []
    for name in times:
        speeds = [str(ratio(times, name, other) or "") for other in (LOOP, PYTHAE)]
        away = distance(estimates[name], estimates[LOOP], mc_error)
        verdict = "" if name == LOOP else f"{away:.1f}, {'agrees' if away <= AGREE else 'DISAGREES'}"
        written.append([name, *speeds, f"{fmean(estimates[name]):.3f}", verdict])
    return written


def distance(ours: list[float], theirs: list[float], mc_error: float) -> float:
    """Returns how many standard errors the means of two contenders' runs are apart, if each run has this error."""
    error = max(mc_error, math.sqrt((stdev(ours) ** 2 + stdev(theirs) ** 2) / 2))
    return abs(fmean(ours) - fmean(theirs)) / (error * math.sqrt(1 / len(ours) + 1 / len(theirs)))


@click.command()
@click.option("--threads", default=2, show_default=True, help="Cores that every contender is held to.")
@click.option("--repeats", default=7, show_default=True, help="Runs of each contender.")
@click.option("--data", default=300, show_default=True, help="Data that are judged.")
@click.option("--particles", default=1000, show_default=True, help="Draws a datum, a multiple of 100.")
@click.option("--python-pythae", default=sys.executable, help="Interpreter that has pythae.")
@click.option("--quick", is_flag=True, help="A few data, without pythae: tries the script.")
@click.option("--write", is_flag=True, help="Put the tables into the README instead of printing them.")
def main(
    *, threads: int, repeats: int, data: int, particles: int, python_pythae: str, quick: bool, write: bool
) -> None:
    """Compare log p(x) by importance sampling with others'."""
    pin(threads)
    if quick:
        repeats, data, particles = 2, 10, 100
    vae, x = trained(1 if quick else 2, data)
    tell("trained")
    estimates: dict[str, list[float]] = {OURS: [], LOOP: [], PYTHAE: []}
    mc_errors: list[float] = []
    absent, versions = "--quick", {}

    def ours() -> None:
        evidence = log_marginal(vae, x, particles=particles)
        estimates[OURS].append(evidence.mean)
        mc_errors.append(evidence.mc_error.double().square().sum().sqrt().item() / len(x))

    contenders = {OURS: ours, LOOP: lambda: estimates[LOOP].append(plain_loop(vae, x, particles).mean().item())}
    with ExitStack() as stack:
        if not quick:
            try:
                worker = start_pythae(stack, python_pythae, threads, vae, x, particles)
            except UnavailableError as error:
                absent = str(error)
            else:
                versions = {"pythae": worker.versions["pythae"]}
                contenders[PYTHAE] = lambda: estimates[PYTHAE].append(worker("estimate"))
        times = interleave(contenders, repeats)
    header = ["contender", "/ plain loop", "/ pythae", "log p(x), nats per datum", "distance"]
    note = NOTE.format(data=data, particles=particles, name=SETTING.name, repeats=repeats, agree=AGREE)
    missing = "" if PYTHAE in times else absent
    reached = target_table([Target("log_marginal / pythae's get_nll", 0.2, ratio(times, OURS, PYTHAE), missing)])
    body = [machine(threads, versions), note, table(header, rows(times, estimates, fmean(mc_errors))), reached]
    publish(f"log_marginal-{threads}", f"log p(x), threads: {threads}", "\n\n".join(body), write=write)


if __name__ == "__main__":
    main()
