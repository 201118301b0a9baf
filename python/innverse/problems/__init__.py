"""Simulators with a prior and a reference posterior, for trying and checking methods.

Every problem is a `Problem`: it draws parameters from its prior, simulates what would be
observed, and knows, exactly or nearly so, the posterior that a good method must reproduce.
"""

from ._base import Problem
from ._gaussian_modes import GaussianModes
from ._inverse_ballistics import InverseBallistics
from ._inverse_kinematics import InverseKinematics
from ._star_cluster import StarCluster
from ._tissue_reflectance import TissueReflectance

__all__ = [
    "GaussianModes",
    "InverseBallistics",
    "InverseKinematics",
    "Problem",
    "StarCluster",
    "TissueReflectance",
]
