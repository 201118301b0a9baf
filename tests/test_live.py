"""Training seen as it goes on, and interrupted: the bar, the curves, and what is kept."""

import signal
import sys
import threading
import warnings
from queue import Empty

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from innverse import INN, ConditionalINN, _estimator, _live

SMALL = dict(n_blocks=2, hidden_layer_sizes=(16,), batch_size=50, random_state=0, n_jobs=2)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2))
Y = X[:, :1] ** 2 + 0.1 * RNG.normal(size=(300, 1))
# More epochs than any test waits for.
ENDLESS = 1_000_000
PATIENT = {**SMALL, "max_iter": ENDLESS, "n_iter_no_change": ENDLESS}
# With surrogate=True and max_iter=M, five networks with M epochs learn a simulator that is not linear.
SIMULATOR_NETWORKS = 5


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has SIGINT sent during the report for which a condition holds first."""

    def arrange(condition):
        reports, sent = [], []
        show = _live.Live.report

        def report(self, epoch, *losses):
            show(self, epoch, *losses)
            reports.append(epoch)
            if not sent and condition(reports):
                sent.append(True)
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(_live.Live, "report", report)
        return reports

    return arrange


def interrupted(model, message):
    """Fit, check that it was interrupted and nothing is left running, and return the model."""
    threads = set(threading.enumerate())
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(X, Y)
    assert set(threading.enumerate()) == threads
    assert np.isfinite(model.posterior(Y[0], n=100)).all()
    return model


@pytest.mark.parametrize(
    "estimator",
    [
        INN(**PATIENT, learning_rate_init=0.1),
        INN(**PATIENT, objective="likelihood"),
        ConditionalINN(**PATIENT, n_estimators=1),
    ],
    ids=["bidirectional", "likelihood", "conditional"],
)
def test_an_interrupt_keeps_the_best_weights(estimator, interrupt_at):
    interrupt_at(lambda reports: len(reports) == 10)
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.fit(X, Y)
    losses = estimator.history_["validation_loss"]
    best = 1 + int(np.argmin(losses))
    assert 10 <= len(losses) < ENDLESS
    assert str(caught[0].message) == f"Training was interrupted; the weights of epoch {best} are kept."


def test_a_surrogate_fit_interrupted_in_the_posterior_keeps_it(interrupt_at):
    # Slow enough for the interrupt to come in time.
    model = ConditionalINN(
        **{**SMALL, "hidden_layer_sizes": (128, 128)}, surrogate=True, n_estimators=1, max_iter=60
    )
    reports = interrupt_at(lambda reports: reports.count(1) > SIMULATOR_NETWORKS)
    interrupted(model, r"interrupted; the weights of epoch \d+ are kept")
    assert reports.count(1) == SIMULATOR_NETWORKS + 1
    assert 1 <= model.n_iter_ < 120


def test_a_surrogate_fit_interrupted_in_the_simulator_has_nothing_to_keep(interrupt_at):
    model = ConditionalINN(**PATIENT, surrogate=True, n_estimators=1)
    interrupt_at(lambda reports: len(reports) == 5)
    with pytest.raises(KeyboardInterrupt, match="nothing to keep"):
        model.fit(X, Y)
    assert not hasattr(model, "n_features_in_")


def test_an_ensemble_whose_networks_have_all_begun_is_kept_whole(interrupt_at):
    model = INN(**PATIENT, n_estimators=2)
    interrupt_at(lambda reports: reports.count(1) == 2)
    interrupted(model, "interrupted; the best weights of each network are kept")
    assert model.n_estimators_ == model._model.size() == 2


def test_of_an_ensemble_that_has_not_all_begun_one_network_is_kept(interrupt_at):
    # On one thread they train one after the other.
    model = INN(**{**SMALL, "n_jobs": 1}, n_estimators=3, early_stopping=False, max_iter=ENDLESS)
    interrupt_at(lambda reports: len(reports) == 5)
    interrupted(model, "not all of the 3 networks had begun, and the best one that had is kept")
    assert model.n_estimators_ == model._model.size() == 1


def outcome(ending, *losses):
    """What the core tells of a network, with validation losses."""
    best = 1 + int(np.argmin(losses)) if losses else 0
    epochs = list(range(1, len(losses) + 1))
    history = {"epoch": epochs, "train_loss": [9.0] * len(losses), "validation_loss": list(losses)}
    # Without rows held out it is that of the rows trained on.
    best_loss = float(np.nan_to_num(losses[best - 1], nan=9.0)) if losses else np.inf
    return {"ending": ending, "best_epoch": best, "best_loss": best_loss, "history": history}


class Members:
    def member(self, index):
        return index


@pytest.mark.parametrize(
    ("outcomes", "kept"),
    [
        (
            [
                outcome("stopped", 3.0, 2.0, 4.0),
                outcome("interrupted", 2.5, 1.0, 7.0),
                outcome("interrupted"),
            ],
            1,
        ),
        ([outcome("interrupted"), outcome("completed", np.nan), outcome("interrupted", 9.5)], 1),
        ([outcome("interrupted", 0.5), outcome("interrupted"), outcome("completed", 0.1)], 2),
    ],
)
def test_the_best_network_is_that_with_the_least_loss(outcomes, kept):
    assert _estimator._begun(Members(), outcomes, None) == (kept, [outcomes[kept]])


def test_an_ensemble_that_goes_on_stays_whole(interrupt_at):
    model = INN(**{**SMALL, "n_jobs": 1}, n_estimators=3, max_iter=300, warm_start=True, early_stopping=False)
    model.set_params(max_iter=1).fit(X, Y)
    interrupt_at(lambda reports: len(reports) == 5)
    interrupted(model.set_params(max_iter=ENDLESS), "the best weights of each network are kept")
    assert model.n_estimators_ == 3


def test_an_interrupt_of_the_last_step_does_not_lose_the_model(monkeypatch):
    def judge(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_estimator, "judge", judge)
    model = interrupted(INN(**SMALL, max_iter=2), "the trained model is kept, but verdict_ is None")
    assert model.verdict_ is None and model.n_iter_ == 2


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_bar_of_an_interrupted_fit_stops_where_it_was(verbose, interrupt_at, capsys):
    from tqdm import tqdm

    interrupt_at(lambda reports: len(reports) == 10)
    model = interrupted(INN(**PATIENT, verbose=verbose), "interrupted")
    shown = capsys.readouterr().err
    assert f"{model.n_iter_}/{ENDLESS}" in shown and "loss=" in shown and "validation=" in shown
    assert not getattr(tqdm, "_instances", ())


@pytest.mark.parametrize(
    ("estimator", "names"),
    [
        (INN(**SMALL, max_iter=3), [""]),
        (INN(**SMALL, n_estimators=3, max_iter=3), [""]),
        (INN(**SMALL, learning_rate_init=1e-6, n_iter_no_change=1, max_iter=2000), [""]),
        (ConditionalINN(**SMALL, surrogate=True, n_estimators=1, max_iter=5), ["simulator", "posterior"]),
        (ConditionalINN(**SMALL, surrogate=True, n_estimators=2, max_iter=5), [""]),
    ],
)
def test_a_bar_never_runs_past_its_end_and_ends_full(estimator, names, capsys, monkeypatch):
    seen = []
    announced = []
    show, begin = _live.Live.report, _live.Live._next_stage

    def report(self, *losses):
        show(self, *losses)
        seen.append((self._bar.n, self._bar.total))

    def next_stage(self):
        begin(self)
        announced.append(self._stage.name)

    monkeypatch.setattr(_live.Live, "report", report)
    monkeypatch.setattr(_live.Live, "_next_stage", next_stage)
    estimator.set_params(verbose=1).fit(X, Y)
    assert announced == names
    assert all(n <= total for n, total in seen)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last and f"{seen[-1][0]}/{seen[-1][0]}" in last


def test_networks_that_are_alike_have_a_mean():
    losses = _live.Losses(alike=True)
    for report in [(1, 4.0, 5.0), (2, 3.0, 6.0), (1, 2.0, 7.0)]:
        losses.add(*report)
    assert [column.tolist() for column in losses.columns()] == [[1, 2], [3, 3], [6, 6]]
    apart = _live.Losses(alike=False)
    apart.add(1, 4.0, 5.0)
    apart.add(1, 2.0, np.nan)
    assert np.array_equal(apart.columns(), [[1, 1], [4, 2], [5, np.nan]], equal_nan=True)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("epochs", [499, 500, 501, 1000, 12_345])
def test_of_many_epochs_some_are_drawn_and_always_the_last(alike, epochs):
    losses = _live.Losses(alike)
    for epoch in range(1, epochs + 1):
        losses.add(epoch, 2.0 * epoch, 3.0 * epoch)
    epoch, train, validation = losses.columns()
    assert 250 <= len(epoch) <= 500 and epoch[-1] == epochs
    assert np.array_equal(train, 2 * epoch) and np.array_equal(validation, 3 * epoch)


class Output:
    """What a notebook shows of one display."""

    def __init__(self):
        self.pictures = []

    def display(self, image, display_id):
        assert display_id is True and not self.pictures
        self.pictures.append(image.data)
        return self

    def update(self, image):
        self.pictures.append(image.data)


@pytest.fixture
def notebook(monkeypatch):
    """As in a notebook, as far as curves go."""
    display = pytest.importorskip("IPython.display")
    pytest.importorskip("matplotlib")
    output = Output()
    monkeypatch.setattr(_live, "_in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", output.display)
    return output


def test_curves_are_one_output_that_is_replaced(notebook, monkeypatch, capsys):
    monkeypatch.setattr(_live, "_FIRST", 0.0)
    monkeypatch.setattr(_live, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(_live, "_SHARE", np.inf)
    drawn, ticks = [], []
    draw = _live._Picture._plot

    def plot(self, losses, title):
        draw(self, losses, title)
        drawn.append((title, len(losses)))
        ticks.extend(self._axes.get_xticks())

    monkeypatch.setattr(_live._Picture, "_plot", plot)
    model = ConditionalINN(**SMALL, surrogate=True, n_estimators=1, max_iter=3, verbose=2).fit(X, Y)
    assert len(notebook.pictures) == len(drawn) > 2
    assert all(picture.startswith(b"\x89PNG") for picture in notebook.pictures)
    assert drawn[-1] == ("posterior", model.n_iter_)
    assert {title for title, _ in drawn} <= {"simulator", "posterior"}
    assert ticks and all(tick == round(tick) for tick in ticks)  # an epoch and a half is no epoch


def test_the_curves_of_an_interrupted_fit_are_complete(notebook, interrupt_at, capsys):
    interrupt_at(lambda reports: len(reports) == 10)
    interrupted(INN(**PATIENT, verbose=2), "interrupted")
    assert notebook.pictures


def test_curves_are_for_verbose_2(notebook, capsys):
    INN(**SMALL, max_iter=2, verbose=1).fit(X, Y)
    assert notebook.pictures == []


class Clock:
    """Time that passes as it is told."""

    def __init__(self):
        self.now = self.processor = 0.0

    def monotonic(self):
        return self.now

    def thread_time(self):
        return self.processor


def test_pictures_are_rare_and_take_a_small_share_of_the_time(notebook, monkeypatch):
    clock, times = Clock(), []
    for cost, most in ((0.001, 2.0), (0.2, 0.02 / 0.2)):
        monkeypatch.setattr(_live, "time", clock)

        def draw(self, losses, title, cost=cost):
            times.append(clock.now)
            clock.processor += cost
            clock.now += cost

        monkeypatch.setattr(_live._Picture, "draw", draw)
        start, times[:] = clock.now, []
        live = _live.Live([_live.Stage("", ENDLESS)], verbose=2)
        for epoch in range(1, 10_000):
            clock.now += 0.01
            live.report(epoch, 1.0, 1.0, False)
        live._bar.close()
        assert 1.0 <= times[0] - start < 1.1
        assert min(np.diff(times)) >= 0.5
        assert 0.5 * most <= (len(times) - 1) / (clock.now - start) <= most


def test_a_picture_that_fails_does_not_stop_training(notebook, monkeypatch, capsys):
    def draw(self, losses, title):
        raise OSError("no ink")

    monkeypatch.setattr(_live._Picture, "draw", draw)
    model = INN(**SMALL, max_iter=2, verbose=2)
    with pytest.warns(UserWarning, match="the curves could not be drawn: OSError.*no ink"):
        model.fit(X, Y)
    assert model.n_iter_ == 2


def test_without_matplotlib_it_says_what_to_install(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    model = INN(**SMALL, max_iter=2, verbose=2)
    with pytest.raises(ImportError, match=r"pip install 'innverse\[notebook\]'"):
        model.fit(X, Y)
    assert not hasattr(model, "n_iter_")


class Kernel:
    """A kernel of Jupyter that runs cells and collects what they show."""

    # Seconds until it must have answered, on a busy machine: it takes a second or two.
    PATIENCE = 300

    def __init__(self):
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=self.PATIENCE)

    def run(self, code, interrupt_on=None):
        """Return the messages of a cell, interrupted once there is one of which a condition holds."""
        request, messages = self.client.execute(code), []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=self.PATIENCE)
            except Empty:
                raise AssertionError(f"no answer; before that {messages[-3:]}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            content = {**message["content"], "type": message["msg_type"]}
            if content.get("execution_state") == "idle":
                return messages
            messages.append(content)
            if interrupt_on is not None and interrupt_on(content):
                self.manager.interrupt_kernel()
                interrupt_on = None

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel():
    pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own.
        kernel = Kernel()
        yield kernel
        kernel.close()


SETUP = """
import threading, warnings
import numpy as np
from innverse import INN
x = np.random.default_rng(0).normal(size=(300, 2))
settings = dict(n_blocks=2, hidden_layer_sizes=(16,), batch_size=50, random_state=0, n_jobs=2)
"""


def text(messages, name="stdout"):
    return "".join(message["text"] for message in messages if message.get("name") == name)


def failures(messages):
    return ["\n".join(message["traceback"]) for message in messages if message["type"] == "error"]


def is_picture(message):
    return "image/png" in message.get("data", {})


def test_a_notebook_shows_a_bar_and_curves_and_its_stop_button_keeps_the_model(kernel):
    for module in ("ipywidgets", "matplotlib"):
        pytest.importorskip(module)
    assert failures(kernel.run(SETUP + "threads = set(threading.enumerate())")) == []
    code = f"model = INN(**settings, verbose=2, max_iter={ENDLESS}, early_stopping=False).fit(x, x[:, :1])"
    shown = kernel.run(code, interrupt_on=lambda m: is_picture(m) and m["type"] == "update_display_data")
    assert failures(shown) == []
    pictures = [message for message in shown if is_picture(message)]
    assert [message["type"] for message in pictures[:2]] == ["display_data", "update_display_data"]
    assert len({message["transient"]["display_id"] for message in pictures}) == 1
    bars = [m for m in shown if "application/vnd.jupyter.widget-view+json" in m.get("data", {})]
    assert len(bars) == 1
    assert "ConvergenceWarning: Training was interrupted; the weights of epoch" in text(shown, "stderr")
    after = kernel.run(
        "from tqdm import tqdm\n"
        "print(model.n_iter_, set(threading.enumerate()) <= threads, len(getattr(tqdm, '_instances', ())))\n"
        "print(np.isfinite(model.posterior([0.0])).all())"
    )
    assert failures(after) == []
    epochs, *rest = text(after).split()
    assert 1 <= int(epochs) < ENDLESS and rest == ["True", "0", "True"]


def test_a_notebook_without_widgets_gets_a_bar_of_text(kernel):
    hidden = "import sys, warnings\nsys.modules['ipywidgets'] = None\nwarnings.simplefilter('error')\n"
    shown = kernel.run(hidden + SETUP + "INN(**settings, verbose=1, max_iter=3).fit(x, x[:, :1]);")
    assert failures(shown) == []
    assert "3/3" in text(shown, "stderr") and "loss=" in text(shown, "stderr")
