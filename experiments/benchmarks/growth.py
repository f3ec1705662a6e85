"""How time and memory grow with the batch, particles, components, latent dimensions and rows of data.

    python experiments/benchmarks/growth.py --threads 2

Times are those of training steps, data handling included, beside the operations that the networks need: what grows
faster than these is overhead. Memory is looked at in a fresh process for each case. Rows of data are those of a
memory-mapped file, which is written piece by piece into a temporary folder, 0.7 GB in all, and removed.
"""

import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event, Thread

import click
import numpy as np
import torch
from growing import FORMULA, QUICK, SERIES, Case
from harness import Ratio, Target, interleave, machine, pin, publish, ratio, table, target_table, tell
from workers import Worker

from pyrovae.training.engines import EAGER_FIRST

ROWS, WIDTH, PIECE = (10**4, 10**5, 10**6, 10**7), 64, 10**6
STEPS = 30  # on a file: less than an epoch of the smallest
LIMITS = {"particles": (64, 38.0, "one"), "components": (500, 1.5, "a standard normal")}

NOTE = """\
Engine `{engine}`, network 784-{hidden}-{latent}, batch {batch}, one particle, standard normal prior, unless a table
says otherwise. Times a row are medians of ratios to the first line over {repeats} repeats (smallest - largest).
Memory is the highest resident memory of three steps above that of the process before, network, optimizer and trace
included."""

FILE_NOTE = """\
Rows of {width} bytes, zeros and ones, in a memory-mapped `.npy` file; a small network, batch 256. Opening reads every
byte, to know what they are. Memory is anonymous (RssAnon: what cannot be given back by reading the file again), above
that of the process before: the highest while the file is opened, and while training steps are taken on it."""


def measured(cases: list[Case], engine: str, repeats: int) -> list[Ratio]:
    """Returns the time a row of each case over that of the first."""
    torch.manual_seed(0)
    trainings = {str(number): case.training(engine) for number, case in enumerate(cases)}
    for training, case in zip(trainings.values(), cases, strict=True):
        for _ in range(EAGER_FIRST // case.steps + 2):  # until it is traced and checked
            training.steps()
    times = interleave({name: training.steps for name, training in trainings.items()}, repeats, warm=True)
    ratios = [ratio(times, name, "0") for name in trainings]
    return [found.times(cases[0].rows / case.rows) for found, case in zip(ratios, cases, strict=True) if found]


def highest(case: Case, engine: str) -> float:
    """Returns the memory of a case in MB, of one thread."""
    worker = Worker(sys.executable, "growth_worker.py", {"case": case, "engine": engine, "threads": 1})
    try:
        return float(worker("highest")) / 1024
    finally:
        worker.close()


def grown(name: str, cases: list[Case], times: list[Ratio], memory: dict[Case, float]) -> str:
    """Returns the table of a series."""
    base = cases[0]
    rows = []
    for case, time in zip(cases, times, strict=True):
        value = "standard normal" if name == "components" and case is base else f"{getattr(case, name):,}"
        here, there = memory.get(case), memory.get(base)
        share = f"{here / case.batch / (there / base.batch):.3g}" if here and there else ""
        operations = f"{case.operations() / base.operations():.3g}"
        rows.append([value, time, operations, "" if here is None else f"{here:.0f}", share])
    header = [name, "time a row", "operations a row", "memory, MB", "memory a row"]
    return f"### {name.capitalize()}\n\n{table(header, rows)}"


def targets(cases: dict[str, list[Case]], times: dict[str, list[Ratio]]) -> list[Target]:
    """Returns what was to be reached."""
    return [
        Target(f"{number} {name} / {base}", limit, time)
        for name, (number, limit, base) in LIMITS.items()
        for case, time in zip(cases[name], times[name], strict=True)
        if getattr(case, name) == number
    ]


def write_rows(path: Path, rows: int) -> None:
    """Writes zeros and ones piece by piece: only who has read all bytes knows that there are no others."""
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, WIDTH))
    random = np.random.default_rng(0)
    for start in range(0, rows, PIECE):
        file[start : start + PIECE] = random.integers(2, size=(min(PIECE, rows - start), WIDTH), dtype=np.uint8)
    file.flush()


def anonymous(process: int) -> float:
    """Returns a process's anonymous memory in MB."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def watched(worker: Worker, task: str) -> float:
    """Runs a task; returns the highest anonymous memory of its process, in MB, looked at every millisecond or two."""
    seen, done = [anonymous(worker.process.pid)], Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(anonymous(worker.process.pid))

    thread = Thread(target=watch)
    thread.start()
    worker(task)
    done.set()
    thread.join()
    return max(seen)


def files(sizes: tuple[int, ...], engine: str, threads: int, repeats: int, steps: int) -> str:
    """Returns the table of files of many rows."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers, memory = {}, {}
        for size in sizes:
            tell(f"file of {size:,} rows")
            write_rows(folder / f"{size}.npy", size)
            config = {"path": str(folder / f"{size}.npy"), "engine": engine, "threads": threads, "steps": steps}
            workers[size] = worker = Worker(sys.executable, "growth_worker.py", config)
            stack.callback(worker.close)
            before = anonymous(worker.process.pid)
            memory[size] = watched(worker, "open") - before, watched(worker, "steps") - before
        opening, training = (
            interleave({str(size): partial(worker, task) for size, worker in workers.items()}, repeats)
            for task in ("open", "steps")
        )
    first, rows = str(sizes[0]), []
    for size in sizes:
        opened, stepped = ratio(opening, str(size), first), ratio(training, str(size), first)
        written = opened and opened.times(sizes[0] / size)
        rows.append([f"{size:,}", written, stepped, *(f"{megabytes:.1f}" for megabytes in memory[size])])
    header = ["rows", "opening, time a row", "time of a step", "opening, MB", "training, MB"]
    return f"### Rows of data\n\n{FILE_NOTE.format(width=WIDTH)}\n\n{table(header, rows)}"


@click.command()
@click.option("--threads", default=2, show_default=True, help="Cores that are used.")
@click.option("--repeats", default=5, show_default=True, help="Measurements of each case.")
@click.option("--engine", default="traced", show_default=True, help="What takes the steps.")
@click.option("--quick", is_flag=True, help="Few and small cases: tries the script.")
@click.option("--write", is_flag=True, help="Put the tables into the README instead of printing them.")
def main(*, threads: int, repeats: int, engine: str, quick: bool, write: bool) -> None:
    """Measure how time and memory grow."""
    pin(threads)
    cases, sizes = (QUICK, (1000,)) if quick else (SERIES, ROWS)
    if quick:
        repeats = 2
    times = {}
    for name, members in cases.items():
        tell(f"time of {name}")
        times[name] = measured(members, engine, repeats)
    every = dict.fromkeys(case for members in cases.values() for case in members)
    tell("memory")
    looked_at = list(every)[:1] if quick else list(every)
    with ThreadPoolExecutor(threads) as pool:  # as many processes at a time: nobody asks how long they take
        memory = dict(zip(looked_at, pool.map(partial(highest, engine=engine), looked_at), strict=True))
    base = next(iter(every))
    note = NOTE.format(engine=engine, repeats=repeats, **base._asdict())
    tables = [grown(name, members, times[name], memory) for name, members in cases.items()]
    rows = files(sizes, engine, threads, repeats, 2 if quick else STEPS)
    body = [machine(threads), note, FORMULA, *tables, rows, "### Targets", target_table(targets(cases, times))]
    publish(f"growth-{threads}", f"Growth, threads: {threads}", "\n\n".join(body), write=write)


if __name__ == "__main__":
    main()
