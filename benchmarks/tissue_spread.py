"""What a camera can tell of tissue: how much narrower than the prior the true posterior of each parameter is.

    python benchmarks/tissue_spread.py

For reference posteriors of simulated observations: spread over the prior's spread of each parameter, with
the lowest and highest over observations, and the correlation of blood volume and scattering in the top layer.
Half a minute an observation on two cores.
"""

import argparse

import numpy as np
from peer import print_markdown

from innverse.problems import TissueReflectance

DRAWS, PRIOR_DRAWS = 2000, 100_000
TITLES = ("parameter", "posterior spread / prior spread", "lowest", "highest")
VOLUME, SCATTERING = 1, 2


def main():
    """Draw the posteriors and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=5)
    parser.add_argument("--sigma", type=float, default=0.02)
    options = parser.parse_args()
    problem = TissueReflectance(sigma=options.sigma, verbose=1)
    _, y = TissueReflectance(sigma=options.sigma).sample(options.observations, random_state=0)
    posteriors = problem.reference_posterior(y, DRAWS, random_state=1)
    ratios = posteriors.std(axis=1) / problem.sample_prior(PRIOR_DRAWS, random_state=2).std(axis=0)
    mean, low, high = ratios.mean(axis=0), ratios.min(axis=0), ratios.max(axis=0)
    rows = zip(problem.x_names, mean, low, high, strict=True)
    print_markdown(TITLES, [[name, *(f"{value:.3f}" for value in values)] for name, *values in rows])
    pairs = [np.corrcoef(draws[:, VOLUME], draws[:, SCATTERING])[0, 1] for draws in posteriors]
    print(
        f"\nCorrelation of {problem.x_names[VOLUME]} with {problem.x_names[SCATTERING]}: "
        f"{np.mean(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
    )


if __name__ == "__main__":
    main()
