import numpy as np
import pytest

from innverse.problems import GaussianModes, Problem

LABELLINGS = {
    "all": [0, 1, 2, 3, 4, 5, 6, 7],
    "some": [0, 0, 0, 0, 1, 1, 2, 3],
    "none": [0, 0, 0, 0, 0, 0, 0, 0],
}
CENTERS = np.array(
    [
        (-2.4142, 1),
        (-1, 2.4142),
        (1, 2.4142),
        (2.4142, 1),
        (2.4142, -1),
        (1, -2.4142),
        (-1, -2.4142),
        (-2.4142, -1),
    ]
)
SIGMA = 0.2
# A statistical test fails by chance about once in 15,000 runs at four standard errors; the seeds
# are fixed, so each either always holds or always fails.
STANDARD_ERRORS = 4.0
# Two neighbours lie ten sigma away, so a point ends up nearer to one with probability
# 2 Phi(-5) = 5.7e-7. In up to 200,000 points more than three such are seen less than once in
# 100,000 runs.
MAX_STRAYS = 3


@pytest.fixture(params=sorted(LABELLINGS))
def problem(request):
    return GaussianModes(labels=request.param)


def mode_of(x):
    return np.linalg.norm(x[:, None] - CENTERS, axis=2).argmin(axis=1)


def mixture_density(x, modes):
    """Density of the equal mixture of the given modes, written out for one point at a time."""
    density = np.zeros(len(x))
    for i, point in enumerate(x):
        for mode in modes:
            r2 = np.sum((point - CENTERS[mode]) ** 2)
            density[i] += np.exp(-r2 / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2) / len(modes)
    return density


def assert_share(hits, share):
    error = np.sqrt(share * (1 - share) / len(hits))
    assert abs(np.mean(hits) - share) <= STANDARD_ERRORS * error


def test_describes_itself(problem):
    assert isinstance(problem, Problem)
    assert (problem.dx, problem.dy, problem.sigma) == (2, 8, SIGMA)
    assert len(problem.x_names) == 2 and len(set(problem.y_names)) == 8
    assert all(name.endswith("[-]") for name in problem.x_names + problem.y_names)
    np.testing.assert_array_equal(problem.centers, CENTERS)
    np.testing.assert_array_equal(problem.mode_labels, LABELLINGS[problem.labels])
    assert repr(problem) == f"GaussianModes(labels={problem.labels!r})"


def test_centres_are_a_regular_octagon():
    sides = np.linalg.norm(np.roll(CENTERS, -1, axis=0) - CENTERS, axis=1)
    np.testing.assert_allclose(sides, 2.0, atol=1e-4)


def test_facts_cannot_be_changed_by_accident(problem):
    for array in (problem.centers, problem.mode_labels, problem.observations):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_shapes_and_types(problem):
    x, y = problem.sample(7, random_state=0)
    assert x.shape == (7, 2) and y.shape == (7, 8)
    assert x.dtype == y.dtype == np.float64
    assert problem.sample_prior(7).shape == (7, 2)
    assert problem.simulate(x).shape == (7, 8)
    assert problem.reference_posterior(y[0], n=5).shape == (5, 2)
    assert problem.reference_posterior(y[:1], n=5).shape == (1, 5, 2)
    assert problem.reference_posterior(y, n=5).shape == (7, 5, 2)
    assert problem.reference_posterior(y[0]).shape == (1000, 2)


def test_observations_are_one_hot_and_one_per_label(problem):
    used = sorted(set(LABELLINGS[problem.labels]))
    np.testing.assert_array_equal(problem.observations, np.eye(8)[used])
    _, y = problem.sample(500, random_state=1)
    np.testing.assert_array_equal(np.unique(y, axis=0), np.unique(np.eye(8)[used], axis=0))


def test_prior_has_the_moments_of_the_mixture():
    n = 100_000
    x = GaussianModes().sample_prior(n, random_state=2)
    # Each axis has variance sigma^2 plus that of the centres, and the axes do not correlate.
    variance = SIGMA**2 + np.mean(CENTERS**2)
    assert np.all(np.abs(x.mean(axis=0)) < STANDARD_ERRORS * np.sqrt(variance / n))
    for product, expected in (
        (x[:, 0] ** 2, variance),
        (x[:, 1] ** 2, variance),
        (x[:, 0] * x[:, 1], 0.0),
    ):
        error = product.std() / np.sqrt(n)
        assert abs(product.mean() - expected) < STANDARD_ERRORS * error


def test_prior_fills_every_mode_alike():
    x = GaussianModes().sample_prior(40_000, random_state=3)
    modes = mode_of(x)
    for mode in range(8):
        assert_share(modes == mode, 1 / 8)


def test_sample_gives_the_label_of_the_nearest_mode(problem):
    x, y = problem.sample(200_000, random_state=4)
    modes = mode_of(x)
    assert np.sum(y.argmax(axis=1) != problem.mode_labels[modes]) <= MAX_STRAYS
    np.testing.assert_array_equal(problem.nearest_mode(x), modes)
    np.testing.assert_array_equal(problem.simulate(x), np.eye(8)[problem.mode_labels[modes]])


def test_sample_and_sample_prior_agree(problem):
    np.testing.assert_array_equal(
        problem.sample(50, random_state=5)[0], problem.sample_prior(50, random_state=5)
    )


def test_reference_posterior_is_the_equal_mixture_of_its_modes(problem):
    n = 20_000
    samples = problem.reference_posterior(problem.observations, n=n, random_state=6)
    strays = 0
    for y, x in zip(problem.observations, samples, strict=True):
        members = np.flatnonzero(problem.mode_labels == y.argmax())
        modes = mode_of(x)
        strays += np.sum(~np.isin(modes, members))
        for mode in members if len(members) > 1 else ():
            assert_share(modes == mode, 1 / len(members))
        away = np.linalg.norm(x - CENTERS[modes], axis=1) / SIGMA
        # A 2-D standard normal lies within radius r with probability 1 - exp(-r^2 / 2).
        for radius in (1.0, 2.0, 3.0):
            assert_share(away < radius, 1 - np.exp(-(radius**2) / 2))
    assert strays <= MAX_STRAYS


def test_reference_posterior_tolerates_noise_on_the_label(problem):
    rng = np.random.default_rng(7)
    clean = problem.observations
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    np.testing.assert_array_equal(
        problem.reference_posterior(noisy, n=10, random_state=8),
        problem.reference_posterior(clean, n=10, random_state=8),
    )


def test_densities_match_the_mixture_written_out(problem):
    x, y = problem.sample(200, random_state=9)
    np.testing.assert_allclose(np.exp(problem.log_prior(x)), mixture_density(x, range(8)))
    for observation in problem.observations:
        members = np.flatnonzero(problem.mode_labels == observation.argmax())
        np.testing.assert_allclose(
            np.exp(problem.log_posterior(x, observation)),
            mixture_density(x, members),
            atol=1e-300,
        )


def test_posterior_density_follows_from_bayes_rule(problem):
    x, y = problem.sample(200, random_state=10)
    evidence = np.array([np.mean(problem.mode_labels == label) for label in y.argmax(axis=1)])
    # Where x belongs to the label for certain, p(x | y) = p(x) / p(y).
    np.testing.assert_allclose(
        problem.log_posterior(x, y), problem.log_prior(x) - np.log(evidence), rtol=0, atol=1e-5
    )


def test_posterior_density_integrates_to_one(problem):
    step = 0.05
    axis = np.arange(-4.5, 4.5, step)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for y in problem.observations:
        total = np.exp(problem.log_posterior(grid, y)).sum() * step**2
        assert total == pytest.approx(1.0, abs=1e-9)


def test_far_points_have_a_finite_log_density(problem):
    assert np.isfinite(problem.log_posterior([[1e3, -1e3]], problem.observations[0])).all()


@pytest.mark.parametrize("kind", ["int", "numpy int", "RandomState", "Generator"])
def test_the_same_seed_gives_the_same_numbers(problem, kind):
    make = {
        "int": lambda: 11,
        "numpy int": lambda: np.int64(11),
        "RandomState": lambda: np.random.RandomState(11),
        "Generator": lambda: np.random.default_rng(11),
    }[kind]
    y = problem.observations
    for call in (
        lambda state: problem.sample(20, state)[0],
        lambda state: problem.sample_prior(20, state),
        lambda state: problem.reference_posterior(y, 20, state),
    ):
        np.testing.assert_array_equal(call(make()), call(make()))


def test_different_seeds_and_no_seed_give_different_numbers(problem):
    assert not np.array_equal(problem.sample_prior(5, 1), problem.sample_prior(5, 2))
    assert not np.array_equal(problem.sample_prior(5), problem.sample_prior(5))


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_that_is_passed_in_advances(problem, make):
    state = make(12)
    assert not np.array_equal(problem.sample_prior(5, state), problem.sample_prior(5, state))


def test_the_global_random_state_is_left_alone(problem):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    problem.sample(10)
    problem.sample(10, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_tables_and_lists_are_taken(problem):
    pandas = pytest.importorskip("pandas")
    x, y = problem.sample(4, random_state=13)
    table = pandas.DataFrame(x, columns=list(problem.x_names))
    np.testing.assert_array_equal(problem.simulate(table), y)
    np.testing.assert_array_equal(problem.simulate(x.tolist()), y)
    np.testing.assert_array_equal(problem.simulate(table.astype(object)), y)


@pytest.mark.parametrize(("labels", "error"), [("most", ValueError), (None, TypeError), (["all"], TypeError)])
def test_unknown_labelling(labels, error):
    with pytest.raises(error, match="labels must be one of .*'all'.*got"):
        GaussianModes(labels=labels)


@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-3, ValueError), (2.0, TypeError), ("9", TypeError), (True, TypeError)],
)
def test_bad_number_of_rows(problem, n, error):
    calls = (
        lambda: problem.sample(n),
        lambda: problem.sample_prior(n),
        lambda: problem.reference_posterior(problem.observations, n),
    )
    for call in calls:
        with pytest.raises(error, match="^n must be"):
            call()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"x must have shape \(n, 2\), got shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], ValueError, r"x must have shape \(n, 2\), got shape \(1, 3\)"),
        ([[1.0, 2.0], [np.nan, 0.0]], ValueError, "x must be finite.*1 of 2 rows.*row 1"),
        ([["a", "b"]], TypeError, "x must hold real numbers"),
        ([[1j, 2.0]], TypeError, "x must hold real numbers"),
        ([[object(), 2.0]], TypeError, "x must hold real numbers"),
    ],
)
def test_bad_parameters(problem, x, error, message):
    calls = (
        lambda: problem.simulate(x),
        lambda: problem.nearest_mode(x),
        lambda: problem.log_prior(x),
        lambda: problem.log_posterior(x, problem.observations[0]),
    )
    for call in calls:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.zeros(3), ValueError, r"y must have shape \(8,\).*got shape \(3,\)"),
        (np.zeros((2, 3)), ValueError, r"y must have shape \(8,\).*got shape \(2, 3\)"),
        (np.zeros((2, 2, 8)), ValueError, r"y must have shape \(8,\).*got shape \(2, 2, 8\)"),
        (np.full(8, np.inf), ValueError, "y must be finite"),
        (["a"] * 8, TypeError, "y must hold real numbers"),
    ],
)
def test_bad_observation(problem, y, error, message):
    with pytest.raises(error, match=message):
        problem.reference_posterior(y)
    with pytest.raises(error, match=message):
        problem.log_posterior(problem.centers, y)


def test_a_label_without_a_mode_is_refused():
    problem = GaussianModes(labels="some")
    y = np.eye(8)[[0, 6]]
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 3\], got label 6 in row 1"):
        problem.reference_posterior(y)
    with pytest.raises(ValueError, match="got label 6"):
        problem.log_posterior(problem.centers, y[1])


def test_density_needs_as_many_observations_as_points(problem):
    with pytest.raises(ValueError, match="2 rows of y and 8 of x"):
        problem.log_posterior(problem.centers, problem.observations[[0, 0]])


@pytest.mark.parametrize(
    ("state", "error"),
    [(-1, ValueError), ("seed", TypeError), (1.5, TypeError), (True, TypeError)],
)
def test_bad_random_state(problem, state, error):
    with pytest.raises(error, match="random_state must be"):
        problem.sample(3, random_state=state)


class OneParameter(Problem):
    """A problem with one column on each side, where 1-D arrays mean columns."""

    dx, dy = 1, 1
    x_names, y_names = ("x [-]",), ("y [-]",)

    def _sample_prior(self, n, rng):
        return rng.standard_normal((n, 1))

    def _simulate(self, x, rng):
        return 2 * x

    def _posterior(self, y, n, rng):
        return np.repeat(y[:, None, :] / 2, n, axis=1)


def test_one_column_may_be_given_as_a_1d_array():
    problem = OneParameter()
    np.testing.assert_array_equal(problem.simulate([1, 2, 3]), [[2], [4], [6]])
    assert problem.reference_posterior([4.0, 6.0], n=5).shape == (2, 5, 1)
    assert problem.reference_posterior([4.0], n=5).shape == (5, 1)
    assert problem.reference_posterior(4.0, n=5).shape == (5, 1)
    x, y = problem.sample(6, random_state=0)
    np.testing.assert_array_equal(y, 2 * x)


def test_a_problem_must_say_how_it_works():
    with pytest.raises(TypeError, match="abstract"):
        Problem()
