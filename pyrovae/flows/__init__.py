r"""Normalising flows: an invertible map f that bends a simple base density into another one.

.. math:: z = f(x; h), \qquad \log p(z) = \log p_0(x) - \log \left| \det \frac{\partial f}{\partial x} \right|

Notation: x is drawn from the base, z is what the flow makes of it, h is the *context* f depends on (a class, what an
encoder read from a datum). A layer returns its output with the log determinant of each point, of f in both directions.
"""

from pyrovae.flows.autoregressive import autoregressive_flow
from pyrovae.flows.coupling import coupling_flow
from pyrovae.flows.distribution import FlowDistribution

__all__ = ["FlowDistribution", "autoregressive_flow", "coupling_flow"]
