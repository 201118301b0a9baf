from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INSTRUCTIONS",
    "Model",
    "__version__",
    "adding_doubling",
    "constant_columns",
    "energy_score",
    "fit_network",
    "mmd_double",
    "mmd_single",
    "star_cluster",
]

__version__: str
INSTRUCTIONS: str

@final
class Model:
    def posterior(
        self,
        y: NDArray[np.float64],
        n: int,
        seed: int,
        threads: int,
        start: int = 0,
        stop: int | None = None,
    ) -> NDArray[np.float64]: ...
    def predict(self, x: NDArray[np.float64], threads: int) -> NDArray[np.float64]: ...
    def latent(
        self, x: NDArray[np.float64], y: NDArray[np.float64] | None, threads: int
    ) -> NDArray[np.float64]: ...
    def decode(self, z: NDArray[np.float64], y: NDArray[np.float64], threads: int) -> NDArray[np.float64]: ...
    def log_prob(
        self, x: NDArray[np.float64], y: NDArray[np.float64], threads: int
    ) -> NDArray[np.float64]: ...
    def x_spread(self) -> NDArray[np.float64]: ...
    def novel(self, y: NDArray[np.float64], threads: int) -> tuple[list[float], float] | None: ...
    def member(self, index: int) -> Model: ...
    def size(self) -> int: ...
    def layout(self) -> tuple[int, int, int, int]: ...
    def save(self, path: str | PathLike[str], estimator: str) -> None: ...
    @staticmethod
    def load(path: str | PathLike[str]) -> tuple[Model, str]: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Model: ...

def adding_doubling(
    mu_a: NDArray[np.float64],
    mu_s: NDArray[np.float64],
    g: NDArray[np.float64],
    thickness: NDArray[np.float64],
    refractive_index: float,
    n_angles: int,
    threads: int,
) -> NDArray[np.float64]: ...
def constant_columns(name: str, data: NDArray[np.float64]) -> list[int]: ...
def fit_network(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    settings: Mapping[str, Any],
    threads: int,
    previous: Model | None = None,
    progress: Callable[[int, float, float, bool], object] | None = None,
) -> tuple[Model, list[dict[str, Any]]]: ...
def mmd_single(
    points: NDArray[np.float32],
    reference: NDArray[np.float32],
    scales: list[float],
    gradient: bool,
    threads: int,
) -> tuple[float, NDArray[np.float32] | None]: ...
def mmd_double(
    points: NDArray[np.float64],
    reference: NDArray[np.float64],
    scales: list[float],
    gradient: bool,
    threads: int,
) -> tuple[float, NDArray[np.float64] | None]: ...
def energy_score(
    samples: NDArray[np.float64],
    truth: NDArray[np.float64],
    scale: list[float],
    threads: int,
) -> NDArray[np.float64]: ...
def star_cluster(x: NDArray[np.float64], tolerance: float, threads: int) -> NDArray[np.float64]: ...
