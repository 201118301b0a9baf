"""marginals and corner: what is drawn, in which order, under which name."""

import doctest
import importlib
import pkgutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("corner")
pytest.importorskip("pandas")

import pandas as pd

from innverse import plot
from innverse.problems import InverseBallistics

pytestmark = pytest.mark.usefixtures("figures_are_closed")

NAMES = ["mass [kg]", "speed [m/s]"]


def normal(n, columns=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, columns))


def labels(axes):
    return [ax.get_xlabel() for ax in axes]


def curves(ax):
    """Lines of histograms by label: heights and edges."""
    return {
        patch.get_label(): patch.get_data() for patch in ax.patches if not patch.get_label().startswith("_")
    }


def legend(figure_or_axes):
    found = figure_or_axes.legends[0] if hasattr(figure_or_axes, "legends") else figure_or_axes.get_legend()
    return [text.get_text() for text in found.get_texts()]


def truths(ax):
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":" and len(line.get_xdata())]


def test_marginals_are_densities_of_the_samples():
    samples = normal(1000)
    axes = plot.marginals(samples)
    for ax, column in zip(axes, samples.T, strict=True):
        heights, edges, _ = curves(ax)["posterior"]
        assert len(heights) == 20  # twice the cube root of 1000
        counts, _ = np.histogram(column, edges)
        assert heights == pytest.approx(counts / 1000 / np.diff(edges))
        assert ax.get_xlim()[0] < column.min() and ax.get_xlim()[1] > column.max()


def test_marginals_show_prior_and_truth():
    prior = 3 * normal(8000, seed=1)
    axes = plot.marginals(0.1 * normal(1000), prior=prior, truth=[0.05, 7.0], names=NAMES)
    assert labels(axes) == NAMES
    assert [truths(ax) for ax in axes] == [[0.05], [7.0]]
    assert sorted(legend(axes[0].figure)) == ["posterior", "prior", "truth"]
    for ax in axes:
        # The prior is as high as the posterior, however wide it is, and seen as a whole.
        assert curves(ax)["prior"].values.max() == pytest.approx(curves(ax)["posterior"].values.max())
        assert ax.get_xlim()[0] < -7 and ax.get_xlim()[1] > 7


def test_marginals_of_several_have_one_area_and_are_told_apart():
    axes = plot.marginals({"INN": normal(1000), "MCMC": 2 * normal(500, seed=1)})
    for ax in axes:
        shown = [patch for patch in ax.patches if patch.get_label() in ("INN", "MCMC")]
        areas = [np.sum(p.get_data().values * np.diff(p.get_data().edges)) for p in shown]
        assert areas == pytest.approx([1, 1], abs=0.01)
        assert len({p.get_edgecolor() for p in shown}) == len({p.get_linestyle() for p in shown}) == 2


def test_marginals_leave_wild_samples_out_and_say_how_many():
    samples = normal(1000)
    samples[:3, 1] = 1e12
    plain, wild = plot.marginals(samples)
    assert [text.get_text() for text in wild.texts] == ["3 of 1000 outside"] and not plain.texts
    assert wild.get_xlim()[1] < 10
    both = plot.marginals({"a": samples, "b": normal(9)})[1]
    assert [text.get_text() for text in both.texts] == ["a: 3 of 1000 outside"]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_marginals_at_any_scale(scale):
    (ax,) = plot.marginals(scale * normal(500, 1), prior=scale * normal(500, 1, seed=1))
    ax.figure.canvas.draw()
    assert ax.get_xlim()[1] == pytest.approx(3 * scale, rel=0.5)


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_marginals_of_a_constant(value):
    (ax,) = plot.marginals(np.full(10, value), truth=[value])
    assert ax.get_xlim()[0] < value < ax.get_xlim()[1]


def test_names_come_by_themselves():
    array, table = normal(50), pd.DataFrame(normal(50), columns=NAMES)
    unnamed = SimpleNamespace(posterior=None)
    fitted = SimpleNamespace(posterior=None, feature_names_in_=np.array(NAMES, dtype=object))
    assert labels(plot.marginals(array)) == ["$x_{1}$", "$x_{2}$"]
    assert labels(plot.marginals(table)) == NAMES
    assert labels(plot.marginals(array, prior=table)) == NAMES
    assert labels(plot.marginals(array, truth=table.iloc[0])) == NAMES
    assert labels(plot.marginals({"a": array, "b": table})) == NAMES
    assert labels(plot.marginals(table, names=["a", "b"])) == ["a", "b"]
    assert labels(plot.marginals(array, names=fitted)) == NAMES
    assert labels(plot.marginals(table, names=unnamed)) == NAMES
    assert labels(plot.marginals(pd.DataFrame(array))) == ["$x_{1}$", "$x_{2}$"]
    assert labels(plot.marginals(table["mass [kg]"])) == ["mass [kg]"]
    problem = InverseBallistics()
    assert labels(plot.marginals(normal(50, 4), names=problem)) == list(problem.x_names)


def test_named_columns_are_put_in_one_order():
    """Prior and truth with other orders of columns must not be drawn in the wrong panel."""
    samples = pd.DataFrame(normal(500) + np.array([0, 100]), columns=NAMES)
    turned = samples[NAMES[::-1]]
    axes = plot.marginals({"a": samples, "b": turned}, prior=turned, truth=turned.iloc[3])
    for ax, name in zip(axes, NAMES, strict=True):
        assert truths(ax) == [samples[name][3]]
        first, second, known = (curves(ax)[label] for label in ("a", "b", "prior"))
        assert first.values.tolist() == second.values.tolist()
        assert first.edges.tolist() == second.edges.tolist() == known.edges.tolist()
    with pytest.raises(ValueError, match=r"prior must have the columns of the other samples, \['mass"):
        plot.marginals(samples, prior=samples.rename(columns={"mass [kg]": "weight"}))
    with pytest.raises(ValueError, match="truth must have the columns"):
        plot.marginals(samples, truth=pd.Series({"a": 1.0, "b": 2.0}))


def test_marginals_draw_where_they_are_told():
    from matplotlib import pyplot as plt

    _, given = plt.subplots(2, 1)
    axes = plot.marginals(normal(50), axes=given)
    assert axes.tolist() == given.tolist() and legend(axes[0]) == ["posterior"]
    assert not axes[0].figure.legends
    with pytest.raises(ValueError, match="axes must be one matplotlib Axes for each parameter, 2, got 1"):
        plot.marginals(normal(50), axes=given[:1])


def test_marginals_of_many_parameters_fill_rows():
    axes = plot.marginals(normal(20, 6))
    assert axes.shape == (6,) and axes[0].figure.axes == axes.tolist()


BAD = [
    ({"samples": normal(12).reshape(3, 4, 2)}, ValueError, r"samples must have shape \(n, dx\).*\(3, 4, 2\)"),
    ({"samples": {}}, ValueError, "samples must hold at least one posterior"),
    (
        {"samples": {"a": normal(9), "b": normal(9, 3)}},
        ValueError,
        r"samples\['b'\] must have as many columns",
    ),
    ({"samples": [[np.nan, 1.0]]}, ValueError, "samples contains NaN"),
    ({"samples": {"a": [["x", "y"]]}}, ValueError, r"samples\['a'\]"),
    ({"prior": normal(9, 3)}, ValueError, "prior must have as many columns as the other samples, 2, got 3"),
    ({"truth": [1.0]}, ValueError, r"truth must have shape \(2,\), got shape \(1,\)"),
    ({"truth": [1.0, np.inf]}, ValueError, "truth must be finite"),
    ({"names": ["a"]}, ValueError, "names must be as many as the parameters, 2, got 1"),
    ({"names": "ab"}, TypeError, "names must be a list of names, a problem, a fitted estimator or None"),
    ({"names": 3}, TypeError, "names must be a list of names, a problem, a fitted estimator or None"),
]


@pytest.mark.parametrize("draw", [plot.marginals, plot.corner])
@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_what_makes_no_sense_is_refused(draw, arguments, error, message):
    from matplotlib import pyplot as plt

    with pytest.raises(error, match=message):
        draw(**{"samples": normal(9), **arguments})
    assert not plt.get_fignums()


def test_marginals_refuse_bins_that_are_none():
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        plot.marginals(normal(9), bins=0)


def panels(figure):
    count = round(len(figure.axes) ** 0.5)
    return np.array(figure.axes).reshape(count, count)


def test_corner_has_names_truth_prior_and_legend():
    given = pd.DataFrame(normal(600, 3), columns=["a [m]", "b [s]", "c [-]"])
    figure = plot.corner(given, prior=2 * normal(600, 3, seed=1), truth=[0.1, 0.2, 0.3])
    axes = panels(figure)
    assert labels(axes[-1]) == list(given.columns)
    assert [ax.get_ylabel() for ax in axes[1:, 0]] == list(given.columns[1:])
    assert sorted(legend(figure)) == ["posterior", "prior", "truth"]
    for i, truth in enumerate((0.1, 0.2, 0.3)):
        assert truth in truths(axes[i, i])
        (known,) = [patch for patch in axes[i, i].patches if patch.get_label() == "prior"]
        highest = max(patch.get_xy()[:, 1].max() for patch in axes[i, i].patches if patch is not known)
        assert known.get_data().values.max() == pytest.approx(highest)
        assert axes[i, i].get_ylim() == pytest.approx((0, 1.1 * highest))
        # As wide as the prior.
        assert axes[-1, i].get_xlim()[1] > 4.5


def test_corner_of_several_shows_each_peak_and_takes_arguments_of_the_library():
    several = {"wide": 3 * normal(600), "narrow": normal(600, seed=1)}
    # The narrow one is higher; the last must not cut off the first.
    for given in (several, dict(reversed(several.items()))):
        axes = panels(plot.corner(given, names=NAMES))
        peak = max(patch.get_xy()[:, 1].max() for patch in axes[0, 0].patches)
        assert axes[0, 0].get_ylim()[1] == pytest.approx(1.1 * peak)
        assert legend(axes[0, 0].figure) == list(given)
    figure = plot.corner(several, range=[(-1, 1), (-2, 2)], labels=["p", "q"], hist_kwargs={"linewidth": 5})
    axes = panels(figure)
    assert axes[1, 0].get_xlim() == (-1, 1) and axes[1, 0].get_ylim() == (-2, 2)
    assert labels(axes[1]) == ["p", "q"]
    assert {patch.get_linewidth() for patch in axes[0, 0].patches} == {5}
    assert len({patch.get_edgecolor() for patch in axes[0, 0].patches}) == 2
    assert plot.corner(several, fig=figure) is figure


def test_corner_the_other_way_round():
    """The library's `reverse` puts the first parameter last, for prior and truth too."""
    samples = normal(500) + np.array([0, 50])
    figure = plot.corner(samples, prior=samples, truth=[0.5, 51.0], reverse=True)
    axes = panels(figure)
    assert truths(axes[1, 1])[0] == 0.5 and truths(axes[0, 0])[0] == 51.0
    assert axes[1, 1].patches[-1].get_data().edges.max() < 10 < axes[0, 0].patches[-1].get_data().edges.min()


def test_corner_of_one_parameter_and_of_too_few_samples():
    figure = plot.corner(normal(100, 1), prior=normal(100, 1, seed=1), truth=[0.5])
    assert len(figure.axes) == 1 and truths(figure.axes[0])[0] == 0.5
    with pytest.raises(ValueError, match="at least as many rows as columns, 4, got 3 rows of 'posterior'"):
        plot.corner(normal(3, 4))


def test_without_the_corner_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "corner", None)
    with pytest.raises(ImportError, match=r"needs corner; install it with: pip install 'innverse\[plot\]'"):
        plot.corner(normal(50))


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(plot.__path__)])
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(f"innverse.plot.{name}")).failed == 0
