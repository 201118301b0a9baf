"""animate: posteriors that form over training or over growing numbers of samples."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

import matplotlib as mpl
import pandas as pd
from pictures import normal

from innverse import ConditionalINN, plot

pytestmark = pytest.mark.usefixtures("figures_are_closed")

SMALL = dict(n_blocks=2, hidden_layer_sizes=(16,), n_estimators=1, random_state=0)


def shown(animation, number):
    """Draw a frame and return the figure."""
    animation._draw_was_started = True
    animation._func(number)
    return animation._fig


def curve(ax):
    return next(patch.get_data() for patch in ax.patches if patch.get_label() == "posterior")


def test_growing_frames_are_the_first_samples():
    samples = normal(1000, 3)
    frames = plot.growing_frames(pd.DataFrame(samples, columns=list("abc")), first=10, count=3)
    assert [len(table) for table in frames.samples] == [10, 100, 1000]
    assert all(np.array_equal(table, samples[: len(table)]) for table in frames.samples)
    assert frames.captions == ["10 samples", "100 samples", "1000 samples"] and frames.names == list("abc")
    # No frame twice, where there are fewer samples than frames.
    assert [len(table) for table in plot.growing_frames(normal(12), count=30).samples] == [10, 11, 12]
    assert len(plot.growing_frames(normal(12), count=1).samples[0]) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": normal(9)}, "first must be at most the number of samples, 9, got 10"),
        ({"samples": normal(9), "first": 0}, "first must be at least 1"),
        ({"samples": normal(20), "count": 0}, "count must be at least 1"),
        ({"samples": normal(2, 20, 2)}, r"samples must have shape \(n, dx\), got shape \(2, 20, 2\)"),
    ],
)
def test_growing_frames_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot.growing_frames(**arguments)


def test_points_grow_each_in_its_group():
    cloud, group = normal(40, 2), np.arange(40) % 3
    animation = plot.animate(plot.growing_frames(cloud, count=4), groups=group, names=["a [m]", "b [s]"])
    counts = []
    for number in range(4):
        (ax,) = shown(animation, number).axes
        drawn = [np.asarray(collection.get_offsets()) for collection in ax.collections]
        counts.append(sum(map(len, drawn)))
        for of_group, points in enumerate(drawn):
            assert np.array_equal(points, cloud[: counts[-1]][group[: counts[-1]] == of_group])
    assert counts[0] == 10 and counts == sorted(counts) and counts[-1] == 40
    assert ax.get_xlabel() == "a [m]" and animation._fig.get_suptitle() == "40 samples"


def test_panels_may_grow_too():
    big, small = normal(30, 2), normal(4, 2)
    axes = shown(plot.animate([[big, small], [small, big]]), 1).axes
    assert [len(ax.collections[0].get_offsets()) for ax in axes] == [4, 30]


def test_two_parameters_are_points_over_prior_and_truth():
    prior = normal(200, 2)
    (ax,) = shown(plot.animate([normal(5, 2), normal(5, 2)], reference=prior, truth=[0.1, 0.2]), 1).axes
    grey, points = ax.collections
    assert len(grey.get_offsets()) == 200 and len(points.get_offsets()) == 5
    assert ax.lines[0].get_xdata()[0] == 0.1 and ax.lines[1].get_ydata()[0] == 0.2
    assert ax.get_xlim()[1] > prior[:, 0].max()


def test_other_numbers_of_parameters_are_histograms():
    prior, samples = 5 * normal(3000, 3), normal(2000, 3, seed=1)
    animation = plot.animate(plot.growing_frames(samples), reference=prior, truth=[0.0, 1.0, 20.0])
    axes = shown(animation, 0).axes
    first = [curve(ax) for ax in axes]
    last = [curve(ax) for ax in shown(animation, len(plot.growing_frames(samples).samples) - 1).axes]
    for column, (ax, few, all_of_them) in enumerate(zip(axes, first, last, strict=True)):
        assert np.array_equal(few.edges, all_of_them.edges)
        for count, data in ((10, few), (2000, all_of_them)):
            counts, _ = np.histogram(samples[:count, column], data.edges)
            assert data.values == pytest.approx(counts / counts.max())
        assert ax.get_xlim()[0] < -15
    assert axes[2].get_xlim()[1] > 20
    assert [text.get_text() for text in animation._fig.legends[0].get_texts()] == [
        "prior",
        "posterior",
        "truth",
    ]


def test_a_frame_outside_the_picture_is_empty():
    animation = plot.animate([normal(50, 1) + 1e6, normal(50, 1)])
    assert not curve(shown(animation, 0).axes[0]).values.any()


def test_names_and_order_of_columns_come_with_the_frames():
    names = ["a [m]", "b [s]", "c [-]"]
    samples = pd.DataFrame(normal(50, 3) + np.array([0, 100, 200]), columns=names)
    turned = samples[names[::-1]]
    for frames in ([samples, samples], plot.growing_frames(samples, count=2)):
        axes = shown(plot.animate(frames, reference=turned, truth=turned.iloc[0]), 1).axes
        assert [ax.get_xlabel() for ax in axes] == names
        for ax, name in zip(axes, names, strict=True):
            assert ax.lines[0].get_xdata()[0] == samples[name].iloc[0]
            prior = next(patch.get_data() for patch in ax.patches if patch.get_label() == "prior")
            assert prior.edges.mean() == pytest.approx(samples[name].mean(), abs=1)


@pytest.fixture(scope="module")
def simulations():
    x = normal(200, 2)
    return pd.DataFrame(x, columns=["a", "b"]), x[:, :1] + 0.1 * normal(200, 1, seed=1)


def test_training_frames_follow_a_copy_of_the_model(simulations):
    x, y = simulations
    model = ConditionalINN(**SMALL)
    frames = plot.training_frames(model, x, y, [0.5], passes=3, n=50, random_state=4)
    assert not hasattr(model, "history_")
    assert frames.captions == ["after pass 1", "after pass 2", "after pass 3"] and frames.names == ["a", "b"]
    again = ConditionalINN(**SMALL)
    for table in frames.samples:
        again.partial_fit(x, y)
        assert np.array_equal(table, again.posterior([0.5], n=50, random_state=4))
    animation = plot.animate(frames, reference=x)
    assert shown(animation, 2).axes[0].get_xlabel() == "a"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": object()}, TypeError, "model must have a method partial_fit, got object"),
        (
            {"observation": [[0.1], [0.2]]},
            ValueError,
            r"observation must be one observation, got shape \(2, 1\)",
        ),
        ({"passes": 0}, ValueError, "passes must be at least 1"),
        ({"n": 1.5}, TypeError, "n must be an integer"),
    ],
)
def test_training_frames_refuse_nonsense(arguments, error, message, simulations):
    x, y = simulations
    given = {"model": ConditionalINN(**SMALL), "x": x, "y": y, "observation": [0.0], **arguments}
    with pytest.raises(error, match=message):
        plot.training_frames(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"panels": [normal(5, 3)], "titles": ["a"]}, "titles must be None where histograms of 3 parameters"),
        ({"panels": [normal(5, 3)], "groups": [0] * 5}, "groups must be None where histograms"),
        ({"panels": [normal(5, 3), normal(5, 2)]}, r"equally many columns, got \[2, 3\]"),
        (
            {"panels": [normal(5, 3)], "captions": ["a", "b"]},
            "captions must be as many as the frames, 1, got 2",
        ),
        ({"panels": [normal(5, 3)], "reference": normal(5, 2)}, "reference must have as many columns"),
        ({"panels": [np.full((2, 3), np.nan)]}, r"panels\[0\] contains NaN"),
        ({"panels": [normal(5, 2)], "groups": [0] * 4}, r"groups\[0\] must have shape \(5,\)"),
        ({"panels": [[normal(5, 2)]], "truth": [0, 0]}, "truth must be None where panels holds several"),
    ],
)
def test_animate_refuses_what_does_not_fit_together(arguments, message):
    from matplotlib import pyplot as plt

    with pytest.raises(ValueError, match=message):
        plot.animate(**arguments)
    assert not plt.get_fignums()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_picture_is_saved_without_ffmpeg(tmp_path, suffix):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / f"posterior{suffix}"
    plot.animate([normal(20, 2), normal(20, 2, seed=1)]).save(path, dpi=30)
    with image.open(path) as saved:
        assert saved.n_frames == 2


def test_a_video_needs_ffmpeg_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "animation.ffmpeg_path", str(tmp_path / "none"))
    animation = plot.animate([normal(20, 2)])
    with pytest.raises(RuntimeError, match=r"posterior.mp4 needs ffmpeg: install ffmpeg, or save a .gif"):
        animation.save(tmp_path / "posterior.mp4")
    shown(animation, 0)


def test_a_video_is_saved_where_ffmpeg_is_present(tmp_path):
    from matplotlib import animation

    if not animation.writers.is_available("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "posterior.mp4"
    plot.animate([normal(20, 2), normal(20, 2, seed=1)]).save(path, dpi=50)
    assert path.read_bytes()[4:8] == b"ftyp"


def test_a_notebook_shows_a_player_and_no_still_figure():
    from matplotlib import pyplot as plt

    animation = plot.animate([normal(20, 2), normal(20, 2, seed=1)])
    player = animation._repr_html_()
    assert player.count("data:image/png;base64") == 2 and "<script" in player
    assert not plt.get_fignums()
    assert animation._repr_html_() == player
