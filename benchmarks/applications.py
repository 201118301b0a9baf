"""The paper's two applications, medicine and astrophysics, with default settings.

    python benchmarks/applications.py [--quick] [--references FOLDER]

On 100,000 simulations each, `ConditionalINN(bounds=..., random_state=0)` is fitted to `TissueReflectance` and
to `StarCluster`, and judged: on held-out pairs by the median calibration error of each parameter, and on
observations against reference posteriors, drawn by sequential Monte Carlo on the explicit likelihood. There,
for each parameter, the spread of the posterior over that of the prior, and the classifier two-sample test
(C2ST, 0.5 is perfect) of that parameter alone; then the C2ST of all parameters together. Beside each C2ST is
that of a second reference, which is what chance and the errors of the reference leave.

For star clusters whose reference has two modes in age, the share of the younger one, and what the simulations
themselves know of it: weighted by the likelihood of the observation, so many of them count, and the share
among so many would have that standard error.

The references take most of the time, an hour or more for both problems; FOLDER keeps them. --quick takes few
simulations, observations and draws, and shows that it runs.
"""

import argparse
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peer import print_markdown
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from innverse import ConditionalINN
from innverse.metrics import c2st, calibration_error, expected_coverage
from innverse.problems import StarCluster, TissueReflectance

SEED = 0
# Of held-out pairs, of observations, and of the two references. Those of training have the seed 0.
PAIRS_SEED, OBSERVATIONS_SEED, REFERENCE_SEEDS = 3000, 1000, (2000, 5000)
PRIOR_DRAWS, PRIOR_SEED = 100_000, 6000
COVERAGE_ROWS, COVERAGE_DRAWS = 2000, 200
# Two modes in age: a density at the split of at most half of the lower of the two peaks, and a tenth of the
# posterior on either side.
AGE, AGE_BINS, AGE_SMOOTHING = 3, 60, 1.5
LEAST_DEPTH, LEAST_SHARE = 2.0, 0.1
PARAMETER_TITLES = (
    "parameter",
    "spread / prior's",
    "reference's",
    "calibration error, %",
    "C2ST",
    "highest",
    "second reference's",
)
MODE_TITLES = (
    "observation",
    "younger than, Myr",
    "share",
    "reference's",
    "second reference's",
    "error, pp",
    "simulations that count",
    "their standard error, pp",
)


@dataclass(frozen=True)
class Size:
    """How much is simulated, drawn and judged."""

    rows: int
    observations: int
    draws: int
    pairs: int
    pair_draws: int


FULL = {
    "tissue": Size(100_000, observations=10, draws=2000, pairs=40_000, pair_draws=500),
    "stars": Size(100_000, observations=30, draws=2000, pairs=40_000, pair_draws=500),
}
QUICK = Size(2000, observations=4, draws=200, pairs=500, pair_draws=100)
PROBLEMS = {"tissue": TissueReflectance, "stars": StarCluster}


def main():
    """Fit both problems and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few simulations, observations and draws")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--settings", default="", help="other settings of the estimator: n_blocks=8,...")
    parser.add_argument("--references", type=Path, help="folder of reference posteriors, read and added to")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    settings = {"random_state": SEED} | eval(f"dict({options.settings})")
    # The classifiers run side by side: one thread each.
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as pool:
        for name in options.problems:
            size = QUICK if options.quick else FULL[name]
            judge = Judge(name, size, options.references)
            print(f"\n{judge.problem!r}, {size.rows:,} simulations\n", flush=True)
            model = fit(judge.problem, size.rows, settings)
            judge.print_calibration(model)
            judge.print_parameters(model, pool)
            judge.print_joint(pool)
            if name == "stars":
                judge.print_modes()


def fit(problem, rows, settings):
    """Train, and print how long it took."""
    x, y = problem.sample(rows, random_state=SEED)
    start, processor = time.perf_counter(), time.process_time()
    model = ConditionalINN(bounds=problem.bounds, **settings).fit(x, y)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    print(f"Training: {seconds:.0f} s, {processor:.0f} s of processor time.", flush=True)
    return model


class Judge:
    """A problem with held-out pairs, and observations with two reference posteriors each."""

    def __init__(self, name, size, folder):
        self.name, self.size, self.folder = name, size, folder
        self.problem = PROBLEMS[name]()
        self.pairs = self.problem.sample(size.pairs, random_state=PAIRS_SEED)
        self.y = self.problem.sample(size.observations, random_state=OBSERVATIONS_SEED)[1]
        self.reference, self.second = (self.references(seed) for seed in REFERENCE_SEEDS)

    def references(self, seed):
        """Draw from the posterior of each observation, or read what was drawn before."""
        draws = np.empty((len(self.y), self.size.draws, self.problem.dx))
        for row, y in enumerate(self.y):
            path = self.folder and self.folder / f"{self.name}_{self.size.draws}_{seed}_{row}.npy"
            if path and path.exists():
                draws[row] = np.load(path)
                continue
            draws[row] = self.problem.reference_posterior(y, self.size.draws, random_state=seed + row)
            print(f"{self.name}: reference {row + 1} of {len(self.y)}", file=sys.stderr, flush=True)
            if path:
                self.folder.mkdir(parents=True, exist_ok=True)
                np.save(path, draws[row])
        return draws

    def print_calibration(self, model):
        """Judge the fit on held-out pairs, and keep its samples for the observations."""
        x, y = self.pairs
        self.calibration = calibration_error(model, x, y, n=self.size.pair_draws, random_state=SEED)
        self.samples = model.posterior(self.y, n=self.size.draws, random_state=SEED)
        few = x[:COVERAGE_ROWS], y[:COVERAGE_ROWS]
        coverage = expected_coverage(model, *few, n=COVERAGE_DRAWS, random_state=SEED)
        chance = np.quantile(chance_of_calibration(self.calibration.confidences, len(x)), [0.5, 0.95])
        print(
            f"Log density of held-out parameters: {np.mean(model.log_prob(x, y)):.3f}. "
            f"Median calibration error over all parameters: {100 * self.calibration.overall:.2f} %; for a "
            f"single one chance alone makes {100 * chance[0]:.2f} % in the median, {100 * chance[1]:.2f} % "
            f"in one of 20 cases. Largest error of the joint coverage: {100 * coverage.largest:.1f} pp.\n",
            flush=True,
        )

    def print_parameters(self, model, pool):
        """Print the table of the parameters, each by itself."""
        prior = self.problem.sample_prior(PRIOR_DRAWS, random_state=PRIOR_SEED).std(axis=0)
        spread, known = (draws.std(axis=1).mean(axis=0) / prior for draws in (self.samples, self.reference))
        columns = range(self.problem.dx)
        own, chance = (
            np.array([self.tests(draws[:, :, [column]], [column], pool) for column in columns])
            for draws in (self.samples, self.second)
        )
        rows = zip(
            spread, known, 100 * self.calibration.median, own.mean(1), own.max(1), chance.mean(1), strict=True
        )
        formats = (".3f", ".3f", ".2f", ".3f", ".3f", ".3f")
        table = [
            [name, *(format(value, wanted) for value, wanted in zip(row, formats, strict=True))]
            for name, row in zip(self.problem.x_names, rows, strict=True)
        ]
        print_markdown(PARAMETER_TITLES, table)

    def print_joint(self, pool):
        """Print the tests of all parameters together."""
        own, chance = (self.tests(draws, slice(None), pool) for draws in (self.samples, self.second))
        print(
            f"\nC2ST of all parameters, mean over {len(own)} observations with {self.size.draws:,} draws "
            f"each: {np.mean(own):.3f}, highest {np.max(own):.3f}; of a second reference "
            f"{np.mean(chance):.3f}, highest {np.max(chance):.3f}.\n",
            flush=True,
        )

    def tests(self, draws, columns, pool):
        """C2ST of draws of some columns against the reference, for each observation."""
        return list(pool.map(c2st, self.reference[:, :, columns], draws))

    def print_modes(self):
        """Print how much each of two modes in age weighs."""
        x = self.problem.sample(self.size.rows, random_state=SEED)[0]
        expected = self.problem.expected(x)
        table = []
        for row, reference in enumerate(self.reference):
            split = split_of_modes(reference[:, AGE], self.problem.low[AGE], self.problem.high[AGE])
            if split is None:
                continue
            draws = (self.samples, self.reference, self.second)
            own, known, second = (np.mean(samples[row, :, AGE] < split) for samples in draws)
            # Two references know more than one.
            truth = (known + second) / 2
            misfit = (self.y[row] - expected) / self.problem.noise_scales
            weights = np.exp(-0.5 * np.square(misfit).sum(axis=1))
            count = weights.sum() ** 2 / np.square(weights).sum()
            table.append(
                [
                    *(str(row), f"{split:.1f}", f"{own:.3f}", f"{known:.3f}", f"{second:.3f}"),
                    *(f"{100 * (own - truth):+.1f}", f"{count:.0f}"),
                    f"{100 * np.sqrt(truth * (1 - truth) / count):.1f}",
                ]
            )
        print(f"Two modes in age for {len(table)} of {len(self.y)} observations.\n")
        print_markdown(MODE_TITLES, table)


def chance_of_calibration(confidences, rows, repeats=1000):
    """Median calibration errors of a right posterior, for so many pairs: (repeats,)."""
    rng = np.random.default_rng(SEED)
    distances = np.abs(2 * rng.random((repeats, rows)) - 1)
    inliers = [np.searchsorted(np.sort(row), confidences) / rows for row in distances]
    return np.median(np.abs(np.array(inliers) - confidences), axis=1)


def split_of_modes(values, low, high):
    """Find the value between two modes where the density is least beside both peaks, or None."""
    counts, edges = np.histogram(values, AGE_BINS, (low, high))
    density = gaussian_filter1d(counts / len(values), AGE_SMOOTHING, mode="reflect")
    best, depth = None, LEAST_DEPTH
    for middle in range(1, AGE_BINS - 1):
        split = (edges[middle] + edges[middle + 1]) / 2
        younger = np.mean(values < split)
        peak = min(density[:middle].max(), density[middle + 1 :].max())
        if min(younger, 1 - younger) >= LEAST_SHARE and peak > depth * density[middle]:
            best, depth = split, peak / max(density[middle], np.finfo(float).tiny)
    return best


if __name__ == "__main__":
    main()
