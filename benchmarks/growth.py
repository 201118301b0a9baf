"""How time and memory grow: with rows, blocks, width, columns and threads; and the MMD with its points.

    python benchmarks/growth.py [--rows 10000 100000 ...]

Each case is a process of its own. `ConditionalINN` is trained by likelihood, and all but one of its measures
are alike: 5 blocks of splines, subnetworks of (64, 64), 8 columns of x and of y, batches of 1,000. Seconds
are those of three epochs less one, over two, so that set-up does not count; memory is the peak of the process
less what it held before `fit`. The machine's threads are used in turn: one, two, four and so on.
"""

import argparse
import os

from peer import print_markdown, run_case

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
BLOCKS = (2, 4, 8, 16, 32, 64)
WIDTHS = (32, 64, 128, 256, 512)
COLUMNS = (2, 4, 8, 16, 32, 64)
POINTS = (1000, 5000, 20_000, 50_000)
# Rows of the cases that do not vary them.
FEW_ROWS = 20_000
DEFAULTS = dict(rows=FEW_ROWS, blocks=5, width=64, columns=8, threads=2)
FIT = """
import json, resource, sys, time
import numpy as np
from innverse import ConditionalINN
case = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.standard_normal((case["rows"], case["columns"]))
# In place: nothing else must count as memory before the fit.
y = rng.standard_normal(x.shape)
y *= 0.1
y += x
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def seconds(epochs):
    model = ConditionalINN(
        n_blocks=case["blocks"], hidden_layer_sizes=(case["width"],) * 2, batch_size=1000, max_iter=epochs,
        early_stopping=False, n_estimators=1, random_state=0, n_jobs=case["threads"],
    )
    start = time.perf_counter()
    model.fit(x, y)
    return time.perf_counter() - start
before = peak()
once = seconds(1)
print(json.dumps([(seconds(3) - once) / 2, peak() - before]))
"""
MMD = """
import json, resource, sys, time
import numpy as np
from innverse.metrics import mmd
points = json.loads(sys.argv[1])
x, y = np.random.default_rng(0).standard_normal((2, points, 10)).astype(np.float32)
mmd(x[:100], y[:100], return_gradient=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = time.perf_counter()
mmd(x, y, return_gradient=True)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before]))
"""
FIT_TITLES = ("s per epoch", "us per row", "memory of fit, MiB")


def fit_table(name, values):
    """Print how an epoch grows with one of its measures."""
    table = []
    for value in values:
        case = DEFAULTS | {name: value}
        seconds, memory = run_case(FIT, case)
        per_row = 1e6 * seconds / case["rows"]
        table.append([f"{value:,}", f"{seconds:.3g}", f"{per_row:.3g}", f"{memory:.0f}"])
    print(f"\nAgainst {name}\n")
    print_markdown((name, *FIT_TITLES), table)


def mmd_table():
    """Print how the MMD grows with its points."""
    table = []
    for points in POINTS:
        seconds, memory = run_case(MMD, points)
        # Of the matrix of all pairs, which is never made.
        whole = points**2 * 4 / 2**20
        table.append([f"{points:,}", f"{seconds:.3g}", f"{memory:.1f}", f"{whole:,.0f}"])
    print("\nMMD with its gradient, ten columns, inverse multiquadratics of three widths\n")
    print_markdown(("points", "s", "memory, MiB", "one matrix of all pairs, MiB"), table)


def powers(most):
    """Powers of two up to a number, and it."""
    return sorted({most, *(2**i for i in range(most.bit_length()) if 2**i <= most)})


def main():
    """Print a table for each measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    options = parser.parse_args()
    fit_table("rows", options.rows)
    fit_table("blocks", BLOCKS)
    fit_table("width", WIDTHS)
    fit_table("columns", COLUMNS)
    fit_table("threads", powers(os.cpu_count() or 1))
    mmd_table()


if __name__ == "__main__":
    main()
