"""How good posterior samples are, whatever made them."""

from ._calibration import CalibrationError, calibration_error
from ._mmd import mmd
from ._resimulation import resimulation_error

__all__ = ["CalibrationError", "calibration_error", "mmd", "resimulation_error"]
