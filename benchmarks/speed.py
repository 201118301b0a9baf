"""How fast: training steps, posterior samples, MMD and a whole fit, innverse and its peers alternating.

    python benchmarks/speed.py --torch-python PATH --jax-python PATH

The paths are the Python of environments with torch, FrEIA and numpy, and with flowjax and optax; without them
only innverse is timed. Two threads each. A step of innverse is the difference between a long and a short
`fit` over the difference in steps: set-up does not count; the peers time their steps themselves, compiled
before. The median of the rounds, and of the ratios within them. GFLOP/s counts the matrix products only, and
its share is of what numpy's own matrix product reaches on two threads in the same run.
"""

import argparse
import itertools
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from peer import PeerProcess, print_markdown, run_case
from threadpoolctl import threadpool_limits

from innverse import INN, ConditionalINN
from innverse.metrics import mmd
from innverse.problems import GaussianModes, InverseKinematics

THREADS = 2
# Hidden units, rows of a batch, and steps of the long training: a second or two each.
TOY = ((512, 1600, 40), (256, 1600, 80), (128, 1600, 120), (64, 256, 800), (64, 4000, 120))
TOY_NETWORK = dict(total_dim=16, latent_dim=2, n_blocks=8, clamp=2.0)
# Coupling, hidden layers, batch, steps. x has 4 columns and y has 2, as in the inverse kinematics.
FLOWS = (
    ("affine", (64, 64), 200, 2000),
    ("affine", (128, 128), 512, 400),
    ("affine", (256, 256), 1024, 80),
    ("affine", (512, 512), 4000, 8),
    ("spline", (64, 64), 200, 1000),
    ("spline", (128, 128), 512, 200),
    ("spline", (256, 256), 1024, 60),
)
DX, DY, N_BLOCKS, N_BINS = 4, 2, 4, 8
EPOCHS = 4
SAMPLERS = (("affine", (128, 128)), ("spline", (128, 128)))
DRAWS, REPEATS = 10_000, 20
# Points on both sides, and repetitions. The peer holds matrices of all pairs: gigabytes beyond this.
POINTS = ((500, 50), (1000, 20), (2000, 10), (5000, 3), (20_000, 1))
COLUMNS, MOST_PEER_POINTS = 10, 5000
FIT_ROWS, TEST_ROWS = 10_000, 10_000
FEW_ROWS, FEW_DRAWS = 1000, 1000
PRODUCT_SIZE = 2048
IMPORT = """
import json, sys, time
line = json.loads(sys.argv[1])
start = time.perf_counter()
exec(line)
print(time.perf_counter() - start)
"""


def main():
    """Time everything asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", help="Python with torch and FrEIA")
    parser.add_argument("--jax-python", help="Python with flowjax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    peers = {}
    if options.torch_python:
        peers["FrEIA"] = PeerProcess(options.torch_python, "speed_torch.py")
    if options.jax_python:
        peers["flowjax"] = PeerProcess(options.jax_python, "speed_jax.py")
    with threadpool_limits(THREADS):
        rate = product_rate()
        print(f"numpy's matrix product: {rate:.0f} GFLOP/s on {THREADS} threads")
        for work in options.only:
            WORKS[work](peers, options.rounds, rate)


def product_rate():
    """GFLOP/s of a large product in single precision, the best of several."""
    a, b = np.random.default_rng(0).standard_normal((2, PRODUCT_SIZE, PRODUCT_SIZE)).astype(np.float32)
    a @ b
    seconds = min(timed(lambda: a @ b) for _ in range(5))
    return 2e-9 * PRODUCT_SIZE**3 / seconds


def timed(work):
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(peers, rounds, ours, theirs):
    """Time ours and each peer's, in turn: medians of ours, and of each peer its own and the ratio.

    `ours` is a function without arguments, `theirs` one of the peer's process; the value of both is seconds.
    """
    own, other = [], {name: [] for name in peers}
    for _ in range(rounds):
        own.append(ours())
        for name, peer in peers.items():
            other[name].append(theirs(peer))
    median = statistics.median
    ratios = {name: median(b / a for a, b in zip(own, s, strict=True)) for name, s in other.items()}
    return median(own), {name: (median(other[name]), ratios[name]) for name in peers}


def cells(own, compared, unit=1e3, names=("FrEIA", "flowjax")):
    """Cells of a table: our time, then time and ratio of the peers."""
    row = [f"{unit * own:.3g}"]
    for name in names:
        row += (
            [f"{unit * compared[name][0]:.3g}", f"{compared[name][1]:.1f}"] if name in compared else ["", ""]
        )
    return row


def only(peers, name):
    """Keep one of the peers, where it is there."""
    return {key: peer for key, peer in peers.items() if key == name}


def step_seconds(build, x, y, steps, n_jobs):
    """Seconds of one step of innverse: a fit of several epochs less one of a single epoch."""

    def seconds(epochs):
        return timed(lambda: build(epochs, n_jobs).fit(x, y))

    seconds(1)
    return (seconds(EPOCHS) - seconds(1)) / (steps - steps // EPOCHS)


def toy(peers, rounds, rate):
    """Time the paper's toy: both directions, two MMDs."""
    rows = [toy_row(only(peers, "FrEIA"), rounds, *case) for case in TOY]
    print("\nTraining step of the paper's toy\n")
    print_markdown(("hidden", "batch", "innverse, ms", "FrEIA, ms", "ratio"), rows)


def toy_step(hidden, batch, steps):
    """Return a function that times one step of the toy on so many threads."""
    x, y = GaussianModes().sample(batch * steps // EPOCHS, random_state=0)
    return partial(step_seconds, partial(build_toy, hidden, batch), x, y, steps)


def build_toy(hidden, batch, epochs, n_jobs):
    """Build the paper's network that is timed."""
    return INN(
        **TOY_NETWORK,
        hidden_layer_sizes=(hidden,),
        batch_size=batch,
        max_iter=epochs,
        early_stopping=False,
        random_state=0,
        n_jobs=n_jobs,
    )


def toy_row(peers, rounds, hidden, batch, steps):
    """Time one width and batch."""
    seconds = toy_step(hidden, batch, steps)
    asked = dict(hidden=hidden, batch=batch, steps=max(steps // 10, 4))
    compared = compare(
        peers,
        rounds,
        lambda: seconds(THREADS),
        lambda peer: peer("toy_step", **asked)["seconds"],
    )
    return [str(hidden), str(batch), *cells(*compared, names=("FrEIA",))]


def flow_products(coupling, hidden):
    """Floating-point operations of a row's products in a training step: forward, and twice that backward."""
    half = DX // 2
    outputs = half * (2 if coupling == "affine" else 2 + 3 * N_BINS - 1)
    sizes = (half + DY, *hidden, outputs)
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    return 3 * 2 * weights * 2 * N_BLOCKS


def build_flow(coupling, hidden, batch, epochs, n_jobs=THREADS):
    """Build the flow that is timed."""
    return ConditionalINN(
        coupling=coupling,
        n_bins=N_BINS,
        n_blocks=N_BLOCKS,
        hidden_layer_sizes=hidden,
        batch_size=batch,
        max_iter=epochs,
        n_estimators=1,
        early_stopping=False,
        random_state=0,
        n_jobs=n_jobs,
    )


def flow_step(coupling, hidden, batch, steps):
    """Return a function that times one step of a flow on so many threads."""
    x, y = InverseKinematics().sample(batch * steps // EPOCHS, random_state=0)
    return partial(step_seconds, partial(build_flow, coupling, hidden, batch), x, y, steps)


def flows(peers, rounds, rate):
    """Time conditional flows trained by likelihood."""
    rows = [flow_row(peers, rounds, rate, *case) for case in FLOWS]
    print("\nTraining step of a conditional flow, eight couplings\n")
    titles = ("coupling", "hidden", "batch", "innverse, ms", "FrEIA, ms", "ratio", "flowjax, ms", "ratio")
    print_markdown((*titles, "GFLOP/s", "share"), rows)


def flow_row(peers, rounds, rate, coupling, hidden, batch, steps):
    """Time one flow."""
    seconds = flow_step(coupling, hidden, batch, steps)
    asked = dict(coupling=coupling, hidden=hidden, batch=batch, steps=max(steps // 5, 4), dx=DX, dy=DY)
    own, compared = compare(
        peers if coupling == "affine" else only(peers, "flowjax"),
        rounds,
        lambda: seconds(THREADS),
        lambda peer: peer("step", **asked)["seconds"],
    )
    speed = 1e-9 * flow_products(coupling, hidden) * batch / own
    row = [coupling, str(hidden), str(batch), *cells(own, compared)]
    return [*row, f"{speed:.0f}", f"{100 * speed / rate:.0f} %"]


def threads(peers, rounds, rate):
    """Time the same steps on two threads and on one."""
    rows = [
        threads_row(rounds, "toy", f"({hidden},)", batch, toy_step(hidden, batch, steps))
        for hidden, batch, steps in TOY
    ]
    for coupling, hidden, batch, steps in FLOWS:
        step = flow_step(coupling, hidden, batch, steps)
        rows.append(threads_row(rounds, coupling, str(hidden), batch, step))
    print("\nTraining steps of the toy and of the flows, on two threads and on one\n")
    print_markdown(("step", "hidden", "batch", "two threads, ms", "one, ms", "ratio"), rows)


def threads_row(rounds, name, hidden, batch, seconds):
    """Time one step."""
    compared = compare({"one": 1}, rounds, lambda: seconds(THREADS), seconds)
    return [name, hidden, str(batch), *cells(*compared, names=("one",))]


def sampling(peers, rounds, rate):
    """Time many samples of the posterior of one observation."""
    rows = [sampling_row(peers, rounds, *case) for case in SAMPLERS]
    print(f"\n{DRAWS:,} samples of a posterior, eight couplings\n")
    print_markdown(("coupling", "hidden", "innverse, ms", "FrEIA, ms", "ratio", "flowjax, ms", "ratio"), rows)


def sampling_row(peers, rounds, coupling, hidden):
    """Time one flow."""
    x, y = InverseKinematics().sample(2000, random_state=0)
    model = build_flow(coupling, hidden, 500, 1).fit(x, y)

    def draw():
        return timed(lambda: [model.posterior(y[0], DRAWS, random_state=i) for i in range(REPEATS)]) / REPEATS

    asked = dict(coupling=coupling, hidden=hidden, draws=DRAWS, repeats=REPEATS, dx=DX, dy=DY)
    compared = compare(
        peers if coupling == "affine" else only(peers, "flowjax"),
        rounds,
        draw,
        lambda peer: peer("draw", **asked)["seconds"],
    )
    return [coupling, str(hidden), *cells(*compared)]


def discrepancy(peers, rounds, rate):
    """Time the MMD with its gradient."""
    rows = [discrepancy_row(only(peers, "FrEIA"), rounds, *case) for case in POINTS]
    print(f"\nMMD and its gradient, {COLUMNS} columns, single precision\n")
    print_markdown(("points", "innverse, ms", "PyTorch, ms", "ratio", "10^9 pairs / s"), rows)


def discrepancy_row(peers, rounds, points, repeats):
    """Time one number of points."""
    x, y = np.random.default_rng(0).standard_normal((2, points, COLUMNS)).astype(np.float32)

    def draw():
        return (
            timed(lambda: [mmd(x, y, return_gradient=True, n_jobs=THREADS) for _ in range(repeats)]) / repeats
        )

    own, compared = compare(
        peers if points <= MOST_PEER_POINTS else {},
        rounds,
        draw,
        lambda peer: peer("mmd", n=points, columns=COLUMNS, repeats=repeats)["seconds"],
    )
    speed = 1e-9 * 3 * points**2 / own
    return [f"{points:,}", *cells(own, compared, names=("FrEIA",)), f"{speed:.2f}"]


def fit(peers, rounds, rate):
    """Time a whole fit with defaults, beside flowjax's own, by the log density of pairs held out."""
    problem = InverseKinematics()
    (x, y), (x_test, y_test) = problem.sample(FIT_ROWS, 0), problem.sample(TEST_ROWS, 1)
    scales = x.std(axis=0), y.std(axis=0)
    shifts = x.mean(axis=0), y.mean(axis=0)
    x, x_test = (x - shifts[0]) / scales[0], (x_test - shifts[0]) / scales[0]
    y, y_test = (y - shifts[1]) / scales[1], (y_test - shifts[1]) / scales[1]
    model = ConditionalINN(random_state=0, n_jobs=THREADS)
    seconds = timed(lambda: model.fit(x, y))
    rows = [["innverse, defaults", f"{seconds:.1f}", f"{model.log_prob(x_test, y_test).mean():.2f}"]]
    plain = ConditionalINN(random_state=0, n_jobs=THREADS, surrogate=False, n_estimators=1)
    seconds = timed(lambda: plain.fit(x, y))
    rows.append(
        ["innverse, simulations alone", f"{seconds:.1f}", f"{plain.log_prob(x_test, y_test).mean():.2f}"]
    )
    if "flowjax" in peers:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data.npz"
            np.savez(data, x=x, y=y, x_test=x_test, y_test=y_test)
            for coupling in ("affine", "spline"):
                got = peers["flowjax"]("fit", data=str(data), coupling=coupling, hidden=(64, 64), seed=0)
                rows.append([f"flowjax, {coupling}", f"{got['seconds']:.1f}", f"{got['log_density']:.2f}"])
    print(f"\nA whole fit, inverse kinematics, {FIT_ROWS:,} simulations\n")
    print_markdown(("", "training, s", "log density of pairs held out"), rows)


def felt(peers, rounds, rate):
    """Time what a user waits for: imports, a fit with defaults to 1,000 rows, samples for one observation."""
    imports = ("import innverse", "from innverse import ConditionalINN")
    seconds = [(f"`{line}`", import_seconds(line, rounds)) for line in imports]
    x, y = InverseKinematics().sample(FEW_ROWS, random_state=0)
    model = ConditionalINN(random_state=0, n_jobs=THREADS)
    fits = [timed(lambda: model.fit(x, y)) for _ in range(rounds)]
    seconds.append((f"`ConditionalINN().fit`, {FEW_ROWS:,} simulations", statistics.median(fits)))
    draws = [timed(lambda: model.posterior(y[0], FEW_DRAWS)) for _ in range(REPEATS)]
    seconds.append((f"`posterior(y, {FEW_DRAWS})` for one observation", statistics.median(draws)))
    print("\nWhat a user waits for, median\n")
    print_markdown(("", "s"), [[name, f"{value:.2g}"] for name, value in seconds])


def import_seconds(line, rounds):
    """Seconds of an import in a fresh process, the second and later times."""
    run_case(IMPORT, line)
    return statistics.median(run_case(IMPORT, line) for _ in range(rounds))


WORKS = {
    "toy": toy,
    "flows": flows,
    "threads": threads,
    "sampling": sampling,
    "mmd": discrepancy,
    "fit": fit,
    "felt": felt,
}


if __name__ == "__main__":
    main()
