"""What is freed stays in the process: no pages are fetched anew for tensors that come and go."""

import subprocess
import sys

import pytest

from pyrovae.allocator import keep_freed_memory

PROGRAM = """
import resource, torch
from pyrovae.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def step():
    x = torch.ones(16_000_000)
    y = x.exp() + x
    return (y * x).sum()
def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(10)
print(faults(10))
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_large_tensors_take_no_new_pages() -> None:
    """64 MB are 15,625 pages of 4 kB. Mutations: only one of the two is asked for."""
    found = {}
    for keep in (False, True):
        words = [sys.executable, "-c", PROGRAM.format(keep=keep)]
        found[keep] = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert found[True] < 0.1 * found[False]
