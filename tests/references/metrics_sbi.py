"""Metrics of sbi 0.27 on the samples of samples.py, as metrics_sbi.json.

    python tests/references/metrics_sbi.py > tests/references/metrics_sbi.json

Runs in an environment with torch and sbi.
"""

import json

import torch
from samples import posteriors, two_samples
from sbi.diagnostics.sbc import _run_sbc
from sbi.diagnostics.tarp import _run_tarp
from sbi.utils.metrics import c2st

BINS = 20
# The classifier of the benchmark of Lueckmann et al. 2021: its size for two columns.
CLASSIFIER = dict(activation="relu", hidden_layer_sizes=(20, 20), max_iter=1000, solver="adam")


def main():
    """Print the metrics."""
    truth, samples, references = (torch.tensor(part) for part in posteriors())
    draws_first = samples.transpose(0, 1)
    coverage, levels = _run_tarp(draws_first, truth, references, num_bins=BINS)
    ranks = _run_sbc(truth, truth, draws_first, show_progress_bar=False)
    x, y = (torch.tensor(part) for part in two_samples())
    accuracy = c2st(x, y, classifier="mlp", classifier_kwargs=CLASSIFIER)
    result = {
        "tarp_levels": levels.tolist(),
        "tarp_coverage": coverage.tolist(),
        "sbc_ranks": ranks.int().tolist(),
        "c2st": float(accuracy),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
