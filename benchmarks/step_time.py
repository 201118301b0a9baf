"""Seconds of a training step on the paper's toy: innverse and FrEIA, alternating, on two threads.

    python benchmarks/step_time.py --peer-python PATH

PATH is the Python of an environment with torch, FrEIA and numpy; without it only innverse is timed. A step is
the difference between a long and a short training over the difference in steps: set-up does not count.
"""

import argparse
import statistics
import time
import warnings

from peer import print_markdown, run_peer

from innverse import INN
from innverse.problems import GaussianModes

# Hidden units, rows of a batch, and steps of the long training: seconds each.
CASES = ((512, 1600, 40), (128, 1600, 80), (64, 256, 400))
SHORT_SHARE = 4
THREADS = 2
NETWORK = dict(total_dim=16, latent_dim=2, n_blocks=8, clamp=2.0, early_stopping=False, n_jobs=THREADS)


def main():
    """Time every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="Python with FrEIA")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows = []
    for hidden, batch, steps in CASES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(our_step(hidden, batch, steps))
            if options.peer_python:
                theirs.append(their_step(options.peer_python, hidden, batch, steps))
        row = [str(hidden), str(batch), f"{statistics.median(ours):.4f}"]
        if theirs:
            ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
            row += [f"{statistics.median(theirs):.4f}", f"{statistics.median(ratios):.1f}"]
        rows.append(row)
    titles = ["hidden", "batch", "innverse, s"] + ["FrEIA, s", "ratio"] * bool(options.peer_python)
    print_markdown(titles, rows)


def our_step(hidden, batch, steps):
    """Time one step of innverse."""
    # As many epochs as steps would shuffle too often, one epoch would count loading the data.
    epochs = 4
    x, y = GaussianModes().sample(batch * steps // epochs, random_state=0)

    def seconds(epochs):
        model = INN(
            **NETWORK, hidden_layer_sizes=(hidden,), batch_size=batch, max_iter=epochs, random_state=0
        )
        start = time.perf_counter()
        model.fit(x, y)
        return time.perf_counter() - start

    seconds(1)
    return (seconds(epochs) - seconds(1)) / (steps - steps // epochs)


def their_step(python, hidden, batch, steps):
    """Time one step of FrEIA."""
    few = steps // SHORT_SHARE

    def seconds(steps):
        options = dict(hidden=hidden, batch=batch, steps=steps, rows=8 * batch, time_only=True)
        return run_peer(python, "toy_freia.py", **options)["seconds"]

    return (seconds(steps) - seconds(few)) / (steps - few)


if __name__ == "__main__":
    main()
