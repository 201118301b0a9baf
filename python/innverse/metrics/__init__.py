"""How good posterior samples are, whatever made them.

Against a reference posterior: `mmd`, `c2st`. Against the simulator: `resimulation_error`. Against the true
parameters behind many observations: `calibration_error` and `sbc_ranks` for each parameter,
`expected_coverage` and `tarp` for all of them together.
"""

from ._c2st import c2st
from ._calibration import CalibrationError, calibration_error
from ._coverage import expected_coverage
from ._curve import Coverage
from ._mmd import mmd
from ._resimulation import resimulation_error
from ._sbc import sbc_ranks
from ._tarp import tarp

__all__ = [
    "CalibrationError",
    "Coverage",
    "c2st",
    "calibration_error",
    "expected_coverage",
    "mmd",
    "resimulation_error",
    "sbc_ranks",
    "tarp",
]
