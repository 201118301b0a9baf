"""Flows with FrEIA on PyTorch, and MMD in PyTorch: a peer of speed.py, in an environment of its own.

Answers requests, one line of JSON each, with the seconds that one step, one draw of many samples or one value
and gradient took, on two threads.
"""

import itertools
import time
from types import SimpleNamespace

import FrEIA.framework as framework
import FrEIA.modules as modules
import torch
import toy_freia
from peer import serve
from torch import nn

THREADS = 2
N_BLOCKS, CLAMP, LEARNING_RATE = 4, 2.0, 1e-3


def toy_step(hidden, batch, steps):
    """Train the toy's network by the authors' recipe and return the seconds of one step."""
    network, problem = toy_freia.build_network(0, hidden), toy_freia.load_problem("all")
    options = SimpleNamespace(rows=8 * batch, seed=0, steps=steps, batch=batch, constant_rate=False)
    toy_freia.train(network, problem, SimpleNamespace(**vars(options) | {"steps": 2}))
    return {"seconds": toy_freia.train(network, problem, options) / steps}


def build(hidden, dx, dy):
    """Build a conditional flow of eight affine couplings, two to a block."""

    def subnetwork(inputs, outputs):
        layers = [nn.Linear(inputs, hidden[0]), nn.ReLU()]
        for before, after in itertools.pairwise(hidden):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

    seen = dict(cond=0, cond_shape=(dy,), subnet_constructor=subnetwork, clamp=CLAMP)
    network = framework.SequenceINN(dx)
    for block in range(N_BLOCKS):
        network.append(modules.GLOWCouplingBlock, **seen)
        network.append(modules.PermuteRandom, seed=block)
    return network


def step(coupling, hidden, batch, steps, dx, dy):
    """Train for some steps by likelihood and return the seconds of one."""
    if coupling != "affine":
        raise ValueError("FrEIA's conditional spline couplings are not compared")
    network = build(hidden, dx, dy)
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=LEARNING_RATE)
    x, y = torch.randn(batch, dx), torch.randn(batch, dy)

    def update():
        optimizer.zero_grad()
        z, log_det = network(x, c=[y])
        torch.mean(0.5 * (z**2).sum(dim=1) - log_det).backward()
        optimizer.step()

    update()
    start = time.perf_counter()
    for _ in range(steps):
        update()
    return {"seconds": (time.perf_counter() - start) / steps}


@torch.no_grad()
def draw(coupling, hidden, draws, repeats, dx, dy):
    """Draw samples for one observation and return the seconds of one such draw."""
    network, y = build(hidden, dx, dy), torch.zeros(draws, dy)
    network(torch.randn(draws, dx), c=[y], rev=True, jac=False)
    start = time.perf_counter()
    for _ in range(repeats):
        network(torch.randn(draws, dx), c=[y], rev=True, jac=False)
    return {"seconds": (time.perf_counter() - start) / repeats}


def mmd(n, columns, repeats):
    """Find the MMD between two samples and its gradient in the first; return the seconds of one."""
    x, y = torch.randn(n, columns, requires_grad=True), torch.randn(n, columns)

    def once():
        x.grad = None
        toy_freia.mmd(x, y).backward()

    once()
    start = time.perf_counter()
    for _ in range(repeats):
        once()
    return {"seconds": (time.perf_counter() - start) / repeats}


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    serve(toy_step=toy_step, step=step, draw=draw, mmd=mmd)
