"""Training as it goes on: a bar with loss and time left, and curves that grow in a notebook."""

from __future__ import annotations

import sys
import time
import warnings
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import numpy as np

from ._validation import FloatArray

# Values of `verbose` from which there is a bar, and curves as well.
BAR, CURVES = 1, 2
# Pictures come no faster than this, in seconds: nobody reads faster. They take at most this share of one
# thread's time, but for the latest one and that at the end. The first one comes after so many seconds.
_SECONDS_BETWEEN, _SHARE, _FIRST = 0.5, 0.02, 1.0
_INCHES, _DOTS_PER_INCH = (6.4, 3.2), 90
# Rows drawn at most: as many as there are dots across.
_MOST_ROWS = 500


@dataclass(frozen=True)
class Stage:
    """A part of training whose epochs take about the same time.

    Attributes
    ----------
    name : str
        What is learned, empty where there is but one stage.
    epochs : int
        Reports at most, of all networks together.
    alike : bool
        Whether their losses are of one kind, so that there is a mean.
    """

    name: str
    epochs: int
    alike: bool = True


def stages(settings: Mapping[str, Any]) -> list[Stage]:
    """Return the stages of a fit with these settings of the core."""
    course, count = settings["surrogate"], len(settings["seeds"])
    if course is None:
        return [Stage("", count * int(settings["max_iter"]))]
    simulator = course["prior_epochs"] + len(course["n_blocks"]) * course["likelihood_epochs"]
    posterior = course["passes"] + 2 * course["tuning_epochs"]
    if count == 1:
        return [Stage("simulator", simulator, alike=False), Stage("posterior", posterior)]
    # Side by side, one is in its first stage while another is in its second.
    return [Stage("", count * (simulator + posterior), alike=False)]


class Live:
    """Shows the reports of a fit, as far as is wanted: nothing, a bar, or a bar and curves.

    Parameters
    ----------
    stages : sequence of Stage
        What is to come.
    verbose : int
        Below 1 shows nothing, 1 a bar, more also curves where this is a notebook.

    Raises
    ------
    ImportError
        Where curves are wanted and matplotlib is missing.
    """

    def __init__(self, stages: Sequence[Stage], verbose: int):
        self._waiting = list(stages)
        self._verbose = verbose
        self._picture = _Picture() if verbose >= CURVES and _in_notebook() else None
        self._failure: Exception | None = None
        self._next_stage()
        self._started = time.monotonic()
        self._due = self._started + _FIRST
        self._spent = 0.0

    def _next_stage(self) -> None:
        self._stage = self._waiting.pop(0)
        self._losses = Losses(self._stage.alike)
        self._bar = _bar(self._stage, hidden=self._verbose < BAR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._draw()
            self._bar.close()
        except KeyboardInterrupt:
            # Training is over: there is nothing left to stop, and its result must not be lost.
            self._bar.close()
        if self._failure is not None:
            warnings.warn(f"the curves could not be drawn: {self._failure!r}", UserWarning, stacklevel=5)

    def report(self, epoch: int, train_loss: float, validation_loss: float, of_simulator: bool) -> None:
        """Show that a network has completed an epoch, with its losses; NaN where nothing is held out."""
        if not of_simulator and self._waiting:
            self.complete()
            self._next_stage()
        losses = {"loss": f"{train_loss:.4g}"}
        if np.isfinite(validation_loss):
            losses["validation"] = f"{validation_loss:.4g}"
        self._bar.set_postfix(losses, refresh=False)
        self._bar.update()
        self._losses.add(epoch, train_loss, validation_loss)
        if self._picture is not None and time.monotonic() >= self._due:
            self._spent += self._draw()
            paid = self._started + self._spent / _SHARE
            self._due = max(time.monotonic() + _SECONDS_BETWEEN, paid)

    def complete(self) -> None:
        """Say that the stage is done, though it may have taken fewer epochs than it might."""
        if self._verbose < BAR:
            return
        self._bar.total = self._bar.n
        # A bar of widgets keeps its total in one of them.
        for widget in getattr(getattr(self._bar, "container", None), "children", ()):
            if hasattr(widget, "max"):
                widget.max = max(self._bar.n, 1)
        self._bar.close()

    def _draw(self) -> float:
        """Draw the curves and return the processor time it took, in seconds."""
        start = time.thread_time()
        if self._picture is not None and self._losses:
            try:
                self._picture.draw(self._losses, self._stage.name)
            except Exception as error:  # Whatever happens to a picture, training goes on.
                self._picture, self._failure = None, error
        return time.thread_time() - start


class Losses:
    """The losses reported so far; of networks that are `alike` there will be a mean."""

    def __init__(self, alike: bool):
        self.alike = alike
        self._columns = array("d"), array("d"), array("d")

    def add(self, *report: float) -> None:
        """Add an epoch's number, training loss and validation loss of one network."""
        for column, value in zip(self._columns, report, strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return epochs, training and validation losses.

        Of networks that are alike, one row for each epoch with the mean of those that have completed it; else
        one row for each report. Of more rows than a picture can show, some, and always the last.
        """
        epoch, train, validation = (np.array(column) for column in self._columns)
        if self.alike:
            epoch, rows = np.unique(epoch, return_inverse=True)
            counts = np.bincount(rows)
            train, validation = (np.bincount(rows, weights=losses) / counts for losses in (train, validation))
        stride = -(-len(epoch) // _MOST_ROWS)
        first = (len(epoch) - 1) % stride
        return epoch[first::stride], train[first::stride], validation[first::stride]


class _Picture:
    """Losses over epochs, in one output of a notebook that is replaced by each later picture."""

    def __init__(self) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "verbose=2 needs matplotlib; install it with: pip install 'innverse[notebook]'"
            ) from error
        # A figure of its own: pyplot, which the user may be drawing with, does not know of it.
        self._figure = Figure(figsize=_INCHES)
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0.12, 0.16, 0.85, 0.74))
        self._axes.set(xlabel="epoch", ylabel="loss")
        self._axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        # Kept from picture to picture, which takes half the time of drawing all anew.
        self._lines = [
            self._axes.plot([], [], color=color, markersize=3, label=label)[0]
            for color, label in (("0.6", "training"), ("k", "validation"))
        ]
        self._axes.legend(frameon=False, fontsize="small", loc="upper right")
        # The first picture is by far the dearest, what with fonts and imports: best before training begins.
        self._axes.set(yscale="log", ylim=(1.0, 10.0))
        self._png()
        self._axes.set_ylim(auto=True)
        self._handle: Any = None

    def draw(self, losses: Losses, title: str) -> None:
        """Draw and show."""
        from IPython.display import Image, display

        self._plot(losses, title)
        image = Image(data=self._png(), format="png")
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)

    def _png(self) -> bytes:
        buffer = BytesIO()
        self._figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
        return buffer.getvalue()

    def _plot(self, losses: Losses, title: str) -> None:
        epoch, *columns = losses.columns()
        shape = ("-", "") if losses.alike else ("", ".")
        for line, column in zip(self._lines, columns, strict=True):
            line.set(data=(epoch, column), linestyle=shape[0], marker=shape[1])
        scale = "log" if np.nanmin(columns) > 0 else "linear"
        if self._axes.get_yscale() != scale:
            self._axes.set_yscale(scale)
        self._axes.relim()
        self._axes.autoscale_view()
        self._axes.set_title(title)


def _in_notebook() -> bool:
    """Tell whether a kernel of Jupyter runs this, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _bar(stage: Stage, hidden: bool) -> Any:
    """Return tqdm's bar for where this runs."""
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        # In a notebook without ipywidgets it takes its bar of text, which will do.
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        # No thread that looks whether the bar is stuck, and outlives it: with `miniters` it never is.
        monitor_interval = 0

    return Bar(total=stage.epochs, desc=stage.name or None, unit="epoch", miniters=1, disable=hidden)
