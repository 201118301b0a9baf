"""What `to_arviz` makes of samples is what ArviZ summarises and plots, before its version 1 and since."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from innverse import INN, to_arviz

matplotlib = pytest.importorskip("matplotlib")
with warnings.catch_warnings():
    # Its releases before 1.0 announce it once a day.
    warnings.simplefilter("ignore", FutureWarning)
    az = pytest.importorskip("arviz")

NAMES = ["mass [g]", "speed [m/s]"]
VARIABLES = ["mass [g]", "speed [m per s]"]
N = 200
RNG = np.random.default_rng(0)
ONE = RNG.normal(size=(N, 2))
SEVERAL = RNG.normal(size=(3, N, 2))
PRIOR = 3 * RNG.normal(size=(500, 2))
Y = pd.DataFrame(
    {"flux [erg/s]": [1.0, 2.0, 3.0], "width": [4.0, 5.0, 6.0]}, index=["Vega", "Deneb", "Rigel"]
)


@pytest.fixture
def close():
    matplotlib.use("Agg")
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(scope="module")
def one():
    density = -np.square(ONE).sum(axis=1) / 2
    return to_arviz(ONE, names=NAMES, y=Y.iloc[0], prior=PRIOR, log_prob=density, chains=4)


@pytest.fixture(scope="module")
def several():
    return to_arviz(SEVERAL, names=NAMES, y=Y, prior=PRIOR, chains=2)


def test_it_is_what_this_version_of_arviz_works_with(one):
    wanted = az.InferenceData if az.__version__.startswith("0.") else pytest.importorskip("xarray").DataTree
    assert isinstance(one, wanted)
    assert one.posterior.attrs["inference_library"] == "innverse"


def test_a_variable_for_each_parameter(one):
    assert list(one.posterior.data_vars) == VARIABLES
    assert one.posterior[VARIABLES[1]].attrs["long_name"] == "speed [m/s]"
    assert one.posterior[VARIABLES[1]].dims == ("chain", "draw")
    assert np.array_equal(one.posterior[VARIABLES[1]].values.ravel(), ONE[:, 1])
    assert np.array_equal(one.prior[VARIABLES[0]], PRIOR[np.newaxis, :, 0])
    assert np.array_equal(one.sample_stats["lp"].values.ravel(), -np.square(ONE).sum(axis=1) / 2)
    assert {name: float(value) for name, value in one.observed_data.data_vars.items()} == {
        "flux [erg per s]": 1.0,
        "width": 4.0,
    }


def test_observations_are_a_third_dimension(several):
    assert several.posterior[VARIABLES[0]].dims == ("chain", "draw", "observation")
    for star, samples in zip(Y.index, SEVERAL, strict=True):
        chosen = several.posterior.sel(observation=star)
        assert np.array_equal(chosen[VARIABLES[1]].values.ravel(), samples[:, 1])
        assert float(several.observed_data["width"].sel(observation=star)) == Y.loc[star, "width"]


def test_names_and_labels_come_out_of_a_frame():
    x = pd.DataFrame(RNG.normal(size=(80, 2)), columns=NAMES)
    y = pd.DataFrame(RNG.normal(size=(80, 2)), columns=Y.columns)
    model = INN(n_blocks=1, hidden_layer_sizes=(8,), max_iter=1, random_state=0, n_jobs=1).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Rows far outside the simulations.
        frame = model.posterior(Y, n=20, as_frame=True)
        samples = model.posterior(Y, n=20)
    data = to_arviz(frame, y=Y, prior=x)
    assert list(data.posterior.data_vars) == VARIABLES
    assert list(data.posterior["observation"].values) == list(Y.index)
    assert np.array_equal(data.posterior[VARIABLES[0]].sel(observation="Rigel").values[0], samples[2, :, 0])
    alone = to_arviz(frame.loc["Deneb"])
    assert np.array_equal(alone.posterior[VARIABLES[0]].values[0], samples[1, :, 0])
    nights = pd.MultiIndex.from_tuples([("Rigel", 1), ("Vega", 1), ("Vega", 2)], names=["star", "night"])
    nightly = to_arviz(model.posterior(y.iloc[:3].set_axis(nights), n=4, as_frame=True))
    assert list(nightly.posterior["observation"].values) == ["Rigel, 1", "Vega, 1", "Vega, 2"]


def test_without_names_columns_are_numbered():
    data = to_arviz(SEVERAL, y=Y.to_numpy())
    assert list(data.posterior.data_vars) == ["x0", "x1"]
    assert list(data.observed_data.data_vars) == ["y0", "y1"]
    assert list(data.posterior["observation"].values) == [0, 1, 2]
    assert to_arviz(ONE[:, 0], y=7).observed_data["y0"] == 7.0
    named = to_arviz(SEVERAL, y=[1, 2, 3], y_names=["flux"])
    assert list(named.observed_data["flux"].values) == [1, 2, 3]


def test_summary(one, several):
    table = az.summary(one)
    assert list(table.index) == VARIABLES
    assert np.allclose(table["mean"].astype(float), ONE.mean(axis=0), atol=0.05)
    assert np.all(table["r_hat"].astype(float) < 1.1)
    assert list(az.summary(several).index) == [f"{name}[{star}]" for name in VARIABLES for star in Y.index]


COMPARE = "plot_prior_posterior" if hasattr(az, "plot_prior_posterior") else "plot_dist_comparison"


@pytest.mark.filterwarnings("ignore")  # Those of ArviZ are its own.
@pytest.mark.parametrize("name", ["plot_trace", "plot_pair", "plot_forest", "plot_rank", COMPARE])
def test_plots(one, several, name, close):
    plot = getattr(az, name)
    plot(one)
    assert matplotlib.pyplot.get_fignums()
    if name != "plot_dist_comparison":  # It wants a prior for each observation.
        plot(several, var_names=VARIABLES[:1])


SHUFFLED = pd.DataFrame(
    ONE[:4], index=pd.MultiIndex.from_tuples([(0, 0), (1, 0), (0, 1), (1, 1)], names=["observation", "draw"])
)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (
            np.zeros((2, 2, 2, 2)),
            {},
            r"samples must have shape \(n, dx\) or \(m, n, dx\), got shape \(2, 2, 2",
        ),
        ([[np.nan, 1.0]], {}, "samples must be finite"),
        (ONE[:0], {}, "samples must not be empty"),
        (SHUFFLED, {}, "samples must have the same draws for each observation"),
        (ONE, {"chains": 3}, "chains must divide the number of samples, 200, got 3"),
        (ONE, {"chains": 0}, "chains must be at least 1"),
        (ONE, {"names": ["mass"]}, r"names must be 2 names, .* got \['mass'\]"),
        (ONE, {"names": [1, 2]}, "names must be 2 names"),
        (ONE, {"names": ["a", "a"]}, "names must differ"),
        (ONE, {"names": ["a/b", "a per b"]}, "names must differ, also once '/' is written as 'per'"),
        (ONE, {"names": ["draw", "a"]}, r"names must not be \['draw'\]"),
        (ONE, {"y": [1.0], "y_names": ["a", "b"]}, "y_names must be 1 names"),
        (ONE, {"y": Y}, "y must have a row for each observation of samples, 1, got 3"),
        (SEVERAL, {"y": Y[:2]}, "y must have a row for each observation of samples, 3, got 2"),
        (ONE, {"y": [np.nan]}, "y contains NaN"),
        (ONE, {"prior": PRIOR[:, :1]}, "prior must have 2 columns as samples, got 1"),
        (ONE, {"names": NAMES, "prior": Y}, "prior must have the columns"),
        (
            ONE,
            {"log_prob": [1.0]},
            r"log_prob must have one number for each sample, shape \(200,\), got \(1,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(samples, options, message):
    with pytest.raises(ValueError, match=message):
        to_arviz(samples, **options)


def test_without_arviz_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match=r"pip install 'innverse\[arviz\]'"):
        to_arviz(ONE)
