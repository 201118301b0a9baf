"""Every picture against a stored image, and pictures that are wrong on purpose against the same."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("corner")
pytest.importorskip("pytest_mpl")

import pictures
from matplotlib import style
from matplotlib.testing.compare import compare_images

pytestmark = pytest.mark.usefixtures("figures_are_closed")

BASELINE = Path(__file__).parent / "baseline"
SAVING = {"dpi": 40, "pil_kwargs": {"optimize": True}}
# Root mean square of the differences of 8-bit colours. Between matplotlib 3.8, 3.9, 3.10 and 3.11 the same
# picture differs by less than 0.01; of the wrong ones below, the nearest, by a hollow marker, by 1.7.
TOLERANCE = 1.0
NAMES = [
    "marginals",
    "marginals_of_one",
    "corner",
    "latent_map",
    "history",
    "calibration",
    "coverage",
    "rank_histogram",
    "report",
    "animate_points",
    "animate_marginals",
    "latent_dimension",
    "posterior_scatter",
]


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", savefig_kwargs=SAVING, tolerance=TOLERANCE, style="default", backend="agg"
)
@pytest.mark.parametrize("name", NAMES)
def test_picture(name):
    return getattr(pictures, name)()


def test_every_picture_has_an_image():
    assert {path.stem for path in BASELINE.glob("*.png")} == {f"test_picture_{name}" for name in NAMES}


WRONG = [
    ("marginals", {"truth": [0.7, 0.0, 0.5e-9]}),
    ("marginals", {"truth": None}),
    ("marginals", {"prior": None}),
    ("marginals_of_one", {"bins": 20}),
    ("corner", {"prior": None}),
    ("corner", {"truth": None}),
    ("corner", {"levels": (0.5, 0.95)}),
    ("latent_map", {"groups": lambda x: 3 - pictures.quadrant(x)}),
    ("history", {"steepness": 0.31}),
    ("calibration", {"width": 0.85}),
    ("calibration", {"band": 0.99}),
    ("coverage", {"bend": 0.2}),
    ("rank_histogram", {"width": 0.85}),
    ("rank_histogram", {"band": 0.99}),
    ("report", {"recoverable": (True, True, True)}),
    ("report", {"narrowing": (12.0, 2.0, 1.0)}),
    ("report", {"bend": 0.4}),
    ("animate_points", {"frame": 2}),
    ("animate_points", {"truth": None}),
    ("animate_points", {"reference": None}),
    ("animate_points", {"groups": np.zeros(400, dtype=int)}),
    ("animate_marginals", {"frame": 2}),
    ("animate_marginals", {"truth": None}),
    ("latent_dimension", {"width": (1.1, 0.7, 0.01)}),
    ("posterior_scatter", {"shift": 0.1}),
]


@pytest.mark.parametrize(("name", "change"), WRONG, ids=[f"{n}-{'-'.join(c)}" for n, c in WRONG])
def test_a_wrong_picture_is_noticed(name, change, tmp_path):
    path = tmp_path / "wrong.png"
    with style.context("default"):
        getattr(pictures, name)(**change).savefig(path, **SAVING)
    assert compare_images(BASELINE / f"test_picture_{name}.png", path, tol=TOLERANCE) is not None
