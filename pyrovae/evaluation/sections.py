"""The sections of an evaluation beside the evidence itself, in the order in which they run."""

from pyrovae.evaluation.bounds import bounds
from pyrovae.evaluation.judged import Section

SECTIONS: dict[str, Section] = {
    "ais": bounds,
}

# What stands beside the importance-sampled log p(x), and says nothing any more once that is drawn anew.
BESIDE_EVIDENCE = ("ais",)
