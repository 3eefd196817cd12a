"""The default run in JAX: python -m benchmarks.jax_port --replicas 1000

`scan` runs the iterations, `vmap` the seeds, and everything is one compiled program. It draws its own random numbers,
and it does not evaluate, log, draw figures or save checkpoints.
"""

import argparse
import json
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random

from benchmarks.distance import A, B, statistics

EXAMPLES, BATCH, LATENT, STD = 1000, 8, 2, 0.02
SIZES = {"discriminator": (2, 5, 3, 1), "generator": (2, 2)}
RATE_D, RATE_G, BETA1, BETA2, EPS = 0.05, 0.005, 0.9, 0.999, 1e-8 / 8

Network = list[tuple[Array, Array]]  # the weight and the bias of each layer


class Player(NamedTuple):
    """A network and the state of its Adam optimizer."""

    network: Network
    mean: Network
    square: Network
    steps: Array


class State(NamedTuple):
    discriminator: Player
    generator: Player


def iteration(state: State, batch: tuple[Array, Array]) -> tuple[State, tuple[Array, Array]]:
    """Make a step of the discriminator, then one of the generator against it. Return the new state and both losses.

    Args:
        state: the two players.
        batch: the examples and the latents, [8, 2] each. Both steps use the same latents.
    """
    real, latent = batch
    fake = apply(state.generator.network, latent)
    loss_d, gradient = jax.value_and_grad(discriminator_loss)(state.discriminator.network, real, fake)
    d = adam(state.discriminator, gradient, RATE_D)
    loss_g, gradient = jax.value_and_grad(generator_loss)(state.generator.network, d.network, latent)
    return State(d, adam(state.generator, gradient, RATE_G)), (loss_d, loss_g)


def discriminator_loss(discriminator: Network, real: Array, fake: Array) -> Array:
    return (bce(apply(discriminator, real), 1).mean() + bce(apply(discriminator, fake), 0).mean()) / 2


def generator_loss(generator: Network, discriminator: Network, latent: Array) -> Array:
    return bce(apply(discriminator, apply(generator, latent)), 1).mean()


def bce(logits: Array, label: int) -> Array:
    """The binary cross-entropy with logits."""
    return jax.nn.softplus(-logits if label else logits)


def apply(network: Network, x: Array) -> Array:
    """Return the output of a network with tanh between its layers."""
    *hidden, (weight, bias) = network
    for w, b in hidden:
        x = jnp.tanh(x @ w.T + b)
    return x @ weight.T + bias


def adam(player: Player, gradient: Network, rate: float) -> Player:
    """Make one step of Adam (Kingma and Ba 2015, arXiv 1412.6980)."""
    steps = player.steps + 1
    mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, player.mean, gradient)
    square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, player.square, gradient)
    c1, c2 = 1 - BETA1**steps, 1 - BETA2**steps
    moved = jax.tree.map(lambda t, m, v: t - rate * (m / c1) / (jnp.sqrt(v / c2) + EPS), player.network, mean, square)
    return Player(moved, mean, square, steps)


def start(key: Array) -> State:
    """Return both players with parameters from N(0, 0.02²)."""
    return State(*(player(draw(each, SIZES[name])) for each, name in zip(random.split(key), SIZES, strict=True)))


def player(network: Network) -> Player:
    zeros = jax.tree.map(jnp.zeros_like, network)
    return Player(network, zeros, zeros, jnp.zeros(()))


def draw(key: Array, sizes: tuple[int, ...]) -> Network:
    layers = zip(random.split(key, len(sizes) - 1), sizes, sizes[1:], strict=False)
    keys = ((*random.split(each), k, d) for each, k, d in layers)
    return [(STD * random.normal(one, (d, k)), STD * random.normal(two, (d,))) for one, two, k, d in keys]


def run(seed: Array, epochs: int) -> tuple[State, tuple[Array, Array]]:
    """Train one run. Return the state at its end, and the mean losses of each epoch, [epochs] each."""
    key, key_data, key_start = random.split(random.key(seed), 3)
    examples = random.normal(key_data, (EXAMPLES, 2)) @ jnp.asarray(A, jnp.float32) + jnp.asarray(B, jnp.float32)

    def epoch(state: State, key: Array) -> tuple[State, Any]:
        order, latents = random.split(key)
        real = examples[random.permutation(order, EXAMPLES)].reshape(-1, BATCH, 2)
        state, losses = lax.scan(iteration, state, (real, random.normal(latents, (*real.shape[:2], LATENT))))
        return state, jax.tree.map(jnp.mean, losses)

    return lax.scan(epoch, start(key_start), random.split(key, epochs))


def block(replicas: int, repeats: int, iterations: int = 125) -> dict[str, float]:
    """Time blocks of iterations whose batches are drawn before, as `training_step` runs them.

    Returns:
        The seconds of CPU time of one iteration of one replica, and the seconds of compiling and of the first block.
    """
    many = () if replicas == 1 else (replicas,)
    state = (jax.vmap(start) if many else start)(random.split(random.key(0), many) if many else random.key(0))
    batches = tuple(random.normal(random.key(i), (*many, iterations, BATCH, 2)) for i in (1, 2))
    scan, times = partial(lax.scan, iteration), []
    began = time.perf_counter()
    step = jax.jit(jax.vmap(scan) if many else scan)
    jax.block_until_ready(step(state, batches))
    first = time.perf_counter() - began
    for _ in range(repeats):
        began = time.process_time()
        state, _ = jax.block_until_ready(step(state, batches))
        times.append(time.process_time() - began)
    return {"seconds": float(np.median(times)) / replicas / iterations, "first_block": first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1, help="runs with the seeds 0, 1, … (default: 1)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of 125 iterations (default: 20)")
    parser.add_argument("--repeats", type=int, help="only time this many blocks of 125 iterations")
    arguments = parser.parse_args()
    if arguments.repeats:
        print(json.dumps(block(arguments.replicas, arguments.repeats)))
        return
    train, seeds = partial(run, epochs=arguments.epochs), jnp.arange(arguments.replicas)
    if arguments.replicas == 1:  # without vmap, one run takes as long, and is compiled faster
        seeds = seeds[0]
    began = time.perf_counter()
    program = jax.jit(jax.vmap(train) if seeds.ndim else train).lower(seeds).compile()
    compiling = time.perf_counter() - began
    state, losses = program(seeds)
    ((weight, bias),) = state.generator.network
    print(json.dumps({"compiling": compiling, **statistics(weight, bias, *(loss[..., -1] for loss in losses))}))


if __name__ == "__main__":
    main()
