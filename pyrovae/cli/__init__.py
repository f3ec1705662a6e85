"""The command line: parse, call, print. torch is imported inside the commands, so that ``--help`` answers at once."""

from pyrovae.cli import data, judging, story, sweep, training, using
from pyrovae.cli.group import main
from pyrovae.cli.places import experiments

__all__ = ["data", "experiments", "judging", "main", "story", "sweep", "training", "using"]
