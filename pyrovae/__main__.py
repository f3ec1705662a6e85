"""``python -m pyrovae`` is the command line, as torchrun needs it."""

from pyrovae.cli import main

main(prog_name="pyrovae")
