//! The incomplete beta function, on which the binomial and Student's distribution rest.
//!
//! Owns the one special function that the statistics need. It refuses to be fast: quantiles are
//! found by halving, because they are asked for a few times in a run.

/// Halvings of [0, 1]; after these two ends are neighbours or as good as.
const HALVINGS: usize = 60;

/// The regularised incomplete beta function I_x(a, b), for positive a and b and x within 0..=1.
pub(super) fn regularised(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast only below the centre; above it the mirrored one does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularised(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    front.exp() / a / fraction(x, a, b)
}

/// The x at which I_x(a, b) is `share`.
pub(super) fn quantile(share: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if regularised(middle, a, b) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// What Student's t stays within, either side of zero, with this confidence.
pub(super) fn student(level: f64, degrees: f64) -> f64 {
    let x = quantile(1.0 - level, degrees / 2.0, 0.5);
    (degrees * (1.0 - x) / x).sqrt()
}

/// The continued fraction 1 + d1/(1 + d2/(1 + ..)) of DLMF 8.17.22, from its far end. It needs
/// about as many terms as the root of the larger parameter.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let pairs = 20 + 3 * a.max(b).sqrt() as usize;
    (1..=pairs).rev().fold(1.0, |rest, pair| {
        let m = pair as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let n = m - 1.0;
        let odd = -(a + n) * (a + b + n) * x / ((a + 2.0 * n) * (a + 2.0 * n + 1.0));
        1.0 + odd / (1.0 + even / rest)
    })
}

/// The logarithm of the gamma function: Stirling's series (DLMF 5.11.1), after moving its
/// argument to where four terms are good to 1e-13.
fn ln_gamma(x: f64) -> f64 {
    let steps = (12.0 - x).ceil().max(0.0) as usize;
    let below: f64 = (0..steps).map(|step| (x + step as f64).ln()).sum();
    let x = x + steps as f64;
    let tail = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1_260.0, -1.0 / 1_680.0];
    let tail = tail.iter().rev().fold(0.0, |sum, term| sum / (x * x) + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + tail - below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, error: f64) {
        assert!((found - expected).abs() <= error * expected.abs(), "{found} {expected}");
    }

    /// Gamma of whole numbers is a factorial, and of one half the root of pi.
    #[test]
    fn gamma_has_its_known_values() {
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-12);
        near(ln_gamma(11.0), 3_628_800_f64.ln(), 1e-13);
        near(ln_gamma(171.0), 706.573_062_245_787_4, 1e-13);
    }

    /// I_x(1, b) = 1 - (1 - x)^b and I_x(a, 1) = x^a by hand; I_x(a, b) by the sum of a binomial.
    #[test]
    fn the_function_agrees_with_its_closed_forms() {
        for x in [1e-6, 0.1, 0.5, 0.9, 0.999] {
            near(regularised(x, 1.0, 7.0), 1.0 - (1.0 - x).powi(7), 1e-9);
            near(regularised(x, 12.5, 1.0), x.powf(12.5), 1e-9);
        }
        // P(X >= 3) of 5 fair coins is a half.
        near(regularised(0.5, 3.0, 3.0), 0.5, 1e-12);
        near(regularised(0.3, 3.0, 3.0), 0.163_08, 1e-12);
    }

    /// Student's t as every table prints it.
    #[test]
    fn student_is_the_published_one() {
        let published = [
            (0.95, 1.0, 12.706),
            (0.95, 2.0, 4.303),
            (0.95, 5.0, 2.571),
            (0.99, 5.0, 4.032),
            (0.95, 11.0, 2.201),
            (0.99, 11.0, 3.106),
            (0.999, 11.0, 4.437),
            (0.95, 30.0, 2.042),
            (0.95, 1_000.0, 1.962),
        ];
        for (level, degrees, t) in published {
            near(student(level, degrees), t, 2.5e-4);
        }
    }
}
