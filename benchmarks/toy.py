"""The paper's toy, innverse beside FrEIA: scores and seconds of training.

    python benchmarks/toy.py --peer-python PATH

PATH is the Python of an environment with torch, FrEIA and numpy. Both train the paper's network on two
threads, one after the other for each labelling: FrEIA for the 400 steps and at the constant learning rate of
its authors' recipe, innverse for the epochs of `make demo`. About twelve minutes.
"""

import argparse
import sys
import warnings

from peer import BENCHMARKS, print_markdown, run_peer

sys.path.insert(0, str(BENCHMARKS.parent / "examples"))
from gaussian_modes import EPOCHS, measure, train

COLUMNS = {
    "accuracy": "{:.4f}",
    "in_own_label": "{:.4f}",
    "within_3_sigma": "{:.4f}",
    "share_error_pp": "{:.2f}",
    "mmd2": "{:.4f}",
    "mmd2_exact": "{:.4f}",
    "seconds": "{:.0f}",
}
TITLES = (
    "labels",
    "",
    "label right",
    "in own label",
    "within 3 sigma",
    "share error, pp",
    "MMD²",
    "of truth",
    "s",
)


def main():
    """Train both on every labelling and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="Python with FrEIA")
    parser.add_argument("--steps", type=int, default=400, help="steps of FrEIA")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="constant column", category=UserWarning)
    rows = []
    for labels, epochs in EPOCHS.items():
        recipe = dict(labels=labels, steps=options.steps, constant_rate=True)
        theirs = run_peer(options.peer_python, "toy_freia.py", **recipe)
        ours = measure(train(labels, epochs))
        for name, scores in (("innverse", ours), ("FrEIA", theirs)):
            rows.append([labels, name, *(form.format(scores[key]) for key, form in COLUMNS.items())])
    print_markdown(TITLES, rows)


if __name__ == "__main__":
    main()
