"""Finding what a fitted model says of itself."""

from __future__ import annotations

from typing import Any

from .._verdict import Verdict
from ._posteriors import parameter_names


def as_verdict(name: str, given: Any) -> Verdict | None:
    """Return a verdict, or that of a fitted estimator; None where what was given has none to do with it.

    Parameters
    ----------
    name : str
        The argument's name, for errors.
    given : object
        What the user gave.

    Raises
    ------
    ValueError
        Where an estimator held no rows out.
    NotFittedError
        Where it is not fitted.
    """
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import check_is_fitted

    if isinstance(given, Verdict):
        return given
    if not isinstance(given, BaseEstimator):
        return None
    check_is_fitted(given)
    verdict = getattr(given, "verdict_", None)
    if verdict is None:
        raise ValueError(
            f"{name} must have been fitted with rows held out of training (early_stopping=True), or be given "
            f"with x and y; this {type(given).__name__} has none"
        )
    found: Verdict = verdict
    return found


def verdict_names(verdict: Verdict, names: Any) -> list[str]:
    """Return the names of the parameters: those given, or those of the verdict."""
    return parameter_names(names, len(verdict.names), verdict.names)
