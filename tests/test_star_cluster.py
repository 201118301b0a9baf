"""The star cluster against an integration of its own, its lines against their formulas, its posterior against
weighted draws from the prior.
"""

import _thread
import doctest
import importlib
import math
import threading
import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import kstest

from innverse import _core
from innverse.problems import Problem, StarCluster, _star_cluster
from innverse.problems._nebular_lines import nebular_lines

# Fixed seeds: a test at four standard errors either always holds or always fails.
STANDARD_ERRORS = 4.0
LOW = np.array([5.0, -2.0, 2.0, 0.3, 7.4, 0.0])
HIGH = np.array([7.0, -0.7, 3.0, 12.0, 8.9, 0.5])
EXPANDS = [6.0, -1.0, 2.5, 3.0, 8.2, 0.2]
# Has fallen back once, and expands again.
FELL_BACK = [6.8, -1.8, 2.9, 8.0, 8.2, 0.1]
FALLS = [6.8, -1.8, 2.9, 5.8, 8.2, 0.1]
FELL_BACK_TWICE = [6.9, -1.95, 2.95, 11.5, 8.0, 0.05]
# Columns of the parameters that the core takes.
DYNAMIC = [0, 1, 2, 3, 5]

# cgs
C, K, M_H, G = 2.99792458e10, 1.380649e-16, 1.67353e-24, 6.6743e-8
MSUN, PC, MYR, KM = 1.3271244e26 / G, 3.0856775814913673e18, 3.15576e13, 1e5
ALPHA_B, T_GAS = 3e-13, 8000.0
# Age in Myr; log Q, log L, log pdot of winds, log of the mechanical luminosity and of the winds' share of it.
STARS = np.array(
    [
        [0.01, 52.760, 42.549, 31.805, 40.068, 40.068],
        [1.01, 52.761, 42.580, 31.899, 40.121, 40.121],
        [2.11, 52.666, 42.627, 31.918, 40.053, 40.053],
        [2.61, 52.467, 42.654, 32.095, 40.104, 40.104],
        [3.11, 52.510, 42.613, 32.354, 40.546, 40.320],
        [4.11, 52.052, 42.387, 31.854, 40.336, 39.709],
        [5.11, 51.615, 42.233, 31.479, 40.271, 39.266],
        [6.11, 51.131, 42.102, 31.090, 40.237, 38.804],
        [7.11, 50.739, 41.988, 30.885, 40.227, 38.617],
        [9.71, 49.999, 41.754, 30.269, 40.121, 38.025],
        [11.71, 49.612, 41.634, 29.776, 40.058, 37.555],
    ]
)


def stars(clusters, seconds, boost):
    """Photons and momentum per second, cgs, of clusters [mass in g, birth in s]."""
    photons = momentum = 0.0
    for mass, born in clusters:
        age = max((seconds - born) / MYR, STARS[0, 0])
        if age > STARS[-1, 0]:
            row = STARS[-1] + (STARS[-1] - STARS[-2]) * (age - STARS[-1, 0]) / (STARS[-1, 0] - STARS[-2, 0])
        else:
            row = [np.interp(age, STARS[:, 0], column) for column in STARS.T]
        q, light, wind, mechanical, wind_power = mass / (1e6 * MSUN) * 10.0 ** np.array(row[1:])
        photons += q
        momentum += light / C + boost * (wind + 2 * (mechanical - wind_power) / (1e4 * KM))
    return photons, momentum


def integrated(x):
    """Radius, speed (cgs), photons, momentum per second and number of recollapses, by the equation of motion.

    It shares nothing with the package but the figures: cgs units, velocity in place of momentum, a method of
    eighth order, and the mass from the largest radius so far.
    """
    cloud, efficiency, atoms, boost = (10.0 ** x[i] for i in (0, 1, 2, 5))
    end, rho = x[3] * MYR, 1.4 * M_H * atoms
    gas, clusters, start = cloud * MSUN, [], 0.0
    while True:
        clusters.append((efficiency * gas, start))
        gas *= 1 - efficiency
        total = sum(mass for mass, _ in clusters)
        radius = 0.05 * (3 * gas / (4 * math.pi * rho)) ** (1 / 3)
        # Radius, velocity, and the largest radius so far, which sets the mass.
        state = [radius, 5 * KM, radius]

        def rate(t, state, total=total, gas=gas):
            r, v, reach = state
            swept = 4 / 3 * math.pi * rho * reach**3
            growing = r >= reach * (1 - 1e-12) and v > 0
            mass, growth = (gas, 0.0) if swept >= gas else (swept, 4 * math.pi * rho * r**2 * v * growing)
            photons, momentum = stars(clusters, t, boost)
            ions = math.sqrt(3 * photons / (4 * math.pi * ALPHA_B * r**3))
            force = momentum + 4 * math.pi * r**2 * 2.1 * ions * K * T_GAS
            force -= G * mass * (total + mass / 2) / r**2
            return [v, (force - growth * v) / mass, v if growing else 0.0]

        def turned(t, state):
            return state[1]

        def fallen(t, state):
            return state[0] - PC if state[1] < 0 else 1.0

        turned.terminal, turned.direction = True, -1
        fallen.terminal, fallen.direction = True, -1
        t, down = start, False
        while t < end and not down:
            # Steps end at the kinks of the table, and where the shell turns round.
            kinks = [born + age * MYR for _, born in clusters for age in STARS[:, 0]]
            stop = min([k for k in kinks if k > t * (1 + 1e-9) + 1] + [end])
            scale = [1e-9 * PC, 1e-9 * KM, 1e-9 * PC]
            run = solve_ivp(
                rate,
                (t, stop),
                state,
                "DOP853",
                rtol=1e-9,
                atol=scale,
                events=[turned, fallen],
                max_step=MYR / 50,
            )
            t, state = run.t[-1], list(run.y[:, -1])
            if run.t_events[0].size:
                state[1] = -1e-3
                state[0] *= 1 - 1e-11
            down = bool(run.t_events[1].size)
        if not down:
            photons, momentum = stars(clusters, end, boost)
            return state[0], state[1], photons, momentum, len(clusters) - 1
        start = t


def lines(photons, electrons, log_u, oxygen):
    """Lines of one gas, written out: H alpha, [OII], [OIII], [NII], [SII], ratio of [SII]."""
    log_u = min(max(log_u, -4.5), -1.0)
    t4 = min(max((9.22 - oxygen) / 0.89, 0.35), 2.5)
    t2 = 0.7 * t4 + 0.3
    ratio = 10 ** (1.25 * (log_u + 2.9))
    o2 = math.log10(10 ** (oxygen - 12) * ratio / (1 + ratio))
    o1 = math.log10(10 ** (oxygen - 12) / (1 + ratio))
    k = 1e-4 * electrons / math.sqrt(t2)
    log = math.log10
    oiii = 12 + o2 - (6.200 + 1.251 / t4 - 0.55 * log(t4) - 0.014 * t4)
    oii = 12 + o1 - (5.961 + 1.676 / t2 - 0.40 * log(t2) - 0.034 * t2 + log(1 + 1.35 * k))
    n1 = o1 - 1.5 + max(0, 1.3 * (oxygen - 8.2))
    nii = 12 + n1 - (6.234 + 0.950 / t2 - 0.42 * log(t2) - 0.027 * t2 + log(1 + 0.116 * k))
    sii = 12 + o1 - 1.6 - (5.439 + 0.929 / t2 - 0.28 * log(t2) - 0.018 * t2 + log(1 + 1.39 * k))
    doublet = 0.4315 * (2107 + electrons) / (627.1 + electrons)
    return [log(1.37e-12 * photons), oii, oiii, nii, sii, log(doublet)]


def observed(x):
    """All seven observables of one cloud from the oracle."""
    radius, speed, photons, momentum, _ = integrated(x)
    pressure = momentum / (4 * math.pi * radius**2)
    pressure += 2.1 * K * T_GAS * math.sqrt(3 * photons / (4 * math.pi * ALPHA_B * radius**3))
    electrons = pressure / (2.1 * K * T_GAS)
    u = photons / (4 * math.pi * radius**2 * electrons * C)
    h_alpha, oii, oiii, nii, sii, doublet = lines(photons, electrons, math.log10(u), x[4])
    width = 0.5 * math.log10((speed / KM) ** 2 / 3 + 100)
    return [h_alpha, oii, oiii, sii, doublet, width, nii]


@pytest.fixture
def problem():
    return StarCluster()


def test_describes_itself(problem):
    assert isinstance(problem, Problem)
    assert (problem.dx, problem.dy) == (6, 6)
    assert [name.split()[-1] for name in problem.x_names] == "[Msun] [-] [1/cm3] [Myr] [-] [-]".split()
    assert [name.split()[-1] for name in problem.y_names] == "[erg/s] [-] [-] [-] [-] [km/s]".split()
    assert len(set(problem.x_names)) == len(set(problem.y_names)) == 6
    np.testing.assert_array_equal(problem.noise_scales, [0.1, 0.1, 0.1, 0.1, 0.02, 0.07])
    np.testing.assert_array_equal([problem.low, problem.high], [LOW, HIGH])
    np.testing.assert_array_equal(problem.bounds, np.transpose([LOW, HIGH]))
    assert repr(problem) == "StarCluster(nitrogen=False, sulfur=True)"


def test_lines_can_be_added_and_left_out(problem):
    full = StarCluster(nitrogen=True)
    assert full.y_names == (*problem.y_names, "log [NII]/H-beta [-]")
    np.testing.assert_array_equal(full.noise_scales, [*problem.noise_scales, 0.15])
    y = full.expected([EXPANDS])
    np.testing.assert_array_equal(problem.expected([EXPANDS]), y[:, :6])
    fewer = StarCluster(sulfur=False)
    assert fewer.dy == 4 and not any("SII" in name for name in fewer.y_names)
    np.testing.assert_array_equal(fewer.expected([EXPANDS]), y[:, [0, 1, 2, 5]])
    np.testing.assert_array_equal(
        StarCluster(nitrogen=True, sulfur=False).expected([EXPANDS]), y[:, [0, 1, 2, 5, 6]]
    )


@pytest.mark.parametrize("x", [EXPANDS, FELL_BACK, FALLS, FELL_BACK_TWICE, [5.0, -0.7, 2.0, 12.0, 8.9, 0.5]])
def test_clouds_agree_with_an_integration_of_their_own(x):
    # Single steps err by one part in a million and less; a long fall multiplies that.
    full = StarCluster(nitrogen=True)
    np.testing.assert_allclose(full.expected([x])[0], observed(x), rtol=0, atol=1e-4)
    assert full.recollapses([x])[0] == integrated(x)[-1]
    _, radius, velocity = full.trajectory(x, [x[3]])
    expected_radius, speed, *_ = integrated(x)
    assert radius[0] == pytest.approx(expected_radius / PC, rel=1e-4)
    assert velocity[0] == pytest.approx(speed / KM, rel=1e-3, abs=1e-2)


@pytest.mark.long
def test_clouds_of_the_prior_agree_with_an_integration_of_their_own(problem):
    full = StarCluster(nitrogen=True)
    x = problem.sample_prior(60, random_state=20)
    expected = np.array([observed(row) for row in x])
    np.testing.assert_allclose(full.expected(x), expected, rtol=0, atol=1e-4)
    counts = problem.recollapses(x)
    assert counts.sum() > 2
    np.testing.assert_array_equal(counts, [integrated(row)[-1] for row in x])


def test_the_clouds_of_the_tests_are_what_they_are_called(problem):
    np.testing.assert_array_equal(
        problem.recollapses([EXPANDS, FELL_BACK, FALLS, FELL_BACK_TWICE]), [0, 1, 0, 2]
    )
    velocities = [problem.trajectory(x, [x[3]])[2][0] for x in (EXPANDS, FELL_BACK, FALLS)]
    np.testing.assert_array_equal(np.sign(velocities), [1, 1, -1])


@pytest.mark.parametrize("oxygen", [6.9, 7.6, 8.1, 8.5, 9.1])
@pytest.mark.parametrize(("electrons", "log_u"), [(3.0, -4.0), (300.0, -2.9), (5e4, -1.5), (100.0, -6.0)])
def test_lines_follow_their_formulas(oxygen, electrons, log_u):
    photons = 3e51
    found = nebular_lines(*(np.array([v]) for v in (np.log10(photons), oxygen, np.log10(electrons), log_u)))
    expected = lines(photons, electrons, log_u, oxygen)
    actual = [found.h_alpha, found.oii, found.oiii, found.nii, found.sii, found.sii_ratio]
    np.testing.assert_allclose(np.ravel(actual), expected, rtol=0, atol=1e-12)


def test_ratio_of_sulfur_lines_has_the_known_limits():
    def ratio(log_electrons):
        arrays = (np.array([v]) for v in (51.0, 8.0, log_electrons, -3.0))
        return 10.0 ** nebular_lines(*arrays).sii_ratio[0]

    assert ratio(-3.0) == pytest.approx(1.4498, abs=1e-4)
    assert ratio(9.0) == pytest.approx(0.4315, abs=1e-4)


def test_width_does_not_know_the_sign(problem):
    _, _, velocity = problem.trajectory(FALLS, [FALLS[3]])
    assert velocity[0] < -10
    width = problem.expected([FALLS])[0, 5]
    assert width == pytest.approx(math.log10(math.hypot(velocity[0] / math.sqrt(3), 10)), abs=1e-12)


def test_the_step_is_fine_enough(problem):
    """A tenth and a ten-thousandth of the tolerance change no observation by 0.0001."""
    x = problem.sample_prior(1_500, random_state=0)
    y = problem.expected(x)
    counts = problem.recollapses(x)
    assert counts.max() >= 1
    for factor in (0.5, 0.1, 1e-4):
        shells = _core.star_cluster(x[:, DYNAMIC], 1e-6 * factor, 1)
        found = nebular_lines(shells[:, 2], x[:, 4], shells[:, 3], shells[:, 4])
        width = 0.5 * np.log10(shells[:, 1] ** 2 / 3 + 100)
        finer = np.column_stack([found.h_alpha, found.oii, found.oiii, found.sii, found.sii_ratio, width])
        np.testing.assert_allclose(y, finer, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(counts, shells[:, 5])


def test_prior(problem):
    n = 200_000
    x = problem.sample_prior(n, random_state=3)
    assert (x >= LOW).all() and (x <= HIGH).all()
    width = HIGH - LOW
    error = STANDARD_ERRORS / np.sqrt(n)
    assert np.abs((x.mean(axis=0) - (LOW + HIGH) / 2) / width).max() < error * np.sqrt(1 / 12)
    assert np.abs(((x - (LOW + HIGH) / 2) ** 2).mean(axis=0) / width**2 - 1 / 12).max() < error / np.sqrt(180)


def test_a_tenth_of_the_prior_falls_back(problem):
    n = 20_000
    counts = problem.recollapses(problem.sample_prior(n, random_state=4))
    # Seen in a million draws: 0.0914.
    assert abs((counts > 0).mean() - 0.0914) < STANDARD_ERRORS * np.sqrt(0.0914 * 0.9086 / n)
    assert counts.max() == 2


def test_noise(problem):
    n = 20_000
    x = np.tile(EXPANDS, (n, 1))
    noise = (problem.simulate(x, random_state=5) - problem.expected([EXPANDS])) / problem.noise_scales
    error = STANDARD_ERRORS / np.sqrt(n)
    assert np.abs(noise.mean(axis=0)).max() < error
    assert np.abs((noise**2).mean(axis=0) - 1).max() < np.sqrt(2) * error
    assert np.abs(np.corrcoef(noise.T) - np.eye(6)).max() < error
    assert kstest(noise.ravel(), "norm").pvalue > 1e-3


def test_simulations_are_of_the_seed_on_any_number_of_threads(problem):
    x, y = problem.sample(9_000, random_state=6)
    np.testing.assert_array_equal(problem.simulate(x[:50], 7), problem.simulate(x[:50], 7))
    for n_jobs in (1, 3, None):
        again_x, again_y = StarCluster(n_jobs=n_jobs).sample(9_000, random_state=6)
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    # A row does not depend on the rows around it.
    expected = problem.expected(x)
    np.testing.assert_array_equal(problem.expected(x[4_000:4_200]), expected[4_000:4_200])
    np.testing.assert_array_equal(problem.expected(np.asfortranarray(x[:9])), expected[:9])


def test_every_cloud_within_half_a_width_of_the_prior_has_an_observation():
    full = StarCluster(nitrogen=True)
    margin = 0.5 * (HIGH - LOW)
    corners = np.array(np.meshgrid(*np.transpose([LOW - margin, HIGH + margin]))).reshape(6, -1).T
    inner = np.array(np.meshgrid(*np.transpose([LOW, HIGH]))).reshape(6, -1).T
    anywhere = np.random.default_rng(8).uniform(LOW - margin, HIGH + margin, (2_000, 6))
    for x in (corners, inner, anywhere):
        assert np.isfinite(full.simulate(x, 9)).all()


def test_nothing_has_happened_before_the_cluster_forms(problem):
    x = np.tile(EXPANDS, (3, 1))
    x[:, 3] = [0.0, -0.1, -5.0]
    y = problem.expected(x)
    np.testing.assert_array_equal(y[1:], y[[0, 0]])
    # 5 km/s of the start.
    assert y[0, 5] == pytest.approx(0.5 * math.log10(25 / 3 + 100), abs=1e-12)


@pytest.mark.parametrize("x", [EXPANDS, FELL_BACK])
def test_trajectory(problem, x):
    times, radius, velocity = problem.trajectory(x)
    assert times.shape == radius.shape == velocity.shape == (500,)
    assert times[0] == 0 and times[-1] == x[3]
    times, radius, velocity = problem.trajectory(x, np.linspace(0.02, x[3], 4_001))
    # Where no cluster has formed in between, the radius changes as the velocity says.
    change = np.diff(radius) / np.diff(times)
    mean = (velocity[1:] + velocity[:-1]) / 2 * 1.0227
    jumps = np.abs(np.diff(velocity)) > 20
    assert jumps.sum() == problem.recollapses([x])[0]
    np.testing.assert_allclose(change[~jumps], mean[~jumps], rtol=0.02, atol=0.02)
    assert radius[:-1][jumps].max(initial=0) < 1.5


def test_trajectory_is_that_of_the_rows(problem):
    ages = np.array([1.0, 3.0, 5.0, 7.5])
    times, radius, velocity = problem.trajectory(FELL_BACK, ages)
    np.testing.assert_array_equal(times, ages)
    x = np.tile(FELL_BACK, (4, 1))
    x[:, 3] = ages
    width = 0.5 * np.log10(velocity**2 / 3 + 100)
    np.testing.assert_allclose(problem.expected(x)[:, 5], width, rtol=0, atol=1e-12)
    assert (radius > 0).all()


def prior_and_expected(n, seed):
    """Draws from the prior, and the observations they would make without noise."""
    x = StarCluster().sample_prior(n, random_state=seed)
    return x, StarCluster().expected(x)


def explaining(problem, y, x, expected):
    """Rows of x that explain y at all, with normalised weights."""
    log_weights = -0.5 * (((y - expected) / problem.noise_scales) ** 2).sum(axis=1)
    kept = log_weights > -30
    weights = np.exp(log_weights[kept])
    return x[kept], weights / weights.sum()


def assert_same_posterior(problem, draws, x, weights):
    """Means, shares beyond quantiles and shares of the modes of draws are those of the weighted rows.

    Draws that share ancestors have the errors of 1.5 times fewer independent ones.
    """
    events = [lambda v, column=column: v[:, column] for column in range(6)]
    for column, values in enumerate(np.quantile(draws, [0.1, 0.5, 0.9], axis=0).T):
        events += [lambda v, c=column, t=t: v[:, c] > t for t in values]
    events += [lambda v: problem.recollapses(v) > 0, lambda v: v[:, 3] > 6]
    events += [lambda v: v[:, 0] * v[:, 1], lambda v: v[:, 0] * v[:, 3]]
    for event in events:
        ours, theirs = event(draws).astype(float), event(x).astype(float)
        mean = weights @ theirs
        variance = weights @ (theirs - mean) ** 2
        error = np.sqrt(weights**2 @ (theirs - mean) ** 2 + 1.5 * variance / len(draws))
        # Where an event is too rare to be seen, its error is not.
        assert abs(ours.mean() - mean) < STANDARD_ERRORS * error + 2e-3 * np.ptp(ours)


def test_posterior_agrees_with_weighted_draws_from_the_prior(problem, monkeypatch):
    monkeypatch.setattr(_star_cluster, "_PARTICLES", 1_000)
    y = problem.expected([[5.6, -1.2, 2.4, 8.0, 7.9, 0.2]])[0]
    x, weights = explaining(problem, y, *prior_and_expected(100_000, 10))
    assert 1 / (weights @ weights) > 150
    draws = problem.reference_posterior(y, n=1_000, random_state=11)
    assert_same_posterior(problem, draws, x, weights)


@pytest.fixture(scope="module")
def two_million():
    return prior_and_expected(2_000_000, 13)


@pytest.mark.long
@pytest.mark.parametrize("truth", [EXPANDS, FELL_BACK, FALLS, [6.2, -1.1, 2.5, 11.0, 8.6, 0.1]])
def test_posteriors_agree_with_two_million_weighted_draws(problem, two_million, truth):
    y = problem.simulate([truth], random_state=12)[0]
    x, weights = explaining(problem, y, *two_million)
    assert 1 / (weights @ weights) > 150
    assert_same_posterior(problem, problem.reference_posterior(y, 4_000, 14), x, weights)


@pytest.mark.long
def test_shares_of_modes_do_not_depend_on_the_seed(problem):
    # Young and expanding, or fallen back: about 30 %.
    y = problem.sample(20_000, 0)[1][0]
    shares = [np.mean(problem.reference_posterior(y, 2_000, seed)[:, 3] > 4) for seed in range(6)]
    assert 0.2 < np.mean(shares) < 0.45
    # Independent draws would differ by 0.01.
    assert np.std(shares) < 0.025


@pytest.mark.long
def test_true_parameters_rank_evenly_among_reference_draws(problem, monkeypatch):
    monkeypatch.setattr(_star_cluster, "_PARTICLES", 1_000)
    n, draws = 60, 199
    x, y = problem.sample(n, random_state=15)
    ranks = np.empty((n, 6))
    for row in range(n):
        ranks[row] = (problem.reference_posterior(y[row], draws, row) < x[row]).mean(axis=0)
    for column in ranks.T:
        assert kstest(column + 0.5 / (draws + 1), "uniform").pvalue > 1e-3


@pytest.mark.long
def test_what_the_lines_tell(problem, monkeypatch):
    """Density and wind boost hardly, the others partly; mass and efficiency trade off; histories compete."""
    monkeypatch.setattr(_star_cluster, "_PARTICLES", 1_000)
    _, y = problem.sample(30, random_state=16)
    draws = np.stack([problem.reference_posterior(row, 1_000, 17) for row in y])
    spread = (draws.std(axis=1) / ((HIGH - LOW) / np.sqrt(12))).mean(axis=0)
    assert spread[2] > 0.8 and spread[5] > 0.85
    assert (spread[[0, 1, 3, 4]] < 0.6).all()
    correlation = [np.corrcoef(d[:, 0], d[:, 1])[0, 1] for d in draws]
    assert -0.5 < np.mean(correlation) < -0.15
    fallen_back = np.array([np.mean(problem.recollapses(d) > 0) for d in draws])
    assert 0.1 < np.mean((fallen_back > 0.05) & (fallen_back < 0.95)) < 0.5


@pytest.mark.long
@pytest.mark.parametrize(
    "x",
    [
        [6.1, -1.7, 2.5, 3.2, 7.5, 0.4],
        [5.9, -1.6, 2.0, 9.2, 7.5, 0.2],
        [5.7, -1.6, 2.6, 6.7, 8.5, 0.2],
        [5.9, -1.6, 2.4, 8.3, 8.5, 0.2],
    ],
)
def test_without_sulfur_there_are_two_metallicities(x):
    """Lines of oxygen are as strong with little oxygen, hot, as with much, cool; [SII] tells which it is."""

    def low_middle_high(problem):
        oxygen = problem.reference_posterior(problem.expected([x])[0], 2_000, 18)[:, 4]
        return np.histogram(oxygen, [7.4, 7.95, 8.1, 8.9])[0] / len(oxygen)

    low, middle, high = low_middle_high(StarCluster(sulfur=False))
    # The middle is a tenth of the prior.
    assert min(low, high) > 0.2 and middle < 0.08
    low, _, high = low_middle_high(StarCluster())
    assert min(low, high) < 0.12


def test_reference_posterior_has_its_shape_and_stays_in_the_prior(problem, monkeypatch):
    monkeypatch.setattr(_star_cluster, "_PARTICLES", 150)
    y = problem.sample(2, random_state=19)[1]
    draws = problem.reference_posterior(y, n=100, random_state=20)
    assert draws.shape == (2, 100, 6)
    assert (draws >= LOW).all() and (draws <= HIGH).all()
    assert len(np.unique(draws[0], axis=0)) >= 98
    one_thread = StarCluster(n_jobs=1)
    np.testing.assert_array_equal(draws, one_thread.reference_posterior(y, n=100, random_state=20))
    other = problem.reference_posterior(y[0], n=100, random_state=21)
    assert other.shape == (100, 6) and not np.array_equal(draws[0], other)


@pytest.mark.parametrize("line, value", [(0, 60.0), (2, 9.0), (5, -1.0), (0, 1e200), (3, -1e308)])
def test_an_observation_that_no_cloud_makes_is_refused(problem, monkeypatch, line, value):
    monkeypatch.setattr(_star_cluster, "_PARTICLES", 100)
    y = problem.expected([EXPANDS, EXPANDS])
    y[1, line] = value
    with pytest.raises(ValueError, match=r"y must be an observation that the model can produce.*in row 1"):
        problem.reference_posterior(y, n=10, random_state=0)


@pytest.mark.parametrize(
    ("column", "value", "between"),
    [
        (0, 8.1, "4 and 8"),
        (1, 0.0, "-2.65 and -0.05"),
        (3, 18.0, "-5.55 and 17.85"),
        (5, -0.3, "-0.25 and 0.75"),
    ],
)
def test_a_cloud_far_from_the_prior_is_refused(problem, column, value, between):
    x = np.tile(EXPANDS, (3, 1))
    x[1, column] = value
    message = (
        rf"x must lie within half a width of the prior, column {column}.*between {between}, got .* in row 1"
    )
    for method in (problem.simulate, problem.expected, problem.recollapses):
        with pytest.raises(ValueError, match=message):
            method(x)


def test_bad_input(problem):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 6\), got shape \(2, 3\)"):
        problem.simulate(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"y must have shape"):
        problem.reference_posterior(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="x must be finite"):
        problem.recollapses([[*EXPANDS[:5], np.nan]])
    with pytest.raises(ValueError, match=r"x must have shape \(6,\), one cloud, got shape \(1, 6\)"):
        problem.trajectory([EXPANDS])
    with pytest.raises(ValueError, match=r"times must be at most 17.85 Myr, got 20"):
        problem.trajectory(EXPANDS, [1.0, 20.0])
    with pytest.raises(ValueError, match=r"times must be finite"):
        problem.trajectory(EXPANDS, [np.inf])
    with pytest.raises(TypeError, match="nitrogen must be True or False, got 'yes'"):
        StarCluster(nitrogen="yes")
    with pytest.raises(TypeError, match="sulfur must be True or False"):
        StarCluster(sulfur=None)
    with pytest.raises(TypeError, match="n_jobs must be an integer or None"):
        StarCluster(n_jobs=1.5)
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        StarCluster(n_jobs=0)
    assert problem.simulate(np.empty((0, 6))).shape == (0, 6)


def test_the_core_refuses_what_is_no_table():
    with pytest.raises(ValueError, match="x has 6 columns, needs 5"):
        _core.star_cluster(np.array([EXPANDS]), 1e-6, 1)
    with pytest.raises(ValueError, match="x must be finite, got NaN at row 0, column 2"):
        _core.star_cluster(np.array([[6.0, -1.0, np.nan, 3.0, 0.2]]), 1e-6, 1)
    with pytest.raises(ValueError, match="tolerance must be between"):
        _core.star_cluster(np.array([EXPANDS])[:, DYNAMIC], -1.0, 1)


def test_progress_is_shown_when_asked_for(capsys):
    x = np.tile(EXPANDS, (5_000, 1))
    StarCluster(verbose=1).simulate(x)
    assert "5000/5000" in capsys.readouterr().err
    StarCluster().simulate(x)
    assert capsys.readouterr().err == ""


def test_ctrl_c_stops_a_simulation(problem):
    # Ten seconds of work on one core; stopped after the rows that are under way.
    x = np.tile(FELL_BACK, (300_000, 1))
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        problem.simulate(x)
    assert time.monotonic() - start < 3.0


def test_examples():
    module = importlib.import_module("innverse.problems._star_cluster")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
