"""Simulations of tissue per second, on one thread and on two.

    python benchmarks/tissue_time.py

A simulation is eight bands of three layers. Rounds alternate between the numbers of threads; the median
counts. The instruction set is what the program chose; INNVERSE_INSTRUCTIONS=avx2 or baseline shows another.
"""

import argparse
import statistics
import time

from peer import print_markdown

from innverse._core import INSTRUCTIONS
from innverse.problems import TissueReflectance

THREADS = (1, 2)
TITLES = ("threads", "simulations per second", "µs per band and thread", "100,000 simulations, s")


def main():
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    x = TissueReflectance().sample_prior(options.rows, random_state=0)
    seconds = {threads: [] for threads in THREADS}
    for _ in range(options.rounds):
        for threads in THREADS:
            problem = TissueReflectance(n_jobs=threads)
            start = time.perf_counter()
            problem.simulate(x, random_state=0)
            seconds[threads].append(time.perf_counter() - start)
    rows = []
    for threads in THREADS:
        each = statistics.median(seconds[threads]) / options.rows
        per_band = 1e6 * each * threads / TissueReflectance.dy
        rows.append([str(threads), f"{1 / each:,.0f}", f"{per_band:.1f}", f"{1e5 * each:.1f}"])
    print(f"Instructions: {INSTRUCTIONS}\n")
    print_markdown(TITLES, rows)


if __name__ == "__main__":
    main()
