"""The paper's comparison: what each part of the method gives, on three problems with known posteriors.

    python benchmarks/ablation.py

Each method is trained on the same simulations and judged on the same observations: MMD^2 to the reference
posterior in parameters divided by the prior's spread (with that of a second reference beside it), mean
squared re-simulation error in units of the spread of y, median calibration error, seconds of training.
Mean over seeds, with the spread over seeds in brackets. About an hour and a half on two cores; --quick shows
that it runs.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from peer import print_over_seeds

from innverse import INN, ConditionalINN
from innverse.baselines import RejectionABC
from innverse.metrics import calibration_error, mmd, resimulation_error
from innverse.problems import GaussianModes, InverseBallistics, InverseKinematics

NETWORK = dict(n_blocks=8, hidden_layer_sizes=(128, 128), batch_size=1000, max_iter=20)
# The toy has more columns of y than of x: both sides are padded, as in the paper.
PADDED = dict(total_dim=16, latent_dim=2)
PROBLEMS = {
    "GaussianModes": (GaussianModes(labels="some"), PADDED),
    "InverseKinematics": (InverseKinematics(), {}),
    "InverseBallistics": (InverseBallistics(), {}),
}
SEEDS = (0, 1, 2)
ROWS, OBSERVATIONS, DRAWS, CALIBRATION_ROWS, CALIBRATION_DRAWS = 100_000, 50, 1000, 5000, 200
COLUMNS = ("mmd2", "resimulation", "calibration", "seconds")
TITLES = ("method", "MMD²", "re-simulation error", "calibration error", "training, s")


def methods(padding, seed):
    """Everything that is compared."""
    inn = dict(**NETWORK, **padding, random_state=seed)
    return {
        "bidirectional": INN(**inn),
        "without the energy score": INN(**inn, energy_weight=0.0),
        "without the MMD on x": INN(**inn, x_weight=0.0),
        "without either": INN(**inn, energy_weight=0.0, x_weight=0.0),
        "only these two": INN(**inn, y_weight=0.0, z_weight=0.0, reconstruction_weight=0.0),
        "likelihood": INN(**inn, objective="likelihood"),
        "conditional": ConditionalINN(**NETWORK, random_state=seed),
        "ABC": RejectionABC(random_state=seed),
    }


def main():
    """Run the comparison and print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one epoch, one seed")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    rows, seeds = (2000, SEEDS[:1]) if options.quick else (ROWS, SEEDS)
    for name in options.problems:
        problem, padding = PROBLEMS[name]
        results = {}
        for seed in seeds:
            judge = Judge(problem, seed)
            for method, model in methods(padding, seed).items():
                if options.quick and hasattr(model, "max_iter"):
                    model.set_params(max_iter=1)
                results.setdefault(method, []).append(judge.judge(model, *problem.sample(rows, seed)))
                print(f"{name}, seed {seed}, {method}: {results[method][-1]}", file=sys.stderr, flush=True)
            results.setdefault("a second reference", []).append(judge.floor)
        print(f"\n{name}, {rows:,} simulations\n")
        print_over_seeds(TITLES, results, COLUMNS, digits=2)


class Judge:
    """Observations with reference posteriors, and pairs held out."""

    def __init__(self, problem, seed):
        self.problem = problem
        if isinstance(problem, GaussianModes):
            self.y = problem.observations
        else:
            self.y = problem.sample(OBSERVATIONS, 1000 + seed)[1]
        self.held_out = problem.sample(CALIBRATION_ROWS, 2000 + seed)
        self.x_spread, self.y_spread = (part.std(axis=0) for part in problem.sample(20_000, 3000))
        self.y_spread[self.y_spread == 0] = 1.0
        self.reference, second = (problem.reference_posterior(self.y, DRAWS, seed + i) for i in (4000, 5000))
        self.floor = dict(mmd2=self.distance(second), resimulation=self.resimulation(second))

    def distance(self, samples):
        """MMD^2 to the reference, mean over observations."""
        pairs = zip(samples / self.x_spread, self.reference / self.x_spread, strict=True)
        return float(np.mean([mmd(*pair) for pair in pairs]))

    def resimulation(self, samples):
        """Mean squared error of y of the samples, in units of its spread."""

        def simulate(x):
            return self.problem.simulate(x, random_state=0) / self.y_spread

        return resimulation_error(simulate, samples, self.y / self.y_spread)

    def judge(self, model, x, y):
        """Train and measure."""
        start = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - start
        samples = model.posterior(self.y, n=DRAWS, random_state=0)
        x, y = self.held_out
        calibration = calibration_error(model, x, y, n=CALIBRATION_DRAWS, random_state=0).overall
        return dict(
            mmd2=self.distance(samples),
            resimulation=self.resimulation(samples),
            calibration=calibration,
            seconds=seconds,
        )


if __name__ == "__main__":
    main()
