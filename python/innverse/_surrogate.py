"""How long a simulator is learned before the posterior, and how much of its data the posterior then sees."""

from __future__ import annotations

import math
from typing import Any

from ._network import MANY

# All chosen on the tasks of benchmarks/tasks.py by the log density of parameters held out.
# Subnetworks and splines that all networks have, and blocks of each network for the likelihood, with fewer
# simulations and from `MANY` on: several small ones learn more of a likelihood than a large one, and held-out
# simulations give more weight to those whose depth suits it.
_HIDDEN_LAYER_SIZES, _N_BINS = (32, 32, 32), 4
_FEW_BLOCKS, _MORE_BLOCKS = (3, 3, 5, 5), (5, 5, 5)
# Epochs over the simulations at most: of the network for the prior, which starts close to what it will be,
# and of those for the likelihood: so many over the root of the simulations, within limits.
_PRIOR_EPOCHS = 30
_LIKELIHOOD_EPOCHS, _LIKELIHOOD_LIMITS = 6000, (30, 100)
# Epochs of any of these without improvement before its rate falls, over the same root: where y is linear in
# x there is soon nothing to learn. Here and below weights are averaged over an epoch before they are judged,
# so that patience need not wait for chance.
_SURROGATE_PATIENCE, _SURROGATE_PATIENCE_LIMITS = 800, (5, 16)
# Fresh pairs in a pass, for each root of the simulations: the more of these there are, the finer is what
# there is to learn. Pairs in a batch, passes at most, and passes without improvement before the rate falls:
# more where a pass is short.
_ROWS, _BATCH_SIZE, _PASSES = 400, 256, 60
_PATIENCE, _PATIENCE_LIMITS = 400, (4, 13)
# An improvement of any of these networks that counts is what chance leaves of a linear regression with the
# simulations, but at least so much in nats; less where they are fewer than so many, since passes are short
# then and worth their time.
_LEAST_GAIN, _TOLERANT = 0.003, 10_000
# Epochs over the simulations afterwards, at most, their learning rate as a share of the usual one, and epochs
# without improvement before it falls: they overfit as soon as they no longer help.
_TUNING_EPOCHS, _TUNING_RATE, _TUNING_PATIENCE = 20, 0.1, 4
# At first there are fresh pairs among the simulations, so many for each of them: alone they make a network
# overconfident. Alone they follow, and are kept where rows held out gain more than so much in nats over the
# root of their number: the error of their mean loss if that of single rows changes by as much.
_FRESH_SHARE, _TUNING_GAIN = 0.5, 0.5


def course(rows: int, max_iter: int | None) -> dict[str, Any]:
    """Return the settings of the core for so many simulations.

    Parameters
    ----------
    rows : int
        Number of simulations.
    max_iter : int or None
        Epochs over the simulations, and passes over fresh pairs, of each stage where the user limits them.

    Returns
    -------
    settings : dict
        One entry for each field of the core's.
    """
    most = math.inf if max_iter is None else max_iter

    def falling(factor: int, limits: tuple[int, int]) -> int:
        return round(min(max(factor / math.sqrt(rows), limits[0]), limits[1]))

    return {
        "n_blocks": _FEW_BLOCKS if rows < MANY else _MORE_BLOCKS,
        "hidden_layer_sizes": _HIDDEN_LAYER_SIZES,
        "n_bins": _N_BINS,
        "prior_epochs": int(min(_PRIOR_EPOCHS, most)),
        "likelihood_epochs": int(min(falling(_LIKELIHOOD_EPOCHS, _LIKELIHOOD_LIMITS), most)),
        "surrogate_patience": falling(_SURROGATE_PATIENCE, _SURROGATE_PATIENCE_LIMITS),
        "rows": round(_ROWS * rows**0.5),
        "batch_size": _BATCH_SIZE,
        "passes": int(min(_PASSES, most)),
        "patience": falling(_PATIENCE, _PATIENCE_LIMITS),
        "tolerance": min(rows / _TOLERANT, 1.0),
        "least_gain": _LEAST_GAIN,
        "tuning_epochs": int(min(_TUNING_EPOCHS, most)),
        "tuning_patience": _TUNING_PATIENCE,
        "tuning_rate": _TUNING_RATE,
        "fresh_share": _FRESH_SHARE,
        "tuning_gain": _TUNING_GAIN,
    }
