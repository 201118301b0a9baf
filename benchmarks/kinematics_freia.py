"""Inverse kinematics with FrEIA 0.2 on PyTorch: a conditional flow, or [y, z] by likelihood.

The peer that innverse is compared with, in an environment of its own: torch, FrEIA and numpy. Reads
simulations and observations from one file of arrays, writes posterior samples to another, prints one line of
JSON. Both networks are trained by Adam with an exponentially falling rate, as the authors' demonstrations do;
[y, z] needs noise on y that falls too, or it does not converge.
"""

import argparse
import json
import time

import FrEIA.framework as framework
import FrEIA.modules as modules
import numpy as np
import torch
from torch import nn

N_BLOCKS, HIDDEN, CLAMP = 8, 128, 2.0
BATCH = 1000
LEARNING_RATE, FINAL_LEARNING_RATE_SHARE = 1e-3, 0.01
BETAS, WEIGHT_DECAY = (0.9, 0.99), 1e-5
GRADIENT_NORM = 10.0
# Noise on standardised y for [y, z], annealed exponentially.
FIRST_NOISE, LAST_NOISE = 0.5, 0.02
THREADS = 2


def main():
    """Train, draw and print the seconds of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objective", choices=("conditional", "likelihood"), required=True)
    parser.add_argument("--data", required=True, help="npz with x, y and observations")
    parser.add_argument("--samples", required=True, help="npy to write")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(THREADS)
    torch.manual_seed(options.seed)
    data = np.load(options.data)
    x, x_mean, x_scale = standardise(data["x"])
    y, y_mean, y_scale = standardise(data["y"])
    conditional = options.objective == "conditional"
    network = build_network(x.shape[1], y.shape[1] if conditional else 0, options.seed)
    seconds = train(network, x, y, conditional, options.steps)
    observations = torch.tensor((data["observations"] - y_mean) / y_scale, dtype=torch.float32)
    samples = np.stack([draw(network, row, x.shape[1], conditional, options.draws) for row in observations])
    np.save(options.samples, samples * x_scale + x_mean)
    print(json.dumps({"seconds": seconds}))


def standardise(data):
    """Columns with mean 0 and deviation 1, and what undoes it."""
    mean, scale = data.mean(axis=0), data.std(axis=0)
    return torch.tensor((data - mean) / scale, dtype=torch.float32), mean, scale


def build_network(width, condition, seed):
    """Build the network, x to z given y, or x to [z, y]."""

    def subnetwork(inputs, outputs):
        return nn.Sequential(
            nn.Linear(inputs, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, outputs),
        )

    seen = dict(cond=0, cond_shape=(condition,)) if condition else {}
    network = framework.SequenceINN(width)
    for block in range(N_BLOCKS):
        network.append(modules.GLOWCouplingBlock, **seen, subnet_constructor=subnetwork, clamp=CLAMP)
        network.append(modules.PermuteRandom, seed=seed * N_BLOCKS + block)
    return network


def train(network, x, y, conditional, steps):
    """Train for a number of steps and return the seconds that it took."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, betas=BETAS, weight_decay=WEIGHT_DECAY)
    decay = FINAL_LEARNING_RATE_SHARE ** (1.0 / steps)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=decay)
    per_epoch = len(x) // BATCH
    # Shuffled before the clock starts: the peer must not pay for how batches are picked here.
    epochs = -(-steps // per_epoch)
    batches = [batch for _ in range(epochs) for batch in torch.randperm(len(x)).split(BATCH)[:per_epoch]]
    start = time.perf_counter()
    for i, batch in enumerate(batches[:steps]):
        optimizer.zero_grad()
        if conditional:
            z, log_det = network(x[batch], c=[y[batch]])
            loss = torch.mean(0.5 * (z**2).sum(dim=1) - log_det)
        else:
            noise = FIRST_NOISE * (LAST_NOISE / FIRST_NOISE) ** (i / steps)
            loss = joint_loss(network, x[batch], y[batch], noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
        optimizer.step()
        schedule.step()
    return time.perf_counter() - start


def joint_loss(network, x, y, noise):
    """Minus the log density of [z, y] = f(x), where y carries noise."""
    output, log_det = network(x)
    z, predicted = output[:, : -y.shape[1]], output[:, -y.shape[1] :]
    target = y + noise * torch.randn_like(y)
    misfit = ((predicted - target) ** 2).sum(dim=1) / noise**2
    return torch.mean(0.5 * (misfit + (z**2).sum(dim=1)) - log_det)


@torch.no_grad()
def draw(network, observation, width, conditional, draws):
    """Draw posterior samples for one observation."""
    y = observation.expand(draws, -1)
    if conditional:
        x, _ = network(torch.randn(draws, width), c=[y], rev=True, jac=False)
    else:
        z = torch.randn(draws, width - len(observation))
        x, _ = network(torch.cat([z, y], dim=1), rev=True, jac=False)
    return x.numpy().astype(np.float64)


if __name__ == "__main__":
    main()
