"""Peak memory and time of training against the number of blocks, with stored and with rebuilt activations.

    python benchmarks/memory.py

Each case is a process of its own that fits one step of 16,000 rows. The network's own memory (weights,
gradients, moments of the optimizer) is what a step of 100 rows takes more than a process which only imports
the package and makes the data; the activations' is what 16,000 rows take beyond that.
"""

from peer import print_markdown, run_case

BLOCKS = (4, 16, 64)
ROWS, FEW_ROWS = 16_000, 100
CASES = (("INN", "bidirectional"), ("INN", "likelihood"), ("ConditionalINN", "likelihood"))
SCRIPT = """
import json, resource, sys, time
import numpy as np
import innverse
case, blocks, memory, rows = json.loads(sys.argv[1])
x = np.random.default_rng(0).normal(size=(16_000, 16))
y = x[:, :8] + x[:, 8:] ** 2
seconds = 0.0
if blocks:
    settings = dict(n_blocks=blocks, hidden_layer_sizes=(64, 64), batch_size=rows, max_iter=1)
    if case[0] == "INN":
        settings["objective"] = case[1]
    settings |= dict(memory=memory, early_stopping=False, n_estimators=1, random_state=0)
    model = getattr(innverse, case[0])(**settings)
    start = time.perf_counter()
    model.fit(x[:rows], y[:rows])
    seconds = time.perf_counter() - start
else:
    getattr(innverse, case[0])
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds]))
"""


def measure(case, blocks, memory, rows=ROWS):
    """Peak memory in MiB and seconds of one process."""
    return run_case(SCRIPT, [case, blocks, memory, rows])


def main():
    """Measure every case and print the table."""
    rows = []
    for case in CASES:
        base, _ = measure(case, 0, "store")
        for blocks in BLOCKS:
            network, _ = measure(case, blocks, "store", FEW_ROWS)
            cells = [f"{network - base:.0f}"]
            for memory in ("store", "recompute"):
                peak, seconds = measure(case, blocks, memory)
                cells += [f"{peak - network:.0f}", f"{seconds:.2f}"]
            rows.append([" ".join(case), str(blocks), *cells])
    print_markdown(("", "blocks", "network, MiB", "activations stored, MiB", "s", "rebuilt, MiB", "s"), rows)


if __name__ == "__main__":
    main()
