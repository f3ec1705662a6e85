"""The folder of a sweep: the file it is made from, and what may be run in it later."""

from pathlib import Path

from pyrovae import runs, storage
from pyrovae.errors import PyrovaeError
from pyrovae.sweeps.journal import Lock
from pyrovae.sweeps.plan import Plan, continues, read

SWEEP, JOURNAL, TABLE, LOCKS = "sweep.toml", "journal.log", "table.md", "locks"


def settle(plan: Plan, folder: Path) -> None:
    """Makes the folder of a sweep, or writes the sweep into the one that it goes on in.

    Raises:
        PyrovaeError: There is another sweep in it, or anything else.
    """
    check_free(folder)
    try:
        (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose another --runs-dir or --name"
        raise PyrovaeError(f"cannot create sweep folder {folder}: {error.strerror}", hint=hint) from None
    with queue_lock(folder):
        standing = folder / SWEEP
        if standing.exists():
            check_continues(plan, folder)
        storage.write_toml(standing, {**plan.base, "sweep": plan.table})


def check_free(folder: Path) -> None:
    """Refuses a folder that holds a run, or things of somebody else."""
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if found and LOCKS not in found and SWEEP not in found:
        what = "is a run" if runs.MANIFEST in found else f"holds {found[0]} and no sweep"
        raise PyrovaeError(f"{folder} {what}", hint="choose another --name", exit_code=2)


def check_continues(plan: Plan, folder: Path) -> None:
    """Refuses another sweep than the one of the folder, unless it only adds to it."""
    if not continues(plan, read(folder / SWEEP)):
        reason = f"{plan.source} is another sweep than the one in {folder}"
        hint = "a grid may gain cells, a search trials; give all else another name: --name NAME"
        raise PyrovaeError(reason, hint=hint, exit_code=2)


def opened(folder: Path) -> Path:
    """Returns the folder of a sweep.

    Raises:
        PyrovaeError: It is none.
    """
    if not (folder / SWEEP).is_file():
        raise PyrovaeError(f"no sweep in {folder}", hint="pyrovae sweep run FILE makes one", exit_code=2)
    return folder


def queue_lock(folder: Path) -> Lock:
    """Returns the lock under which a sweep's folder is changed."""
    return Lock(folder / LOCKS / "queue")


def trial_lock(folder: Path, number: int) -> Lock:
    """Returns the lock that the worker of a trial holds while it lives."""
    return Lock(folder / LOCKS / f"trial-{number}")
