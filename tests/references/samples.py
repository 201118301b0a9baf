"""Samples that metrics of two packages are compared on; needs numpy only."""

import numpy as np

CASES, DRAWS = 200, 99


def posteriors():
    """Truths, posterior samples that are too narrow, and reference points for them.

    Truths have deviation 1 in each column: one of the packages scales by it.
    """
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(CASES, 2))
    truth = (truth - truth.mean(axis=0)) / truth.std(axis=0)
    centre = truth + 0.5 * rng.normal(size=truth.shape)
    samples = centre[:, np.newaxis] + 0.4 * rng.normal(size=(CASES, DRAWS, 2))
    return truth, samples, rng.uniform(-2, 2, size=truth.shape)


def two_samples():
    """Return two samples that differ somewhat."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    return x, rng.normal(size=x.shape) * (1.3, 1.0) + (0.4, 0.0)
