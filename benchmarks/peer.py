"""What the benchmarks share: processes of their own, for a peer or a case, models, tables in Markdown."""

import contextlib
import json
import subprocess
import sys
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


def run_case(script, case):
    """Run Python source in a process of its own, with a case as its argument, and return what it prints.

    What one case leaves in memory does not count for the next. Case and answer are JSON.
    """
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps(case)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class PeerProcess:
    """A script of this folder that runs with the peer's Python and answers requests, see `serve`."""

    def __init__(self, python, script):
        command = [str(python), str(BENCHMARKS / script)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        # Its imports would disturb what is timed next.
        self.process.stdout.readline()

    def __call__(self, work, **arguments):
        """Have some work done and return what it reports."""
        self.process.stdin.write(json.dumps([work, arguments]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended while it did {work} {arguments}")
        return json.loads(line)


def serve(**works):
    """Answer the requests of a `PeerProcess` by these functions, until there are no more."""
    answers = sys.stdout
    # What libraries print would mix with the answers.
    with contextlib.redirect_stdout(sys.stderr):
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            work, arguments = json.loads(line)
            print(json.dumps(works[work](**arguments)), file=answers, flush=True)


def has_density(model):
    """Whether samples of a fitted model have a density: those of a network with padding have none."""
    return model.total_dim_ == model.n_features_in_


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
