"""How good posterior samples are, whatever made them."""

from ._c2st import c2st
from ._calibration import CalibrationError, calibration_error
from ._mmd import mmd
from ._resimulation import resimulation_error

__all__ = ["CalibrationError", "c2st", "calibration_error", "mmd", "resimulation_error"]
