"""How long an epoch of training takes, from bytes to a loss a step, beside others of the same network, data and batch.

    python experiments/benchmarks/training_step.py --threads 2

Every contender shuffles uint8 pictures, fetches a batch, draws its zeros and ones afresh, takes a step of Adam and
reads the loss, for all batches of an epoch; with equal steps in all of them, a ratio of epochs is one of steps. NumPyro
and pythae run in processes of their own, which wait while others run, and may have interpreters of their own.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from handwritten import Epoch, plain, recipe
from harness import (
    Ratio,
    Target,
    Times,
    fastest,
    has_amx,
    interleave,
    machine,
    pin,
    publish,
    ratio,
    table,
    target_table,
    tell,
)
from ours import pyrovae_epoch
from pictures import SETTINGS, Setting, pictures
from torch import Tensor
from workers import UnavailableError, Worker

HAND, RECIPE = "hand-written, fused Adam", "Pyro recipe, SVI"
HAND_BF16 = f"{HAND}, compiled, bf16"
EAGER, TRACED = "pyrovae, eager", "pyrovae, traced"
COMPILED, BF16 = "pyrovae, traced and compiled", "pyrovae, traced, compiled, bf16"
PYTHAE, PYTHAE_STATIC = "pythae, trainer", "pythae, trainer, static data"
NUMPYRO = {"floats": "NumPyro, floats", "bytes": "NumPyro, bytes", "bytes, rbg": "NumPyro, bytes, rbg keys"}
Maker = Callable[[], Epoch]
# Where bfloat16 is emulated a tenth of an epoch takes about as long as an epoch of others, and tells as much.
PARTS = {BF16: 1 if has_amx() else 10}
MODES = (EAGER, TRACED, COMPILED, BF16)

NOTE = """\
An epoch of {steps} steps each, data handling included; medians of ratios over {repeats} repeats (smallest - largest).
Divergences are sampled with one particle, pythae's is the closed form. The hand-written contenders and the Pyro
recipe keep the bytes in memory, fetch by `index_select` and binarise in bytes; the recipe runs with Pyro's checks on,
as it does by default. pythae's trainer is given a data set that binarises row by row, which is where its users do it;
`static data` is the same trainer without binarisation. NumPyro's epoch is one jitted scan; its column is the fastest
of its three rows. The last column is the loss of the last epoch, nats per datum: all have learned as much, from
weights of their own."""
PART_NOTE = """
Without amx_bf16 bfloat16 is emulated; its row is a part of an epoch in proportion, and its loss that of fewer steps."""


class Outcome(NamedTuple):
    """What the contenders of one network took, and why some did not run."""

    setting: Setting
    times: Times
    losses: dict[str, float]
    absent: dict[str, str]
    versions: dict[str, str]


def in_process(pixels: Tensor, setting: Setting, *, quick: bool) -> dict[str, Maker]:
    """Returns what makes each contender that runs in this process."""
    ours = partial(pyrovae_epoch, pixels, setting)
    makers: dict[str, Maker] = {
        "hand-written, Adam": partial(plain, pixels, setting, fused=False),
        HAND: partial(plain, pixels, setting, fused=True),
        RECIPE: partial(recipe, pixels, setting),
        EAGER: partial(ours, "eager"),
        TRACED: partial(ours, "traced"),
    }
    slow_to_start: dict[str, Maker] = {
        COMPILED: partial(ours, "traced", compile=True),
        BF16: partial(ours, "traced", compile=True, precision="bf16", parts=PARTS[BF16]),
    }
    if has_amx():
        slow_to_start[HAND_BF16] = partial(plain, pixels, setting, fused=True, compiled_bf16=True)
    return makers if quick else makers | slow_to_start


def start(makers: dict[str, Maker], absent: dict[str, str]) -> dict[str, Epoch]:
    """Makes the contenders and lets each run once; one that cannot is left out, with its reason."""
    started = {}
    for name, make in makers.items():
        tell(f"starts {name}")
        try:
            started[name] = make()
            started[name]()
        except Exception as error:  # a compiler that is missing has many kinds of error, and the others shall run
            absent[name] = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            started.pop(name, None)
    return started


def others(
    stack: ExitStack, pythons: dict[str, str], config: dict[str, Any], absent: dict[str, str], versions: dict[str, str]
) -> dict[str, Epoch]:
    """Starts the workers and returns their contenders."""
    tasks = {"numpyro": NUMPYRO, "pythae": {"dynamic": PYTHAE, "static": PYTHAE_STATIC}}
    started = {}
    for package, python in pythons.items():
        tell(f"starts {package}")
        try:
            worker = Worker(python, f"{package}_worker.py", config)
        except UnavailableError as error:
            absent |= dict.fromkeys(tasks[package].values(), str(error))
            continue
        stack.callback(worker.close)
        versions |= {name: number for name, number in worker.versions.items() if name != "torch"}
        for task, name in tasks[package].items():
            started[name] = partial(worker, task)
            started[name]()
    return started


def measure(
    setting: Setting, steps: int, repeats: int, threads: int, pythons: dict[str, str], *, quick: bool
) -> Outcome:
    """Lets all contenders of a network take turns."""
    absent: dict[str, str] = {}
    versions: dict[str, str] = {}
    pixels = pictures(steps * setting.batch)
    tell(f"network {setting.name}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.save(folder / "pixels.npy", pixels.numpy())
        config = setting._asdict() | {"pixels": str(folder / "pixels.npy"), "folder": str(folder), "threads": threads}
        contenders = start(in_process(pixels, setting, quick=quick), absent)
        contenders |= others(stack, pythons, config, absent, versions)
        losses: dict[str, float] = {}
        kept = {name: keeping(losses, name, run) for name, run in contenders.items()}
        times = interleave(kept, repeats, warm=True)
    for name, parts in PARTS.items():
        share = steps / max(1, steps // parts)
        times |= {name: [share * time for time in times[name]]} if name in times else {}
        losses |= {name: share * losses[name]} if name in losses else {}
    return Outcome(setting, times, {name: loss / len(pixels) for name, loss in losses.items()}, absent, versions)


def keeping(losses: dict[str, float], name: str, run: Epoch) -> Callable[[], None]:
    """Returns a contender whose last loss is kept."""
    return lambda: losses.update({name: run()})


def targets(outcome: Outcome, threads: int) -> list[Target]:
    """Returns what was to be reached; the limits against hand-written code are those of one and of two threads."""
    setting, times, absent = outcome.setting, outcome.times, outcome.absent
    numpyro, best = fastest(times, NUMPYRO.values()), fastest(times, MODES)

    def target(limit: float, ours: str, theirs: str, what: str, excuse: str = "") -> Target:
        measured: Ratio | None = ratio(times, ours, theirs)
        if measured is None:
            excuse = absent.get(ours) or absent.get(theirs) or "--quick"
        return Target(f"{setting.name}: {what}", limit, measured, excuse)

    few = "" if threads <= 2 else "the limit is for one thread and for two"
    return [
        target(1.0 if threads == 1 else 1.1, TRACED, HAND, "traced / hand-written", few),
        target(0.65, BF16, HAND, "compiled bf16 / hand-written", "" if has_amx() else "no amx_bf16"),
        target(0.6, TRACED, RECIPE, "traced / Pyro recipe"),
        target(0.4, TRACED, PYTHAE, "traced / pythae's trainer"),
        target(1.0, TRACED, numpyro, "epoch, fp32 / NumPyro"),
        target(0.75, best, numpyro, f"epoch, best mode ({best.removeprefix('pyrovae, ')}) / NumPyro"),
    ]


def ratios(outcome: Outcome) -> str:
    """Returns the table of all contenders over the four that they are compared with."""
    setting, times, absent = outcome.setting, outcome.times, outcome.absent
    references = (HAND, RECIPE, PYTHAE, fastest(times, NUMPYRO.values()))
    rows = [
        [name, *(ratio(times, name, reference) or "" for reference in references), f"{outcome.losses[name]:.1f}"]
        for name in times
    ]
    rows += [[name, f"not run: {reason}", "", "", "", ""] for name, reason in absent.items()]
    header = ["contender", "/ hand-written, fused", "/ Pyro recipe", "/ pythae", "/ NumPyro", "loss"]
    return f"### {setting.name}, batch {setting.batch}\n\n{table(header, rows)}"


@click.command()
@click.option("--threads", default=2, show_default=True, help="Cores that every contender is held to.")
@click.option("--repeats", default=7, show_default=True, help="Epochs of each contender.")
@click.option("--steps", default=50, show_default=True, help="Batches of an epoch.")
@click.option("--python-numpyro", default=sys.executable, help="Interpreter that has numpyro.")
@click.option("--python-pythae", default=sys.executable, help="Interpreter that has pythae.")
@click.option("--quick", is_flag=True, help="A few steps, without compilers and other packages: tries the script.")
@click.option("--write", is_flag=True, help="Put the tables into the README instead of printing them.")
def main(
    *, threads: int, repeats: int, steps: int, python_numpyro: str, python_pythae: str, quick: bool, write: bool
) -> None:
    """Compare the training step of pyrovae with others'."""
    pin(threads)
    pythons = {} if quick else {"numpyro": python_numpyro, "pythae": python_pythae}
    if quick:
        repeats, steps = 2, 2
    outcomes = [measure(setting, steps, repeats, threads, pythons, quick=quick) for setting in SETTINGS]
    versions = {name: number for outcome in outcomes for name, number in outcome.versions.items()}
    reached = target_table(target for outcome in outcomes for target in targets(outcome, threads))
    note = NOTE.format(steps=steps, repeats=repeats) + ("" if has_amx() else PART_NOTE)
    body = "\n\n".join([machine(threads, versions), note, *map(ratios, outcomes), "### Targets", reached])
    publish(f"training_step-{threads}", f"Training step, threads: {threads}", body, write=write)


if __name__ == "__main__":
    main()
