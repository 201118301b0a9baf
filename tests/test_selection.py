"""The number of latent variables, on problems where it is known."""

import matplotlib
import numpy as np
import pytest

from innverse import INN, plot
from innverse.selection import LatentDimSearch, _compared, latent_dim_search

matplotlib.use("Agg")
FAST = dict(
    objective="likelihood", n_blocks=4, hidden_layer_sizes=(32,), batch_size=200, max_iter=30, random_state=0
)


def wave(n, columns):
    """x of four columns, of which y keeps as many as asked: z must hold the others."""
    x = np.random.default_rng(0).normal(size=(n, 4))
    return x, np.stack([x[:, i] + 0.5 * np.sin(2 * x[:, i - 1]) for i in range(columns)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_it_finds_what_y_loses(columns):
    search = latent_dim_search(INN(**FAST), *wave(6000, columns), random_state=0)
    assert search.recommended == 4 - columns
    assert f"{search.recommended}" in str(search)


def test_the_smallest_that_is_as_good_is_recommended():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=1000)
    scores = np.stack([noise - 1.0, noise, noise + 0.01 * rng.normal(size=1000)])
    search = _compared(np.array([1, 2, 3]), scores)
    assert search.recommended == 2
    assert search.deficit[0] == pytest.approx(1.0, abs=0.01)
    assert search.standard_error.min() == 0


def test_table_and_plot():
    search = LatentDimSearch(
        np.array([1, 2]), np.array([-1.0, -0.5]), np.array([0.5, 0]), np.array([0.1, 0]), 2
    )
    assert str(search).splitlines()[2].endswith("recommended")
    ax = plot.latent_dims(search)
    assert list(ax.get_xticks()) == [1, 2]


def test_bad_input():
    x, y = wave(50, 1)
    with pytest.raises(ValueError, match="latent_dims must hold at least one"):
        latent_dim_search(INN(), x, y, latent_dims=[])
    with pytest.raises(ValueError, match="x has 50 rows and y has 49"):
        latent_dim_search(INN(), x, y[:49])
