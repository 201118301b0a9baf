"""Histograms of the ranks of simulation-based calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray, as_table
from ..metrics import sbc_ranks
from ..metrics._draws import DRAWS
from ..problems._base import check_count
from ._bands import check_band, histogram_band
from ._posteriors import columns_of, parameter_names
from ._style import BAND_COLOUR, LINE_WIDTH, PALETTE, grid_for, legend_of_panels, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAND = 0.95
# Bins hold at least so many ranks on average (Talts et al. 2018, arXiv:1804.06788), and are between so many.
_RANKS_PER_BIN = 20
_FEWEST_BINS, _MOST_BINS = 4, 20
# Room above what is drawn, as a factor, and the least height, in expected counts.
_HEADROOM, _LEAST_HEIGHT = 1.1, 2.0
_FILL_ALPHA = 0.35


@dataclass(frozen=True, eq=False)
class _Bins:
    """Edges of bins of ranks, (b + 1,), and the share of all ranks that each holds, (b,)."""

    edges: NDArray[np.int64]
    shares: FloatArray


def rank_histogram(
    model_or_ranks: Any,
    x: Any = None,
    y: Any = None,
    *,
    n: int = DRAWS,
    bins: int | None = None,
    names: Any = None,
    band: float = _BAND,
    random_state: Any = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw how the true parameters rank among their posterior draws: flat where the posterior is right.

    A valley says that the posterior is too narrow, a hill that it is too wide, a slope that it is shifted.
    Heights are counts over what a right posterior is expected to have.

    The grey band is what chance leaves for so many observations. It is simultaneous: all bins of a right
    posterior's parameter lie inside together with probability `band`, each parameter for itself.

    Parameters
    ----------
    model_or_ranks : array-like of int of shape (m, dx), estimator, or array-like of shape (m, k, dx)
        What `innverse.metrics.sbc_ranks` returned. With x, and y for an estimator, what it takes.
    x : array-like of shape (m, dx), optional
        True parameters.
    y : array-like of shape (m, dy), optional
        Their observations, for an estimator.
    n : int, default=1000
        Draws that each truth was, or is, ranked among: as given to `sbc_ranks`. Samples have their own
        number.
    bins : int or None, default=None
        Bins; None is one for 20 observations, between 4 and 20, all equal if the n + 1 ranks allow it.
    names : sequence of str, Problem, estimator or None, default=None
        Of the parameters, see `marginals`.
    band : float, default=0.95
        Probability that a right posterior's bins lie in the band.
    random_state : int, RandomState, Generator or None, default=None
        Determines the draws from an estimator.
    axes : sequence of dx matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    axes : ndarray of dx matplotlib Axes
        The axes drawn on, one for each parameter.

    Raises
    ------
    ValueError, TypeError
        Where there are no ranks between 0 and n, or the arguments do not fit together.

    References
    ----------
    S. Talts et al., "Validating Bayesian Inference Algorithms with Simulation-Based Calibration", 2018,
    arXiv:1804.06788. The band: see `calibration`.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse import metrics, plot
    >>> rng = np.random.default_rng(0)
    >>> ranks = metrics.sbc_ranks(rng.normal(size=(500, 99, 2)), rng.normal(size=(500, 2)))
    >>> axes = plot.rank_histogram(ranks, n=99)
    """
    band, n = check_band(band), check_count("n", n)
    columns = getattr(model_or_ranks, "feature_names_in_", None)
    if x is not None:
        columns = columns_of(x) if columns is None else list(columns)
        if not hasattr(model_or_ranks, "posterior"):
            n = _draws(model_or_ranks)
        model_or_ranks = sbc_ranks(model_or_ranks, x, y, n=n, random_state=random_state)
    ranks = _as_ranks(model_or_ranks, n)
    columns = columns_of(model_or_ranks) if columns is None else columns
    titles = parameter_names(names, ranks.shape[1], columns)
    chosen = _bins(len(ranks), n, bins)
    panels = grid_for(len(titles), axes)
    limits = histogram_band(chosen.shares, len(ranks), band)
    for ax, column, title in zip(panels, ranks.T, titles, strict=True):
        _draw_ranks(ax, column, chosen, limits, f"{percent(band)} band, {len(ranks)} cases")
        ax.set_xlabel(title)
    panels[0].set_ylabel("count / expected")
    legend_of_panels(panels, own_figure=axes is None)
    if axes is None:
        panels[0].figure.supxlabel(f"rank among {n} draws", fontsize="medium")
    return panels


def _draws(samples: Any) -> int:
    shape = np.shape(samples)
    if len(shape) not in (2, 3):
        raise ValueError(f"model_or_ranks must be samples of shape (m, n, dx) where x is given, got {shape}")
    return int(shape[1])


def _as_ranks(value: Any, n: int) -> NDArray[np.int64]:
    if np.ndim(value) > 2 or hasattr(value, "posterior"):
        raise ValueError("x must be the true parameters where model_or_ranks is no table of ranks, got None")
    ranks = as_table(value, "model_or_ranks")
    if np.any(ranks != np.round(ranks)):
        raise ValueError("model_or_ranks must be integers, got fractions")
    if ranks.min() < 0 or ranks.max() > n:
        raise ValueError(
            f"model_or_ranks must lie between 0 and n = {n}, got {ranks.min():.0f} to {ranks.max():.0f}; "
            "n is what sbc_ranks was given"
        )
    return ranks.astype(np.int64)


def _bins(rows: int, n: int, bins: int | None) -> _Bins:
    """Return bins of the n + 1 ranks, equal ones where their number is not given and can be chosen so."""
    if bins is None:
        most = int(np.clip(rows // _RANKS_PER_BIN, _FEWEST_BINS, _MOST_BINS))
        # Down to half of them, for the sake of equal bins.
        equal = [count for count in range(most, most // 2, -1) if (n + 1) % count == 0]
        bins = min(equal[0] if equal else most, n + 1)
    elif check_count("bins", bins) > n + 1:
        raise ValueError(f"bins must be at most the number of ranks, n + 1 = {n + 1}, got {bins}")
    edges = np.round(np.linspace(0, n + 1, bins + 1)).astype(np.int64)
    return _Bins(edges, np.diff(edges) / (n + 1.0))


def _draw_ranks(
    ax: Axes,
    ranks: NDArray[np.int64],
    bins: _Bins,
    limits: tuple[FloatArray, FloatArray],
    label: str,
) -> None:
    counts, _ = np.histogram(ranks, bins.edges - 0.5)
    ratio = counts / (len(ranks) * bins.shares)
    low, high = (limit / bins.shares for limit in limits)
    ax.stairs(high, bins.edges, baseline=low, fill=True, color=BAND_COLOUR, label=label)
    ax.axhline(1.0, color="0.4", linewidth=0.8)
    ax.stairs(ratio, bins.edges, fill=True, color=PALETTE[0], alpha=_FILL_ALPHA)
    ax.stairs(ratio, bins.edges, color=PALETTE[0], linewidth=LINE_WIDTH, label="ranks")
    ax.set_xlim(bins.edges[0], bins.edges[-1])
    ax.set_ylim(0.0, max(_LEAST_HEIGHT, _HEADROOM * float(ratio.max()), _HEADROOM * float(high.max())))
