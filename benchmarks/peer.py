"""What the comparisons share: running a peer's script with its own Python, and tables in Markdown."""

import json
import subprocess
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).resolve().parent


def run_peer(python, script, **options):
    """Run a script of this folder with the peer's Python and return what it prints.

    An option that is True becomes a flag.
    """
    arguments = []
    for name, value in options.items():
        arguments.append("--" + name.replace("_", "-"))
        if value is not True:
            arguments.append(str(value))
    command = [str(python), str(BENCHMARKS / script), *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_markdown(titles, rows):
    """Print a table."""
    print("| " + " | ".join(titles) + " |")
    print("|" + " --- |" * len(titles))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def print_over_seeds(titles, results, columns, digits):
    """Print a table of means over seeds, with the spread over them in brackets.

    `results` has for each name the runs, dicts with a number for each of `columns` that was measured.
    """
    rows = []
    for name, runs in results.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs if column in run]
            cells.append(f"{np.mean(values):.{digits}g} ({np.std(values):.1g})" if values else "")
        rows.append([name, *cells])
    print_markdown(titles, rows)
