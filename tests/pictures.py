"""The pictures that are compared with stored images: from fixed numbers, without any text.

Text is left out since every version of the font library draws it differently; tests of the single pictures
read it.
"""

import numpy as np
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter

from innverse import LatentDimension, plot
from innverse._verdict import Verdict
from innverse.metrics import Coverage, calibration_error, sbc_ranks

LEVELS = (np.arange(100) + 0.5) / 100


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def bare(figure):
    """Take all text away, and what the size of text determines."""
    figure.set_layout_engine("none")
    for legend in figure.findobj(Legend):
        legend.remove()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
    for text in figure.findobj(Text):
        text.set_visible(False)
    return figure


def posteriors():
    """Prior, two posteriors and truth of three parameters."""
    prior = normal(4000, 3) * [1.0, 2.0, 1e-9]
    network = normal(1500, 3, seed=1) * [0.2, 1.0, 1e-9] + [0.5, -1.0, 0.0]
    network[:, 1] += 2 * network[:, 0]
    reference = normal(1500, 3, seed=2) * [0.3, 1.2, 1e-9] + [0.4, 0.5, 0.0]
    return prior, {"network": network, "reference": reference}, np.array([0.6, 0.0, 0.5e-9])


def marginals(**changed):
    prior, samples, truth = posteriors()
    return bare(plot.marginals(**{"samples": samples, "prior": prior, "truth": truth, **changed})[0].figure)


def marginals_of_one(**changed):
    prior, samples, truth = posteriors()
    given = {"samples": samples["network"], "prior": prior, "truth": truth, **changed}
    return bare(plot.marginals(**given)[0].figure)


def corner(**changed):
    prior, samples, truth = posteriors()
    return bare(plot.corner(**{"samples": samples, "prior": prior, "truth": truth, **changed}))


class Latent:
    """Draws whose latent variables are the parameters themselves."""

    def posterior(self, y, n, random_state):
        return normal(n, 2, seed=random_state)

    def latent(self, x, y):
        return x


def quadrant(x):
    return (x[:, 0] > 0) + 2 * (x[:, 1] > 0).astype(int)


def latent_map(groups=quadrant):
    return bare(plot.latent_map(Latent(), np.zeros(3), groups, n=1000, random_state=0).figure)


def history(steepness=0.3):
    epoch = np.arange(1, 21)
    loss = np.exp(-steepness * epoch)
    terms = {"x": loss / 3, "y": loss / 2, "z": loss / 9}
    return bare(
        plot.history({"epoch": epoch, "train_loss": loss, "validation_loss": 2 * loss, **terms}).figure
    )


def judged(width):
    """Truths and posterior samples of two parameters, as wide as they should be times `width`."""
    return normal(300, 2), width * normal(300, 99, 2, seed=1)


def calibration(width=0.8, band=0.95):
    truth, samples = judged(width)
    return bare(plot.calibration(calibration_error(samples, truth), band=band).figure)


def coverage(bend=0.15):
    shares = LEVELS + bend * LEVELS * (1 - LEVELS)
    return bare(plot.calibration(Coverage(LEVELS, shares, bend / 6, 1000)).figure)


def rank_histogram(width=0.8, band=0.95):
    truth, samples = judged(width)
    return bare(plot.rank_histogram(sbc_ranks(samples, truth), n=99, band=band)[0].figure)


def verdict(recoverable=(True, True, False), narrowing=(12.0, 1.7, 1.0), bend=0.5):
    wide = LEVELS + bend * LEVELS * (1 - LEVELS)
    return Verdict(
        names=["a", "b", "c"],
        rows=400,
        confidences=LEVELS,
        inliers=np.column_stack([LEVELS, wide, LEVELS]),
        coverage=wide,
        chance=np.array([0.5, 1e-6, 0.5]),
        narrowing=np.array(narrowing),
        skill=np.array([0.9, 0.4, 0.0]),
        recoverable=np.array(recoverable),
    )


def report(**changed):
    return bare(plot.report(verdict(**changed)))


def animate_points(frame=3, **changed):
    cloud = normal(400, 2, seed=3) * [0.3, 0.6]
    given = {"reference": normal(1000, 2), "truth": [0.2, 0.5], "groups": quadrant(cloud), **changed}
    return _frame(plot.animate(plot.growing_frames(cloud, count=4), **given), frame)


def animate_marginals(frame=3, **changed):
    prior, samples, truth = posteriors()
    given = {"reference": prior, "truth": truth, **changed}
    return _frame(plot.animate(plot.growing_frames(samples["network"], count=4), **given), frame)


def _frame(animation, number):
    # Nothing is saved: what is drawn is the frame itself.
    animation._draw_was_started = True
    animation._func(number)
    return bare(animation._fig)


def latent_dimension(width=(1.1, 0.6, 0.01)):
    width = np.array(width)
    result = LatentDimension(2, width, np.array([0.8 * width, 1.5 * width]), 0.05)
    return bare(plot.latent_dimension(result).figure)


def posterior_scatter(shift=0.0):
    axes = plot.posterior_scatter(normal(500, 2), normal(500, 2, seed=1) + shift, *[np.arange(500) % 3] * 2)
    return bare(axes[0].figure)
