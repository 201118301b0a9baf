"""The formulas of docs/mathematics, written once more in NumPy, against what the core computes.

Everything is read from a saved file: its parameters go through the formulas as the pages state them.
"""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import erfinv
from scipy.stats import norm

from innverse import INN, ConditionalINN
from innverse.problems import InverseKinematics

# Half the width of a spline's interval, least share of a bin, clamp of the log slope at a knot.
BOUND, LEAST_BIN, SLOPE_CLAMP = 4.0, 0.1, 2.5
# Blocks beyond which each of them may do less.
REFERENCE_BLOCKS = 8
TYPES = {"F32": "<f4", "F64": "<f8"}
SHORT = dict(batch_size=200, max_iter=3, random_state=0)
ACTIVATIONS = {
    "relu": lambda a: np.maximum(a, 0),
    "tanh": np.tanh,
    "silu": lambda a: a / (1 + np.exp(-a)),
    "elu": lambda a: np.where(a > 0, a, np.expm1(np.minimum(a, 0))),
}


def read(path):
    """Tensors and description of the first network in a file of the safetensors format."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    network = json.loads(header.pop("__metadata__")["innverse"])["architecture"]
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], TYPES[entry["dtype"]])
        tensors[name] = values.astype(float)
    return tensors, SimpleNamespace(**network)


def soft_clamp(a, clamp):
    return a / np.sqrt(1 + (a / clamp) ** 2)


def scaled(tensors, side, values):
    """Columns as the network sees them, and the log slope of each row."""
    names = ("shift", "scale", "reach", "low", "high", "unit", "centre", "width", "bent_from", "bent_to")
    shift, scale, reach, low, high, unit, centre, bend, bent_from, bent_to = (
        tensors[f"{side}.{name}"] for name in names
    )
    free, slope = values.copy(), np.zeros_like(values)
    for c in range(values.shape[1]):
        ends = np.isfinite(low[c]), np.isfinite(high[c])
        if all(ends):
            width = high[c] - low[c]
            free[:, c] = np.sqrt(2) * erfinv(2 * (values[:, c] - low[c]) / width - 1)
            slope[:, c] = -norm.logpdf(free[:, c]) - np.log(width)
        elif any(ends):
            sign, edge = (1, low[c]) if ends[0] else (-1, high[c])
            distance = sign * (values[:, c] - edge) / unit[c]
            free[:, c] = sign * np.log(np.expm1(distance))
            slope[:, c] = -np.log(-np.expm1(-distance)) - np.log(unit[c])
        if np.isfinite(bend[c]):
            distance = (free[:, c] - centre[c]) / bend[c]
            end = np.clip(distance, bent_from[c], bent_to[c])
            free[:, c] = np.arcsinh(end) + (distance - end) / np.hypot(1, end)
            slope[:, c] -= np.log(np.hypot(1, end)) + np.log(bend[c])
    u = (free - shift) / scale
    assert np.all(np.abs(u) < reach), "no outliers in this test"
    return u, (slope - np.log(scale)).sum(axis=1)


class Parameters:
    """Parameters, taken from the front."""

    def __init__(self, values):
        self.values = values

    def take(self, count):
        taken, self.values = self.values[:count], self.values[count:]
        return taken


def subnetwork(parameters, network, inputs, outputs):
    """Return the perceptron whose parameters come next."""
    sizes = [inputs.shape[1], *network.hidden_layer_sizes, outputs]
    values = inputs
    for layer, (before, after) in enumerate(pairwise(sizes)):
        weights = parameters.take(before * after)
        # The shorter side is contiguous.
        weights = weights.reshape(after, before).T if after >= before else weights.reshape(before, after)
        values = values @ weights + parameters.take(after)
        if layer + 2 < len(sizes):
            values = ACTIVATIONS[network.activation](values)
    return values


def spline(raw, a, bins):
    """The rational-quadratic spline and its log slope, for one column: raw is (rows, 3 bins - 1)."""
    share = 2 * BOUND * (1 - LEAST_BIN)
    sizes = [
        2 * BOUND * LEAST_BIN / bins + share * np.exp(part) / np.exp(part).sum(axis=1, keepdims=True)
        for part in (raw[:, :bins], raw[:, bins : 2 * bins])
    ]
    knots, heights = (
        -BOUND + np.concatenate([np.zeros((len(a), 1)), np.cumsum(s, axis=1)], axis=1) for s in sizes
    )
    ones = np.ones((len(a), 1))
    slopes = np.concatenate([ones, np.exp(soft_clamp(raw[:, 2 * bins :], SLOPE_CLAMP)), ones], axis=1)
    k = np.clip((knots <= a[:, np.newaxis]).sum(axis=1) - 1, 0, bins - 1)
    rows = np.arange(len(a))
    w, h = sizes[0][rows, k], sizes[1][rows, k]
    d0, d1, s = slopes[rows, k], slopes[rows, k + 1], h / w
    xi = np.clip((a - knots[rows, k]) / w, 0, 1)
    q = xi * (1 - xi)
    e = s + (d0 + d1 - 2 * s) * q
    value = heights[rows, k] + h * (s * xi**2 + d0 * q) / e
    log_slope = np.log(s**2 * (d1 * xi**2 + 2 * s * q + d0 * (1 - xi) ** 2) / e**2)
    inside = np.abs(a) < BOUND
    return np.where(inside, value, a), np.where(inside, log_slope, 0)


def coupled(parameters, network, active, seen, clamp):
    """One half of a block: scale and shift, and a spline where there is one."""
    columns = active.shape[1]
    bins = 0 if network.coupling == "Affine" else network.coupling["Spline"]["bins"]
    count = 2 + (3 * bins - 1 if bins else 0)
    raw = subnetwork(parameters, network, seen, count * columns).reshape(-1, count, columns)
    s = soft_clamp(raw[:, 0], clamp)
    a, logdet = active * np.exp(s) + raw[:, 1], s.sum(axis=1)
    for c in range(columns if bins else 0):
        a[:, c], slope = spline(raw[:, 2:, c], a[:, c], bins)
        logdet = logdet + slope
    return a, logdet


def mixed(tensors, parameters, network, block, v):
    """The mixing after a block, and its log determinant."""
    d = v.shape[1]
    if network.mixing == "Orthogonal":
        return v @ tensors["rotations"].reshape(-1, d, d)[block].T, 0.0
    order, logdet = network.orders[block], 0.0
    if network.mixing == "Learned":
        diagonal = parameters.take(d)
        upper, lower = np.diag(np.exp(diagonal)), np.eye(d)
        upper[np.triu_indices(d, 1)] = parameters.take(d * (d - 1) // 2)
        lower[np.tril_indices(d, -1)] = parameters.take(d * (d - 1) // 2)
        v, logdet = v @ (lower @ upper).T, diagonal.sum()
    return v[:, order], logdet


def forward(tensors, network, v, condition):
    """All blocks: the result and the log determinant."""
    parameters = Parameters(tensors["parameters"])
    clamp = network.clamp * min(1, REFERENCE_BLOCKS / network.n_blocks)
    half, logdet = -(-v.shape[1] // 2), np.zeros(len(v))
    for block in range(network.n_blocks):
        one, two = v[:, :half], v[:, half:]
        one, first = coupled(parameters, network, one, np.hstack([two, condition]), clamp)
        two, second = coupled(parameters, network, two, np.hstack([one, condition]), clamp)
        v, third = mixed(tensors, parameters, network, block, np.hstack([one, two]))
        logdet = logdet + first + second + third
    assert not len(parameters.values)
    return v, logdet


def density(tensors, network, x, y):
    """z and log p(x | y) by the formulas of the pages."""
    u, log_slope = scaled(tensors, "x", x)
    y, _ = scaled(tensors, "y", y)
    layout = SimpleNamespace(**network.layout)
    if "regression.factor" in tensors:
        factor = tensors["regression.factor"].reshape(layout.x, layout.x)
        coefficients = tensors["regression.coefficients"].reshape(layout.x, layout.y)
        u = u - y @ coefficients.T - tensors["regression.intercept"]
        u = np.linalg.solve(factor, u.T).T
        log_slope = log_slope - np.log(np.diag(factor)).sum()
    v, logdet = forward(tensors, network, u, y if layout.conditional else y[:, :0])
    z = v[:, : layout.z]
    log_prob = norm.logpdf(z, scale=network.noise["z"]).sum(axis=1) + logdet + log_slope
    if not layout.conditional:
        beside = v[:, layout.z : layout.total - layout.y]
        log_prob += norm.logpdf(beside, scale=network.noise["padding"]).sum(axis=1)
        log_prob += norm.logpdf(v[:, layout.total - layout.y :], y, network.noise["y"]).sum(axis=1)
    return z / network.noise["z"], log_prob


MODELS = {
    "affine and shuffles": ConditionalINN(
        coupling="affine", n_blocks=10, hidden_layer_sizes=(8,), surrogate=False, n_estimators=1, **SHORT
    ),
    "splines, rotations, bounds": ConditionalINN(
        permutation="orthogonal",
        n_blocks=2,
        activation="elu",
        bounds=[(-4, 4), (-3, None), (None, 3), None],
        surrogate=False,
        n_estimators=1,
        **SHORT,
    ),
    "y beside z, learned mixing": INN(objective="likelihood", n_blocks=2, hidden_layer_sizes=(6, 5), **SHORT),
    "padding beside z": INN(latent_dim=1, n_blocks=2, hidden_layer_sizes=(), activation="tanh", **SHORT),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_pages_state_what_the_core_computes(name, tmp_path):
    x, y = InverseKinematics().sample(2000, random_state=0)
    assert_pages_state_what_it_computes(MODELS[name].fit(x, y), x, y, tmp_path)


def assert_pages_state_what_it_computes(model, x, y, tmp_path):
    model.save(tmp_path / "model.safetensors")
    z, log_prob = density(*read(tmp_path / "model.safetensors"), x[:500], y[:500])
    # The core computes in single precision; and a density beside narrow noise magnifies that.
    assert np.allclose(model.latent(x[:500], y[:500]), z, atol=1e-4)
    assert np.allclose(model.log_prob(x[:500], y[:500]), log_prob, rtol=1e-4, atol=5e-3)


def test_the_spread_of_what_is_drawn_is_in_the_formulas(tmp_path):
    x, y = InverseKinematics().sample(500, random_state=0)
    model = ConditionalINN(n_blocks=2, surrogate=False, n_estimators=1, max_iter=40, random_state=0).fit(x, y)
    assert_pages_state_what_it_computes(model, x, y, tmp_path)
    _, network = read(tmp_path / "model.safetensors")
    assert network.noise["z"] > 1.01


@pytest.mark.parametrize(("rows", "layers"), [(19_999, 2), (20_000, 3)])
def test_subnetworks_are_deeper_where_simulations_are_many(tmp_path, rows, layers):
    x, y = InverseKinematics().sample(rows, random_state=0)
    model = ConditionalINN(max_iter=1, n_blocks=1, n_estimators=1, random_state=0).fit(x, y)
    model.save(tmp_path / "model.safetensors")
    _, network = read(tmp_path / "model.safetensors")
    assert network.hidden_layer_sizes == [64] * layers


def test_columns_over_orders_of_magnitude(tmp_path):
    x, y = InverseKinematics().sample(2000, random_state=0)
    x = np.column_stack([np.exp(6 * x[:, 0]), -np.exp(3 * x[:, 1]), x[:, 2]])
    y = np.column_stack([np.exp(3 * y[:, 1]), y])
    x[0, 0] = 10 * x[:, 0].max()
    bounds = [(-5, None), None, None]
    model = ConditionalINN(bounds=bounds, surrogate=False, n_estimators=1, **SHORT).fit(x, y)
    assert_pages_state_what_it_computes(model, x, y, tmp_path)
    tensors, _ = read(tmp_path / "model.safetensors")
    assert np.isfinite(tensors["x.width"]).tolist() == [True, True, False]
    assert np.isfinite(tensors["y.width"]).tolist() == [True, False, False]


def test_what_lies_outside_the_simulations_is_what_the_page_says(tmp_path):
    x, y = InverseKinematics().sample(2000, random_state=0)
    model = ConditionalINN(surrogate=False, n_estimators=1, **SHORT).fit(x, y)
    model.save(tmp_path / "model.safetensors")
    tensors, _ = read(tmp_path / "model.safetensors")
    rows = np.concatenate([y[:200], y[:50] * 1.5])
    u, _ = scaled(tensors, "y", rows)
    white = np.linalg.solve(tensors["novelty.factor"].reshape(2, 2), u.T).T
    reference = tensors["novelty.reference"].reshape(-1, 2)
    nearest = np.sqrt(((white[:, np.newaxis] - reference) ** 2).sum(axis=2)).min(axis=1)
    threshold, false_alarm = tensors["novelty.limits"]
    assert 0 < false_alarm < 0.003
    assert 10 < np.sum(nearest > threshold) < 50
    assert np.array_equal(model.covers(rows), nearest <= threshold)
