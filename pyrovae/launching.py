"""Several processes on this machine, started and watched by torchrun."""

import os
import subprocess
import sys
from collections.abc import Sequence


def launch(command: Sequence[str], processes: int, restarts: int) -> int:
    """Runs ``pyrovae COMMAND`` on so many processes and returns torchrun's exit code.

    Where a process dies all are started again and go on from the last checkpoint.

    Args:
        command: Such as ``["run", "digits-vamp"]``.
        processes: How many.
        restarts: How often they may be started again.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", str(processes), "--max-restarts", str(restarts)]
    # Without the variable, processes that are started again look for the addresses of those that have died.
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return subprocess.run([*torchrun, "-m", "pyrovae", *command], env=environment, check=False).returncode
