//! Renders a page through prometheus-client: a collector over a snapshot.
//!
//! This file owns the mapping of our families onto the library's encoder, and nothing else.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder, MetricEncoder,
    NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::{Family, Kind, Number, Page, Point};

/// The page as OpenMetrics text.
pub(super) fn text(page: Page) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    let mut out = String::with_capacity(8 * 1024);
    text::encode(&mut out, &registry).expect("writing to a String does not fail");
    out
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for family in &self.families {
            encode_family(family, &mut encoder)?;
        }
        Ok(())
    }
}

fn encode_family(family: &Family, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let (name, unit) = split_unit(family.base);
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    };
    // The encoder adds no full stop to a collector's help, so ours is written as it stands.
    let mut metric = encoder.encode_descriptor(name, family.help, unit.as_ref(), kind)?;
    for (labels, point) in &family.points {
        match point {
            Point::Info => metric.encode_info(labels)?,
            // A family without labels would otherwise be written with empty braces.
            point if labels.is_empty() => encode_point(point, family.kind, &mut metric)?,
            point => encode_point(point, family.kind, &mut metric.encode_family(labels)?)?,
        }
    }
    Ok(())
}

fn encode_point(point: &Point, kind: Kind, metric: &mut MetricEncoder) -> Result<(), fmt::Error> {
    match (point, kind) {
        (Point::Value(number), Kind::Counter) => {
            metric.encode_counter::<NoLabelSet, _, u64>(number, None)
        }
        (Point::Value(number), _) => metric.encode_gauge(number),
        (Point::Distribution { sum_s, cells }, _) => {
            let count = cells.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(*sum_s, count, cells, None)
        }
        (Point::Info, _) => Ok(()),
    }
}

/// The encoder adds the unit to the name and a `# UNIT` line; our names already end in it.
fn split_unit(base: &'static str) -> (&'static str, Option<Unit>) {
    if let Some(name) = base.strip_suffix("_seconds") {
        (name, Some(Unit::Seconds))
    } else if let Some(name) = base.strip_suffix("_bytes") {
        (name, Some(Unit::Bytes))
    } else {
        (base, None)
    }
}

impl EncodeCounterValue for Number {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::CounterValueEncoder,
    ) -> Result<(), fmt::Error> {
        match *self {
            Number::Whole(value) => EncodeCounterValue::encode(&value, encoder),
            Number::Fraction(value) => EncodeCounterValue::encode(&value, encoder),
        }
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder) -> Result<(), fmt::Error> {
        match *self {
            // Above 2^63 a gauge falls back to a float, which loses digits but no sense.
            Number::Whole(value) => match i64::try_from(value) {
                Ok(value) => EncodeGaugeValue::encode(&value, encoder),
                Err(_) => EncodeGaugeValue::encode(&(value as f64), encoder),
            },
            Number::Fraction(value) => EncodeGaugeValue::encode(&value, encoder),
        }
    }
}
