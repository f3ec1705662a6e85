"""What takes one training step: a traced graph, the programs as they are, or ``pyro.infer.SVI`` word for word.

An engine's ``step`` is called with a batch and returns the loss summed over it. All give the same weights; all count
the schedules of beta and of the learning rate in steps; none touches a weight where loss or gradient are not finite.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, cast

import pyro
import torch
from pyro import infer
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.objectives.criterion import Criterion
from pyrovae.schedules import Schedule
from pyrovae.training.adam import SETTLE, Adam, norm_of
from pyrovae.training.precision import products_in_bf16
from pyrovae.training.processes import ALONE, Processes
from pyrovae.training.tracing import Graph, trace, trainable

# Ours or Pyro's: all have `loss` and `loss_and_grads`, which their common base class does not declare.
AnyObjective = Any
Precision = Literal["fp32", "bf16"]
REMEDY = "lower train.learning_rate, or set train.clip = 10.0; train.nonfinite = 'skip' or 'rewind' goes on"
EAGER_FIRST = 20  # batches of a shape before it is traced, which takes as long as hundreds of them
CLOSE = 1e-3  # relative, of gradients of one batch in another order of summation


class NonFiniteError(PyrovaeError):
    """A loss or a gradient that is not finite; the weights are still those of the step before."""

    def __init__(self, what: str) -> None:
        super().__init__(what, hint=REMEDY)


class Eager:
    """Runs the programs at every step; fused Adam, the norm of the gradient per datum clipped.

    Args:
        module: What is trained, a VAE or another system; its parameters are changed.
        objective: One of ours or of Pyro's.
        learning_rate: Of the step.
        clip: Largest norm of the gradient per datum.
        precision: ``"bf16"`` computes the products of networks in bfloat16 and all else in float32.
        compile: Of the traced engine alone.
        processes: Among which each batch is divided; gradients are summed over them.
    """

    def __init__(
        self,
        module: nn.Module,
        objective: AnyObjective,
        learning_rate: Schedule,
        clip: float | None = None,
        *,
        precision: Precision = "fp32",
        compile: bool = False,  # the name of torch's own function
        processes: Processes = ALONE,
    ) -> None:
        self.module, self.objective, self.learning_rate, self.clip = module, objective, learning_rate, clip
        self.precision, self.compile, self.processes = precision, compile, processes
        self.count, self.factor = 0, 1.0
        self.known_beta, self.beta_tensor = math.nan, torch.empty(0)
        self.parameters = trainable(module)
        self.optimizer = Adam(self.parameters.values(), getattr(objective, "betas", (0.9, 0.999)))

    def step(self, *batch: Tensor) -> float:
        """Takes a step and returns the loss summed over the batch of all processes.

        Raises:
            NonFiniteError: Loss or gradient are not finite; nothing was changed.
        """
        own = self.gradients(*batch) if len(batch[0]) else self.nothing()
        gradients = self.found()
        loss, rows = self.processes.sums(gradients, own, len(batch[0]))
        norm = norm_of(gradients)
        check_finite(loss, norm.item(), self.broken)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(list(self.parameters.values()), self.clip * rows, norm)
        self.optimizer.move(self.factor * self.learning_rate(self.count))
        self.move_on()
        if self.count % SETTLE == 0:
            self.optimizer.settle()
        return loss

    def gradients(self, *batch: Tensor) -> Tensor | float:
        """Leaves the gradient of the summed loss in the parameters, and returns the loss."""
        self.optimizer.zero_grad()
        with self.arithmetic():
            if not isinstance(self.objective, Criterion):
                return float(self.objective.loss_and_grads(self.module.model, self.module.guide, *batch))
            loss = self.objective.batch_loss(self.module, *batch, beta=self.beta())
        loss.backward()
        return loss.detach()

    def nothing(self) -> float:
        """Leaves no gradient where this process has no data of a small batch."""
        self.optimizer.zero_grad()
        return 0.0

    def found(self) -> list[Tensor]:
        """Returns the gradients; among several processes those of all parameters, so that messages are of one size."""
        if self.processes.count > 1:
            for parameter in self.parameters.values():
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def move_on(self) -> None:
        """Counts a step, skipped ones too."""
        self.count += 1
        if isinstance(self.objective, Criterion):
            self.objective.step = self.count
            if self.objective.restarts(self.count):
                self.optimizer.restart()

    def beta(self) -> Tensor:
        """Returns beta of this step as a tensor, so that a graph can take it; float64 keeps all its digits."""
        if self.objective.beta != self.known_beta:
            self.known_beta = self.objective.beta
            device = next(iter(self.parameters.values())).device
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self.beta_tensor = torch.tensor(self.known_beta, dtype=dtype, device=device)
        return self.beta_tensor

    def arithmetic(self) -> AbstractContextManager[Any]:
        return products_in_bf16() if self.precision == "bf16" else nullcontext()

    def broken(self) -> list[str]:
        """Names the parameters whose gradient is not finite."""
        grads = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        return [name for name, grad in grads.items() if not grad.isfinite().all()]

    def state_dict(self) -> dict[str, Any]:
        """Returns what the next step depends on besides the weights: tensors and plain values."""
        return {"count": self.count, "factor": self.factor, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count, self.factor = state["count"], state["factor"]
        self.optimizer.load_state_dict(state["optimizer"])
        if isinstance(self.objective, Criterion):
            self.objective.step = self.count


class Traced(Eager):
    """Replays loss and gradients as one flat graph, traced once per shape of batch; else as eager.

    A graph is traced after some batches of its shape, and compared with the programs once, on the next one: what the
    first has fixed in it shows there. A program that cannot be traced, or gives other numbers, runs eagerly, which is
    said. Numbers that a program reads from Python (a counter of its calls) are fixed in the graph; beta is not.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: Counter[tuple[torch.Size, ...]] = Counter()
        self.graphs: dict[tuple[torch.Size, ...], Graph] = {}
        self.checked: set[tuple[torch.Size, ...]] = set()
        own = isinstance(self.objective, Criterion)
        self.reason = "" if own and self.objective.traceable else f"{type(self.objective).__name__} is not to be traced"

    def gradients(self, *batch: Tensor) -> Tensor | float:
        shape = tuple(tensor.shape for tensor in batch)
        self.seen[shape] += 1
        if self.reason or (self.seen[shape] <= EAGER_FIRST and not self.compile):
            return super().gradients(*batch)
        if shape not in self.graphs:
            self.make(shape, *batch)
        elif shape not in self.checked:
            self.check(shape, *batch)
        return super().gradients(*batch) if self.reason else self.replay(shape, *batch)

    @torch.no_grad()  # the gradients are in the graph
    def replay(self, shape: tuple[torch.Size, ...], *batch: Tensor) -> Tensor:
        for parameter in self.parameters.values():
            parameter.grad = None  # before others are made: their memory is still in the cache
        loss, *gradients = self.graphs[shape](*self.parameters.values(), self.beta(), *batch)
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        return cast(Tensor, loss)

    def make(self, shape: tuple[torch.Size, ...], *batch: Tensor) -> None:
        try:
            with self.arithmetic():
                self.graphs[shape] = trace(self.module, self.objective, self.beta(), *batch, compiled=self.compile)
        except Exception as error:  # a program may do anything; run as it is, it will say what is wrong
            self.give_up(next(iter(str(error).splitlines()), type(error).__name__))

    def check(self, shape: tuple[torch.Size, ...], *batch: Tensor) -> None:
        self.checked.add(shape)
        with torch.random.fork_rng():
            expected, gradients = float(super().gradients(*batch)), self.found()
        with torch.random.fork_rng():
            found, replayed = float(self.replay(shape, *batch)), self.found()
        # What is not finite is not compared: the step will say so.
        norm = float(norm_of(gradients))
        if math.isfinite(expected) and math.isfinite(norm):
            far = float(norm_of([a - b for a, b in zip(gradients, replayed, strict=True)]))
            tolerance = CLOSE if self.precision == "fp32" and not self.compile else 0.1
            if far > tolerance * norm or abs(found - expected) > tolerance * abs(expected):
                self.give_up("its numbers depend on more than its tensors")

    def give_up(self, reason: str) -> None:
        self.reason = reason
        print(f"warning: the program cannot be traced and runs eagerly: {reason}", file=sys.stderr)


class SVI:
    """Calls ``pyro.infer.SVI(...).step``, whose gradients are looked at before its optimizer moves a weight."""

    def __init__(
        self,
        module: Any,
        objective: AnyObjective,
        learning_rate: Schedule,
        clip: float | None = None,
        *,
        precision: Precision = "fp32",
        compile: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        for given, name in ((clip, "clip"), (precision == "bf16", "precision = 'bf16'"), (compile, "compile")):
            if given:
                hint = "use engine 'eager' or 'traced'"
                raise PyrovaeError(f"train.{name} with train.engine = 'svi', which is Pyro's alone", hint=hint)
        if processes.count > 1:
            raise PyrovaeError("train.engine = 'svi' trains in one process", hint="use engine 'traced'")
        self.module, self.objective, self.learning_rate = module, objective, learning_rate
        self.count, self.factor = 0, 1.0
        self.optimizer = pyro.optim.LambdaLR(  # type: ignore[attr-defined]  # made from torch's at import
            {"optimizer": torch.optim.Adam, "optim_args": {"lr": 1.0, "fused": True}, "lr_lambda": self.rate}
        )
        self.inference = infer.SVI(
            module.model, module.guide, self.optimizer, loss=objective.loss, loss_and_grads=self.loss_and_grads
        )

    def rate(self, step: int) -> float:
        return self.factor * self.learning_rate(step)

    def step(self, *batch: Tensor) -> float:
        """Takes a step and returns the loss summed over the batch."""
        loss: Any = self.inference.step(*batch)
        self.optimizer.step()
        self.count += 1
        return float(loss)

    def loss_and_grads(self, *args: Any) -> Any:
        """Calls the objective's own and refuses what is not finite, before ``SVI`` calls the optimizer."""
        for parameter in trainable(self.module).values():
            parameter.grad = None  # what a refused step has left
        loss = self.objective.loss_and_grads(*args)
        grads = {name: p.grad for name, p in trainable(self.module).items() if p.grad is not None}
        norm = norm_of(list(grads.values())).item()
        check_finite(float(loss), norm, lambda: [name for name, grad in grads.items() if not grad.isfinite().all()])
        return loss

    def move_on(self) -> None:
        """Counts a step that was skipped."""
        self.optimizer.step()
        self.count += 1
        if isinstance(self.objective, Criterion):
            self.objective.step = self.count

    def state_dict(self) -> dict[str, Any]:
        """Returns what the next step depends on besides the weights: tensors and plain values."""
        return {"count": self.count, "factor": self.factor, "optimizer": self.optimizer.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count, self.factor = state["count"], state["factor"]
        self.optimizer.optim_objs.clear()
        self.optimizer.set_state(dict(state["optimizer"]))
        if isinstance(self.objective, Criterion):
            self.objective.step = self.count


Engine = Eager | SVI


def check_finite(loss: float, norm: float, broken: Callable[[], list[str]]) -> None:
    """Raises where a loss or the norm of its gradient is no number."""
    if not math.isfinite(loss):
        raise NonFiniteError(f"loss became {loss}")
    if not math.isfinite(norm):
        raise NonFiniteError(f"gradient {described(broken())}")


def described(names: list[str]) -> str:
    """Says whose gradient is not finite; squares of large ones overflow before they do.

    Example:
        >>> described(["a", "b"]), described([])
        ('of a and 1 more became non-finite', 'became too large for its norm')
    """
    if not names:
        return "became too large for its norm"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"of {names[0]}{more} became non-finite"


@contextmanager
def at_fault() -> Iterator[None]:
    """Turns Pyro's own complaint of numbers that are not finite, which comes before there is a loss, into ours."""
    try:
        yield
    except PyrovaeError:
        raise
    except ValueError as error:
        if not re.search(r"\b(nan|inf)\b", str(error)):
            raise
        raise NonFiniteError("numbers became non-finite") from error


ENGINES: dict[str, Callable[..., Engine]] = {"traced": Traced, "eager": Eager, "svi": SVI}
