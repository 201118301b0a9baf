"""The animation that is saved by the name of its file and shown inline in notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._style import need

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

# Formats that pillow writes; all others are video, written by ffmpeg.
_PICTURES = (".gif", ".webp", ".apng", ".png")


def animation(
    figure: Figure, draw: Callable[[int], Sequence[Any]], frames: int, interval: float
) -> FuncAnimation:
    """Return an animation of a figure, in which `draw` draws the frame of a number."""
    made: FuncAnimation = _animation_class()(figure, draw, frames=frames, interval=interval, blit=False)
    return made


@cache
def _animation_class() -> Any:
    """Return the class, which needs matplotlib to exist."""
    library = need("matplotlib.animation")

    class Animation(library.FuncAnimation):  # type: ignore[misc, name-defined]
        """An animation that chooses the writer by the file's name, and is shown inline in notebooks."""

        def save(self, filename: str | PathLike[str], writer: Any = None, **kwargs: Any) -> None:
            """Write the animation: a GIF with pillow, a video such as MP4 with ffmpeg.

            Parameters
            ----------
            filename : str or path-like
                The file.
            writer : str, MovieWriter or None, default=None
                None chooses by the suffix of the file.
            **kwargs
                Passed to `matplotlib.animation.Animation.save`, such as ``fps`` and ``dpi``.

            Raises
            ------
            RuntimeError
                Where a video is wanted and ffmpeg is not installed.
            """
            if writer is None:
                picture = Path(fspath(filename)).suffix.lower() in _PICTURES
                writer = "pillow" if picture else "ffmpeg"
                if not library.writers.is_available(writer):
                    needed = "pip install 'innverse[plot]'" if picture else "ffmpeg, or save a .gif"
                    raise RuntimeError(f"saving {fspath(filename)} needs {writer}: install {needed}")
            super().save(filename, writer=writer, **kwargs)

        def _repr_html_(self) -> str:
            """Return a player; the still figure, which a notebook would show too, is closed."""
            player: str = self.to_jshtml()
            need("matplotlib.pyplot").close(self._fig)
            return player

    return Animation
