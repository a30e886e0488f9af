//! Lines over two axes, each linear or logarithmic. Some points of a line are marked and say their
//! values; the line itself says its name. Where lines have the same colour their dashes differ.

use super::{NARROW_PX, Scale, Spacing, hover, line, picture, series_classes, words};
use crate::markup::{Element, Markup, element, place};

/// A chart of lines.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// What it is called.
    pub title: String,
    /// What it says, for those who do not see it.
    pub description: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The lines, the first at the bottom.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it counts, with its unit.
    pub label: String,
    /// How it spreads its values.
    pub spacing: Spacing,
    /// Its marks with their words; empty: round values.
    pub marks: Vec<(f64, String)>,
    /// The words of a round value.
    pub text: fn(f64) -> String,
    /// Values that it must hold besides those of the series.
    pub holds: Option<(f64, f64)>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub colour: usize,
    /// Its dashes.
    pub dash: usize,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    /// Points that are marked.
    pub marks: Vec<Mark>,
}

/// A point that is marked.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// Where it is.
    pub at: (f64, f64),
    /// What is said when it is pointed at.
    pub hover: String,
    /// Whether it is drawn hollow.
    pub hollow: bool,
}

/// Room for the words of the axes: left, below, and above and right of the plot.
const LEFT_PX: f64 = 62.0;
const BELOW_PX: f64 = 44.0;
const ABOVE_PX: f64 = 24.0;
const RIGHT_PX: f64 = 14.0;

impl LineChart {
    /// The chart in this size.
    #[must_use]
    pub fn draw(&self, width: f64, height: f64) -> Markup {
        let places_x = (LEFT_PX, width - RIGHT_PX);
        let places_y = (height - BELOW_PX, ABOVE_PX);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.scale(points().map(|point| point.0), places_x);
        let y = self.y.scale(points().map(|point| point.1), places_y).rounded(5);
        let mut drawing = picture(width, height, &self.title, &self.description);
        let few = if width < NARROW_PX { 4 } else { 8 };
        for (mark, text) in self.x.marks(&x, few) {
            let at = x.at(mark);
            drawing = drawing.holds(line((at, places_y.0), (at, places_y.1), "grid")).holds(words(
                at,
                places_y.0 + 16.0,
                "middle",
                "mark",
                &text,
            ));
        }
        for (mark, text) in self.y.marks(&y, 5) {
            let at = y.at(mark);
            let classes = if mark == 0.0 { "zero" } else { "grid" };
            drawing = drawing
                .holds(line((places_x.0, at), (places_x.1, at), classes))
                .holds(words(places_x.0 - 8.0, at + 4.0, "end", "mark", &text));
        }
        let middle = f64::midpoint(places_x.0, places_x.1);
        drawing = drawing
            .holds(words(middle, height - 8.0, "middle", "axis", &self.x.label))
            .holds(words(0.0, 12.0, "start", "axis", &self.y.label));
        self.series.iter().fold(drawing, |drawing, series| series.draw(drawing, &x, &y)).into()
    }
}

impl Axis {
    fn scale(&self, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Scale {
        let positive = |value: &f64| self.spacing == Spacing::Linear || *value > 0.0;
        let held = self.holds.into_iter().flat_map(|(low, high)| [low, high]);
        let extent = values
            .chain(held)
            .filter(positive)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        Scale::new(self.spacing, extent, places)
    }

    fn marks(&self, scale: &Scale, about: usize) -> Vec<(f64, String)> {
        if self.marks.is_empty() {
            let marks = scale.marks(about).into_iter();
            return marks.map(|mark| (mark, (self.text)(mark))).collect();
        }
        let (low, high) = scale.values;
        let within = |(mark, _): &&(f64, String)| (low..=high * 1.001).contains(mark);
        self.marks.iter().filter(within).cloned().collect()
    }
}

impl Series {
    fn draw(&self, drawing: Element, x: &Scale, y: &Scale) -> Element {
        let classes = series_classes(self.colour, self.dash);
        let mut path = String::new();
        for (at, point) in self.points.iter().enumerate() {
            path.push(if at == 0 { 'M' } else { 'L' });
            path.push_str(&place(x.at(point.0)));
            path.push(' ');
            path.push_str(&place(y.at(point.1)));
        }
        let mut group = element("g").class(&classes);
        if !path.is_empty() {
            let line = element("path").with("d", path).class(format!("series {classes}"));
            group = group.holds(line.holds(hover(&self.name)));
        }
        for mark in &self.marks {
            let places = [("cx", x.at(mark.at.0)), ("cy", y.at(mark.at.1)), ("r", 3.0)];
            let shape = if mark.hollow { "dot hollow" } else { "dot" };
            let dot = element("circle").at(places).class(format!("{shape} {classes}"));
            group = group.holds(dot.holds(hover(&mark.hover)));
        }
        drawing.holds(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(spacing: Spacing) -> Axis {
        let text = |value: f64| format!("{value}");
        Axis { label: "us".into(), spacing, marks: vec![], text, holds: None }
    }

    #[test]
    fn a_line_goes_where_its_values_are() {
        let series = Series {
            name: "S1 & more".into(),
            points: vec![(1.0, 100.0), (10.0, 1_000.0), (100.0, 10_000.0)],
            marks: vec![Mark { at: (10.0, 1_000.0), hover: "p90".into(), hollow: false }],
            ..Series::default()
        };
        let chart = LineChart {
            title: "Times".into(),
            description: String::new(),
            x: Axis {
                marks: vec![(1.0, "0%".into()), (10.0, "90%".into()), (1e6, "no".into())],
                ..axis(Spacing::Log10)
            },
            y: axis(Spacing::Log10),
            series: vec![series],
        };
        let drawn = chart.draw(800.0, 300.0);
        let text = drawn.as_str();
        // Straight on two logarithmic axes, from corner to corner of the plot.
        assert!(text.contains("M62 256L424 140L786 24"), "{text}");
        assert!(text.contains("cx=\"424\" cy=\"140\""), "{text}");
        assert!(text.contains("<title>S1 &amp; more</title>"), "{text}");
        assert!(text.contains(">90%</text>") && !text.contains(">no</text>"), "{text}");
    }

    #[test]
    fn no_points_at_all_are_still_a_chart() {
        for spacing in [Spacing::Linear, Spacing::Log10] {
            let chart = LineChart {
                title: String::new(),
                description: String::new(),
                x: axis(spacing),
                y: axis(spacing),
                series: vec![Series::default()],
            };
            let drawn = chart.draw(340.0, 200.0);
            assert!(!drawn.as_str().contains("NaN") && !drawn.as_str().contains("<path"));
        }
    }
}
