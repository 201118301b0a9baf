"""Posterior estimation with sbi on PyTorch: the peer of quality.py, in an environment of its own.

Reads simulations, bounds and observations from one file of arrays, writes posterior samples to another,
prints one line of JSON. The spline flow of sbi with its other defaults, on two threads, until it stops.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sbi.inference import NPE
from sbi.utils import BoxUniform

THREADS = 2


def main():
    """Train, draw and print the seconds of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", required=True, type=Path, help="npz: theta, x, bounds (maybe empty), observations"
    )
    parser.add_argument("--samples", required=True, type=Path, help="npy to write")
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--flow", default="nsf", help="density estimator of sbi")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(options.seed)
    arrays, target = np.load(options.data), options.samples.resolve()
    data = {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}
    prior = BoxUniform(*data["bounds"].T) if len(data["bounds"]) else None
    # What sbi prints would spoil the one line of JSON.
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes logs where it runs
        inference = NPE(prior=prior, density_estimator=options.flow, show_progress_bars=False)
        inference.append_simulations(data["theta"], data["x"])
        start = time.perf_counter()
        flow = inference.train()
        seconds = time.perf_counter() - start
        samples = [draw(inference, flow, prior, row, options.draws) for row in data["observations"]]
        os.chdir(target.parent)
    np.save(target, samples)
    print(json.dumps({"seconds": seconds, "epochs": inference.summary["epochs_trained"][-1]}))


def draw(inference, flow, prior, observation, draws):
    """Draw posterior samples for one observation; where the prior has edges, those outside are rejected."""
    with torch.no_grad():
        if prior is None:
            samples = flow.sample((draws,), condition=observation[None])[:, 0]
        else:
            posterior = inference.build_posterior(flow)
            samples = posterior.sample((draws,), x=observation, show_progress_bars=False)
    return samples.numpy().astype(np.float64)


if __name__ == "__main__":
    main()
