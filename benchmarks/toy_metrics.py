"""How good posterior samples of the eight Gaussian modes are. Needs numpy only."""

import numpy as np

# Widths a of the kernels a^2 / (a^2 + d^2) that the paper's toy is trained with, summed.
KERNEL_WIDTHS = (0.05, 0.2, 0.9)
# Rows of a distance matrix held at once: 512 x 2000 float64 are 8 MB.
BLOCK_ROWS = 512
# The MMD looks at this many samples of each set: its cost grows with the square.
MMD_SAMPLES = 2000
# "In a mode" means within three standard deviations of its centre.
MODE_RADIUS = 3.0
# Seed of the exact samples: unlike any that a program would pick for its own draws, because samples
# drawn by numpy from the same seed would be compared with themselves and score too well.
EXACT_SEED = 7_310_645_209
# Share of a round 2-D Gaussian within that radius: 1 - exp(-9 / 2) = 0.989.
TRUE_SHARE_IN_RADIUS = 1.0 - np.exp(-(MODE_RADIUS**2) / 2.0)


def score_samples(problem, labels_y, samples, random_state=EXACT_SEED):
    """Compare posterior samples with the exact posterior.

    Parameters
    ----------
    problem : GaussianModes
        Gives the centres, the labels of the modes and the exact posterior.
    labels_y : ndarray of shape (m, 8)
        One-hot observations, one for each set of samples.
    samples : ndarray of shape (m, n, 2)
        Samples to judge. One that is NaN or infinite lies in no mode.
    random_state : int
        Seed of the exact samples; must not be the seed that `samples` were drawn with.

    Returns
    -------
    scores : dict of str to float
        ``in_own_label``: share of samples whose nearest centre carries their label.
        ``within_3_sigma``: share within three sigma of any centre.
        ``share_error_pp``: largest difference, over labels and their modes, between the share of
        samples nearest to a mode and one over the label's number of modes, in percentage points.
        ``mmd2``: squared MMD of the first `MMD_SAMPLES` to an exact sample, mean over observations.
        ``share_error_pp_exact``, ``mmd2_exact``: the same of a second exact sample. Chance alone
        makes them differ from 0, so they are the best that can be hoped for.
    """
    samples = np.asarray(samples, dtype=np.float64)
    distances, nearest = _nearest_mode(problem, samples)
    own = _members(problem, labels_y)
    n = samples.shape[1]
    rng = np.random.default_rng(random_state)
    exact = problem.reference_posterior(labels_y, n, rng)
    second = problem.reference_posterior(labels_y, n, rng)
    return {
        "in_own_label": float(np.mean(_in_own_label(own, nearest))),
        "within_3_sigma": float(np.mean(distances < MODE_RADIUS * problem.sigma)),
        "share_error_pp": 100.0 * _largest_share_error(own, nearest),
        "share_error_pp_exact": 100.0 * _largest_share_error(own, _nearest_mode(problem, second)[1]),
        "mmd2": _mean_mmd2(samples, exact),
        "mmd2_exact": _mean_mmd2(second, exact),
    }


def label_accuracy(y_predicted, y):
    """Share of observations whose largest entry is predicted in the right column.

    Parameters
    ----------
    y_predicted, y : ndarray of shape (n, 8)
        Predicted and true observations.

    Returns
    -------
    accuracy : float
        Between 0 and 1.
    """
    return float(np.mean(np.argmax(y_predicted, axis=1) == np.argmax(y, axis=1)))


def mmd2(a, b, widths=KERNEL_WIDTHS):
    """Squared maximum mean discrepancy of two samples, biased (a V-statistic).

    Parameters
    ----------
    a, b : ndarray of shape (n, d) and (m, d)
        The two samples.
    widths : sequence of float
        Widths of the kernels a^2 / (a^2 + distance^2), which are summed.

    Returns
    -------
    mmd2 : float
        At least 0 up to rounding; 0 for identical samples.
    """
    return _mean_kernel(a, a, widths) + _mean_kernel(b, b, widths) - 2 * _mean_kernel(a, b, widths)


def _mean_mmd2(samples, exact):
    pairs = zip(samples[:, :MMD_SAMPLES], exact[:, :MMD_SAMPLES], strict=True)
    return float(np.mean([mmd2(a, b) for a, b in pairs]))


def _mean_kernel(a, b, widths):
    total = 0.0
    for start in range(0, len(a), BLOCK_ROWS):
        block = a[start : start + BLOCK_ROWS]
        # Column by column, so that the differences are exact and nothing three-dimensional is
        # made.
        squared = sum(np.subtract.outer(u, v) ** 2 for u, v in zip(block.T, b.T, strict=True))
        total += sum(np.sum(width**2 / (width**2 + squared)) for width in widths)
    return float(total / (len(a) * len(b)))


def _nearest_mode(problem, samples):
    """Distance to the nearest centre, and its index, or -1 for a sample that is not finite."""
    difference = samples[..., np.newaxis, :] - problem.centers
    distances = np.sqrt((difference**2).sum(axis=-1))
    finite = np.isfinite(samples).all(axis=-1)
    nearest = np.where(finite, distances.argmin(axis=-1), -1)
    return np.where(finite, distances.min(axis=-1), np.inf), nearest


def _members(problem, labels_y):
    """Tell which modes carry the label of each observation: (m, 8)."""
    return np.argmax(labels_y, axis=1)[:, np.newaxis] == problem.mode_labels


def _in_own_label(own, nearest):
    rows = np.arange(len(own))[:, np.newaxis]
    return own[rows, nearest] & (nearest >= 0)


def _largest_share_error(own, nearest):
    errors = []
    for members, modes in zip(own, nearest, strict=True):
        shares = np.array([np.mean(modes == mode) for mode in np.flatnonzero(members)])
        errors.append(np.abs(shares - 1.0 / members.sum()).max())
    return float(max(errors))
