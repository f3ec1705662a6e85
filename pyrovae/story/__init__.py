"""A story: claims about systems, written down before they are trained, and what the trainings say of each.

A story file names **contenders** (experiments, trained with several seeds), **chapters**, and in them **claims**: a
metric of one contender against another's, or against a number, and the direction that is expected.
"""

from pyrovae.story.plan import Story, read
from pyrovae.story.telling import tell

__all__ = ["Story", "read", "tell"]
