"""Inverse kinematics from 100,000 simulations, innverse beside FrEIA.

    python benchmarks/kinematics.py --peer-python PATH

PATH is the Python of an environment with torch, FrEIA and numpy; without it only innverse is run. Eight
blocks, subnetworks of (128, 128), 40 passes in batches of 1,000, on two threads, one after the other. Judged
on 50 observations held out, 1,000 samples each: MMD^2 to the reference posterior, with that of a second
reference beside it; mean squared re-simulation error; median calibration error; relative error of the
inverse after the forward pass. About ten minutes for a seed.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from peer import print_over_seeds, run_peer

from innverse import INN, ConditionalINN
from innverse.metrics import calibration_error, mmd, resimulation_error
from innverse.problems import InverseKinematics

SETTINGS = dict(n_blocks=8, hidden_layer_sizes=(128, 128), batch_size=1000, max_iter=40, n_jobs=2)
ROWS, OBSERVATIONS, DRAWS = 100_000, 50, 1000
CALIBRATION_ROWS, CALIBRATION_DRAWS = 5000, 200
PROBLEM = InverseKinematics()
OURS = {
    "ConditionalINN": lambda seed: ConditionalINN(**SETTINGS, random_state=seed),
    "ConditionalINN, affine": lambda seed: ConditionalINN(**SETTINGS, coupling="affine", random_state=seed),
    "INN, likelihood": lambda seed: INN(**SETTINGS, objective="likelihood", random_state=seed),
    "INN, bidirectional": lambda seed: INN(**SETTINGS, random_state=seed),
}
THEIRS = {"FrEIA, conditional": "conditional", "FrEIA, [y, z] by likelihood": "likelihood"}
COLUMNS = ("mmd2", "resimulation", "calibration", "round_trip", "seconds")
TITLES = ("", "MMD²", "re-simulation error", "calibration error", "worst round trip", "training, s")


def main():
    """Train everything on the same simulations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="Python with FrEIA")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    results = {}
    for seed in options.seeds:
        x, y = PROBLEM.sample(ROWS, seed)
        judge = Judge(seed)
        if options.peer_python:
            for name, objective in THEIRS.items():
                results.setdefault(name, []).append(theirs(options.peer_python, objective, x, y, judge, seed))
        for name, build in OURS.items():
            results.setdefault(name, []).append(ours(build(seed), x, y, judge))
        results.setdefault("a second reference", []).append(judge.floor)
    print_over_seeds(TITLES, results, COLUMNS, digits=2)


class Judge:
    """Observations with reference posteriors."""

    def __init__(self, seed):
        self.y = PROBLEM.sample(OBSERVATIONS, 1000 + seed)[1]
        self.held_out = PROBLEM.sample(CALIBRATION_ROWS, 2000 + seed)
        self.reference, second = (PROBLEM.reference_posterior(self.y, DRAWS, seed + i) for i in (3000, 4000))
        self.floor = self.scores(second)

    def scores(self, samples):
        """Compare samples with the reference and with what they simulate to."""
        pairs = zip(samples, self.reference, strict=True)
        return dict(
            mmd2=float(np.mean([mmd(*pair) for pair in pairs])),
            resimulation=resimulation_error(PROBLEM.simulate, samples, self.y),
        )


def ours(model, x, y, judge):
    """Train innverse and measure."""
    start = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - start
    scores = judge.scores(model.posterior(judge.y, n=DRAWS, random_state=0))
    errors = calibration_error(model, *judge.held_out, n=CALIBRATION_DRAWS, random_state=0)
    trip = round_trip(model, *judge.held_out)
    return dict(**scores, calibration=errors.overall, round_trip=trip, seconds=seconds)


def round_trip(model, x, y):
    """Worst error of x after forward and inverse, against the norm of x in units of the prior's spread."""
    z = model.latent(x, y)
    # INN needs the y that goes with z: the one that it predicts. No public method takes z.
    seen = model.predict(x) if hasattr(model, "predict") else y
    back = model._model.decode(z, seen, SETTINGS["n_jobs"])
    spread = x.std(axis=0)
    return float(np.max(np.linalg.norm((back - x) / spread, axis=1) / np.linalg.norm(x / spread, axis=1)))


def theirs(python, objective, x, y, judge, seed):
    """Train FrEIA and measure."""
    with tempfile.TemporaryDirectory() as folder:
        data, samples = Path(folder) / "data.npz", Path(folder) / "samples.npy"
        np.savez(data, x=x, y=y, observations=judge.y)
        result = run_peer(
            python,
            "kinematics_freia.py",
            objective=objective,
            data=data,
            samples=samples,
            draws=DRAWS,
            steps=SETTINGS["max_iter"] * ROWS // SETTINGS["batch_size"],
            seed=seed,
        )
        return dict(**judge.scores(np.load(samples)), seconds=result["seconds"])


if __name__ == "__main__":
    main()
