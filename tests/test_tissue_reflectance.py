import doctest
import math
import signal
import threading
import time

import numpy as np
import pytest
from scipy import special

from innverse import _core
from innverse.problems import Problem, TissueReflectance, _tissue_reflectance

# Fixed seeds: a test at four standard errors either always holds or always fails, and would fail by chance
# for one seed in 15,000.
STANDARD_ERRORS = 4.0
# A column of x for each parameter: saturation, then four of each layer.
S = 0
V1, A1, G1, D1 = range(1, 5)
V2, A2, G2, D2 = range(5, 9)
V3, A3, G3, D3 = range(9, 13)
# The specification's table, for the formulas written out again below.
EXTINCTION = {
    470: (33209.2, 16156.4),
    480: (26629.2, 14550),
    511: (20092.8, 26355.2),
    560: (32613.2, 53788),
    580: (50104, 37020),
    600: (3200, 14677.2),
    660: (319.6, 3226.56),
    700: (290, 1794.28),
}
# A row in the middle of the prior.
MIDDLE = [0.5, *(0.05, 18.9, 0.875, 0.8), *(0.05, 18.9, 0.875, 0.63), *(0.05, 18.9, 0.875, 0.5)]


@pytest.fixture
def problem():
    return TissueReflectance()


@pytest.fixture
def few_angles(monkeypatch):
    """Eight angles: a third of the time, and as good a model for a test of the sampler."""
    monkeypatch.setattr(_tissue_reflectance, "_ANGLES", 8)


def reflectance(problem, x):
    """Reflectance without noise."""
    with problem._bar(None) as bar:
        return np.exp(problem._log_reflectance(np.asarray(x, dtype=float), bar))


def layers_by_hand(x, band):
    """mu_a and mu_s in 1/cm, g, thickness in cm of each layer, straight from the formulas."""
    oxygenated, deoxygenated = EXTINCTION[band]
    result = []
    for v, a, g, d in (x[1:5], x[5:9], x[9:13]):
        mu_a = math.log(10) * 120 / 64500 * v * (x[0] * oxygenated + (1 - x[0]) * deoxygenated)
        result.append((mu_a, a * (band / 500) ** -1.286 / (1 - g), g, d / 10))
    return result


def photons(layers, index, n, rng):
    """Monte Carlo: share of a normally incident beam that comes back out, with its standard error."""
    mu_a, mu_s, g, thickness = np.array(layers).T
    top = np.concatenate([[0.0], np.cumsum(thickness)])
    depth, cosine, layer = np.zeros(n), np.ones(n), np.zeros(n, dtype=int)
    weight = np.full(n, 1 - ((index - 1) / (index + 1)) ** 2)
    escaped = np.zeros(n)
    alive = np.arange(n)
    path = rng.exponential(size=n)
    while alive.size:
        k, c = layer[alive], cosine[alive]
        down = c > 0
        edge = np.where(down, top[k + 1], top[k])
        distance = (edge - depth[alive]) / c
        interacts = path[alive] < distance * (mu_a + mu_s)[k]
        inside, k_inside = alive[interacts], k[interacts]
        total = (mu_a + mu_s)[k_inside]
        depth[inside] += cosine[inside] * path[inside] / total
        weight[inside] *= mu_s[k_inside] / total
        cosine[inside] = henyey_greenstein(cosine[inside], g[k_inside], rng)
        path[inside] = rng.exponential(size=inside.size)
        # Light below a millionth is lost.
        weight[inside[weight[inside] < 1e-6]] = 0
        across = alive[~interacts]
        path[across] -= (distance * (mu_a + mu_s)[k])[~interacts]
        depth[across] = edge[~interacts]
        at_surface = np.where(cosine[across] > 0, layer[across] == len(layers) - 1, layer[across] == 0)
        inner = across[~at_surface]
        layer[inner] += np.sign(cosine[inner]).astype(int)
        outer = across[at_surface]
        reflected = rng.random(outer.size) < fresnel(np.abs(cosine[outer]), index)
        leaves = outer[~reflected]
        escaped[leaves] = np.where(cosine[leaves] < 0, weight[leaves], 0)
        weight[leaves] = 0
        cosine[outer[reflected]] *= -1
        alive = alive[weight[alive] > 0]
    return escaped.mean(), escaped.std() / math.sqrt(n)


def fresnel(cosine, index):
    sine = np.minimum(index * np.sqrt(1 - cosine**2), 1)
    inside, outside = np.arccos(cosine), np.arcsin(sine)
    with np.errstate(divide="ignore", invalid="ignore"):
        perpendicular = np.sin(inside - outside) ** 2 / np.sin(inside + outside) ** 2
        parallel = np.tan(inside - outside) ** 2 / np.tan(inside + outside) ** 2
    normal = ((index - 1) / (index + 1)) ** 2
    return np.where(sine >= 1, 1, np.where(inside < 1e-6, normal, (perpendicular + parallel) / 2))


def henyey_greenstein(cosine, g, rng):
    ratio = (1 - g**2) / (1 - g + 2 * g * rng.random(cosine.size))
    turn = (1 + g**2 - ratio**2) / (2 * g)
    azimuth = rng.uniform(0, 2 * np.pi, cosine.size)
    sines = np.sqrt(np.maximum(1 - turn**2, 0) * np.maximum(1 - cosine**2, 0))
    return np.clip(cosine * turn + sines * np.cos(azimuth), -1, 1)


def test_describes_itself(problem):
    assert isinstance(problem, Problem)
    assert (problem.dx, problem.dy) == (13, 8)
    assert len(set(problem.x_names)) == 13 and len(set(problem.y_names)) == 8
    units = [name.split()[-1] for name in problem.x_names]
    assert units == ["[-]", *(["[-]", "[1/cm]", "[-]", "[mm]"] * 3)]
    assert problem.x_names[A2] == "reduced scattering at 500 nm, layer 2 [1/cm]"
    assert problem.y_names[2] == "log reflectance at 511 nm [-]"
    np.testing.assert_array_equal(problem.wavelengths, list(EXTINCTION))
    assert len(problem.bounds) == 13 and problem.bounds[D2] == (0.415, 0.847)
    assert problem.sigma == 0.02
    assert repr(TissueReflectance(sigma=0.1)) == "TissueReflectance(sigma=0.1)"


def test_examples():
    assert doctest.testmod(_tissue_reflectance).failed == 0
    assert doctest.testmod(_tissue_reflectance).attempted > 0


def test_prior(problem):
    n = 200_000
    x = problem.sample_prior(n, random_state=0)
    assert x.shape == (n, 13)
    ends = {S: (0.0001, 1), D1: (0.6, 1.01), D2: (0.415, 0.847), D3: (0.395, 0.603)}
    ends |= dict.fromkeys((V1, V2, V3), (0.0001, 0.1)) | dict.fromkeys((G1, G2, G3), (0.8, 0.95))
    for column, (low, high) in ends.items():
        values = (x[:, column] - low) / (high - low)
        assert values.min() >= 0 and values.max() <= 1
        for power in (1, 2):
            error = math.sqrt((1 / (2 * power + 1) - 1 / (power + 1) ** 2) / n)
            assert abs(np.mean(values**power) - 1 / (power + 1)) < STANDARD_ERRORS * error
    # A normal variable above alpha: mean phi(alpha) / (1 - Phi(alpha)), with phi the density.
    alpha = (2 - 18.9) / 10.2
    above = 0.5 * math.erfc(alpha / math.sqrt(2))
    ratio = math.exp(-(alpha**2) / 2) / math.sqrt(2 * math.pi) / above
    for column in (A1, A2, A3):
        values = (x[:, column] - 18.9) / 10.2
        assert values.min() >= alpha
        variance = 1 + alpha * ratio - ratio**2
        assert abs(values.mean() - ratio) < STANDARD_ERRORS * math.sqrt(variance / n)
        assert abs(values.var() / variance - 1) < STANDARD_ERRORS * math.sqrt(3 / n)
        share = 0.5 * math.erfc(2 / math.sqrt(2)) / above
        assert abs(np.mean(values > 2) - share) < STANDARD_ERRORS * math.sqrt(share / n)
    correlation = np.corrcoef(x.T) - np.eye(13)
    assert np.abs(correlation).max() < 5 / math.sqrt(n)


def test_prior_has_ends_in_double_precision(problem):
    """No normal number, however large, leads out of it or to infinity."""
    x = _tissue_reflectance._from_normal(np.outer([-1e300, -40.0, 40.0, 1e300], np.ones(13)))
    low, high = np.array(problem.bounds).T
    assert np.isfinite(x).all() and (x >= low).all() and (x <= high).all()
    np.testing.assert_array_equal(x[[0, 3]], x[[1, 2]])


def test_reflectance_is_that_of_the_layers(problem):
    x = problem.sample_prior(20, random_state=1)
    expected = np.empty((20, 8))
    for row in range(20):
        for column, band in enumerate(EXTINCTION):
            columns = [np.array([values]) for values in zip(*layers_by_hand(x[row], band), strict=True)]
            expected[row, column] = _core.adding_doubling(*columns, 1.36, 12, 1)[0, 0]
    np.testing.assert_allclose(reflectance(problem, x), expected, rtol=1e-12)


@pytest.mark.parametrize("band", [560, 700])
def test_reflectance_is_that_of_wandering_photons(problem, band):
    estimate, error = photons(layers_by_hand(MIDDLE, band), 1.36, 30_000, np.random.default_rng(2))
    value = reflectance(problem, [MIDDLE])[0, list(EXTINCTION).index(band)]
    assert error < 0.02 * value
    # Twelve angles leave up to 0.3 %.
    assert abs(value - estimate) < STANDARD_ERRORS * error + 0.003 * value


def test_published_reflectance():
    """The sample file of MCML (Wang, Jacques & Zheng 1995), three layers."""
    columns = np.array([[(1, 100, 0.9, 0.1), (1, 10, 0, 0.1), (2, 10, 0.7, 0.2)]], dtype=float)
    answer = _core.adding_doubling(*np.moveaxis(columns, -1, 0), 1.37, 12, 1)
    np.testing.assert_allclose(answer, [[0.23786, 0.09622]], rtol=0.003)


def test_noise(problem):
    x = np.tile(MIDDLE, (4_000, 1))
    noise = problem.simulate(x, random_state=3) - np.log(reflectance(problem, [MIDDLE]))
    assert np.abs(noise.mean(axis=0)).max() < STANDARD_ERRORS * 0.02 / math.sqrt(len(x))
    assert np.abs(noise.std(axis=0) / 0.02 - 1).max() < STANDARD_ERRORS / math.sqrt(2 * len(x))
    assert np.abs(np.corrcoef(noise.T) - np.eye(8)).max() < 5 / math.sqrt(len(x))
    louder = TissueReflectance(sigma=0.5).simulate(x, random_state=3) - np.log(reflectance(problem, [MIDDLE]))
    np.testing.assert_allclose(louder, 25 * noise, rtol=1e-9)


def test_numbers_are_of_the_seed_on_any_number_of_threads():
    x = TissueReflectance().sample_prior(1_100, random_state=4)
    first = TissueReflectance(n_jobs=1).simulate(x, random_state=5)
    for n_jobs in (3, -1, None):
        np.testing.assert_array_equal(TissueReflectance(n_jobs=n_jobs).simulate(x, random_state=5), first)
    assert not np.array_equal(TissueReflectance().simulate(x[:9], 6), first[:9])


def test_rows_do_not_depend_on_each_other(problem):
    x = problem.sample_prior(1_037, random_state=7)
    together = reflectance(problem, x)
    np.testing.assert_array_equal(reflectance(problem, x[500:541]), together[500:541])


def test_what_is_beyond_physics_is_taken_at_its_edge(problem):
    x = np.array([MIDDLE, MIDDLE, MIDDLE])
    x[1, [S, V2, A1, G3, D1]] = [-0.5, 2.0, -1.0, 1.2, -3.0]
    edge = x[1:2].copy()
    edge[0, [S, V2, A1, G3, D1]] = [0.0, 1.0, 0.0, 0.99, 0.0]
    with pytest.warns(UserWarning, match=r"beyond what is physical in 1 of 3 rows, first in row 1"):
        y = problem.simulate(x, random_state=8)
    rest = problem.simulate(np.vstack([x[:1], edge, x[2:]]), random_state=8)
    np.testing.assert_array_equal(y, rest)
    with pytest.warns(UserWarning, match="in 2 of 2 rows"):
        assert np.isfinite(problem.simulate(np.outer([-1e300, 1e300], np.ones(13)))).all()


def test_shapes(few_angles):
    problem = TissueReflectance(sigma=2.0)
    x, y = problem.sample(2, random_state=9)
    assert x.shape == (2, 13) and y.shape == (2, 8)
    one = problem.reference_posterior(y[0], n=4, random_state=0)
    both = problem.reference_posterior(y, n=4, random_state=0)
    assert one.shape == (4, 13) and both.shape == (2, 4, 13)
    np.testing.assert_array_equal(both[0], one)
    alone = TissueReflectance(sigma=2.0, n_jobs=1).reference_posterior(y[0], n=4, random_state=0)
    np.testing.assert_array_equal(alone, one)


def test_posterior_agrees_with_weighted_draws_of_the_prior(few_angles):
    """With little information, many draws of the prior keep a weight."""
    problem = TissueReflectance(sigma=0.3)
    _, y = problem.sample(1, random_state=10)
    samples = problem.reference_posterior(y[0], n=2_000, random_state=11)
    x = problem.sample_prior(40_000, random_state=12)
    excess = (y[0] - np.log(reflectance(problem, x))) / 0.3
    weights = np.exp(-0.5 * (excess**2).sum(axis=1))
    weights /= weights.sum()
    effective = 1 / (weights**2).sum()
    assert effective > 500
    for column in range(13):
        for share in (0.1, 0.5, 0.9):
            threshold = np.quantile(samples[:, column], share)
            # The 2,000 draws are dependent: counted as half.
            error = math.sqrt(share * (1 - share) * (1 / effective + 1 / 1_000))
            assert abs(weights[x[:, column] <= threshold].sum() - share) < STANDARD_ERRORS * error


def metropolis(problem, y, step, chains, steps, rng):
    """Random-walk Metropolis in the parameters mapped to normal numbers: second half, every tenth state.

    Each chain starts from the best of fifty draws of the prior. Steps follow the covariance `step` and have
    lengths of all sizes. Returns parameters of shape (kept, chains, 13).
    """
    factor = 2.38 / math.sqrt(13) * np.linalg.cholesky(step)

    def log_density(u):
        with problem._bar(None) as bar:
            mean = problem._log_reflectance(_tissue_reflectance._from_normal(u), bar)
        return -0.5 * ((((y - mean) / problem.sigma) ** 2).sum(axis=1) + (u**2).sum(axis=1))

    u = rng.standard_normal((50 * chains, 13))
    best = np.argmax(log_density(u).reshape(50, chains), axis=0)
    u = u.reshape(50, chains, 13)[best, np.arange(chains)]
    density, kept = log_density(u), []
    for number in range(steps):
        length = np.exp(rng.normal(-0.5, 1.5, size=(chains, 1)))
        proposed = u + length * rng.standard_normal(u.shape) @ factor.T
        proposed_density = log_density(proposed)
        better = np.log1p(-rng.random(chains)) < proposed_density - density
        u[better], density[better] = proposed[better], proposed_density[better]
        if number >= steps // 2 and number % 10 == 0:
            kept.append(_tissue_reflectance._from_normal(u))
    return np.array(kept)


@pytest.mark.long
def test_posterior_agrees_with_a_long_random_walk(few_angles):
    """At the noise of the default, where weighted draws of the prior would all but vanish."""
    problem = TissueReflectance()
    _, y = problem.sample(1, random_state=16)
    samples = problem.reference_posterior(y[0], n=4_000, random_state=17)
    # Back to normal numbers, by the ranks of the draws among those of the prior.
    prior = np.sort(problem.sample_prior(100_000, random_state=18), axis=0)
    ranks = [np.searchsorted(column, draws) for column, draws in zip(prior.T, samples.T, strict=True)]
    u = special.ndtri((np.array(ranks) + 0.5) / (len(prior) + 1))
    walk = metropolis(problem, y[0], np.cov(u), 200, 4_000, np.random.default_rng(19))
    ratio = [V1, A1]
    for column in [*range(13), ratio]:
        ours, theirs = (draws[..., column] for draws in (samples, walk))
        if column is ratio:
            ours, theirs = (values[..., 0] / values[..., 1] for values in (ours, theirs))
        for share in (0.05, 0.5, 0.95):
            below = (theirs <= np.quantile(ours, share)).mean(axis=0)
            # The chains are independent; the 4,000 draws are not and count as 1,000.
            error = math.hypot(below.std() / math.sqrt(len(below)), math.sqrt(share * (1 - share) / 1_000))
            assert abs(below.mean() - share) < STANDARD_ERRORS * error


@pytest.mark.long
def test_posterior_is_reproducible_with_other_seeds(few_angles):
    problem = TissueReflectance()
    _, y = problem.sample(1, random_state=20)
    first, *others = (problem.reference_posterior(y[0], n=2_000, random_state=seed) for seed in (21, 22, 23))
    for share in (0.1, 0.5, 0.9):
        threshold = np.quantile(first, share, axis=0)
        # Each run counts as 500 independent draws.
        error = math.sqrt(2 * share * (1 - share) / 500)
        for other in others:
            assert np.abs((other <= threshold).mean(axis=0) - share).max() < STANDARD_ERRORS * error


@pytest.mark.long
def test_what_can_be_told_and_what_not(few_angles):
    problem = TissueReflectance()
    x, y = problem.sample(6, random_state=0)
    posteriors = problem.reference_posterior(y, n=2_000, random_state=1)
    prior = problem.sample_prior(100_000, random_state=2)
    spread = (posteriors.std(axis=1) / prior.std(axis=0)).mean(axis=0)
    # Oxygen saturation sharply.
    assert spread[S] < 0.15
    # Blood volume and scattering of the top layer in part, and correlated.
    assert 0.15 < spread[V1] < 0.6 and 0.3 < spread[A1] < 0.9
    for draws in posteriors:
        assert np.corrcoef(draws[:, V1], draws[:, A1])[0, 1] > 0.7
    # Anisotropy not at all, thickness hardly; so much is the error of 12,000 draws.
    assert np.abs(spread[[G1, G2, G3]] - 1).max() < 0.03
    assert spread[[D1, D2, D3]].min() > 0.85 and spread[[D2, D3]].min() > 0.93
    # Deeper layers less than the first.
    assert spread[V1] < spread[V2] < spread[V3] < 1.02
    # The truth is an ordinary draw: in the middle 99.8 % of almost all of 78 posteriors.
    ranks = (posteriors < x[:, np.newaxis]).mean(axis=1)
    assert np.sum((ranks < 0.001) | (ranks > 0.999)) <= 2


def test_an_observation_that_tissue_does_not_make_is_refused(problem):
    with pytest.raises(ValueError, match=r"y must be an observation that the model can produce.*in row 0"):
        problem.reference_posterior(np.full((2, 8), 1e3), n=10, random_state=0)


def test_progress_is_shown_when_asked_for(capfd):
    x = TissueReflectance().sample_prior(3, random_state=14)
    TissueReflectance().simulate(x)
    assert capfd.readouterr().err == ""
    TissueReflectance(verbose=1).simulate(x)
    assert "3.00/3.00" in capfd.readouterr().err


def test_an_interrupt_stops_it_promptly():
    problem = TissueReflectance()
    x = problem.sample_prior(200_000, random_state=15)
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        problem.simulate(x)
    # All rows take more than ten seconds, a chunk a quarter.
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("sigma", [0, -0.1, math.nan, math.inf])
def test_noise_that_makes_no_sense(sigma):
    with pytest.raises(ValueError, match="sigma must be above 0 and finite"):
        TissueReflectance(sigma=sigma)


@pytest.mark.parametrize("sigma", ["0.1", None, True, [0.1]])
def test_noise_that_is_no_number(sigma):
    with pytest.raises(TypeError, match="sigma must be a number"):
        TissueReflectance(sigma=sigma)


def test_bad_input(problem):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 13\), got shape \(2, 8\)"):
        problem.simulate(np.zeros((2, 8)))
    with pytest.raises(ValueError, match="x must be finite"):
        problem.simulate(np.full((2, 13), np.nan))
    with pytest.raises(ValueError, match=r"y must have shape"):
        problem.reference_posterior(np.zeros((3, 2)))
    with pytest.raises(TypeError, match="n_jobs must be an integer or None"):
        TissueReflectance(n_jobs=1.5)
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        TissueReflectance(n_jobs=0)
    ones = np.ones((2, 1))
    with pytest.raises(ValueError, match="g must be above -1 and below 1, got 1 in case 0, layer 0"):
        _core.adding_doubling(ones, ones, ones, ones, 1.4, 12, 1)
    with pytest.raises(ValueError, match="n_angles must be 8, 12, 16 or 24, got 9"):
        _core.adding_doubling(ones, ones, 0 * ones, ones, 1.4, 9, 1)
