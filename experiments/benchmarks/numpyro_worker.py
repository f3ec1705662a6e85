"""NumPyro's VAE as a worker: one jitted program an epoch, which fetches, binarises and takes every step by itself.

Three ways to draw zeros and ones: `floats`, probabilities in float32 as in NumPyro's example; `bytes`, random bytes
below the pixel's, a quarter of the random bits, at the cost of a white pixel being black once in 256; `bytes, rbg` with
the faster of JAX's generators.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import numpyro
from jax import numpy as jnp
from jax.example_libraries import stax
from numpyro.distributions import Bernoulli, Normal
from workers import serve

RATE = 1e-3
Array = Any
Draw = Callable[[Array, Array], Array]


def perceptron(*sizes: int) -> Any:
    """Returns a pair of functions, initialise and apply, for linear maps to these sizes with ReLU between them."""
    return stax.serial(*[part for size in sizes for part in (stax.Dense(size), stax.Relu)][:-1])


def programs(hidden: list[int], latent: int, pixels: int) -> tuple[Any, Any]:
    """Returns model and guide."""
    encoder, decoder = perceptron(*hidden, 2 * latent), perceptron(*reversed(hidden), pixels)

    def model(x: Array) -> None:
        decode = numpyro.module("decoder", decoder, (len(x), latent))
        with numpyro.plate("data", len(x)):
            z = numpyro.sample("z", Normal(jnp.zeros(latent), 1.0).to_event(1))
            numpyro.sample("x", Bernoulli(logits=decode(z)).to_event(1), obs=x)

    def guide(x: Array) -> None:
        encode = numpyro.module("encoder", encoder, (len(x), pixels))
        with numpyro.plate("data", len(x)):
            loc, log_scale = jnp.split(encode(x), 2, -1)
            numpyro.sample("z", Normal(loc, jnp.exp(log_scale)).to_event(1))

    return model, guide


def by_floats(key: Array, rows: Array) -> Array:
    return jax.random.bernoulli(key, rows).astype(jnp.float32)


def by_bytes(key: Array, rows: Array) -> Array:
    return (jax.random.bits(key, rows.shape, jnp.uint8) < rows).astype(jnp.float32)


def make_epoch(svi: Any, data: Array, batch: int, draw: Draw, generator: str) -> Callable[[], float]:
    """Returns an epoch that keeps its state from call to call."""

    def step(state: Any, drawn: tuple[Array, Array]) -> tuple[Any, Array]:
        index, key = drawn
        return svi.update(state, draw(key, data[index]))

    @partial(jax.jit, donate_argnums=0)
    def scan(state: Any, order: Array, key: Array) -> tuple[Any, Array]:
        state, losses = jax.lax.scan(step, state, (order, jax.random.split(key, len(order))))
        return state, losses.sum()

    key = jax.random.key(0, impl=generator)
    random, state = np.random.default_rng(0), svi.init(key, jnp.zeros((batch, data.shape[1])))

    def epoch() -> float:
        nonlocal state, key
        key, now = jax.random.split(key)
        order = random.permutation(len(data)).astype(np.int32).reshape(-1, batch)
        state, loss = scan(state, order, now)
        return float(loss)

    return epoch


def prepare(config: dict[str, Any]) -> dict[str, Callable[[], float]]:
    pixels = np.load(config["pixels"])
    model, guide = programs(config["hidden"], config["latent"], pixels.shape[1])
    svi = numpyro.infer.SVI(model, guide, numpyro.optim.Adam(RATE), numpyro.infer.Trace_ELBO())
    make = partial(make_epoch, svi, batch=config["batch"])
    resident = jnp.asarray(pixels)
    return {
        "floats": make(data=jnp.asarray(pixels / np.float32(255)), draw=by_floats, generator="threefry2x32"),
        "bytes": make(data=resident, draw=by_bytes, generator="threefry2x32"),
        "bytes, rbg": make(data=resident, draw=by_bytes, generator="rbg"),
    }


if __name__ == "__main__":
    serve(prepare, ("numpyro", "jax"))
