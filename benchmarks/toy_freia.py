"""The paper's recipe for the eight Gaussian modes, with FrEIA 0.2 on PyTorch.

The peer that innverse is compared with. Runs in an environment of its own: torch, FrEIA and numpy;
innverse need not be installed there. Prints one line of JSON.

Recipe: the demonstration "toy_8-modes" that the authors of Ardizzone et al., "Analyzing inverse
problems with invertible neural networks", ICLR 2019, published with FrEIA. There the learning rate
is constant; here it decays by default, and ``--constant-rate`` gives the original. The authors draw
their batches from a million points; ``--rows`` gives both packages the same few.
"""

import argparse
import importlib
import json
import math
import sys
import time
import types
from pathlib import Path

import FrEIA.framework as framework
import FrEIA.modules as modules
import numpy as np
import torch
from torch import nn
from toy_metrics import KERNEL_WIDTHS, label_accuracy, score_samples

PROBLEMS = Path(__file__).resolve().parents[1] / "python" / "innverse" / "problems"

TOTAL_DIM, LATENT_DIM, X_DIM, Y_DIM = 16, 2, 2, 8
N_BLOCKS, HIDDEN, CLAMP = 8, 512, 2.0
BATCH, BATCHES_PER_EPOCH = 1600, 8
LEARNING_RATE, FINAL_LEARNING_RATE_SHARE = 1e-3, 0.01
BETAS, EPSILON, WEIGHT_DECAY = (0.8, 0.9), 1e-6, 2e-5
INITIAL_WEIGHT_SCALE, GRADIENT_CLAMP = 0.05, 15.0
Y_NOISE, PADDING_NOISE = 0.1, 0.05
# The demonstration adds the noise of y to z, too, before reconstructing x.
Z_NOISE = Y_NOISE
FIT_WEIGHT, LATENT_WEIGHT, RECONSTRUCTION_WEIGHT, BACKWARD_WEIGHT = 3.0, 300.0, 3.0, 400.0
TRAINING_ROWS = 2**20 - 10_000
DRAWS, TEST_ROWS = 20_000, 10_000
THREADS = 2


def main():
    """Train, score unless only the time is wanted, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", choices=("all", "some", "none"), default="all")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=TRAINING_ROWS, help="training points in all")
    parser.add_argument("--constant-rate", action="store_true", help="no learning-rate decay")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="units of the hidden layers")
    parser.add_argument("--batch", type=int, default=BATCH, help="rows of a step")
    parser.add_argument("--time-only", action="store_true", help="leave out the scores")
    options = parser.parse_args()
    if options.rows < options.batch * BATCHES_PER_EPOCH:
        parser.error(f"--rows must be at least {options.batch * BATCHES_PER_EPOCH}, one epoch")

    torch.set_num_threads(THREADS)
    torch.manual_seed(options.seed)
    problem = load_problem(options.labels)
    network = build_network(options.seed, options.hidden)
    seconds = train(network, problem, options)
    result = {
        "peer": "FrEIA",
        "labels": options.labels,
        "steps": options.steps,
        "rows": options.rows,
        "hidden": options.hidden,
        "batch": options.batch,
        "constant_rate": options.constant_rate,
        "threads": THREADS,
        "seconds": seconds,
        "seconds_per_step": seconds / options.steps,
    }
    if not options.time_only:
        result.update(score(network, problem, options.seed))
    print(json.dumps(result))


def load_problem(labels):
    """Load the toy from its file, without the package around it and its compiled extension."""
    package = types.ModuleType("toy_problems")
    package.__path__ = [str(PROBLEMS)]
    sys.modules[package.__name__] = package
    return importlib.import_module("toy_problems._gaussian_modes").GaussianModes(labels=labels)


def build_network(seed, hidden):
    """Build the network, [x, pad] to [z, pad, y], with every weight drawn anew."""

    def subnetwork(inputs, outputs):
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    network = framework.SequenceINN(TOTAL_DIM)
    for block in range(N_BLOCKS):
        network.append(modules.GLOWCouplingBlock, subnet_constructor=subnetwork, clamp=CLAMP)
        network.append(modules.PermuteRandom, seed=seed * N_BLOCKS + block)
    for parameter in trainable(network):
        parameter.data = INITIAL_WEIGHT_SCALE * torch.randn_like(parameter)
    return network


def trainable(network):
    """List the parameters that training changes."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def train(network, problem, options):
    """Train for a number of steps and return the seconds that it took."""
    pairs = problem.sample(options.rows, options.seed)
    x, y = (torch.tensor(part, dtype=torch.float32) for part in pairs)
    epochs = math.ceil(options.steps / BATCHES_PER_EPOCH)
    # Shuffled before the clock starts: the peer must not pay for how batches are picked here.
    orders = [torch.randperm(len(x))[: options.batch * BATCHES_PER_EPOCH] for _ in range(epochs)]
    batches = torch.cat(orders).split(options.batch)[: options.steps]
    optimizer = torch.optim.Adam(
        trainable(network),
        lr=LEARNING_RATE,
        betas=BETAS,
        eps=EPSILON,
        weight_decay=WEIGHT_DECAY,
    )
    decay = 1.0 if options.constant_rate else FINAL_LEARNING_RATE_SHARE ** (1.0 / epochs)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=decay)
    start = time.perf_counter()
    for i, batch in enumerate(batches):
        epoch = i // BATCHES_PER_EPOCH
        step(network, optimizer, x[batch], y[batch], ramp_of(epoch, epochs))
        if (i + 1) % BATCHES_PER_EPOCH == 0:
            schedule.step()
    return time.perf_counter() - start


def ramp_of(epoch, epochs):
    """Weigh the MMD on x lightly at first: from the start it can make training stick."""
    return min(1.0, 2.0 * 0.002 ** (1.0 - epoch / epochs))


def step(network, optimizer, x, y_clean, ramp):
    """Take one step: both directions' gradients, added, clamped and applied."""
    optimizer.zero_grad()
    x_side = torch.cat([x, padding(len(x), TOTAL_DIM - X_DIM)], dim=1)
    y = y_clean + Y_NOISE * torch.randn_like(y_clean)
    output, _ = network(x_side, jac=False)
    forward_loss(output, y).backward()
    backward_loss(network, output.detach(), x_side, y_clean, ramp).backward()
    for parameter in trainable(network):
        parameter.grad.clamp_(-GRADIENT_CLAMP, GRADIENT_CLAMP)
    optimizer.step()


def forward_loss(output, y):
    """Compare the outputs (pad, y) with their targets, and (z, y) with (normal, y) by MMD."""
    target = torch.cat([padding(len(y), TOTAL_DIM - LATENT_DIM - Y_DIM), y], dim=1)
    fit = torch.mean((output[:, LATENT_DIM:] - target) ** 2)
    # The gradient of the MMD reaches z only: y is held where the supervised loss puts it.
    z_y = torch.cat([output[:, :LATENT_DIM], output[:, -Y_DIM:].detach()], dim=1)
    wanted = torch.cat([torch.randn(len(y), LATENT_DIM), y], dim=1)
    return FIT_WEIGHT * fit + LATENT_WEIGHT * mmd(z_y, wanted)


def backward_loss(network, output, x_side, y_clean, ramp):
    """Reconstruct x from a perturbed z, and compare x from a random z with the prior by MMD."""
    n = len(x_side)
    y = y_clean + Y_NOISE * torch.randn_like(y_clean)
    pad = padding(n, TOTAL_DIM - LATENT_DIM - Y_DIM)
    z = output[:, :LATENT_DIM] + Z_NOISE * torch.randn(n, LATENT_DIM)
    rebuilt, _ = network(torch.cat([z, pad, y], dim=1), rev=True, jac=False)
    random_z = torch.randn(n, LATENT_DIM)
    drawn, _ = network(torch.cat([random_z, pad, y], dim=1), rev=True, jac=False)
    reconstruction = torch.mean((rebuilt - x_side) ** 2)
    discrepancy = mmd(drawn[:, :X_DIM], x_side[:, :X_DIM])
    return RECONSTRUCTION_WEIGHT * reconstruction + ramp * BACKWARD_WEIGHT * discrepancy


def padding(rows, columns):
    """Draw the small noise that fills unused columns while training."""
    return PADDING_NOISE * torch.randn(rows, columns)


def mmd(a, b):
    """Squared maximum mean discrepancy with summed kernels w^2 / (w^2 + d^2)."""
    aa, bb, ab = squared_distances(a, a), squared_distances(b, b), squared_distances(a, b)
    total = 0.0
    for width in KERNEL_WIDTHS:
        w2 = width**2
        total = total + w2 / (w2 + aa) + w2 / (w2 + bb) - 2.0 * (w2 / (w2 + ab))
    return torch.mean(total)


def squared_distances(a, b):
    """Squared distances of every row of a to every row of b."""
    norms = (a**2).sum(dim=1, keepdim=True) + (b**2).sum(dim=1)
    return torch.clamp(norms - 2.0 * a @ b.T, min=0.0)


@torch.no_grad()
def score(network, problem, seed):
    """Compute the same scores as for innverse."""
    x, y = problem.sample(TEST_ROWS, seed + 1)
    x_side = np.hstack([x, np.zeros((TEST_ROWS, TOTAL_DIM - X_DIM))])
    predicted = network(torch.tensor(x_side, dtype=torch.float32), jac=False)[0][:, -Y_DIM:]
    samples = np.stack([draw(network, observation) for observation in problem.observations])
    return {
        "accuracy": label_accuracy(predicted.numpy(), y),
        **score_samples(problem, problem.observations, samples),
    }


def draw(network, observation):
    """Draw posterior samples for one observation."""
    z = torch.randn(DRAWS, LATENT_DIM)
    pad = torch.zeros(DRAWS, TOTAL_DIM - LATENT_DIM - Y_DIM)
    y = torch.tensor(observation, dtype=torch.float32).expand(DRAWS, -1)
    x_side, _ = network(torch.cat([z, pad, y], dim=1), rev=True, jac=False)
    return x_side[:, :X_DIM].numpy().astype(np.float64)


if __name__ == "__main__":
    main()
