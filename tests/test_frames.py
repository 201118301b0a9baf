"""A DataFrame goes in, names come out; tables with other columns or values are refused by column."""

import subprocess
import sys
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from innverse import INN, ConditionalINN, load
from innverse.baselines import RejectionABC

ROWS = 120
SMALL = dict(n_blocks=1, hidden_layer_sizes=(8,), max_iter=1, random_state=0, n_jobs=1)
RNG = np.random.default_rng(0)
# Small whole numbers, which every dtype holds.
X = pd.DataFrame(RNG.integers(-20, 20, (ROWS, 3)).astype(float), columns=["mass [g]", "age", "v [m/s]"])
Y = pd.DataFrame(RNG.integers(-20, 20, (ROWS, 2)).astype(float), columns=["flux", "width"])
STARS = Y.iloc[:3].set_axis(["Vega", "Deneb", "Rigel"])
ESTIMATORS = [
    INN(**SMALL),
    INN(**SMALL, n_estimators=2),
    ConditionalINN(**SMALL, n_estimators=1),
    RejectionABC(acceptance=0.1, random_state=0),
]


@pytest.fixture(scope="module", params=ESTIMATORS, ids=["inn", "ensemble", "conditional", "abc"])
def fitted(request):
    return request.param.fit(X, Y)


@pytest.fixture(scope="module")
def inn():
    return INN(**SMALL).fit(X, Y)


def test_one_observation_gives_a_row_for_each_draw(fitted):
    frame = fitted.posterior(Y.iloc[0], n=5, random_state=1, as_frame=True)
    assert frame.columns.equals(X.columns)
    assert frame.index.equals(pd.RangeIndex(5)) and frame.index.name == "draw"
    assert np.array_equal(frame, fitted.posterior(Y.iloc[0].tolist(), n=5, random_state=1))


def test_many_observations_keep_their_index(fitted):
    frame = fitted.posterior(STARS, n=5, random_state=1, as_frame=True)
    assert frame.shape == (15, 3)
    assert frame.index.names == ["observation", "draw"]
    samples = fitted.posterior(STARS.to_numpy(), n=5, random_state=1)
    for star, drawn in zip(STARS.index, samples, strict=True):
        assert np.array_equal(frame.loc[star], drawn)
    numbered = fitted.posterior(STARS.to_numpy(), n=5, random_state=1, as_frame=True)
    assert numbered.index.equals(pd.MultiIndex.from_product([range(3), range(5)]))
    assert np.array_equal(numbered, frame)


def test_a_table_of_one_row_is_a_table(fitted):
    frame = fitted.posterior(STARS[1:2], n=5, as_frame=True)
    assert frame.index.equals(pd.MultiIndex.from_product([["Deneb"], range(5)]))


def test_an_index_may_repeat_and_may_have_levels(inn):
    twice = inn.posterior(STARS.set_axis([7, 8, 7]), n=2, as_frame=True)
    assert twice.index.tolist() == [(7, 0), (7, 1), (8, 0), (8, 1), (7, 0), (7, 1)]
    nights = pd.MultiIndex.from_tuples([("Rigel", 1), ("Vega", 1), ("Vega", 2)], names=["star", "night"])
    nightly = inn.posterior(STARS.set_axis(nights), n=2, as_frame=True)
    assert nightly.index.names == ["star", "night", "draw"]
    assert nightly.loc[("Vega", 2)].shape == (2, 3)


def test_columns_without_names_are_numbered():
    model = INN(**SMALL).fit(X.to_numpy(), Y.to_numpy())
    assert list(model.posterior([0.0, 0.0], n=2, as_frame=True)) == ["x0", "x1", "x2"]
    assert list(model.predict(X.to_numpy(), as_frame=True)) == ["y0", "y1"]
    assert not hasattr(model, "target_names_in_")
    # A number is no name, as in scikit-learn.
    model = INN(**SMALL).fit(pd.DataFrame(X.to_numpy()), pd.DataFrame(Y.to_numpy()))
    assert list(model.posterior([0.0, 0.0], n=2, as_frame=True)) == ["x0", "x1", "x2"]


def test_single_columns_may_be_series():
    model = INN(**SMALL).fit(X["age"], Y["flux"])
    one = model.posterior(Y["flux"].iloc[:1], n=4, as_frame=True)
    assert list(one) == ["age"] and one.index.name == "draw"
    several = model.posterior(Y["flux"].iloc[5:8], n=4, as_frame=True)
    assert several.index.get_level_values("observation").unique().tolist() == [5, 6, 7]
    assert model.posterior(Y[["flux"]].iloc[3], n=4).shape == (4, 1)
    with pytest.raises(ValueError, match="y must have the columns.*unexpected \\['width'\\]"):
        model.posterior(Y["width"])


def test_predict_gives_the_names_of_y_and_the_index_of_x(inn):
    x = X.iloc[5:8].set_axis(["a", "b", "c"])
    frame = inn.predict(x, as_frame=True)
    assert frame.columns.equals(Y.columns) and frame.index.equals(x.index)
    assert np.array_equal(frame, inn.predict(x))


@pytest.mark.parametrize("estimator", [INN(**SMALL), ConditionalINN(**SMALL, n_estimators=2)])
def test_a_loaded_model_knows_all_names(estimator, tmp_path):
    model = estimator.fit(X, Y)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert list(loaded.target_names_in_) == ["flux", "width"]
    pd.testing.assert_frame_equal(
        loaded.posterior(STARS, n=5, as_frame=True), model.posterior(STARS, n=5, as_frame=True)
    )
    with pytest.raises(ValueError, match="order"):
        loaded.posterior(STARS[["width", "flux"]])


SWAPPED = Y[["width", "flux"]]
NEEDS_Y = [
    lambda m, y: m.posterior(y),
    lambda m, y: m.posterior(y.iloc[0]),
    lambda m, y: m.covers(y),
    lambda m, y: m.score(X, y),
    lambda m, y: m.log_prob(X, y),
    lambda m, y: m.latent(X, y),
    lambda m, y: m.partial_fit(X, y),
]


@pytest.mark.parametrize("call", NEEDS_Y)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (SWAPPED, r"y must have the columns .*needs the order \['flux', 'width'\], got \['width', 'flux'\]"),
        (Y.rename(columns={"width": "w"}), r"y must .*got unexpected \['w'\] and lacks \['width'\]"),
    ],
)
def test_other_columns_of_y_are_refused(call, y, message):
    model = ConditionalINN(**SMALL, n_estimators=1).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        call(model, y)
    call(model, Y)


def test_other_columns_of_x_are_refused(inn):
    with pytest.raises(ValueError, match="feature names.*\n.*same order"):
        inn.predict(X[["age", "mass [g]", "v [m/s]"]])


def test_the_baseline_refuses_other_columns_too():
    model = RejectionABC(acceptance=0.1).fit(X, Y)
    for call in (lambda: model.posterior(SWAPPED), lambda: model.score(X, SWAPPED)):
        with pytest.raises(ValueError, match="order"):
            call()


def test_names_go_with_a_new_fit_and_stay_after_one_that_failed():
    model = INN(**SMALL).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, Y.rename(columns={"flux": "f"}).replace(Y.iloc[0, 0], np.nan))
    assert list(model.target_names_in_) == ["flux", "width"]
    model.fit(X, Y.to_numpy())
    assert not hasattr(model, "target_names_in_")
    model.posterior(SWAPPED, n=1)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "Int64", "Float32", "boolean", "bool", "object", "category"]
)
def test_any_dtype_of_numbers_gives_the_same(dtype):
    x, y = ((table > 0).astype(float) if "bool" in dtype else table for table in (X, Y))
    model = INN(**SMALL).fit(x.astype(dtype), y.astype(dtype))
    same = INN(**SMALL).fit(x.to_numpy(), y.to_numpy())
    expected = same.posterior(y.to_numpy()[:2], n=3)
    assert np.array_equal(model.posterior(y.astype(dtype).iloc[:2], n=3), expected)
    assert np.array_equal(model.posterior(y.astype(dtype).iloc[0], n=3), expected[0]) == (
        np.array_equal(same.posterior(y.to_numpy()[0], n=3), expected[0])
    )


def test_columns_may_differ_in_dtype():
    mixed = X.astype({"mass [g]": "int16", "age": "Int64", "v [m/s]": "float32"})
    mixed["age"] = mixed["age"].astype(object).map(lambda value: Decimal(int(value)))
    assert np.array_equal(INN(**SMALL).fit(mixed, Y).predict(mixed), INN(**SMALL).fit(X, Y).predict(X))


@pytest.mark.parametrize(
    ("column", "got"),
    [
        (["1.5"] * ROWS, r"age \((str|object)\)"),
        (pd.Series(["1.5"] * ROWS, dtype="string"), r"age \(string\)"),
        (pd.Categorical(["old"] * ROWS), r"age \(category\)"),
        ([b"7"] * ROWS, r"age \(object\)"),
        (pd.Series([[1, 2]] * ROWS), r"age \(object\)"),
        (pd.Series([10**400] * ROWS, dtype=object), r"age \(object\)"),
        ([datetime(2019, 1, 1)] * ROWS, r"age \(datetime64\[.*\]\)"),
        (pd.to_timedelta([3] * ROWS, unit="s"), r"age \(timedelta64\[.*\]\)"),
        (pd.period_range("2019", periods=ROWS, freq="D"), r"age \(period\[D\]\)"),
        ([1j] * ROWS, r"age \(complex128\)"),
    ],
)
@pytest.mark.parametrize("estimator", [INN(**SMALL), RejectionABC()])
def test_what_is_no_number_is_named(column, got, estimator):
    table = X.assign(age=column)
    with pytest.raises(ValueError, match=rf"x must be numeric, got other values in column\(s\) {got}$"):
        estimator.fit(table, Y)
    with pytest.raises(ValueError, match=rf"y must be numeric, got other values in column\(s\) {got}$"):
        estimator.fit(X, table)


def test_all_columns_that_are_no_numbers_are_named():
    table = X.assign(age="old", kind="dwarf")
    with pytest.raises(ValueError, match=r"column\(s\) age \(\w+\), kind \(\w+\)$"):
        INN(**SMALL).fit(table, Y)


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("float64", np.nan, "NaN"),
        ("float64", np.inf, "infinity"),
        ("Int64", pd.NA, "NaN"),
        ("object", None, "NaN"),
        ("object", pd.NA, "NaN"),
        ("object", -np.inf, "infinity"),
    ],
)
def test_values_that_are_missing_are_named(dtype, value, kind):
    x = X.astype({"age": dtype})
    x.loc[7, "age"] = value
    with pytest.raises(ValueError, match=rf"x contains {kind} in column\(s\) age, must be finite"):
        INN(**SMALL).fit(x, Y)
    kept = np.delete(np.arange(ROWS), 7)
    model = INN(**SMALL, nan_policy="omit").fit(x, Y)
    same = INN(**SMALL).fit(X.iloc[kept], Y.iloc[kept])
    assert np.array_equal(model.predict(X), same.predict(X))


def test_a_missing_value_of_one_observation_is_named(inn):
    with pytest.raises(ValueError, match=r"y contains NaN in column\(s\) width"):
        inn.posterior(pd.Series({"flux": 1.0, "width": np.nan}))
    with pytest.raises(ValueError, match=r"y contains NaN in column\(s\) width"):
        inn.posterior(pd.Series({"flux": 1, "width": pd.NA}, dtype="Int64"))
    with pytest.raises(ValueError, match=r"y must be numeric, .* width \(object\)"):
        inn.posterior(pd.Series({"flux": 1, "width": "wide"}))


def test_columns_that_share_a_name_are_refused():
    twice = X.set_axis(["a", "b", "a"], axis=1)
    for argument, tables in (("x", (twice, Y)), ("y", (X, twice))):
        with pytest.raises(ValueError, match=f"{argument} must have .* different names, got several of a$"):
            INN(**SMALL).fit(*tables)


def test_without_pandas_all_works_but_frames(inn, monkeypatch):
    code = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import numpy as np
from innverse import INN
x = np.random.default_rng(0).normal(size=(60, 2))
INN(n_blocks=1, hidden_layer_sizes=(8,), max_iter=1, random_state=0).fit(x, x).posterior(x[0], n=3)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    baseline = RejectionABC().fit([1.0, 2.0], [3.0, 4.0])
    monkeypatch.setitem(sys.modules, "pandas", None)
    calls = [
        lambda: inn.posterior([0.0, 0.0], as_frame=True),
        lambda: inn.predict(X, as_frame=True),
        lambda: baseline.posterior(3.0, as_frame=True),
    ]
    for call in calls:
        with pytest.raises(ImportError, match=r"pip install 'innverse\[pandas\]'"):
            call()
