"""Contenders in processes of their own, which wait while the others run.

JAX and PyTorch keep threads and memory of their own, and pythae may live in another environment. A worker is started
once with a configuration, prepares itself, and then runs a task each time it is told its name. Both sides speak one
line of JSON at a time. Workers import this file with an interpreter that may have neither pyrovae nor click.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

Tasks = Mapping[str, Callable[[], Any]]


class UnavailableError(Exception):
    """A worker could not start, as a rule because a package is not installed, or has ended."""


class Worker:
    """A process that runs tasks by name; to be closed.

    Args:
        python: Its interpreter.
        script: A file beside this one that calls `serve`.
        config: What it is told at the start.

    Raises:
        UnavailableError: There is no such interpreter, or the process ended before it was ready.
    """

    def __init__(self, python: str, script: str, config: Mapping[str, Any]) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the worker
        told = [python, str(Path(__file__).with_name(script)), json.dumps(config)]
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(told, stdin=pipe, stdout=pipe, stderr=self.errors, text=True)
        except OSError as error:
            raise UnavailableError(f"{python}: {error.strerror}") from error
        self.versions: dict[str, str] = self.answer()

    def __call__(self, task: str) -> Any:
        """Runs a task and returns its result."""
        assert self.process.stdin is not None
        print(task, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise UnavailableError(said[-1] if said else f"exit status {self.process.returncode}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process, which stops reading tasks."""
        self.process.communicate()
        self.errors.close()


def serve(prepare: Callable[[dict[str, Any]], Tasks], packages: tuple[str, ...] = ()) -> None:
    """Is a worker: prepares tasks from the configuration, then runs those that are named on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    tasks = prepare(json.loads(sys.argv[1]))
    print(json.dumps({name: version(name) for name in packages}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(tasks[line.strip()]()), file=answers, flush=True)
