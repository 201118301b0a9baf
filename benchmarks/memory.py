"""Peak memory and time of training against the number of blocks, with stored and with rebuilt activations.

    python benchmarks/memory.py

Each case is a process of its own that fits the paper's toy for a few steps; its peak resident memory is
reported less that of a process which only imports the package and makes the data.
"""

import json
import subprocess
import sys

from peer import print_markdown

BLOCKS = (4, 16, 64)
CASES = (("INN", "bidirectional"), ("INN", "likelihood"), ("ConditionalINN", "likelihood"))
SCRIPT = """
import json, resource, sys, time
import numpy as np
import innverse
case, blocks, memory = json.loads(sys.argv[1])
x = np.random.default_rng(0).normal(size=(8000, 16))
y = x[:, :8] + x[:, 8:] ** 2
seconds = 0.0
if blocks:
    settings = dict(n_blocks=blocks, hidden_layer_sizes=(256, 256), batch_size=1600, max_iter=1)
    if case[0] == "INN":
        settings["objective"] = case[1]
    model = getattr(innverse, case[0])(**settings, memory=memory, early_stopping=False, random_state=0)
    start = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - start
else:
    getattr(innverse, case[0])
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds]))
"""


def measure(case, blocks, memory):
    """Peak memory in MiB and seconds of one process."""
    argument = json.dumps([case, blocks, memory])
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, argument]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    """Measure every case and print the table."""
    rows = []
    for case in CASES:
        base, _ = measure(case, 0, "store")
        for blocks in BLOCKS:
            cells = []
            for memory in ("store", "recompute"):
                peak, seconds = measure(case, blocks, memory)
                cells += [f"{peak - base:.0f}", f"{seconds:.2f}"]
            rows.append([" ".join(case), str(blocks), *cells])
    print_markdown(("", "blocks", "stored, MiB", "s", "rebuilt, MiB", "s"), rows)


if __name__ == "__main__":
    main()
