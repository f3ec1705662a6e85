"""What the benchmarks share: contenders that take turns, medians of ratios, the machine, and sections of the README.

A time alone says nothing about another machine, nor about this one an hour later. So the contenders of a repeat run one
after another, in an order drawn afresh, and what is reported is the median over repeats of the *ratio* of two times
of one repeat, with the smallest and the largest.
"""

import gc
import os
import platform
import random
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import click
import torch

from pyrovae.allocator import keep_freed_memory

Times = dict[str, list[float]]  # of each contender, its time in each repeat

HERE = Path(__file__).parent
README = HERE / "README.md"
PACKAGES = ("torch", "pyro-ppl", "pyrovae", "numpy")

STARTED = perf_counter()
LOAD = os.getloadavg()[0]  # at the start: what is above 0.1 was somebody else's


class Ratio(NamedTuple):
    """A ratio of two contenders over the repeats."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}-{self.high:.3g})"

    def times(self, factor: float) -> "Ratio":
        return Ratio(*(factor * number for number in self))


class Target(NamedTuple):
    """A ratio that should not be exceeded; one that was not measured, or has no limit on this machine, says why."""

    what: str
    limit: float
    measured: Ratio | None
    excuse: str = ""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return f"not run{self.excuse and ': ' + self.excuse}"
        if self.excuse:
            return f"reported: {self.excuse}"
        return "hit" if self.measured.median <= self.limit else "missed"

    def row(self) -> list[str]:
        return [self.what, f"<= {self.limit:g}", "" if self.measured is None else str(self.measured), self.verdict]


def interleave(
    contenders: Mapping[str, Callable[[], object]], repeats: int, seed: int = 0, *, warm: bool = False
) -> Times:
    """Runs all contenders in each repeat, before that once unmeasured unless they are warm; returns seconds."""
    times: Times = {name: [] for name in contenders}
    for run in () if warm else contenders.values():
        run()
    shuffle = random.Random(seed).sample
    for repeat in range(repeats):
        for name in shuffle(list(contenders), len(contenders)):
            gc.collect()  # or one contender pays for another's garbage
            started = perf_counter()
            contenders[name]()
            times[name].append(perf_counter() - started)
        tell(f"repeat {repeat + 1} of {repeats}")
    return times


def tell(what: str) -> None:
    """Says on standard error how far the benchmark is."""
    print(f"{perf_counter() - STARTED:6.1f} s: {what}", file=sys.stderr)


def ratio(times: Times, name: str, reference: str) -> Ratio | None:
    """Returns the times of one contender over those of another, repeat by repeat; None if one of them did not run."""
    if name not in times or reference not in times:
        return None
    ratios = [ours / theirs for ours, theirs in zip(times[name], times[reference], strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def fastest(times: Times, names: Iterable[str]) -> str:
    """Returns the contender with the smallest median, the first of the names if none ran."""
    names = list(names)
    return min((name for name in names if name in times), key=lambda name: median(times[name]), default=names[0])


def pin(threads: int) -> None:
    """Holds this process, and all that it starts, to so many cores: JAX asks the system for cores and nobody else."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        if threads > len(cores):
            raise click.UsageError(f"{threads} threads, but {len(cores)} cores")
        os.sched_setaffinity(0, cores[-threads:])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    keep_freed_memory()  # as `fit` asks for; it serves all contenders of this process


def has_amx() -> bool:
    """Tells whether the processor multiplies matrices of bfloat16 in hardware made for it."""
    return "amx_bf16" in cpu_info().get("flags", "").split()


def cpu_info() -> dict[str, str]:
    """Returns what Linux says of the first core."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def machine(threads: int, others: Mapping[str, str] | None = None) -> str:
    """Describes what the numbers were measured on, as one paragraph."""
    processor = cpu_info().get("model name", platform.processor() or platform.machine())
    amx = "with amx_bf16" if has_amx() else "without amx_bf16"
    versions = {name: installed(name) for name in PACKAGES} | dict(others or {})
    return (
        f"Machine: {processor} {amx}, {os.cpu_count()} cores, {threads} used. Load before: {LOAD:.2f}. "
        f"Python {platform.python_version()}, {', '.join(f'{name} {number}' for name, number in versions.items())}."
    )


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a Markdown table.

    Example:
        >>> print(table(["prior", "ratio"], [["vamp", 1.5]]))
        | prior | ratio |
        |---|---|
        | vamp | 1.5 |
    """
    lines = [header, *rows]
    written = [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(header), *written[1:]])


def target_table(targets: Iterable[Target]) -> str:
    return table(["target", "limit", "measured", "verdict"], [target.row() for target in targets])


def command() -> str:
    """Returns the command that this process was started by, as one would type it at the root of the repository."""
    return shlex.join(["python", f"experiments/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def publish(name: str, title: str, body: str, *, write: bool, readme: Path = README) -> None:
    """Prints a section, or puts it where the README has the section of this name."""
    section = f"## {title}\n\n```bash\n{command()}\n```\n\n{body}"
    if write:
        readme.write_text(replaced(readme.read_text(encoding="utf-8"), name, section), encoding="utf-8")
    else:
        click.echo(section)


def replaced(text: str, name: str, section: str) -> str:
    """Returns a text with another section between the markers of a name, at its end if it has none.

    Example:
        >>> replaced("<!-- begin a -->\\nold\\n<!-- end a -->\\n", "a", "new")
        '<!-- begin a -->\\nnew\\n<!-- end a -->\\n'
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if not found:
        before, after = f"{text.rstrip()}\n\n", "\n"
    return f"{before}{begin}\n{section}\n{end}{after}"
