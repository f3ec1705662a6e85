"""A fresh process in which `growth.py` looks at memory, and in which it reads a file of many rows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from growing import Case
from ours import Training, make_vae
from pictures import Setting
from workers import serve

from pyrovae import DATA

HELD_OUT = 100  # rows, validation and test each
FILE = Setting((64,), 8, 256)  # the network that reads a file: small, so that reading shows


def memory(key: str) -> int:
    """Returns a number of /proc/self/status, in kB."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def highest(run: Callable[[], Any]) -> int:
    """Runs something; returns by how many kB the resident memory was higher than before, at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the highest starts again from here
    before = memory("VmRSS")
    run()
    return memory("VmHWM") - before


class File:
    """A memory-mapped file of rows in training."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def open(self) -> None:
        """Opens the file as a user does, who does not say what its values are: all must be read."""
        data = DATA["array"](
            path=self.config["path"],
            memory_map=True,
            validation=HELD_OUT,
            test=HELD_OUT,
        )
        vae = make_vae(FILE, pixels=data.event_shape[0])
        self.training = Training(vae, data, FILE.batch, engine=self.config["engine"])

    def steps(self) -> float:
        return self.training.steps(self.config["steps"])


def prepare(config: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    torch.set_num_threads(config["threads"])
    engine = config["engine"]
    # What the first training loads and keeps is not its memory.
    Case(batch=8, hidden=8, latent=2).training(engine).steps(3)
    if "path" in config:
        file = File(config)
        return {"open": file.open, "steps": file.steps}
    return {"highest": lambda: highest(lambda: Case(*config["case"]).training(engine).steps(3))}


if __name__ == "__main__":
    serve(prepare)
