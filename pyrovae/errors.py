"""What a user can put right: one line that names the file, key or datum, and one hint that names the way out."""

from collections.abc import Iterable
from difflib import get_close_matches


class PyrovaeError(ValueError):
    """A mistake in the input, not in the program: the command line prints it without a traceback, Python with its hint.

    Args:
        message: One line that names the file, the key or the datum.
        hint: One line that names the way out.
        exit_code: What the command line returns: 1 for a failed run, 2 for wrong usage or configuration.

    Example:
        >>> error = PyrovaeError("3 rows < batch size 4", hint="set train.batch_size to 3 or less")
        >>> str(error), error.hint
        ('3 rows < batch size 4', 'set train.batch_size to 3 or less')
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
        if hint:
            self.add_note(f"Hint: {hint}")  # below the message in a traceback


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns the nearest known name as a question, else all of them.

    Example:
        >>> did_you_mean("epoch", ["epochs", "batch_size"])
        "did you mean 'epochs'?"
        >>> did_you_mean("zebra", ["epochs", "batch_size"])
        'known: batch_size, epochs'
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


class Interrupted(PyrovaeError):
    """A training that a signal has ended, between two steps.

    Args:
        signal: Its number; the exit code is 128 more, as shells have it.
        step: Steps taken.
        resume: The command that goes on, if the state was saved.

    Example:
        >>> error = Interrupted(15, 412, "pyrovae resume runs/a")
        >>> str(error), error.hint, error.exit_code
        ('interrupted at step 412', 'resume with: pyrovae resume runs/a', 143)
    """

    def __init__(self, signal: int, step: int, resume: str = "") -> None:
        hint = f"resume with: {resume}" if resume else ""
        super().__init__(f"interrupted at step {step}", hint=hint, exit_code=128 + signal)
