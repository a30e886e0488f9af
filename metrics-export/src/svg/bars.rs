//! Bars that lie: one row for each, parts one behind the other, an interval as a whisker, and the
//! figure beside it. Where a bar is not to be told from zero it is drawn hollow, and a band around
//! zero shows how far noise reaches.

use super::{
    NARROW_PX, Scale, Spacing, WORDS_PX, fitted, hover, line, picture, series_classes, width_of,
    words,
};
use crate::markup::{Element, Markup, element};

/// A chart of bars.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// What it is called.
    pub title: String,
    /// What it says, for those who do not see it.
    pub description: String,
    /// What the axis counts, with its unit.
    pub axis: String,
    /// From top to bottom.
    pub rows: Vec<Bar>,
    /// Half the width of the band around zero, and what it is.
    pub band: Option<(f64, String)>,
}

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// A second, quieter name; may be empty.
    pub note: String,
    /// From left to right; of several parts none is negative.
    pub parts: Vec<BarPart>,
    /// The ends of its interval.
    pub whisker: Option<(f64, f64)>,
    /// The figure that stands beside it.
    pub figure: String,
    /// What is said when its whisker is pointed at.
    pub hover: String,
    /// Whether it is told from zero.
    pub hollow: bool,
}

/// A part of a bar.
#[derive(Clone, Debug)]
pub struct BarPart {
    /// How long it is.
    pub value: f64,
    /// Its colour.
    pub colour: usize,
    /// What is said when it is pointed at.
    pub hover: String,
}

const BAR_PX: f64 = 14.0;
const AXIS_PX: f64 = 44.0;
/// Figures and labels stand off the bars by so much.
const GAP_PX: f64 = 12.0;

/// Where the rows of a chart of this width are.
struct Layout {
    width: f64,
    narrow: bool,
    /// The places that bars may take.
    plot: (f64, f64),
    row: f64,
}

impl Layout {
    fn of(bars: &Bars, width: f64) -> Layout {
        let narrow = width < NARROW_PX;
        let noted = bars.rows.iter().any(|row| !row.note.is_empty());
        if narrow {
            // The row is a line of words and a bar below it.
            return Layout { width, narrow, plot: (6.0, width - 6.0), row: 46.0 };
        }
        let figure = widest(bars.rows.iter().map(|row| row.figure.as_str()), width * 0.3);
        let labels = bars.rows.iter().flat_map(|row| [row.label.as_str(), row.note.as_str()]);
        let label = widest(labels, width * 0.24);
        let plot = (label + GAP_PX, width - figure - GAP_PX);
        Layout { width, narrow, plot, row: if noted { 42.0 } else { 30.0 } }
    }

    /// The middle of the bar of a row.
    fn middle(&self, row: usize) -> f64 {
        let top = row as f64 * self.row;
        if self.narrow { top + 30.0 } else { top + self.row / 2.0 }
    }

    /// Where a line from top to bottom is drawn: it does not cross the words between the bars.
    fn stretches(&self, rows: usize, bottom: f64) -> Vec<(f64, f64)> {
        if !self.narrow {
            return vec![(0.0, bottom)];
        }
        let around = |middle: f64| (middle - BAR_PX / 2.0 - 2.0, middle + BAR_PX / 2.0 + 2.0);
        (0..rows).map(|row| around(self.middle(row))).collect()
    }
}

/// The room that these words need, up to a limit.
fn widest<'a>(texts: impl Iterator<Item = &'a str>, limit: f64) -> f64 {
    (texts.map(width_of).fold(0.0, f64::max) + 4.0).min(limit)
}

impl Bars {
    /// The chart in this width.
    #[must_use]
    pub fn draw(&self, width: f64) -> Markup {
        let layout = Layout::of(self, width);
        let bottom = self.rows.len() as f64 * layout.row + 4.0;
        let marks = if layout.narrow { 3 } else { 6 };
        let scale = Scale::new(Spacing::Linear, self.extent(), layout.plot);
        let mut drawing = picture(width, bottom + AXIS_PX, &self.title, &self.description);
        drawing = self.band(drawing, &scale, bottom);
        for mark in scale.marks(marks) {
            let x = scale.at(mark);
            let classes = if mark == 0.0 { "zero" } else { "grid" };
            for (top, bottom) in layout.stretches(self.rows.len(), bottom) {
                drawing = drawing.holds(line((x, top), (x, bottom), classes));
            }
            drawing = drawing.holds(words(x, bottom + 16.0, "middle", "mark", &mark_text(mark)));
        }
        let middle = f64::midpoint(layout.plot.0, layout.plot.1);
        drawing = drawing.holds(words(middle, bottom + 36.0, "middle", "axis", &self.axis));
        let rows = self.rows.iter().enumerate();
        rows.fold(drawing, |drawing, (at, row)| row.draw(drawing, &layout, &scale, at)).into()
    }

    fn extent(&self) -> (f64, f64) {
        let ends = self.rows.iter().flat_map(|row| {
            let total: f64 = row.parts.iter().map(|part| part.value).sum();
            let (low, high) = row.whisker.unwrap_or((total, total));
            [total, low, high]
        });
        let band = self.band.as_ref().map_or(0.0, |(half, _)| *half);
        let (low, high) =
            ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
        let (low, high) = (low.min(-band), high.max(band));
        if low == high { (0.0, 1.0) } else { (low, high + 0.02 * (high - low)) }
    }

    fn band(&self, drawing: Element, scale: &Scale, bottom: f64) -> Element {
        let Some((half, what)) = &self.band else { return drawing };
        let (left, right) = (scale.at(-half), scale.at(*half));
        let places = [("x", left), ("y", 0.0), ("width", right - left), ("height", bottom)];
        drawing.holds(element("rect").at(places).class("band").holds(hover(what)))
    }
}

impl Bar {
    fn draw(&self, drawing: Element, layout: &Layout, scale: &Scale, at: usize) -> Element {
        let middle = layout.middle(at);
        let group = element("g").class(if self.hollow { "row hollow" } else { "row" });
        let group = self.words(group, layout, middle);
        let group = self.bar(group, scale, middle);
        drawing.holds(self.whisker(group, scale, middle))
    }

    fn words(&self, group: Element, layout: &Layout, middle: f64) -> Element {
        let baseline = WORDS_PX * 0.36;
        if layout.narrow {
            let y = middle - BAR_PX / 2.0 - 6.0;
            let room = layout.width - width_of(&self.figure) - 16.0;
            let label = fitted(&self.label, room);
            return group.holds(words(6.0, y, "start", "label", &label)).holds(words(
                layout.width - 6.0,
                y,
                "end",
                "figure",
                &self.figure,
            ));
        }
        let room = layout.plot.0 - GAP_PX;
        let x = room;
        let lift = if self.note.is_empty() { 0.0 } else { -7.0 };
        let label = fitted(&self.label, room);
        let mut group = group.holds(words(x, middle + baseline + lift, "end", "label", &label));
        if !self.note.is_empty() {
            let note = fitted(&self.note, room);
            group = group.holds(words(x, middle + baseline + 8.0, "end", "note", &note));
        }
        let x = layout.plot.1 + GAP_PX;
        let figure = fitted(&self.figure, layout.width - x);
        group.holds(words(x, middle + baseline, "start", "figure", &figure))
    }

    fn bar(&self, mut group: Element, scale: &Scale, middle: f64) -> Element {
        let mut from = 0.0;
        for part in &self.parts {
            let (a, b) = (scale.at(from), scale.at(from + part.value));
            from += part.value;
            let (left, width) = (a.min(b), (a - b).abs());
            // A hair stays in sight where there is something at all.
            let width = if part.value == 0.0 { 0.0 } else { width.max(1.0) };
            let places =
                [("x", left), ("y", middle - BAR_PX / 2.0), ("width", width), ("height", BAR_PX)];
            let classes = format!("bar {}", series_classes(part.colour, 0));
            group =
                group.holds(element("rect").at(places).class(classes).holds(hover(&part.hover)));
        }
        group
    }

    fn whisker(&self, group: Element, scale: &Scale, middle: f64) -> Element {
        let Some((low, high)) = self.whisker else { return group };
        let (low, high) = (scale.at(low), scale.at(high));
        let cap = |x: f64| line((x, middle - 5.0), (x, middle + 5.0), "whisker");
        let whole = element("g")
            .holds(line((low, middle), (high, middle), "whisker"))
            .holds(cap(low))
            .holds(cap(high))
            .holds(hover(&self.hover));
        group.holds(whole)
    }
}

fn mark_text(mark: f64) -> String {
    let text = if mark.abs() >= 1_000.0 {
        crate::figures::thousands(mark.abs().round() as u64)
    } else {
        let rounded = (mark.abs() * 1_000.0).round() / 1_000.0;
        format!("{rounded}")
    };
    if mark < 0.0 { format!("\u{2212}{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Bars {
        let part = |value, colour| BarPart { value, colour, hover: format!("{value} us") };
        Bars {
            title: "What <each> layer costs".into(),
            description: "Bars".into(),
            axis: "us per request".into(),
            rows: vec![
                Bar {
                    label: "TLS".into(),
                    note: "S1 - S0".into(),
                    parts: vec![part(18.9, 0)],
                    whisker: Some((10.5, 25.8)),
                    figure: "+18.9".into(),
                    hover: "95%: 10.5 to 25.8".into(),
                    hollow: false,
                },
                Bar {
                    label: "a certificate with a name that is longer than its room is".into(),
                    parts: vec![part(-3.2, 1)],
                    whisker: Some((-7.1, 6.2)),
                    hollow: true,
                    ..Bar::default()
                },
            ],
            band: Some((4.0, "noise".into())),
        }
    }

    /// Every number of an attribute in the markup.
    fn numbers(text: &str, attribute: &str) -> Vec<f64> {
        let opening = format!(" {attribute}=\"");
        let parts = text.split(opening.as_str()).skip(1);
        parts.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_bar_is_as_long_as_its_value_and_starts_at_zero() {
        let drawn = chart().draw(800.0);
        let text = drawn.as_str();
        // The band, then the two bars.
        let (lefts, widths) = (numbers(text, "x"), numbers(text, "width"));
        let [_, band, tls, certificate] = widths[..] else { panic!("{widths:?}") };
        let per_us = band / 8.0;
        assert!((tls / per_us - 18.9).abs() < 0.1, "{tls} {per_us}");
        assert!((certificate / per_us - 3.2).abs() < 0.1, "{certificate} {per_us}");
        assert!(lefts.iter().all(|x| (0.0..=800.0).contains(x)), "{lefts:?}");
        assert!(text.contains("row hollow"), "{text}");
    }

    #[test]
    fn every_mark_has_a_title() {
        for width in [340.0, 800.0] {
            let drawn = chart().draw(width);
            let text = drawn.as_str();
            // The chart, the band, two bars and two whiskers.
            assert_eq!(text.matches("<title>").count(), 6);
            assert!(text.contains("role=\"img\"") && text.contains("<desc>Bars</desc>"));
            assert!(text.contains("What &lt;each&gt; layer costs"));
            assert!(text.contains('\u{2026}'), "the long label was not cut at {width}");
        }
    }

    #[test]
    fn nothing_at_all_is_still_a_chart() {
        let empty = Bars { rows: vec![Bar::default()], ..Bars::default() };
        for width in [10.0, 340.0, 800.0] {
            assert!(!empty.draw(width).as_str().contains("NaN"));
        }
    }
}
