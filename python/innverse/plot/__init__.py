"""Pictures of posteriors, of what to believe of them, of training and of latent space.

matplotlib is imported when a function is called, so the package works without it. Every function
returns the matplotlib object it made, and none shows it.
"""

from ._animate import animate
from ._calibration import calibration
from ._corner import corner
from ._frames import Frames, growing_frames, training_frames
from ._history import history
from ._latent_dimension import latent_dimension
from ._latent_map import latent_map
from ._marginals import marginals
from ._posterior_scatter import posterior_scatter
from ._rank_histogram import rank_histogram
from ._report import report
from ._style import PALETTE

__all__ = [
    "PALETTE",
    "Frames",
    "animate",
    "calibration",
    "corner",
    "growing_frames",
    "history",
    "latent_dimension",
    "latent_map",
    "marginals",
    "posterior_scatter",
    "rank_histogram",
    "report",
    "training_frames",
]
