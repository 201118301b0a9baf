"""Train on the paper's toy problem, score the posteriors, and draw them.

Three networks learn the same eight Gaussian modes, of which they see each mode's own label, a
shared label, or a single label for all. Prints one table and writes to ``demo/``:

- ``toy.png``: ground truth beside posterior samples, coloured by label;
- ``latent.png``: which part of the latent space holds which mode;
- ``history.png``: the losses of the three trainings;
- ``posteriors.gif``: the posteriors forming while smaller networks train.
"""

import argparse
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from innverse import INN, plot
from innverse.problems import GaussianModes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from toy_metrics import MMD_SAMPLES, TRUE_SHARE_IN_RADIUS, label_accuracy, score_samples  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

SEED = 0
# The network of Ardizzone et al., ICLR 2019, for this problem.
PAPER = dict(
    total_dim=16,
    latent_dim=2,
    n_blocks=8,
    hidden_layer_sizes=(512,),
    clamp=2.0,
    # The paper's loss: here x determines y, and the default's scores of single observations change little.
    energy_weight=0.0,
    batch_size=1600,
    # Found for this problem, with so few steps; four times the default.
    learning_rate_init=4e-3,
)
# Passes over the training data, of 57 steps and three seconds on two cores: the more modes share a
# label, the longer it takes to part them.
EPOCHS = {"all": 10, "some": 16, "none": 34}
LABELLINGS = tuple(EPOCHS)
TRAINING_ROWS = 100_000
# Draws for each label, and new pairs, that the table is computed from: with 20,000 draws chance
# alone moves the share of a mode by about a third of a percentage point.
DRAWS = 20_000
TEST_ROWS = 10_000
# The animation needs a network at many stages, not the best one: a narrow one, pass by pass. Most
# of the change comes early, so the gaps between frames grow.
# Its learning rate never falls, so it is lower from the start.
SMALL = {**PAPER, "hidden_layer_sizes": (128,), "batch_size": 400, "learning_rate_init": 1e-3}
PASSES_AT_FRAME = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 31, 37, 44, 52, 60)
ROWS_PER_PASS = 8 * SMALL["batch_size"]
ANIMATED_POINTS = 1000
# The last picture stays for this many frames.
HOLD_FRAMES = 8


@dataclass
class Trained:
    """A problem, the network fitted to it, and how long that took in seconds."""

    problem: GaussianModes
    model: INN
    seconds: float


def main():
    """Train, print the table, and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, help="passes over the training data, for every labelling")
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder of the pictures")
    options = parser.parse_args()
    # Columns of labels that no mode carries are constant here, and meant to be.
    warnings.filterwarnings("ignore", message="constant column", category=UserWarning)
    options.out.mkdir(parents=True, exist_ok=True)

    results = [train(labels, options.epochs or EPOCHS[labels]) for labels in LABELLINGS]
    print_table([measure(result) for result in results])
    draw_toy(results, options.out / "toy.png")
    draw_latent(results, options.out / "latent.png")
    draw_history(results, options.out / "history.png")
    draw_animation(options.out / "posteriors.gif")
    print(f"\nPictures are in {options.out}")


def train(labels, epochs):
    """Fit the paper's network to one labelling."""
    print(f"Training on labels={labels!r} ...", flush=True)
    problem = GaussianModes(labels=labels)
    x, y = problem.sample(TRAINING_ROWS, random_state=SEED)
    model = INN(**PAPER, max_iter=epochs, random_state=SEED, verbose=1)
    start = time.perf_counter()
    model.fit(x, y)
    return Trained(problem, model, time.perf_counter() - start)


def measure(result):
    """Compute one row of the table."""
    problem, model = result.problem, result.model
    x, y = problem.sample(TEST_ROWS, random_state=SEED + 1)
    samples = model.posterior(problem.observations, n=DRAWS, random_state=SEED)
    return {
        "labels": problem.labels,
        "accuracy": label_accuracy(model.predict(x), y),
        **score_samples(problem, problem.observations, samples),
        "seconds": result.seconds,
    }


def print_table(rows):
    """Print the scores, one labelling a line."""
    columns = {
        "labels": ("labels", "{}"),
        "accuracy": ("label right", "{:.4f}"),
        "in_own_label": ("in own label", "{:.4f}"),
        "within_3_sigma": ("within 3 sigma", "{:.4f}"),
        "share_error_pp": ("share error, pp", "{:.2f}"),
        "share_error_pp_exact": ("of truth, pp", "{:.2f}"),
        "mmd2": ("MMD^2", "{:.5f}"),
        "mmd2_exact": ("of truth", "{:.5f}"),
        "seconds": ("training, s", "{:.1f}"),
    }
    cells = [[title for title, _ in columns.values()]]
    cells += [[form.format(row[key]) for key, (_, form) in columns.items()] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    print()
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    print(
        f"""
label right      new points whose label is predicted right
in own label     posterior samples nearest to a mode that carries their label
within 3 sigma   posterior samples that near to a mode; the truth is {TRUE_SHARE_IN_RADIUS:.4f}
share error      largest error of a mode's share of its label's samples, percentage points
MMD^2            distance to {MMD_SAMPLES} exact samples
of truth         the column before it, for other exact samples: what chance alone gives"""
    )


def draw_toy(results, path):
    """Draw ground truth beside samples, a row for each labelling."""
    size = (7.0, 3.2 * len(results))
    figure, axes = plt.subplots(len(results), 2, figsize=size, layout="constrained")
    for row, result in zip(axes, results, strict=True):
        # One posterior draw for each true pair makes the two pictures comparable point by point.
        x, y = result.problem.sample(2000, random_state=SEED + 2)
        samples = result.model.posterior(y, n=1, random_state=SEED)[:, 0]
        label = y.argmax(axis=1)
        titles = (f"labels={result.problem.labels!r}: ground truth", "posterior samples")
        plot.posterior_scatter(x, samples, label, label, titles=titles, axes=row)
        for ax in row:
            ax.set_aspect("equal")
    save(figure, path)


def draw_latent(results, path):
    """Draw the latent space of the first label of each labelling, coloured by mode."""
    size = (3.4 * len(results), 3.4)
    figure, axes = plt.subplots(1, len(results), figsize=size, layout="compressed")
    for ax, result in zip(axes, results, strict=True):
        problem, y = result.problem, result.problem.observations[0]
        plot.latent_map(result.model, y, problem.nearest_mode, random_state=SEED, ax=ax)
        modes = int(np.sum(problem.mode_labels == y.argmax()))
        ax.set_title(f"labels={problem.labels!r}: label 0, {modes} mode{'s' * (modes > 1)}")
    save(figure, path)


def draw_history(results, path):
    """Draw the losses of each training."""
    size = (4.0 * len(results), 3.4)
    figure, axes = plt.subplots(1, len(results), figsize=size, layout="constrained")
    for ax, result in zip(axes, results, strict=True):
        plot.history(result.model, ax=ax)
        ax.set_title(f"labels={result.problem.labels!r}")
    save(figure, path)


def draw_animation(path):
    """Write the animation of the posteriors forming."""
    problems = [GaussianModes(labels=labels) for labels in LABELLINGS]
    truth = [problem.sample(ANIMATED_POINTS, random_state=SEED + 3) for problem in problems]
    panels = []
    for problem, (_, y) in zip(problems, truth, strict=True):
        print(f"Watching labels={problem.labels!r} form ...", flush=True)
        panels.append(posteriors_forming(problem, y))
    captions = [f"{ROWS_PER_PASS * passes:,} training points seen" for passes in PASSES_AT_FRAME[1:]]
    animation = plot.animate(
        [frames + frames[-1:] * HOLD_FRAMES for frames in panels],
        titles=[f"labels={problem.labels!r}" for problem in problems],
        groups=[y.argmax(axis=1) for _, y in truth],
        reference=[x for x, _ in truth],
        captions=captions + captions[-1:] * HOLD_FRAMES,
    )
    animation.save(path, writer="pillow", fps=5)
    plt.close("all")


def posteriors_forming(problem, y):
    """Train in steps, and draw one posterior sample for each observation after each step.

    The seed of the draws stays the same, so each point keeps its latent variables and moves only
    because the network changes.
    """
    rng = np.random.default_rng(SEED)
    model = INN(**SMALL, random_state=SEED)
    frames = []
    for passes in np.diff(PASSES_AT_FRAME):
        for _ in range(passes):
            model.partial_fit(*problem.sample(ROWS_PER_PASS, rng))
        frames.append(model.posterior(y, n=1, random_state=SEED)[:, 0])
    return frames


def save(figure, path):
    """Write a picture and let go of it."""
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
