import numpy as np
import pytest

from innverse import ConditionalINN, _sampling

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2))
Y = X[:, :1] + 0.1 * RNG.normal(size=(200, 1))
N, M = 70, 5


@pytest.fixture(scope="module", params=[1, 3])
def model(request):
    settings = dict(n_blocks=1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    return ConditionalINN(**settings, n_estimators=request.param).fit(X, Y)


@pytest.mark.parametrize("rows", [1, 33, 64, 1000])
def test_parts_do_not_change_samples(model, monkeypatch, rows):
    whole = model.posterior(Y[:M], n=N)
    monkeypatch.setattr(_sampling, "ROWS_AT_ONCE", rows)
    assert np.array_equal(model.posterior(Y[:M], n=N), whole)
    assert np.array_equal(model.posterior(Y[0], n=N), model.posterior(Y[:1], n=N)[0])


def test_samples_go_to_the_array_given(model, tmp_path):
    whole = model.posterior(Y[:M], n=N)
    single = np.full((M, N, 2), np.nan, dtype=np.float32)
    assert model.posterior(Y[:M], n=N, out=single) is single
    assert np.array_equal(single, whole.astype(np.float32))
    file = np.memmap(tmp_path / "samples", dtype=np.float64, mode="w+", shape=(N, 2))
    assert model.posterior(Y[0], n=N, out=file) is file
    file.flush()
    read = np.fromfile(tmp_path / "samples").reshape(N, 2)
    assert np.array_equal(read, model.posterior(Y[0], n=N))


def read_only():
    array = np.zeros((N, 2))
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0, 0.0]], TypeError, "out must be an array of float32 or float64, got list"),
        (np.zeros((N, 2), dtype=int), TypeError, "out must be an array of float32 or float64, got .*int64"),
        (np.zeros((1, N, 2)), ValueError, r"out must have the shape \(70, 2\), got \(1, 70, 2\)"),
        (np.zeros((2, N)).T, ValueError, "out must be C-contiguous and writeable"),
        (read_only(), ValueError, "out must be C-contiguous and writeable"),
    ],
)
def test_bad_out(model, out, error, message):
    with pytest.raises(error, match=message):
        model.posterior(Y[0], n=N, out=out)


def test_the_core_draws_a_part_at_a_time(model, monkeypatch):
    # The core's memory grows with what it is asked for at once.
    monkeypatch.setattr(_sampling, "ROWS_AT_ONCE", 50)
    asked = []

    class Core:
        def posterior(self, y, n, seed, threads, start, stop):
            asked.append(stop - start)
            return np.zeros((stop - start, 2))

    _sampling.draw(Core(), Y[:M], N, 0, 1, out=np.empty((M, N, 2)), verbose=False)
    assert max(asked) == 50 and sum(asked) == M * N


@pytest.mark.parametrize("verbose", [0, 1])
def test_progress(model, monkeypatch, capsys, verbose):
    monkeypatch.setattr(_sampling, "ROWS_AT_ONCE", 50)
    _sampling.draw(model._model, Y[:M], N, 0, 1, out=np.empty((M, N, 2)), verbose=bool(verbose))
    shown = capsys.readouterr().err
    assert ("Sampling" in shown and "350/350" in shown) if verbose else shown == ""
