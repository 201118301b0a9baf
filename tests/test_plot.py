import io
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

from innverse import LatentDimension, plot  # noqa: E402

HISTORY = {
    "epoch": [1, 2, 3],
    "train_loss": [3.0, 2.0, 1.0],
    "validation_loss": [3.5, 2.5, 1.5],
    "fit": [1.0, 0.5, 0.2],
}


class FakeModel:
    """Latent variables are the parameters divided by two, so every coordinate is known."""

    def __init__(self, latent_dim=2):
        self.latent_dim = latent_dim
        self.asked = []

    def posterior(self, y, n=1000, random_state=None):
        self.asked.append((np.asarray(y), n, random_state))
        return 2 * np.random.default_rng(random_state).standard_normal((n, self.latent_dim))

    def latent(self, x, y=None):
        assert y.shape == (len(x), 8)
        return x / 2


@pytest.fixture(autouse=True)
def figures_are_closed(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a plot called show"))
    yield
    plt.close("all")


def quadrant(x):
    return (x[:, 0] > 0) + 2 * (x[:, 1] > 0).astype(int)


def cloud(n=30, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 2))


def drawn_points(ax):
    return np.concatenate([c.get_offsets() for c in ax.collections])


def test_palette_is_eight_different_colours():
    assert len(set(plot.PALETTE)) == 8
    assert all(len(to_rgb(colour)) == 3 for colour in plot.PALETTE)


def test_the_first_four_colours_differ_in_grey():
    # Relative luminance of linear sRGB (IEC 61966-2-1), and back to how it is seen.
    linear = np.array(
        [
            [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
            for colour in plot.PALETTE[:4]
        ]
    )
    grey = np.sort((linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 2.2))
    assert np.diff(grey).min() > 0.1


def test_history_draws_every_loss():
    ax = plot.history(HISTORY)
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"train loss", "validation loss", "fit"}
    np.testing.assert_array_equal(lines["train loss"].get_xdata(), HISTORY["epoch"])
    np.testing.assert_array_equal(lines["fit"].get_ydata(), HISTORY["fit"])
    assert ax.get_yscale() == "log"
    assert ax.get_legend() is not None


def test_history_takes_a_model_and_given_axes():
    _, given = plt.subplots()
    assert plot.history(SimpleNamespace(history_=HISTORY), ax=given) is given


@pytest.mark.parametrize("epochs", [1, 2, 3, 16])
def test_history_marks_whole_epochs(epochs):
    ax = plot.history({"epoch": range(1, epochs + 1), "train_loss": np.ones(epochs)})
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_history_leaves_ticks_that_were_chosen():
    _, ax = plt.subplots()
    ax.set_xticks([0.5, 1.5])
    np.testing.assert_array_equal(plot.history(HISTORY, ax=ax).get_xticks(), [0.5, 1.5])


def test_history_with_a_negative_loss_is_linear():
    assert plot.history({"epoch": [1, 2], "train_loss": [1.0, -1.0]}).get_yscale() == "linear"


@pytest.mark.parametrize("missing", [[np.nan, np.nan], [None, None]])
def test_history_leaves_out_a_loss_that_was_never_computed(missing):
    ax = plot.history({"epoch": [1, 2], "train_loss": [2.0, 1.0], "validation_loss": missing})
    assert [line.get_label() for line in ax.lines] == ["train loss"]


def test_history_leaves_out_a_term_that_is_zero_throughout():
    """Zero has no logarithm, and the term is none that was minimised."""
    ax = plot.history({"epoch": [1, 2], "train_loss": [2.0, 1.0], "padding": [0.0, 0.0]})
    assert [line.get_label() for line in ax.lines] == ["train loss"] and ax.get_yscale() == "log"
    assert len(plot.history({"epoch": [1, 2], "padding": [0.0, 0.0]}).lines) == 1


def test_history_tells_many_terms_apart():
    terms = {f"term_{i}": [1.0, 2.0] for i in range(14)}
    ax = plot.history({"epoch": [1, 2], **terms})
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 14


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (object(), TypeError, "model_or_history must be a fitted estimator"),
        ({"train_loss": [1.0]}, TypeError, "'epoch'"),
        ({"epoch": [1, 2], "fit": [1.0]}, ValueError, "2 epochs and 1 values of 'fit'"),
        ({"epoch": [1], "fit": [np.nan]}, ValueError, "a finite loss"),
    ],
)
def test_history_refuses_nonsense(bad, error, message):
    with pytest.raises(error, match=message):
        plot.history(bad)


def test_latent_map_colours_the_latent_variables_by_group():
    model, y = FakeModel(), np.eye(8)[0]
    ax = plot.latent_map(model, y, quadrant, n=200, random_state=3)
    asked_y, n, random_state = model.asked[0]
    np.testing.assert_array_equal(asked_y, y)
    assert (n, random_state) == (200, 3)
    z = np.random.default_rng(3).standard_normal((200, 2))
    for collection in ax.collections:
        points = np.asarray(collection.get_offsets())
        (group,) = set(quadrant(points).tolist())
        np.testing.assert_allclose(points, z[quadrant(z) == group])
        np.testing.assert_allclose(collection.get_facecolor()[0][:3], to_rgb(plot.PALETTE[group]))
    assert {"0", "1", "2", "3", "50%", "90%"} == {text.get_text() for text in ax.texts}


def test_latent_map_circles_hold_half_and_nine_tenths():
    ax = plot.latent_map(FakeModel(), np.eye(8)[0], quadrant, n=50, random_state=0)
    radii = [np.hypot(*line.get_data()) for line in ax.lines]
    # The quantiles of a chi law with two degrees of freedom, from a table.
    for radius, expected in zip(radii, (1.17741, 2.14597), strict=True):
        np.testing.assert_allclose(radius, expected, rtol=1e-5)
    assert ax.get_aspect() == 1.0


def test_latent_map_says_how_many_draws_it_does_not_show():
    model = FakeModel()
    model.latent = lambda x, y=None: np.vstack([[[9.0, 0.0], [0.0, -9.0]], x[2:] * 0.1])
    ax = plot.latent_map(model, np.eye(8)[0], quadrant, n=50, random_state=0)
    assert "2 of 50 outside" in {text.get_text() for text in ax.texts}
    assert ax.get_xlim() == ax.get_ylim() == (-3.5, 3.5)


def test_latent_map_names_no_group_that_lies_outside():
    class Far(FakeModel):
        def latent(self, x, y=None):
            return super().latent(x, y) + 1e6 * (x[:, :1] > 0)

    ax = plot.latent_map(Far(), np.zeros(8), quadrant, n=200, random_state=0)
    ax.figure.savefig(io.BytesIO())
    named = {text.get_text() for text in ax.texts}
    assert {"0", "2"} <= named and not {"1", "3"} & named


def test_latent_map_names_no_group_of_stray_points():
    def groups(x):
        return np.where(np.arange(len(x)) < 2, 7, quadrant(x))

    for n, named in ((400, True), (1000, False)):
        ax = plot.latent_map(FakeModel(), np.zeros(8), groups, n=n, random_state=0)
        assert ("7" in {text.get_text() for text in ax.texts}) == named


def test_latent_map_of_a_model_with_names_warns_of_nothing():
    class Named(FakeModel):
        def latent(self, x, y=None):
            warnings.warn("X does not have valid feature names, but", UserWarning, stacklevel=1)
            return super().latent(x, y)

    assert plot.latent_map(Named(), np.zeros(8), quadrant, n=20).collections


def test_latent_map_needs_two_latent_dimensions_and_one_observation():
    with pytest.raises(ValueError, match=r"latent space of model must have shape \(n, 2\)"):
        plot.latent_map(FakeModel(latent_dim=3), np.eye(8)[0], quadrant, n=5)
    with pytest.raises(ValueError, match="y must be one observation"):
        plot.latent_map(FakeModel(), np.eye(8), quadrant, n=5)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (lambda x: np.zeros(len(x)), TypeError, "must be integers"),
        (lambda x: np.zeros((len(x), 1), dtype=int), ValueError, r"must have shape \(5,\)"),
        (lambda x: np.full(len(x), 24), ValueError, "must lie between 0 and 23, got 24 to 24"),
        (lambda x: np.full(len(x), -1), ValueError, "must lie between 0 and 23, got -1 to -1"),
    ],
)
def test_latent_map_refuses_groups_it_cannot_colour(groups, error, message):
    with pytest.raises(error, match=r"groups\(x\) " + message):
        plot.latent_map(FakeModel(), np.eye(8)[0], groups, n=5)


def test_posterior_scatter_shows_both_on_one_scale():
    truth, samples = cloud(seed=1), cloud(20, seed=2)
    axes = plot.posterior_scatter(truth, samples, names=("a [m]", "b [s]"), titles=("t", "s"))
    assert axes.shape == (2,)
    np.testing.assert_array_equal(drawn_points(axes[0]), truth)
    np.testing.assert_array_equal(drawn_points(axes[1]), samples)
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert (axes[1].get_xlabel(), axes[1].get_ylabel()) == ("a [m]", "b [s]")
    assert [ax.get_title() for ax in axes] == ["t", "s"]


def test_posterior_scatter_keeps_a_groups_colour_in_both_panels():
    axes = plot.posterior_scatter(cloud(4), cloud(3), [0, 0, 5, 5], [5, 5, 5])
    np.testing.assert_array_equal(
        axes[0].collections[1].get_facecolor(), axes[1].collections[0].get_facecolor()
    )


def test_posterior_scatter_says_how_many_samples_it_does_not_show():
    samples = np.vstack([cloud(8, seed=3) * 0.1, [[50.0, 0.0], [np.nan, 0.0]]])
    axes = plot.posterior_scatter(cloud(200), samples)
    assert [text.get_text() for text in axes[1].texts] == ["2 of 10 outside"]
    assert not axes[0].texts


def test_posterior_scatter_draws_where_it_is_told():
    _, given = plt.subplots(1, 2)
    axes = plot.posterior_scatter(cloud(), cloud(), axes=given)
    assert axes[0] is given[0] and axes[1] is given[1]
    with pytest.raises(ValueError, match="axes must be two"):
        plot.posterior_scatter(cloud(), cloud(), axes=[given[0]])


def test_posterior_scatter_of_a_constant_column():
    axes = plot.posterior_scatter(np.zeros((3, 2)), np.zeros((3, 2)))
    assert axes[0].get_xlim() == (-0.5, 0.5)


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((3, 3)), np.zeros((0, 2))])
def test_points_must_be_two_columns(points):
    with pytest.raises(ValueError, match=r"^truth must have shape \(n, 2\)"):
        plot.posterior_scatter(points, cloud())
    with pytest.raises(ValueError, match=r"^samples must have shape \(n, 2\)"):
        plot.posterior_scatter(cloud(), points)


def test_animation_is_saved_frame_by_frame(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    frames = [cloud(10, seed) for seed in range(3)]
    made = plot.animate(
        [frames, frames[::-1]],
        titles=["one", "two"],
        groups=[[0] * 5 + [1] * 5, [2] * 10],
        reference=[cloud(50), cloud(50)],
        captions=["step 0", "step 1", "step 2"],
    )
    path = tmp_path / "clouds.gif"
    made.save(path, writer="pillow")
    with pillow.open(path) as image:
        assert image.n_frames == 3
    # The last frame drawn is the last one given, each group with its own points.
    figure = made._fig
    assert figure._suptitle.get_text() == "step 2"
    _, first, second = figure.axes[0].collections
    np.testing.assert_array_equal(first.get_offsets(), frames[2][:5])
    np.testing.assert_array_equal(second.get_offsets(), frames[2][5:])
    np.testing.assert_array_equal(figure.axes[1].collections[1].get_offsets(), frames[0])


def test_animation_without_options(tmp_path):
    pytest.importorskip("PIL")
    made = plot.animate([[cloud(5), 2 * cloud(5)]])
    made.save(tmp_path / "clouds.gif", writer="pillow")
    low, high = made._fig.axes[0].get_xlim()
    assert low < (2 * cloud(5))[:, 0].min() and high > (2 * cloud(5))[:, 0].max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"panels": []}, "panels must hold at least one panel"),
        ({"panels": [[]]}, "panels must hold at least one panel"),
        ({"panels": [[cloud()], [cloud(), cloud()]]}, r"frames of panels\[1\] must be as many"),
        ({"panels": [[cloud(3), cloud(4)]], "groups": [[0] * 3]}, r"groups\[0\] must have shape \(4,\)"),
        ({"panels": [[np.zeros(3)]]}, r"panels\[0\]\[0\] must have shape \(n, 2\)"),
        ({"panels": [[cloud()]], "titles": ["a", "b"]}, "titles must be as many as the panels"),
        ({"panels": [[cloud()]], "captions": []}, "captions must be as many as the frames"),
        ({"panels": [[cloud()]], "reference": []}, "reference must be as many as the panels"),
        ({"panels": [[cloud()]], "groups": []}, "groups must be as many as the panels"),
        ({"panels": [[cloud(3)]], "groups": [[0]]}, r"groups\[0\] must have shape \(3,\)"),
    ],
)
def test_animate_refuses_what_does_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot.animate(**arguments)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot.history(HISTORY),
        lambda: plot.latent_map(FakeModel(), np.eye(8)[0], quadrant, n=5),
        lambda: plot.posterior_scatter(cloud(), cloud()),
        lambda: plot.animate([[cloud()]]),
    ],
)
def test_without_matplotlib_it_says_what_to_install(monkeypatch, draw):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'innverse\[plot\]'"):
        draw()


def test_latent_dimension_fills_the_directions_that_need_a_latent_variable():
    width = np.array([1.1, 0.6, 0.01])
    result = LatentDimension(2, width, np.array([0.8 * width, 1.5 * width]), 0.05)
    ax = plot.latent_dimension(result)
    lost, determined, threshold = ax.get_lines()
    assert lost.get_xydata().tolist() == [[1, 1.1], [2, 0.6]]
    assert determined.get_xydata().tolist() == [[3, 0.01]]
    assert to_rgb(lost.get_markerfacecolor()) != to_rgb(determined.get_markerfacecolor())
    assert set(threshold.get_ydata()) == {0.05}
    (bars,) = ax.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert np.allclose(ends, np.stack([0.8 * width, 1.5 * width], axis=1))
    assert ax.get_title() == "latent_dim = 2"
    assert plot.latent_dimension(result, ax=ax) is ax
