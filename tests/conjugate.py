"""A posterior that is known, and wrong in known ways where wanted."""

import math

import numpy as np


class Linear:
    """Posterior of x ~ N(0, 1), y = x + N(0, 1) in every column: N(y / 2, 1 / 2).

    Its spread is multiplied by `width`; `shift`, in spreads of the right posterior, is added in column 0.
    """

    def __init__(self, width=1.0, shift=0.0):
        self.width = width
        self.shift = shift
        self.calls = []

    def posterior(self, y, n=1000, random_state=None):
        self.calls.append((len(y), n, random_state))
        noise = np.random.default_rng(random_state).standard_normal((*y.shape[:1], n, y.shape[1]))
        return self._mean(y)[:, None] + self.width * math.sqrt(0.5) * noise

    def log_prob(self, x, y):
        # Without its constant, as no metric needs it.
        return -np.sum((x - self._mean(y)) ** 2, axis=1) / self.width**2

    def _mean(self, y):
        return y / 2 + self.shift * math.sqrt(0.5) * (np.arange(y.shape[1]) == 0)


def linear_data(m, columns=2):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((m, columns))
    return x, x + rng.standard_normal((m, columns))
