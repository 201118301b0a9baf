"""Small experiments behind the page on choices: blocks and couplings, mixing, objectives, rates, surrogate.

    python benchmarks/choices.py

Each network learns from the same simulations and is judged on the same observations: MMD^2 to the reference
posterior in parameters divided by the prior's spread (with that of a second reference beside it), mean
squared re-simulation error in units of the spread of y, mean log density of parameters held out, in units of
the spread, CPU seconds of training on one thread. Mean over two seeds, with the spread over them in brackets.
About eight minutes on one core; --quick shows that it runs.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from peer import has_density, print_over_seeds

from innverse import INN, ConditionalINN
from innverse.metrics import mmd, resimulation_error
from innverse.problems import GaussianModes, InverseKinematics

SEEDS = (0, 1)
ROWS, OBSERVATIONS, DRAWS, HELD_OUT = 10_000, 30, 500, 2000
# The same for all networks of a table, so that they differ in what the table is about.
TRAINING = dict(hidden_layer_sizes=(64, 64), batch_size=250, max_iter=30, n_jobs=1)
ALONE = dict(**TRAINING, surrogate=False, n_estimators=1)
BLOCKS = (1, 2, 4, 8, 16)
MIXINGS = ("shuffle", "orthogonal", "learned")
RATES = (4e-3, 2e-3, 1e-3, 5e-4)
SIMULATIONS = (500, 2000, 8000)
COLUMNS = ("mmd2", "resimulation", "log_prob", "seconds")
TITLES = ("", "MMD²", "re-simulation error", "log density", "training, CPU s")


def blocks(seed):
    """Build networks of several depths with both couplings."""
    return {
        f"{coupling}, {count} blocks": (
            ROWS,
            ConditionalINN(**ALONE, coupling=coupling, n_blocks=count, random_state=seed),
        )
        for coupling in ("affine", "spline")
        for count in BLOCKS
    }


def mixing(seed):
    """Build networks with the three ways to mix, for both estimators."""
    models = {}
    for name in MIXINGS:
        own = dict(permutation=name, n_blocks=5, random_state=seed)
        models[f"ConditionalINN, {name}"] = ConditionalINN(**ALONE, **own)
        models[f"INN by likelihood, {name}"] = INN(**TRAINING, objective="likelihood", **own)
    return {name: (ROWS, model) for name, model in models.items()}


def objectives(seed, **padding):
    """Build the same network to be trained in three ways."""
    own = dict(n_blocks=8, random_state=seed)
    models = {
        "INN, bidirectional": INN(**TRAINING, **own, **padding),
        "INN, likelihood": INN(**TRAINING, **own, **padding, objective="likelihood"),
        "ConditionalINN": ConditionalINN(**ALONE, **own),
    }
    return {name: (ROWS, model) for name, model in models.items()}


def padded(seed):
    """Build the same beside padding: the toy has more columns of y than of x."""
    return objectives(seed, total_dim=16, latent_dim=2)


def rates(seed):
    """Build the bidirectional network with default settings but for the learning rate."""
    return {
        f"{rows:,} simulations, rate {rate:g}": (
            rows,
            INN(learning_rate_init=rate, n_jobs=1, random_state=seed),
        )
        for rows in (1000, ROWS)
        for rate in RATES
    }


def surrogate(seed):
    """Build default settings with and without the learned simulator."""
    return {
        f"{rows:,} simulations, {name}": (
            rows,
            ConditionalINN(surrogate=learned, n_jobs=1, random_state=seed),
        )
        for rows in SIMULATIONS
        for name, learned in (("with a surrogate", True), ("without", False))
    }


TABLES = {
    "blocks": (InverseKinematics(), blocks),
    "mixing": (InverseKinematics(), mixing),
    "objectives": (InverseKinematics(), objectives),
    "padded": (GaussianModes(labels="some"), padded),
    "rates": (InverseKinematics(), rates),
    "surrogate": (InverseKinematics(), surrogate),
}


class Judge:
    """Observations with reference posteriors, and pairs held out."""

    def __init__(self, problem):
        self.problem = problem
        if isinstance(problem, GaussianModes):
            self.y = problem.observations
        else:
            self.y = problem.sample(OBSERVATIONS, 1000)[1]
        self.held_out = problem.sample(HELD_OUT, 2000)
        self.x_spread, self.y_spread = (part.std(axis=0) for part in problem.sample(20_000, 3000))
        self.y_spread[self.y_spread == 0] = 1.0
        self.reference, second = (problem.reference_posterior(self.y, DRAWS, 4000 + i) for i in (0, 1))
        self.floor = self.scores(second)

    def scores(self, samples):
        """Compare samples with the reference and with what they simulate to."""
        pairs = zip(samples / self.x_spread, self.reference / self.x_spread, strict=True)
        resimulation = resimulation_error(
            lambda x: self.problem.simulate(x, random_state=0) / self.y_spread,
            samples,
            self.y / self.y_spread,
        )
        return dict(mmd2=float(np.mean([mmd(*pair) for pair in pairs])), resimulation=resimulation)

    def judge(self, model, x, y):
        """Train and measure; where samples have no density, none is given."""
        start = time.process_time()
        model.fit(x, y)
        seconds = time.process_time() - start
        scores = self.scores(model.posterior(self.y, n=DRAWS, random_state=0))
        if has_density(model):
            in_spreads = np.log(self.x_spread).sum()
            scores["log_prob"] = float(np.mean(model.log_prob(*self.held_out))) + in_spreads
        return dict(**scores, seconds=seconds)


def main():
    """Run the experiments and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one epoch, one seed")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    # A label that never occurs is a constant column.
    warnings.filterwarnings("ignore", category=UserWarning)
    for name in options.tables:
        problem, build = TABLES[name]
        judge, results = Judge(problem), {}
        for seed in SEEDS[:1] if options.quick else SEEDS:
            for title, (rows, model) in build(seed).items():
                if options.quick:
                    rows = 300
                    model.set_params(max_iter=1)
                results.setdefault(title, []).append(judge.judge(model, *problem.sample(rows, seed)))
                print(f"{name}, seed {seed}, {title}: {results[title][-1]}", file=sys.stderr, flush=True)
        results["a second reference"] = [judge.floor]
        print(f"\n{name}: {type(problem).__name__}\n")
        print_over_seeds(TITLES, results, COLUMNS, digits=3)


if __name__ == "__main__":
    main()
