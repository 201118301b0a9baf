"""Losses over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ._points import FloatArray
from ._style import curve_look, legend_below, new_axes, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What is minimised, on rows of training and on rows held out.
_TOTALS = {"train_loss": "-", "validation_loss": "--"}


class HasHistory(Protocol):
    """A fitted estimator that kept its losses."""

    @property
    def history_(self) -> Mapping[str, Sequence[float]]:
        """Losses, one list each, beside the list ``"epoch"``."""


def history(model_or_history: HasHistory | Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Draw the losses over the epochs.

    The axis of losses is logarithmic where all losses are positive. A loss that was never
    computed, such as the validation loss of a fit without validation, is left out, and so is a term
    that is zero throughout, such as that of padding where there is none.

    Parameters
    ----------
    model_or_history : estimator or mapping
        A fitted estimator, or its ``history_``: lists of equal length, one of them ``"epoch"``.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : matplotlib Axes
        The axes drawn on.
    """
    epoch, losses = _losses(model_or_history)
    ax = new_axes() if ax is None else ax
    terms = [name for name in losses if name not in _TOTALS]
    for i, name in enumerate(terms):
        ax.plot(epoch, losses[name], **curve_look(i), linewidth=1.2, label=_words(name))
    for name in (name for name in _TOTALS if name in losses):
        ax.plot(epoch, losses[name], "k", linestyle=_TOTALS[name], linewidth=2, label=_words(name))
    shown = np.concatenate([loss[np.isfinite(loss)] for loss in losses.values()])
    if shown.min() > 0:
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    whole_ticks(ax)
    ax.set_ylabel("loss")
    legend_below(ax, columns=2)
    return ax


def _losses(
    model_or_history: HasHistory | Mapping[str, Sequence[float]],
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return the epochs, and every loss that has a finite value other than zero, if any has."""
    table = getattr(model_or_history, "history_", model_or_history)
    if not isinstance(table, Mapping) or "epoch" not in table:
        raise TypeError(
            "model_or_history must be a fitted estimator or a mapping with the list 'epoch', got "
            f"{type(model_or_history).__name__}"
        )
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in table.items()}
    epoch = arrays.pop("epoch")
    for name, values in arrays.items():
        if values.shape != epoch.shape:
            raise ValueError(
                f"model_or_history must hold lists of equal length, got {epoch.size} epochs and "
                f"{values.size} values of {name!r}"
            )
    losses = {name: values for name, values in arrays.items() if np.isfinite(values).any()}
    if not losses:
        raise ValueError("model_or_history must hold a finite loss, got none")
    return epoch, {name: values for name, values in losses.items() if np.nan_to_num(values).any()} or losses


def _words(name: str) -> str:
    return name.replace("_", " ")
