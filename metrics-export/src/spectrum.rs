//! A distribution of times as the curve that a chart shows: quantiles that crowd towards the tail,
//! evenly on a logarithmic axis of 1/(1-q). No point claims more than the samples: the last one is
//! the largest value.

use hdrhistogram::Histogram;

/// Points for each ten times of 1/(1-q).
const POINTS_PER_DECADE: i32 = 20;

/// The tail ends here at the latest: no run has so many samples.
const DECADES_MAX: i32 = 12;

/// The distribution of one kind of time of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The variant's id.
    pub variant: String,
    /// `response`, `service`, or another tag of the histogram log.
    pub tag: String,
    /// Quantiles, rising from 0 to 1, with their values in ns.
    pub points: Vec<(f64, u64)>,
    /// Values recorded.
    pub count: u64,
}

impl Spectrum {
    /// The curve of a histogram of ns.
    #[must_use]
    pub fn of(variant: &str, tag: &str, histogram: &Histogram<u64>) -> Spectrum {
        let count = histogram.len();
        let mut points = Vec::new();
        for step in 0..DECADES_MAX * POINTS_PER_DECADE {
            let one_in = match step {
                // Next to 1.995: the median is named on every axis.
                6 => 2.0,
                _ => 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE)),
            };
            if one_in >= count as f64 {
                break;
            }
            let quantile = 1.0 - 1.0 / one_in;
            points.push((quantile, histogram.value_at_quantile(quantile)));
        }
        if count > 0 {
            points.push((1.0, histogram.max()));
        }
        Spectrum { variant: variant.into(), tag: tag.into(), points, count }
    }

    /// The value at a quantile: that of the first point at or beyond it, in ns.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Option<u64> {
        self.points.iter().find(|(q, _)| *q >= quantile - 1e-12).map(|(_, ns)| *ns)
    }

    /// Its points as 1/(1-q) and ns; the largest value stands at the number of samples.
    pub fn tail_points(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let last = self.count.max(1) as f64;
        self.points.iter().map(move |&(q, ns)| ((1.0 / (1.0 - q)).min(last), ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_to_the_largest_value_and_stops_there() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for value in 1..=10_000_u64 {
            histogram.record(value * 1_000).unwrap();
        }
        let spectrum = Spectrum::of("s1", "response", &histogram);
        assert_eq!(spectrum.count, 10_000);
        assert!(spectrum.points.is_sorted());
        assert_eq!(spectrum.points.last(), Some(&(1.0, histogram.max())));
        // Four decades of 20 points, and the largest value.
        assert_eq!(spectrum.points.len(), 81);
        assert_eq!(spectrum.at(0.99), Some(histogram.value_at_quantile(0.99)));
        assert_eq!(spectrum.tail_points().last(), Some((10_000.0, histogram.max())));
    }

    #[test]
    fn few_samples_make_few_points() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert_eq!(Spectrum::of("s1", "response", &histogram).points, []);
        histogram.record(7).unwrap();
        assert_eq!(Spectrum::of("s1", "response", &histogram).points, [(1.0, 7)]);
    }
}
