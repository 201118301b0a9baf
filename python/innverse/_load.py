"""Opening what `save` wrote."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

from ._conditional import ConditionalINN
from ._core import Model
from ._estimator import PosteriorEstimator
from ._inn import INN

_CLASSES: dict[str, type[PosteriorEstimator]] = {"INN": INN, "ConditionalINN": ConditionalINN}


def load(path: str | PathLike[str]) -> Any:
    """Read an estimator that `save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    estimator : INN or ConditionalINN
        Fitted, with the same parameters; its posterior is the same bit for bit.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        Where it is no model, is damaged, or was written by a later version.
    """
    model, text = Model.load(path)
    try:
        kept = json.loads(text)
        cls = _CLASSES[kept["class"]]
        return cls._from_saved(model, kept)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read the model: its header lacks or garbles {error}") from error
