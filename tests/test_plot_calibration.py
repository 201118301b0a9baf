"""calibration, rank_histogram and report: what is drawn, and that their bands hold what they say."""

import sys
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

import pandas as pd
from pictures import LEVELS, normal, verdict
from scipy import stats

from innverse import ConditionalINN, metrics, plot
from innverse._verdict import Verdict
from innverse.baselines import RejectionABC
from innverse.plot._bands import binomial_limits, curve_band, histogram_band

pytestmark = pytest.mark.usefixtures("figures_are_closed")


def judged(rows=300, width=1.0, draws=99):
    """Truths of two parameters, and samples that are as wide as they should be times `width`."""
    return normal(rows, 2), width * normal(rows, draws, 2, seed=1)


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture(scope="module")
def fitted():
    """A small model that was fitted to a table with names, and new simulations."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.standard_normal((600, 2)), columns=["a [m]", "b [s]"])
    y = x.to_numpy()[:, :1] + 0.3 * rng.standard_normal((600, 1))
    model = ConditionalINN(n_blocks=2, hidden_layer_sizes=(16,), max_iter=3, n_estimators=1, random_state=0)
    return model.fit(x[:500], y[:500]), x[500:], y[500:]


@pytest.mark.parametrize("rows", [1, 20, 500, 100_000])
@pytest.mark.parametrize("tail", [1e-6, 0.005, 0.3])
def test_binomial_limits_are_those_of_scipy(rows, tail):
    chances = np.r_[1e-4, LEVELS, 1 - 1e-4]
    low, high = binomial_limits(tail, rows, chances)
    law = stats.binom(rows, chances)
    assert np.round(low * rows).tolist() == law.ppf(tail).tolist()
    largest = np.round(high * rows)
    assert np.all(law.sf(largest - 1) >= tail * (1 - 1e-9)) and np.all(law.sf(largest) < tail * (1 + 1e-9))


@pytest.mark.parametrize("rows", [50, 1000])
@pytest.mark.parametrize("band", [0.8, 0.95])
def test_the_band_of_a_curve_holds_whole_curves_as_often_as_it_says(rows, band):
    low, high = curve_band(LEVELS, rows, band)
    uniform = np.random.default_rng(5).random((3000, rows))
    curves = np.array([np.searchsorted(np.sort(row), LEVELS, side="right") for row in uniform]) / rows
    inside = np.all((curves > low - 1e-9) & (curves < high + 1e-9), axis=1)
    # Three standard deviations of 3000 curves, and as much for those that the band was made from.
    assert np.mean(inside) == pytest.approx(band, abs=3 * (band * (1 - band) * (1 / 3000 + 1 / 4000)) ** 0.5)


def test_the_band_of_a_histogram_holds_all_bins_as_often_as_it_says():
    shares = np.array([0.1, 0.3, 0.2, 0.4])
    low, high = histogram_band(shares, 2000, 0.9)
    counts = np.random.default_rng(5).multinomial(2000, shares, 3000) / 2000
    inside = np.all((counts > low - 1e-9) & (counts < high + 1e-9), axis=1)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.025)
    # Wider than for one bin alone.
    assert np.all(high - low > (2 * 1.645 * (shares * (1 - shares) / 2000) ** 0.5))


def test_calibration_draws_results_as_they_are():
    truth, samples = judged()
    result = metrics.calibration_error(samples, truth)
    ax = plot.calibration(result, names=["a [m]", "b [s]"])
    shown = lines(ax)
    assert set(shown) == {"a [m]", "b [s]"}
    for column, line in enumerate(shown.values()):
        assert np.array_equal(line.get_xydata(), np.c_[result.confidences, result.inliers[:, column]])
    assert legend(ax.figure) == ["95 % band, 300 cases", "a [m]", "b [s]"]
    (band,) = ax.collections
    low, high = curve_band(LEVELS, 300, 0.95)
    edge = band.get_paths()[0].vertices
    assert {tuple(point) for point in np.r_[np.c_[LEVELS, low], np.c_[LEVELS, high]]} <= set(map(tuple, edge))


def test_calibration_draws_coverage_and_tarp():
    truth, samples = judged()
    for result in (
        metrics.tarp(samples, truth, random_state=0, levels=[0.9, 0.1, 0.5]),
        metrics.expected_coverage(samples, truth, np.zeros(300), log_prob=lambda x, y: -np.sum(x**2, axis=1)),
    ):
        (line,) = lines(plot.calibration(result)).values()
        order = np.argsort(result.levels)
        assert np.array_equal(line.get_xydata(), np.c_[result.levels, result.coverage][order])
        assert result.rows == 300


def test_without_a_number_of_observations_there_is_no_band():
    assert not plot.calibration(metrics.Coverage(LEVELS, LEVELS, 0.0)).collections


def test_calibration_of_a_model_and_of_samples(fitted):
    model, x, y = fitted
    held_out = plot.calibration(model)
    assert set(lines(held_out)) == {"a [m]", "b [s]", "all together"}
    assert np.array_equal(lines(held_out)["a [m]"].get_ydata(), model.calibration_.inliers[:, 0])
    assert np.array_equal(lines(held_out)["all together"].get_ydata(), model.verdict_.coverage)
    assert f"95 % band, {model.verdict_.rows} cases" in legend(held_out.figure)
    fresh = lines(plot.calibration(model, x.to_numpy(), y, n=50, random_state=0))
    expected = metrics.calibration_error(model, x, y, n=50, random_state=0)
    assert np.array_equal(fresh["b [s]"].get_ydata(), expected.inliers[:, 1])
    assert set(lines(plot.calibration(model.posterior(y, n=20), x))) == {"a [m]", "b [s]"}
    assert set(lines(plot.calibration(model.verdict_, names=["p", "q"]))) == {"p", "q", "all together"}


def test_a_right_posterior_stays_in_the_band_and_a_narrow_one_leaves_it():
    for width, stays in ((1.0, True), (0.7, False)):
        truth, samples = judged(width=width)
        curves = lines(plot.calibration(samples, truth)).values()
        low, high = curve_band(LEVELS, 300, 0.95)
        inside = [np.all((c.get_ydata() >= low) & (c.get_ydata() <= high)) for c in curves]
        assert inside == [stays, stays]


def test_many_parameters_are_told_apart_without_colour():
    inliers = np.tile(LEVELS[:, np.newaxis], 24)
    shown = lines(plot.calibration(metrics.CalibrationError(LEVELS, inliers)))
    looks = [(line.get_color(), line.get_linestyle()) for line in shown.values()]
    assert len(set(looks)) == 24
    for one, next_one in pairwise(looks):
        assert one[0] != next_one[0] and one[1] != next_one[1]


def test_calibration_draws_where_it_is_told():
    from matplotlib import pyplot as plt

    _, given = plt.subplots()
    truth, samples = judged()
    assert plot.calibration(samples, truth, ax=given) is given
    assert given.get_legend() is not None and not given.figure.legends


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model_or_result": object()}, TypeError, "model_or_result must be a fitted estimator"),
        ({"model_or_result": verdict(), "x": [1.0]}, ValueError, "x must be None where a Verdict is drawn"),
        ({"model_or_result": verdict(), "band": 1.0}, ValueError, "band must be between 0 and 1, got 1"),
        ({"model_or_result": verdict(), "band": "wide"}, TypeError, "band must be a number, got 'wide'"),
        ({"model_or_result": verdict(), "names": ["a"]}, ValueError, "names must be as many .* 3, got 1"),
        ({"model_or_result": ConditionalINN()}, ValueError, "not fitted yet"),
    ],
)
def test_calibration_refuses_nonsense(arguments, error, message):
    with pytest.raises(error, match=message):
        plot.calibration(**arguments)


def test_an_estimator_without_rows_held_out_has_nothing_to_show():
    truth, _ = judged()
    baseline = RejectionABC().fit(truth, truth)
    for draw in (plot.calibration, plot.report):
        with pytest.raises(
            ValueError, match="must have been fitted with rows held out.*RejectionABC has none"
        ):
            draw(baseline)
    assert lines(plot.calibration(baseline, truth, truth, n=10))


def bars(ax):
    return next(patch.get_data() for patch in ax.patches if patch.get_label() == "ranks")


def test_rank_histogram_counts_over_what_is_expected():
    ranks = np.repeat(np.arange(100), 5)[:, np.newaxis]
    (ax,) = plot.rank_histogram(ranks, n=99, names=["a [m]"])
    heights, edges, _ = bars(ax)
    # One bin for 20 ranks, at most 20.
    assert heights.tolist() == [1.0] * 20 and edges.tolist() == list(range(0, 101, 5))
    assert ax.get_xlabel() == "a [m]" and ax.get_ylabel() == "count / expected"
    assert ax.figure.get_supxlabel() == "rank among 99 draws"
    assert "95 % band, 500 cases" in legend(ax.figure)


def test_rank_histogram_of_unequal_bins_is_still_flat():
    """Seven bins do not divide a hundred ranks: each counts by the ranks that it has."""
    (ax,) = plot.rank_histogram(np.arange(100), n=99, bins=7)
    heights, edges, _ = bars(ax)
    assert len(set(np.diff(edges))) == 2
    assert heights == pytest.approx(np.ones(7))
    band = next(patch.get_data() for patch in ax.patches if "band" in patch.get_label())
    low, high = histogram_band(np.diff(edges) / 100, 100, 0.95)
    assert band.values == pytest.approx(high * 100 / np.diff(edges))
    assert band.baseline == pytest.approx(low * 100 / np.diff(edges))


@pytest.mark.parametrize(("rows", "n", "bins"), [(500, 1000, 13), (60, 999, 4), (500, 100, 20), (500, 2, 3)])
def test_rank_histogram_prefers_equal_bins(rows, n, bins):
    (ax,) = plot.rank_histogram(np.zeros(rows, dtype=int), n=n)
    assert len(bars(ax).values) == bins


def test_rank_histogram_of_a_model_and_of_samples(fitted):
    model, x, y = fitted
    axes = plot.rank_histogram(model, x.to_numpy(), y, n=99, random_state=0)
    assert [ax.get_xlabel() for ax in axes] == ["a [m]", "b [s]"]
    ranks = metrics.sbc_ranks(model, x, y, n=99, random_state=0)
    for ax, column in zip(axes, ranks.T, strict=True):
        heights, edges, _ = bars(ax)
        assert heights == pytest.approx(np.histogram(column, edges - 0.5)[0] * len(heights) / len(x))
    axes = plot.rank_histogram(model.posterior(y, n=19), x)
    assert bars(axes[0]).edges[-1] == 20 and axes[1].get_xlabel() == "b [s]"


def test_narrow_posteriors_leave_the_band_of_ranks():
    for width, stays in ((1.0, True), (0.6, False)):
        truth, samples = judged(width=width)
        for ax in plot.rank_histogram(samples, truth):
            band = next(patch.get_data() for patch in ax.patches if "band" in patch.get_label())
            heights = bars(ax).values
            assert np.all((heights >= band.baseline - 1e-9) & (heights <= band.values + 1e-9)) == stays
            assert ax.get_ylim()[1] > max(heights.max(), band.values.max())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model_or_ranks": [[1001]]}, ValueError, "must lie between 0 and n = 1000, got 1001 to 1001"),
        ({"model_or_ranks": [[-1]]}, ValueError, "must lie between 0 and n"),
        ({"model_or_ranks": [[0.5]]}, ValueError, "model_or_ranks must be integers"),
        ({"model_or_ranks": np.zeros((2, 3, 4))}, ValueError, "x must be the true parameters"),
        ({"model_or_ranks": [0.5], "x": [1.0]}, ValueError, r"must be samples of shape \(m, n, dx\)"),
        ({"model_or_ranks": [[1]], "n": 0}, ValueError, "n must be at least 1"),
        (
            {"model_or_ranks": [[1]], "n": 4, "bins": 6},
            ValueError,
            "bins must be at most .* n [+] 1 = 5, got 6",
        ),
        ({"model_or_ranks": [[1]], "bins": 0}, ValueError, "bins must be at least 1"),
        ({"model_or_ranks": [[1]], "band": 0}, ValueError, "band must be between 0 and 1"),
    ],
)
def test_rank_histogram_refuses_nonsense(arguments, error, message):
    with pytest.raises(error, match=message):
        plot.rank_histogram(**arguments)


def test_the_report_is_drawn_parameter_by_parameter():
    given = verdict()
    figure = plot.report(given, names=["a [m]", "b [s]", "c [-]"])
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["a [m]", "b [s]", "c [-]", "all together"]
    # The first row is above.
    assert left.get_ylim() == (3.5, -0.5)
    shown = lines(left)
    assert shown["recoverable"].get_xydata().tolist() == [[12.0, 0], [1.7, 1]]
    assert shown["posterior equals prior"].get_xydata().tolist() == [[1.0, 2]]
    assert shown["posterior equals prior"].get_markerfacecolor() == "white"
    half = lines(right)["50 % regions"].get_xdata()
    assert half == pytest.approx([50, 62.5, 50, 62.5], abs=0.01)
    words = [text.get_text() for text in right.texts]
    assert words == ["calibrated", "too wide", "calibrated", "wider than need be"]
    low, high = stats.binom.interval(0.99, 400, 0.5)
    assert right.patches[0].get_x() == pytest.approx(low / 4)
    assert right.patches[0].get_width() == pytest.approx((high - low) / 4)
    assert "400 simulations" in figure.get_suptitle()


@pytest.mark.parametrize("narrowing", [(1e-9, 1.0, 1e6), (0.97, 1.0, 1.01), (5.0, 50.0, 500.0)])
def test_the_report_shows_every_factor_of_narrowing(narrowing):
    left = plot.report(verdict(narrowing=narrowing)).axes[0]
    low, high = left.get_xlim()
    ticks = left.get_xticks()
    assert low < min(narrowing) and high > max(narrowing)
    assert np.all((ticks >= low) & (ticks <= high)) and 2 <= len(ticks) <= 10
    left.figure.canvas.draw()


def test_the_report_without_a_density_has_no_joint_row():
    without = Verdict.from_dict({**verdict().as_dict(), "coverage": None})
    left, right = plot.report(without).axes
    assert len(left.get_yticks()) == 3 and len(right.texts) == 3
    assert set(lines(plot.calibration(without))) == {"a", "b", "c"}


def test_the_report_of_a_model_is_that_of_its_verdict(fitted, capsys):
    model, _, _ = fitted
    by_model, by_verdict = plot.report(model), plot.report(model.report())
    printed = capsys.readouterr().out
    for one, other in zip(by_model.axes, by_verdict.axes, strict=True):
        assert [t.get_text() for t in one.texts] == [t.get_text() for t in other.texts]
    for text in by_model.axes[1].texts:
        assert text.get_text() in printed
    with pytest.raises(TypeError, match="model_or_verdict must be a fitted estimator or what its report"):
        plot.report(object())


def test_a_notebook_shows_the_report_and_leaves_no_figure_open():
    from matplotlib import pyplot as plt

    assert verdict()._repr_png_().startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_a_notebook_without_matplotlib_shows_the_text(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert verdict()._repr_png_() is None
