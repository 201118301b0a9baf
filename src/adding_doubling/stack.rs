//! Layers on top of each other, between two surfaces to air.
//!
//! Layers that differ make a stack whose two sides reflect differently. It is built from the bottom up and lit from
//! the top only, so that of the two reflections the upper one is all that is ever needed; and of what it lets
//! through, only the flux in all directions together.

use super::angles::Angles;
use super::layer::Layer;
use super::matrix::{
    Matrix, dot, filled, lower_upper, product, solve_column, solve_lower, solve_upper, symmetric_product,
};
use crate::kernels::vector::Vector;

/// What lies below some depth, with the memory that adding to it takes.
pub struct Stack<V, const N: usize> {
    /// Reflection of light from above, symmetric.
    reflection: Matrix<V, N>,
    /// Flux that leaves at the bottom, for light from above in each direction.
    passed: [V; N],
    factor: Matrix<V, N>,
    inner: Matrix<V, N>,
    scratch: Matrix<V, N>,
}

impl<V: Vector<f64>, const N: usize> Stack<V, N> {
    /// Nothing yet.
    #[inline(always)]
    pub fn new() -> Self {
        let zero = filled(0.0);
        let passed = [V::splat(0.0); N];
        Self { reflection: zero, passed, factor: zero, inner: zero, scratch: zero }
    }

    /// Only the lower surface.
    #[inline(always)]
    pub fn reset(&mut self, angles: &Angles<N>) {
        self.reflection = filled(0.0);
        for i in 0..N {
            self.reflection[i][i] = V::splat(angles.mirror[i]);
            self.passed[i] = V::splat(angles.scale[i] * (1.0 - angles.mirror[i]));
        }
    }

    /// Puts a layer on top. With its R and T, and G the reflection of the stack, light goes to and fro between them
    /// as (1 - G R)^-1: G -> R + T (1 - G R)^-1 G T, and the flux that passes becomes T (1 - G R)^-1 of itself.
    #[inline(always)]
    pub fn cover(&mut self, layer: &Layer<V, N>) {
        self.factor_bounces(&layer.reflection);
        product(&mut self.scratch, &self.reflection, &layer.transmission);
        solve_lower(&mut self.inner, &self.factor, &self.scratch);
        solve_upper(&self.factor, &mut self.inner);
        let reflection = &mut self.reflection;
        symmetric_product(&layer.transmission, &self.inner, |i, j, bounced| {
            let value = layer.reflection[i][j].add(bounced);
            reflection[i][j] = value;
            reflection[j][i] = value;
        });
        solve_column(&self.factor, &mut self.passed);
        let passed = self.passed;
        for i in 0..N {
            self.passed[i] = dot(&layer.transmission[i], &passed);
        }
    }

    /// Closes the stack with the upper surface and lights it with a unit flux of normal incidence: the flux that
    /// comes back out of the stack, without that reflected by the surface, and the flux that passes.
    #[inline(always)]
    pub fn light(&mut self, angles: &Angles<N>) -> (V, V) {
        for i in 0..N {
            for j in 0..N {
                let bounce = V::splat(angles.mirror[i]).mul(self.reflection[i][j]);
                self.factor[i][j] = V::splat(if i == j { 1.0 } else { 0.0 }).sub(bounce);
            }
        }
        lower_upper(&mut self.factor);
        let mut down = [V::splat(0.0); N];
        down[N - 1] = V::splat((1.0 - angles.mirror[N - 1]) / angles.scale[N - 1]);
        solve_column(&self.factor, &mut down);
        let mut back = V::splat(0.0);
        for i in 0..N {
            let escapes = V::splat(angles.scale[i] * (1.0 - angles.mirror[i]));
            back = escapes.mul_add(dot(&self.reflection[i], &down), back);
        }
        (back, dot(&self.passed, &down))
    }

    /// Factors 1 - G R for a layer's R.
    #[inline(always)]
    fn factor_bounces(&mut self, layer: &Matrix<V, N>) {
        product(&mut self.factor, &self.reflection, layer);
        for i in 0..N {
            for j in 0..N {
                let unit = V::splat(if i == j { 1.0 } else { 0.0 });
                self.factor[i][j] = unit.sub(self.factor[i][j]);
            }
        }
        lower_upper(&mut self.factor);
    }
}
