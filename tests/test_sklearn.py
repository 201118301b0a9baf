"""scikit-learn's own checks, and its tools around the estimator."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from innverse import INN, ConditionalINN

SMALL = dict(n_blocks=2, hidden_layer_sizes=(16,), batch_size=50, max_iter=3, random_state=0)

# One dimension means one column here, so `check_fit1d`, which wants an error, cannot hold; the tag that
# says so leaves out more, which is put back.
LEFT_OUT = [
    estimator_checks.check_complex_data,
    estimator_checks.check_dtype_object,
    estimator_checks.check_estimators_empty_data_messages,
    estimator_checks.check_estimators_nan_inf,
    estimator_checks.check_n_features_in,
    estimator_checks.check_fit2d_predict1d,
    estimator_checks.check_requires_y_none,
    estimator_checks.check_n_features_in_after_fitting,
    estimator_checks.check_dataframe_column_names_consistency,
]


@estimator_checks.parametrize_with_checks([INN(max_iter=5), ConditionalINN(max_iter=5)])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [INN, ConditionalINN])
@pytest.mark.parametrize("check", LEFT_OUT, ids=lambda check: check.__name__)
@pytest.mark.filterwarnings("ignore")
def test_checks_that_the_tag_leaves_out(check, cls):
    check(cls.__name__, cls(max_iter=5))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    return x, x[:, :1] + 0.1 * rng.normal(size=(300, 1))


def test_grid_search_on_the_score(data):
    search = GridSearchCV(INN(**SMALL), {"max_iter": [1, 40]}, cv=2).fit(*data)
    assert search.best_params_ == {"max_iter": 40}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.posterior([[0.0]], n=3).shape == (1, 3, 2)


def test_cross_validation_in_other_processes(data):
    scores = cross_val_score(INN(**SMALL), *data, cv=2, n_jobs=2)
    assert np.array_equal(scores, cross_val_score(INN(**SMALL), *data, cv=2))


def test_pipeline(data):
    x, y = data
    pipeline = make_pipeline(StandardScaler(), INN(**SMALL)).fit(x, y)
    assert pipeline.predict(x).shape == (300, 1)
    assert np.isfinite(pipeline.score(x, y))
    assert clone(pipeline)[-1].get_params() == pipeline[-1].get_params()


def test_init_only_stores():
    parameters = INN().get_params()
    odd = {name: object() for name in parameters}
    assert INN(**odd).get_params() == odd
