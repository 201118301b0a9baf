"""Conditional flows with flowjax on JAX: a peer of speed.py, in an environment of its own.

Answers requests, one line of JSON each, with the seconds that one step, one draw of many samples or one whole
fit took. Steps are compiled before the clock starts, and run on two threads.
"""

import os

THREADS = 2
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={THREADS}"
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:THREADS]))

import time  # noqa: E402

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import jax.random as jr  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flowjax.bijections import RationalQuadraticSpline  # noqa: E402
from flowjax.distributions import Normal  # noqa: E402
from flowjax.flows import coupling_flow  # noqa: E402
from flowjax.train import fit_to_data  # noqa: E402
from peer import serve  # noqa: E402

FLOW_LAYERS, KNOTS, INTERVAL = 8, 8, 4
LEARNING_RATE = 1e-3


def build(coupling, hidden, dx, dy, seed=0):
    """Build a flow of eight couplings."""
    spline = RationalQuadraticSpline(knots=KNOTS, interval=INTERVAL) if coupling == "spline" else None
    return coupling_flow(
        jr.key(seed),
        base_dist=Normal(jnp.zeros(dx)),
        transformer=spline,
        cond_dim=dy,
        flow_layers=FLOW_LAYERS,
        nn_width=hidden[0],
        nn_depth=len(hidden),
    )


def step(coupling, hidden, batch, steps, dx, dy):
    """Train for some steps and return the seconds of one."""
    flow = build(coupling, hidden, dx, dy)
    optimizer = optax.adam(LEARNING_RATE)
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    state = optimizer.init(parameters)
    x, y = jr.normal(jr.key(1), (batch, dx)), jr.normal(jr.key(2), (batch, dy))

    def loss(parameters, x, y):
        return -eqx.combine(parameters, static).log_prob(x, y).mean()

    @jax.jit
    def update(parameters, state, x, y):
        value, gradient = jax.value_and_grad(loss)(parameters, x, y)
        change, state = optimizer.update(gradient, state)
        return eqx.apply_updates(parameters, change), state, value

    parameters, state, value = update(parameters, state, x, y)
    value.block_until_ready()
    start = time.perf_counter()
    for _ in range(steps):
        parameters, state, value = update(parameters, state, x, y)
    value.block_until_ready()
    return {"seconds": (time.perf_counter() - start) / steps}


def draw(coupling, hidden, draws, repeats, dx, dy):
    """Draw samples for one observation and return the seconds of one such draw."""
    flow = build(coupling, hidden, dx, dy)
    observation = jnp.zeros(dy)

    @eqx.filter_jit
    def sample(key):
        return flow.sample(key, (draws,), condition=observation)

    np.asarray(sample(jr.key(0)))
    start = time.perf_counter()
    for i in range(repeats):
        np.asarray(sample(jr.key(i)))
    return {"seconds": (time.perf_counter() - start) / repeats}


def fit(data, coupling, hidden, seed):
    """Fit with flowjax's own loop and defaults; return the time and the mean log density of rows held out."""
    arrays = np.load(data)
    x, y, x_test, y_test = (jnp.asarray(arrays[k], dtype=jnp.float32) for k in ("x", "y", "x_test", "y_test"))
    flow = build(coupling, hidden, x.shape[1], y.shape[1], seed)
    start = time.perf_counter()
    flow, losses = fit_to_data(jr.key(seed), flow, (x, y), max_epochs=500, show_progress=False)
    seconds = time.perf_counter() - start
    log_density = float(flow.log_prob(x_test, y_test).mean())
    return {"seconds": seconds, "log_density": log_density, "epochs": len(losses["train"])}


if __name__ == "__main__":
    serve(step=step, draw=draw, fit=fit)
