"""The sections of an evaluation beside the evidence itself, in the order in which they run."""

from pyrovae.evaluation.beliefs import beliefs
from pyrovae.evaluation.bounds import bounds
from pyrovae.evaluation.calibration import calibration
from pyrovae.evaluation.continuity import continuity
from pyrovae.evaluation.disentanglement import disentanglement
from pyrovae.evaluation.gaps import gaps
from pyrovae.evaluation.generation import generation
from pyrovae.evaluation.gradients import gradients
from pyrovae.evaluation.judged import Section
from pyrovae.evaluation.nuts import nuts
from pyrovae.evaluation.outliers import outliers
from pyrovae.evaluation.representation import representation
from pyrovae.evaluation.usage import usage

SECTIONS: dict[str, Section] = {
    "ais": bounds,
    "gaps": gaps,
    "nuts": nuts,
    "calibration": calibration,
    "latent": usage,
    "analysis": beliefs,
    "generation": generation,
    "continuity": continuity,
    "representation": representation,
    "disentanglement": disentanglement,
    "outliers": outliers,
    "gradients": gradients,
}

# What stands beside the importance-sampled log p(x), and says nothing any more once that is drawn anew.
BESIDE_EVIDENCE = ("ais",)
