"""The command itself: a user's mistake is one line and a hint; tracebacks are for ``--debug``."""

import os
import sys
import traceback
from typing import Any

import click

from pyrovae import __version__
from pyrovae.errors import Interrupted, PyrovaeError


class Group(click.Group):
    """Prints a user's mistake as one line and a hint; tracebacks are for ``--debug``."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except KeyboardInterrupt:  # nothing was begun that could be lost
            click.echo("Error: interrupted", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # The reader has left, as `head` does: say nothing, and let nothing be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except Exception as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            ctx.exit(report(error))


def report(error: Exception) -> int:
    """Prints an error and returns the exit code."""
    message, hint, exit_code = explain(error)
    if isinstance(error, Interrupted) and os.environ.get("RANK", "0") != "0":
        return exit_code  # the first of several processes has said it
    for line in message.splitlines() or [message]:
        click.echo(f"Error: {line}", err=True)
    if hint:
        click.echo(f"Hint: {hint}", err=True)
    return exit_code


def explain(error: Exception) -> tuple[str, str, int]:
    """Returns the message of an error, its hint and the exit code."""
    if isinstance(error, PyrovaeError):
        return str(error), error.hint, error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}", "make room, or check the path and its permissions", 1
    hint = "a defect of pyrovae, or of a part you added: pyrovae --debug COMMAND shows where"
    return f"{type(error).__name__}: {error}", hint, 1


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pyrovae")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(*, debug: bool) -> None:
    """Variational autoencoders as Pyro programs: compose, train, judge and look."""
