//! The multilayer perceptron that gives a coupling its scale and shift; never inverted.

use crate::error::{Error, Result};
use crate::kernels::elementwise::{Function, add_column_sums, exp, map, tanh};
use crate::kernels::product::{Finish, Matrix, Start, outer, product, transpose, transposed_stride};
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::random::{Stream, fill_normal};

/// What follows every hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(a, 0)
    Relu,
    /// tanh(a)
    Tanh,
    /// a / (1 + exp(-a))
    Silu,
    /// a where positive, exp(a) - 1 elsewhere
    Elu,
}

impl Activation {
    /// By its name in scikit-learn or PyTorch.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "relu" => Ok(Self::Relu),
            "tanh" => Ok(Self::Tanh),
            "silu" => Ok(Self::Silu),
            "elu" => Ok(Self::Elu),
            _ => Err(Error::setting("activation", format!("{name:?}"), "'relu', 'tanh', 'silu' or 'elu'")),
        }
    }

    /// Whether the slope cannot be told from the output, so that the input must be kept.
    fn keeps_input(self) -> bool {
        self == Self::Silu
    }

    /// Replaces a tile by its activation, in place; `input` gets a copy of what was there where it is kept.
    fn apply<T: Real>(self, tile: &mut [T], input: &mut [T]) {
        match self {
            Self::Relu => {} // fused into the product
            Self::Tanh => map(tile, TanhFunction),
            Self::Elu => map(tile, EluFunction),
            Self::Silu => {
                input.copy_from_slice(tile);
                map(tile, SiluFunction);
            }
        }
    }

    /// Multiplies a tile of cotangents by the slope, and leaves it to the product for `Relu`.
    fn chain<T: Real>(self, cotangent: &mut [T], output: &[T], input: &mut [T]) {
        match self {
            Self::Relu => {}
            Self::Tanh => multiply_with(cotangent, output, |h| T::one() - h * h),
            Self::Elu => {
                multiply_with(cotangent, output, |h| if h > T::zero() { T::one() } else { h + T::one() })
            }
            Self::Silu => {
                map(input, SiluSlope);
                multiply_with(cotangent, input, |slope| slope);
            }
        }
    }
}

fn multiply_with<T: Real>(cotangent: &mut [T], values: &[T], slope: impl Fn(T) -> T) {
    for (c, &v) in cotangent.iter_mut().zip(values) {
        *c = *c * slope(v);
    }
}

#[derive(Clone, Copy)]
struct TanhFunction;
#[derive(Clone, Copy)]
struct EluFunction;
#[derive(Clone, Copy)]
struct SiluFunction;
#[derive(Clone, Copy)]
struct SiluSlope;

impl<T: Real> Function<T> for TanhFunction {
    #[inline(always)]
    fn apply<V: Vector<T>>(&self, x: V) -> V {
        tanh(x)
    }
}

impl<T: Real> Function<T> for EluFunction {
    #[inline(always)]
    fn apply<V: Vector<T>>(&self, x: V) -> V {
        let zero = V::splat(T::zero());
        let below = exp(x.min(zero)).sub(V::splat(T::one()));
        x.max(zero).add(below)
    }
}

/// 1 / (1 + exp(-x))
#[inline(always)]
fn logistic<T: Real, V: Vector<T>>(x: V) -> V {
    let one = V::splat(T::one());
    one.div(exp(V::splat(T::zero()).sub(x)).add(one))
}

impl<T: Real> Function<T> for SiluFunction {
    #[inline(always)]
    fn apply<V: Vector<T>>(&self, x: V) -> V {
        x.mul(logistic(x))
    }
}

impl<T: Real> Function<T> for SiluSlope {
    #[inline(always)]
    fn apply<V: Vector<T>>(&self, x: V) -> V {
        let one = V::splat(T::one());
        let sigma = logistic(x);
        x.mul(one.sub(sigma)).mul_add(sigma, sigma)
    }
}

/// One affine layer. The weights are stored with the shorter side contiguous, see [`Layer::strides`].
#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Where its weights and its bias start among the parameters of the subnet.
    weights: usize,
    bias: usize,
    /// Where its output starts among the activations; for all layers but the last.
    activation: usize,
}

impl Layer {
    /// Whether a row of the weight matrix belongs to an output; else it belongs to an input. The gradient of
    /// the matrix needs the tile of the contiguous side transposed: that is cheaper for the shorter side.
    fn row_is_output(&self) -> bool {
        self.outputs >= self.inputs
    }

    /// Distance in the weight matrix of two outputs, and of two inputs.
    fn strides(&self) -> (usize, usize) {
        if self.row_is_output() { (self.inputs, 1) } else { (1, self.outputs) }
    }

    fn shorter(&self) -> usize {
        self.inputs.min(self.outputs)
    }
}

/// A multilayer perceptron; the parameters live outside.
#[derive(Clone, Debug)]
pub struct Subnet {
    layers: Vec<Layer>,
    activation: Activation,
    parameters: usize,
    activations: usize,
    /// See [`share_of_chain`].
    share: f64,
}

/// Blocks of a chain whose subnetworks start and learn as they are. In a deeper one each block starts smaller, so that
/// the chain as a whole starts near one that changes nothing, and learns more slowly, so that a step changes the whole
/// chain no more than a shallow one (Yang et al. 2023, arXiv 2310.02244, for Adam and residual networks).
const REFERENCE_BLOCKS: f64 = 8.0;

/// Inputs of a layer whose weights learn at the rate that the user gives.
const REFERENCE_WIDTH: f64 = 128.0;
/// Layers with fewer inputs learn no faster than one with so many: their few weights would overshoot.
const NARROWEST_WIDTH: f64 = 8.0;

/// What a block may do in a chain of so many, against what it may in a shallow one.
pub fn share_of_chain(blocks: usize) -> f64 {
    (REFERENCE_BLOCKS / blocks as f64).min(1.0)
}

impl Subnet {
    /// A network with the given hidden layers.
    pub fn new(inputs: usize, hidden: &[usize], outputs: usize, activation: Activation) -> Self {
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        let (mut parameters, mut activations, mut width) = (0, 0, inputs);
        for &next in hidden.iter().chain([&outputs]) {
            let weights = parameters;
            let bias = weights + width * next;
            layers.push(Layer { inputs: width, outputs: next, weights, bias, activation: activations });
            parameters = bias + next;
            activations += next * ROWS * if activation.keeps_input() { 2 } else { 1 };
            width = next;
        }
        activations -= outputs * ROWS * if activation.keeps_input() { 2 } else { 1 };
        Self { layers, activation, parameters, activations, share: 1.0 }
    }

    /// Makes it part of a chain of which each block has this share, see [`share_of_chain`].
    pub fn set_share(&mut self, share: f64) {
        self.share = share;
    }

    fn is_last(&self, layer: usize) -> bool {
        layer + 1 == self.layers.len()
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Scalars of a tile's hidden activations.
    pub fn activations(&self) -> usize {
        self.activations
    }

    /// Scalars of working memory for `backward`.
    pub fn scratch(&self) -> usize {
        let widest = self.layers.iter().map(|l| l.inputs).max().unwrap_or(0) * ROWS;
        let transposed = self.layers.iter().map(|l| transposed_stride(l.shorter()) * ROWS).max().unwrap_or(0);
        2 * widest + transposed
    }

    /// Normal weights with variance 2 / inputs (He et al. 2015, arXiv 1502.01852); those of the last layer are scaled.
    pub fn initialise<T: Real>(&self, parameters: &mut [T], last_layer: f64, stream: &mut Stream) {
        for (i, layer) in self.layers.iter().enumerate() {
            let last_gain = last_layer * self.share.sqrt();
            let gain = if self.is_last(i) { last_gain } else { std::f64::consts::SQRT_2 };
            let deviation = T::of(gain / (layer.inputs.max(1) as f64).sqrt());
            fill_normal(&mut parameters[layer.weights..layer.bias], deviation, stream);
            // Hidden biases of the weights' size spread the kinks over the data: all through the origin, they
            // could not tell its surroundings apart.
            let bias = if self.is_last(i) { T::zero() } else { deviation };
            fill_normal(&mut parameters[layer.bias..layer.bias + layer.outputs], bias, stream);
        }
    }

    /// Learning rates of the weights fall with the inputs of their layer, so that a step changes a wide layer's
    /// output no more than a narrow one's (Yang et al. 2022, arXiv 2203.03466, for Adam).
    pub fn rates<T: Real>(&self, rates: &mut [T]) {
        for (i, layer) in self.layers.iter().enumerate() {
            let share = if self.is_last(i) { self.share } else { self.share.sqrt() };
            let factor = REFERENCE_WIDTH / (layer.inputs as f64).max(NARROWEST_WIDTH);
            rates[layer.weights..layer.bias].fill(T::of(share * factor));
            rates[layer.bias..layer.bias + layer.outputs].fill(T::of(share));
        }
    }

    /// Fills `activations` with the hidden layers' outputs.
    pub fn hidden<T: Real>(&self, parameters: &[T], input: &[T], activations: &mut [T], rows: usize) {
        let (_, hidden) = self.layers.split_last().expect("a subnet has a last layer");
        for (i, layer) in hidden.iter().enumerate() {
            let (before, rest) = activations.split_at_mut(layer.activation);
            let source = if i == 0 { input } else { &before[hidden[i - 1].activation..] };
            let (out, kept) = rest.split_at_mut(layer.outputs * ROWS);
            let finish = if self.activation == Activation::Relu { Finish::Relu } else { Finish::Keep };
            self.multiply(layer, parameters, source, out, rows, finish);
            let kept_len = if self.activation.keeps_input() { layer.outputs * ROWS } else { 0 };
            self.activation.apply(out, &mut kept[..kept_len]);
        }
    }

    /// Fills `out` with the network's output, from the input and the hidden layers' outputs.
    pub fn output<T: Real>(
        &self,
        parameters: &[T],
        input: &[T],
        activations: &[T],
        out: &mut [T],
        rows: usize,
    ) {
        let (last, hidden) = self.layers.split_last().expect("a subnet has a last layer");
        let source = hidden.last().map_or(input, |layer| &activations[layer.activation..]);
        self.multiply(last, parameters, source, out, rows, Finish::Keep);
    }

    fn multiply<T: Real>(
        &self,
        layer: &Layer,
        parameters: &[T],
        source: &[T],
        out: &mut [T],
        rows: usize,
        finish: Finish<T>,
    ) {
        let (row, column) = layer.strides();
        let weights = Matrix { data: &parameters[layer.weights..layer.bias], row, column };
        let bias = Start::Bias(&parameters[layer.bias..layer.bias + layer.outputs]);
        product(out, layer.outputs, weights, source, layer.inputs, rows, bias, finish);
    }

    /// Adds to `gradient` that of the parameters, and to `input_cotangent` that of its leading inputs (as many
    /// as it has columns), given the cotangent of the output.
    #[expect(clippy::too_many_arguments, reason = "the operands of one product")]
    pub fn backward<T: Real>(
        &self,
        parameters: &[T],
        input: &[T],
        activations: &mut [T],
        cotangent: &[T],
        input_cotangent: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
        rows: usize,
    ) {
        let widest = self.layers.iter().map(|l| l.inputs).max().unwrap_or(0) * ROWS;
        let (mut above, rest) = scratch.split_at_mut(widest);
        let (mut below, transposed) = rest.split_at_mut(widest);
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let top = i + 1 == self.layers.len();
            let outgoing = if top { cotangent } else { &*above };
            let outgoing = &outgoing[..layer.outputs * ROWS];
            let source = if i == 0 { input } else { &activations[self.layers[i - 1].activation..] };
            layer_gradient(layer, source, outgoing, gradient, transposed, rows);
            let (output_stride, input_stride) = layer.strides();
            let weights = &parameters[layer.weights..layer.bias];
            let weights = Matrix { data: weights, row: input_stride, column: output_stride };
            if i == 0 {
                let wanted = input_cotangent.len() / ROWS;
                product(
                    input_cotangent,
                    wanted,
                    weights,
                    outgoing,
                    layer.outputs,
                    rows,
                    Start::Accumulate,
                    Finish::Keep,
                );
                return;
            }
            let hidden = &mut activations[self.layers[i - 1].activation..];
            let (output, kept) = hidden.split_at_mut(layer.inputs * ROWS);
            let finish =
                if self.activation == Activation::Relu { Finish::Mask(output) } else { Finish::Keep };
            product(below, layer.inputs, weights, outgoing, layer.outputs, rows, Start::Zero, finish);
            let kept_len = if self.activation.keeps_input() { layer.inputs * ROWS } else { 0 };
            self.activation.chain(&mut below[..layer.inputs * ROWS], output, &mut kept[..kept_len]);
            std::mem::swap(&mut above, &mut below);
        }
    }
}

/// Adds one tile's share to the gradient of a layer's weights and bias.
fn layer_gradient<T: Real>(
    layer: &Layer,
    source: &[T],
    cotangent: &[T],
    gradient: &mut [T],
    transposed: &mut [T],
    rows: usize,
) {
    let (long, short) = if layer.row_is_output() { (cotangent, source) } else { (source, cotangent) };
    let columns = layer.shorter();
    let stride = transposed_stride(columns);
    transpose(transposed, stride, short, columns, rows);
    let weights = &mut gradient[layer.weights..layer.bias];
    outer(weights, layer.inputs.max(layer.outputs), columns, long, transposed, stride, rows);
    add_column_sums(&mut gradient[layer.bias..layer.bias + layer.outputs], cotangent, rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::tests::with_each;
    use crate::random::{Purpose, Seed};

    const ROWS_IN_USE: usize = 5;
    const ACTIVATIONS: [Activation; 4] =
        [Activation::Relu, Activation::Tanh, Activation::Silu, Activation::Elu];

    fn random(len: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        fill_normal(&mut values, 0.7, &mut Seed(seed).stream(Purpose::Weights, 0));
        values
    }

    /// The network by its definition, one row at a time, with the weights where the layers say they are.
    fn by_definition(subnet: &Subnet, parameters: &[f64], input: &[f64], row: usize) -> Vec<f64> {
        let mut values: Vec<f64> = input.chunks(ROWS).map(|column| column[row]).collect();
        for (i, layer) in subnet.layers.iter().enumerate() {
            let (out, inp) = layer.strides();
            let unit = |o: usize| {
                let weight = |j: usize| parameters[layer.weights + o * out + j * inp];
                let a = parameters[layer.bias + o]
                    + (0..layer.inputs).map(|j| weight(j) * values[j]).sum::<f64>();
                match subnet.activation {
                    _ if i + 1 == subnet.layers.len() => a,
                    Activation::Relu => a.max(0.0),
                    Activation::Tanh => a.tanh(),
                    Activation::Silu => a / (1.0 + (-a).exp()),
                    Activation::Elu => {
                        if a > 0.0 {
                            a
                        } else {
                            a.exp() - 1.0
                        }
                    }
                }
            };
            values = (0..layer.outputs).map(unit).collect();
        }
        values
    }

    fn shapes() -> [(usize, Vec<usize>, usize); 4] {
        [(3, vec![], 2), (2, vec![9], 4), (5, vec![4, 20], 1), (0, vec![3], 2)]
    }

    #[test]
    fn output_is_the_definition() {
        with_each(|_| {
            for ((inputs, hidden, outputs), activation) in
                shapes().into_iter().flat_map(|shape| ACTIVATIONS.map(|a| (shape.clone(), a)))
            {
                let subnet = Subnet::new(inputs, &hidden, outputs, activation);
                let (parameters, input) = (random(subnet.parameters(), 1), random(inputs * ROWS, 2));
                let mut activations = vec![f64::NAN; subnet.activations()];
                let mut out = vec![f64::NAN; outputs * ROWS];
                subnet.hidden(&parameters, &input, &mut activations, ROWS_IN_USE);
                subnet.output(&parameters, &input, &activations, &mut out, ROWS_IN_USE);
                for row in 0..ROWS_IN_USE {
                    for (o, wanted) in
                        by_definition(&subnet, &parameters, &input, row).into_iter().enumerate()
                    {
                        assert!((out[o * ROWS + row] - wanted).abs() < 1e-12);
                    }
                }
            }
        });
    }

    /// Fourth-order difference with two steps: they agree unless a kink lies between.
    fn derivative(f: impl Fn(f64) -> f64) -> Option<f64> {
        let with = |h: f64| (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h);
        let (coarse, fine) = (with(1e-3), with(5e-4));
        ((coarse - fine).abs() < 1e-9).then_some(fine)
    }

    #[test]
    fn gradients_are_differences_wherever_there_is_no_kink() {
        for ((inputs, hidden, outputs), activation) in
            shapes().into_iter().flat_map(|shape| ACTIVATIONS.map(|a| (shape.clone(), a)))
        {
            let subnet = Subnet::new(inputs, &hidden, outputs, activation);
            let (parameters, input) = (random(subnet.parameters(), 1), random(inputs * ROWS, 2));
            let mut cotangent = random(outputs * ROWS, 3);
            cotangent
                .iter_mut()
                .enumerate()
                .filter(|(i, _)| i % ROWS >= ROWS_IN_USE)
                .for_each(|(_, c)| *c = 0.0);
            let mut activations = vec![0.0; subnet.activations()];
            let mut gradient = vec![1.0; subnet.parameters()];
            let mut scratch = vec![f64::NAN; subnet.scratch()];
            let mut input_cotangent = vec![2.0; inputs * ROWS];
            subnet.hidden(&parameters, &input, &mut activations, ROWS_IN_USE);
            let (to_input, to_parameters) = (&mut input_cotangent, &mut gradient);
            subnet.backward(
                &parameters,
                &input,
                &mut activations,
                &cotangent,
                to_input,
                to_parameters,
                &mut scratch,
                ROWS_IN_USE,
            );
            let pairing = |parameters: &[f64], input: &[f64]| -> f64 {
                let row_sum = |row: usize| -> f64 {
                    let outputs = by_definition(&subnet, parameters, input, row);
                    outputs.iter().enumerate().map(|(o, v)| v * cotangent[o * ROWS + row]).sum()
                };
                (0..ROWS_IN_USE).map(row_sum).sum()
            };
            let mut compared = 0;
            let mut check = |got: f64, wanted: Option<f64>| {
                if let Some(wanted) = wanted {
                    compared += 1;
                    assert!((got - wanted).abs() < 1e-8, "{activation:?}: {got} {wanted}");
                }
            };
            for i in 0..parameters.len() {
                let moved = |step: f64| {
                    let mut moved = parameters.clone();
                    moved[i] += step;
                    pairing(&moved, &input)
                };
                check(gradient[i] - 1.0, derivative(moved));
            }
            for i in (0..input.len()).filter(|i| i % ROWS < ROWS_IN_USE) {
                let moved = |step: f64| {
                    let mut moved = input.clone();
                    moved[i] += step;
                    pairing(&parameters, &moved)
                };
                check(input_cotangent[i] - 2.0, derivative(moved));
            }
            assert!(
                compared * 10 >= 9 * (parameters.len() + inputs * ROWS_IN_USE),
                "{activation:?}: {compared}"
            );
        }
    }
}
