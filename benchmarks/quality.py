"""How good posteriors are with default settings: ten tasks with reference posteriors.

    python benchmarks/quality.py [--estimator INN] [--published FOLDER] [--peer-python PATH] [--results FILE]

For each task, number of simulations and seed, `ConditionalINN(bounds=..., random_state=seed)`, or an `INN` in
its place, is fitted and judged: classifier two-sample test (C2ST, 0.5 is perfect) against the reference
posterior, mean over observations that no fit has seen; minus the energy score of the posteriors of held-out
pairs, in parameters divided by their spread (higher is better, near 0 where the posterior is narrow); largest
error of the central intervals of any parameter, and of the expected coverage of joint regions with its mean,
in percentage points (negative is overconfident); mean log density of held-out parameters, and how much more
it would be with the exact posterior, where the task knows it (of 200 of them); seconds of training. Coverage
of joint regions and density need a network without padding. Mean over seeds, with the spread over seeds in
brackets. Six more tasks, of grid_tasks.py, have to be named. The full table takes hours, most of them in the
classifiers; --quick takes 2,000 draws of two observations. FOLDER is a copy of the repository
sbi-benchmark/sbibm: eight of the tasks then take the observations and reference posteriors published with it.
PATH is the Python of an environment with torch and sbi: its spline flow is then trained on the same
simulations just before, for the first seed. FILE keeps each result as a line of JSON, and what is in it is
not measured again, whatever the estimator.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from grid_tasks import GRID_TASKS
from peer import has_density, print_over_seeds, run_peer
from tasks import TASKS
from threadpoolctl import threadpool_limits

from innverse import INN, ConditionalINN
from innverse.metrics import c2st, calibration_error, expected_coverage

ROWS = (1000, 10_000, 100_000)
SEEDS = (0, 1, 2)
OBSERVATIONS, DRAWS = 10, 10_000
QUICK_OBSERVATIONS, QUICK_DRAWS = 2, 2000
COVERAGE_ROWS, COVERAGE_DRAWS = 10_000, 200
# Pairs held out whose exact log density is compared: it may take seconds each.
EXACT_ROWS, QUICK_EXACT_ROWS = 200, 20
COLUMNS = ("c2st", "score", "calibration", "coverage", "bias", "log_prob", "lost", "seconds")
TITLES = (
    "task",
    "C2ST",
    "minus energy score",
    "calibration error, pp",
    "largest coverage error, pp",
    "mean, pp",
    "log density",
    "lost",
    "training, s",
)
ALL_TASKS = {**TASKS, **GRID_TASKS}
ESTIMATORS = {"ConditionalINN": ConditionalINN, "INN": INN}


def main():
    """Run the tasks and print a table for each number of simulations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few observations, few draws")
    parser.add_argument("--tasks", nargs="+", choices=ALL_TASKS, default=list(TASKS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--estimator", choices=ESTIMATORS, default="ConditionalINN")
    parser.add_argument("--observations", type=int, help=f"for C2ST, {OBSERVATIONS} if not given; 0: none")
    parser.add_argument("--published", type=Path, help="copy of the repository sbi-benchmark/sbibm")
    parser.add_argument("--settings", default="", help="other settings of the estimator: n_blocks=8,...")
    parser.add_argument("--peer-python", help="Python with sbi")
    parser.add_argument("--results", type=Path, help="file of results, read and added to")
    options = parser.parse_args()
    published = options.published / "sbibm" / "tasks" if options.published else None
    if published and not published.is_dir():
        parser.error(f"--published must be a copy of the repository, {published} is not there")
    warnings.filterwarnings("ignore", category=UserWarning)
    build = partial(ESTIMATORS[options.estimator], **eval(f"dict({options.settings})"))
    record = Record(options.results)
    judges = {
        name: Judge(ALL_TASKS[name], options.quick, options.observations, published) for name in options.tasks
    }
    # The classifiers run side by side: one thread each.
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as pool:
        for rows in options.rows:
            results = {}
            for name, judge in judges.items():
                if options.peer_python:
                    what = (f"{name}, sbi", rows, options.seeds[0])
                    peer = record.get(what, judge.judge_peer, *what[1:], options.peer_python, pool)
                    results[what[0]] = [peer]
                for seed in options.seeds:
                    result = record.get((name, rows, seed), judge.judge, build, rows, seed, pool)
                    results.setdefault(name, []).append(result)
            print(f"\n{rows:,} simulations\n")
            print_over_seeds(TITLES, results, COLUMNS, digits=3)


class Record:
    """What was measured, by task, number of simulations and seed, in a file if there is one."""

    def __init__(self, path):
        self.path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.results = {tuple(key): result for key, result in map(json.loads, lines)}

    def get(self, key, measure, *arguments):
        """Return the result of a measurement that is made if it was not before."""
        if key not in self.results:
            self.results[key] = measure(*arguments)
            line = json.dumps([key, self.results[key]])
            print(line, file=sys.stderr, flush=True)
            if self.path:
                with self.path.open("a") as file:
                    file.write(line + "\n")
        return self.results[key]


class Judge:
    """A task with observations, their reference posteriors, and pairs held out."""

    def __init__(self, task, quick, observations=None, published=None):
        self.task = task
        self.draws = QUICK_DRAWS if quick else DRAWS
        self.exact_rows = QUICK_EXACT_ROWS if quick else EXACT_ROWS
        if observations is None:
            observations = QUICK_OBSERVATIONS if quick else OBSERVATIONS
        folder = published / task.name / "files" if published else None
        self.folder = folder if folder and folder.exists() else None
        if self.folder:
            rows = [self._read(i, "observation.csv") for i in range(observations)]
            self.y = np.reshape(rows, (observations, task.dy))
        else:
            self.y = task.sample(max(observations, 1), 1000)[1][:observations]
        self.held_out = task.sample(COVERAGE_ROWS, 3000)

    @cached_property
    def references(self):
        """Samples of the reference posterior of each observation."""
        if self.folder:
            name = "reference_posterior_samples.csv.bz2"
            return [self._read(i, name)[: self.draws] for i in range(len(self.y))]
        return [self.task.reference_posterior(y, self.draws, 2000 + i) for i, y in enumerate(self.y)]

    @cached_property
    def exact(self):
        """Log density of the exact posterior for the first pairs held out, None where it is not known."""
        pairs = zip(*(rows[: self.exact_rows] for rows in self.held_out), strict=True)
        densities = [self.task.log_posterior(theta[np.newaxis], x) for theta, x in pairs]
        return None if densities[0] is None else np.concatenate(densities)

    def _read(self, i, name):
        path = self.folder / f"num_observation_{i + 1}" / name
        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)

    def judge(self, build, rows, seed, pool):
        """Train what `build` makes and measure."""
        x, y = self.task.sample(rows, 4000 + seed)
        start = time.perf_counter()
        model = build(bounds=self.task.bounds, random_state=seed).fit(x, y)
        seconds = time.perf_counter() - start
        accuracy = self.accuracy(lambda: model.posterior(self.y, n=self.draws, random_state=seed), pool)
        marginal = calibration_error(model, *self.held_out, n=COVERAGE_DRAWS, random_state=seed)
        result = dict(
            **accuracy,
            score=model.score(*self.held_out),
            calibration=100 * float(np.abs(marginal.errors).max()),
            seconds=seconds,
        )
        if has_density(model):
            coverage = expected_coverage(model, *self.held_out, n=COVERAGE_DRAWS, random_state=seed)
            log_prob = model.log_prob(*self.held_out)
            result.update(
                coverage=100 * coverage.largest,
                bias=100 * coverage.area,
                log_prob=float(np.mean(log_prob)),
            )
            if self.exact is not None:
                result["lost"] = float(np.mean(self.exact - log_prob[: self.exact_rows]))
        return result

    def accuracy(self, draw, pool):
        """C2ST of the samples that are drawn, mean over the observations, where there are any."""
        if not len(self.y):
            return {}
        return dict(c2st=float(np.mean(list(pool.map(c2st, self.references, draw())))))

    def judge_peer(self, rows, seed, python, pool):
        """Train the peer on the same simulations and measure its samples."""
        x, y = self.task.sample(rows, 4000 + seed)
        # The peer knows priors with edges on all sides only.
        bounds = [] if self.task.bounds is None or np.isinf(self.task.bounds).any() else self.task.bounds
        with tempfile.TemporaryDirectory() as folder:
            data, drawn = Path(folder) / "data.npz", Path(folder) / "samples.npy"
            np.savez(data, theta=x, x=y, bounds=bounds, observations=self.y)
            printed = run_peer(
                python, "quality_sbi.py", data=data, samples=drawn, draws=self.draws, seed=seed
            )
            samples = np.load(drawn)
        return dict(**self.accuracy(lambda: samples, pool), seconds=printed["seconds"])


if __name__ == "__main__":
    main()
