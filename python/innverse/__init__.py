"""Posterior distributions from simulations, with invertible neural networks.

Give `INN` pairs of hidden parameters x and simulated observations y; its `posterior` returns samples
of every x that explains an observation, each with the right probability.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import baselines, metrics, plot, problems
    from ._arviz import to_arviz
    from ._conditional import ConditionalINN
    from ._core import __version__
    from ._inn import INN
    from ._latent_dim import LatentDimension, latent_dimension
    from ._load import load

__all__ = [
    "INN",
    "ConditionalINN",
    "LatentDimension",
    "__version__",
    "baselines",
    "latent_dimension",
    "load",
    "metrics",
    "plot",
    "problems",
    "to_arviz",
]

# Where each name lives. They are imported when first used: scikit-learn alone takes longer to import
# than `import innverse` may.
_HOMES = {
    "ConditionalINN": "._conditional",
    "INN": "._inn",
    "LatentDimension": "._latent_dim",
    "__version__": "._core",
    "latent_dimension": "._latent_dim",
    "load": "._load",
    "to_arviz": "._arviz",
}
_MODULES = ("baselines", "metrics", "plot", "problems")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
