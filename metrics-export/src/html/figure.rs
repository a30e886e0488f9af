//! A chart in the page: the same in two widths, of which the page shows the one that fits, with a
//! legend and a line of words below.

use crate::markup::{Element, Markup, element};
use crate::svg::{Bars, LineChart};

/// The widths that charts are drawn for, in CSS pixels: the page's column, and a phone's screen.
const WIDE_PX: f64 = 880.0;
const NARROW_PX: f64 = 340.0;

/// The heights of a chart of lines.
const WIDE_HEIGHT_PX: f64 = 340.0;
const NARROW_HEIGHT_PX: f64 = 300.0;

/// Bars with words below.
pub(super) fn bars(chart: &Bars, legend: Markup, caption: &str) -> Markup {
    let (wide, narrow) = (chart.draw(WIDE_PX), chart.draw(NARROW_PX));
    figure(&chart.title, wide, narrow, legend, caption)
}

/// Lines with words below.
pub(super) fn lines(chart: &LineChart, legend: Markup, caption: &str) -> Markup {
    let wide = chart.draw(WIDE_PX, WIDE_HEIGHT_PX);
    let narrow = chart.draw(NARROW_PX, NARROW_HEIGHT_PX);
    figure(&chart.title, wide, narrow, legend, caption)
}

fn figure(title: &str, wide: Markup, narrow: Markup, legend: Markup, caption: &str) -> Markup {
    let mut words = element("figcaption").holds(caption);
    if caption.is_empty() {
        words = words.class("empty");
    }
    element("figure")
        .holds(element("h4").holds(title))
        .holds(legend)
        .holds(element("div").class("wide").holds(wide))
        .holds(element("div").class("narrow").holds(narrow))
        .holds(words)
        .into()
}

/// The names of what is drawn, each behind a sample of how.
pub(super) fn legend(entries: impl IntoIterator<Item = (Markup, String)>) -> Markup {
    let items = entries
        .into_iter()
        .map(|(sample, name)| -> Element { element("li").holds(sample).holds(name) });
    element("ul").class("legend").holds_all(items).into()
}
