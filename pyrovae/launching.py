"""Several processes on this machine, started and watched by torchrun."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType


def launch(command: Sequence[str], processes: int, restarts: int) -> int:
    """Runs ``pyrovae COMMAND`` on so many processes and returns the exit code.

    Where a process dies all are started again and go on from the last checkpoint. A signal is handed on once, so that
    they save and end; a second one kills them.

    Args:
        command: Such as ``["run", "digits-vamp"]``.
        processes: How many.
        restarts: How often they may be started again.
    """
    torchrun = [sys.executable, "-m", "pyrovae.launching", "--standalone"]
    torchrun += ["--nproc-per-node", str(processes), "--max-restarts", str(restarts)]
    # Without the variable, processes that are started again look for the addresses of those that have died.
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    # A session of its own: Ctrl-C would reach torchrun and its processes twice, as SIGINT and as SIGTERM.
    started = subprocess.Popen([*torchrun, "-m", "pyrovae", *command], env=environment, start_new_session=True)
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            os.killpg(started.pid, signal.SIGKILL)
        else:
            started.terminate()

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = started.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + received[0] if received else code


def torchrun() -> None:
    """Is torchrun, without its traceback where a signal has ended it."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.run import main

    try:
        main()
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    torchrun()
