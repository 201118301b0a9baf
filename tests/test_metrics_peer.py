import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from innverse.metrics import c2st, sbc_ranks, tarp

REFERENCES = Path(__file__).parent / "references"


@pytest.fixture(scope="module")
def sbi():
    return json.loads((REFERENCES / "metrics_sbi.json").read_text())


@pytest.fixture(scope="module")
def samples():
    spec = importlib.util.spec_from_file_location("samples", REFERENCES / "samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ranks_are_those_of_sbi(sbi, samples):
    truth, draws, _ = samples.posteriors()
    assert np.array_equal(sbc_ranks(draws, truth), sbi["sbc_ranks"])


def test_tarp_is_that_of_sbi(sbi, samples):
    truth, draws, points = samples.posteriors()
    levels, wanted = (np.array(sbi[name])[1:-1] for name in ("tarp_levels", "tarp_coverage"))
    assert np.abs(wanted - levels).max() > 0.1  # far from the diagonal
    coverage = tarp(draws, truth, references=points, levels=levels).coverage
    # sbi computes in single precision.
    np.testing.assert_allclose(coverage, wanted, atol=1e-6)


def test_c2st_is_that_of_sbi(sbi, samples):
    assert 0.55 < sbi["c2st"] < 0.8
    # The same folds and initial weights, and a scale that differs by n / (n - 1).
    assert c2st(*samples.two_samples()) == pytest.approx(sbi["c2st"], abs=0.01)
