//! From values to places, and the values at which an axis has its marks. It refuses nothing: a
//! range without extent gets one, and a value that a logarithm cannot take is drawn at the edge.

/// How far below its largest value a logarithmic axis goes at most: no eye needs more decades.
const EXTENT_MIN: f64 = 1e-15;

/// How an axis spreads its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly.
    Linear,
    /// Each ten times as far as the ten times before.
    Log10,
}

/// An axis: a range of values over a range of places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    spacing: Spacing,
    /// The smallest and the largest value.
    pub values: (f64, f64),
    /// Where they are drawn; the first may lie beyond the second.
    pub places: (f64, f64),
}

impl Scale {
    /// A scale over at least these values.
    #[must_use]
    pub fn new(spacing: Spacing, values: (f64, f64), places: (f64, f64)) -> Scale {
        let (low, high) = match spacing {
            Spacing::Linear => widened(values),
            Spacing::Log10 => log_widened(values),
        };
        Scale { spacing, values: (low, high), places }
    }

    /// The same with its ends at marks, so that the outermost grid lines frame the chart.
    #[must_use]
    pub fn rounded(self, marks: usize) -> Scale {
        let (low, high) = self.values;
        let values = match self.spacing {
            Spacing::Linear => {
                let step = step(high - low, marks);
                ((low / step).floor() * step, (high / step).ceil() * step)
            }
            Spacing::Log10 => {
                let below = 10_f64.powf(low.log10().floor());
                let above = 10_f64.powf(high.log10().ceil());
                let low = [5.0, 2.0].into_iter().map(|m| m * below).find(|end| *end <= low);
                let high = [5.0, 2.0].into_iter().map(|m| above / m).rfind(|end| *end >= high);
                (low.unwrap_or(below), high.unwrap_or(above))
            }
        };
        Scale { values, ..self }
    }

    /// The place of a value; values beyond the range are drawn at its end.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let value = value.max(low).min(high);
        let share = match self.spacing {
            Spacing::Linear => (value - low) / (high - low),
            Spacing::Log10 => (value / low).ln() / (high / low).ln(),
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// About so many round values within the range; on a logarithmic scale powers of ten, and
    /// twos and fives between them where there are few.
    #[must_use]
    pub fn marks(&self, about: usize) -> Vec<f64> {
        let (low, high) = self.values;
        match self.spacing {
            Spacing::Linear => {
                let step = step(high - low, about);
                let (first, last) = ((low / step).ceil() as i64, (high / step + 1e-9) as i64);
                (first..=last).map(|n| n as f64 * step).collect()
            }
            Spacing::Log10 => {
                let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let few = (high / low).log10() < 2.5;
                let between: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
                decades
                    .flat_map(|decade| between.iter().map(move |m| m * 10_f64.powi(decade)))
                    .filter(|mark| *mark >= low * 0.999 && *mark <= high * 1.001)
                    .collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that makes about so many of the extent.
fn step(extent: f64, about: usize) -> f64 {
    let rough = extent / about.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0].into_iter().find(|nice| nice * power >= rough * 0.999);
    nice.unwrap_or(10.0) * power
}

fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    // An extent that is lost among the digits of its ends is none.
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-9 {
        return (low, high);
    }
    let half = if size > 0.0 { size / 10.0 } else { 0.5 };
    (low - half, low + half)
}

fn log_widened((low, high): (f64, f64)) -> (f64, f64) {
    let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
    let low = if low > 0.0 && low <= high { low.max(high * EXTENT_MIN) } else { high / 10.0 };
    if high / low > 1.01 { (low, high) } else { (low / 2.0, high * 2.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_are_round() {
        let linear = Scale::new(Spacing::Linear, (-7.3, 128.0), (0.0, 100.0));
        assert_eq!(linear.marks(5), [0.0, 50.0, 100.0]);
        assert_eq!(linear.rounded(5).values, (-50.0, 150.0));
        let long = Scale::new(Spacing::Log10, (1.0, 20_000.0), (0.0, 100.0));
        assert_eq!(long.marks(5), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        let short = Scale::new(Spacing::Log10, (150.0, 900.0), (0.0, 100.0));
        assert_eq!(short.marks(5), [200.0, 500.0]);
        assert_eq!(short.rounded(5).values, (100.0, 1_000.0));
        let odd = Scale::new(Spacing::Log10, (70.0, 38_000.0), (0.0, 100.0));
        assert_eq!(odd.rounded(5).values, (50.0, 50_000.0));
    }

    #[test]
    fn places_follow_the_spacing() {
        let linear = Scale::new(Spacing::Linear, (0.0, 10.0), (100.0, 0.0));
        assert_eq!([0.0, 5.0, 10.0, 99.0].map(|value| linear.at(value)), [100.0, 50.0, 0.0, 0.0]);
        let log = Scale::new(Spacing::Log10, (1.0, 100.0), (0.0, 100.0));
        assert!((log.at(10.0) - 50.0).abs() < 1e-9);
        assert_eq!(log.at(0.0), 0.0);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_within(
            low in any::<f64>(), high in any::<f64>(), value in any::<f64>(), log in any::<bool>(),
        ) {
            let spacing = if log { Spacing::Log10 } else { Spacing::Linear };
            // What a record holds fits in 64 bits.
            let tame = |value: f64| value.clamp(-2e19, 2e19);
            let scale = Scale::new(spacing, (tame(low), tame(high)), (10.0, 90.0));
            for scale in [scale, scale.rounded(5)] {
                let place = scale.at(if value.is_nan() { 0.0 } else { value });
                prop_assert!((9.999..=90.001).contains(&place), "{place}");
                prop_assert!(scale.marks(5).len() <= 60);
            }
        }
    }
}
