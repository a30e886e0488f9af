//! Charts as SVG: values in, markup out.
//!
//! A chart is drawn for a width in CSS pixels, so that its words are as large as those around it;
//! a page that is read on paper and on a phone holds it in two widths. Every mark has a `<title>`,
//! which browsers show when it is pointed at, and the whole an accessible name and description.
//! Colours are classes that the page defines (`s0` to `s6` for series), for it alone knows whether
//! it is light or dark; nothing is told by colour alone. It refuses to place words by measuring
//! them: labels have room of their own and are cut where they do not fit.

mod bars;
mod lines;
mod scale;

pub use bars::{Bar, BarPart, Bars};
pub use lines::{Axis, LineChart, Mark, Series};
pub use scale::{Scale, Spacing};

use crate::markup::{Element, Markup, element};

/// Colours that the page tells apart; a series beyond them takes the first again, with other
/// dashes.
pub const COLOURS: usize = 7;

/// Dashes that are told apart: none, long, short.
pub const DASHES: usize = 3;

/// The size of the words in a chart, in CSS pixels; the style sheet of the page says the same.
const WORDS_PX: f64 = 12.0;

/// Below this width labels stand above their bars instead of beside them.
const NARROW_PX: f64 = 560.0;

/// A drawing of this size with what it is called and what it says.
fn picture(width: f64, height: f64, title: &str, description: &str) -> Element {
    element("svg")
        .with("viewBox", format!("0 0 {width} {height}"))
        .with("width", width)
        .with("height", height)
        .with("role", "img")
        .holds(element("title").holds(title))
        .holds(element("desc").holds(description))
}

/// Words at a place; `anchor` is `start`, `middle` or `end`.
fn words(x: f64, y: f64, anchor: &str, classes: &str, text: &str) -> Markup {
    element("text")
        .at([("x", x), ("y", y)])
        .with("text-anchor", anchor)
        .class(classes)
        .holds(text)
        .into()
}

fn line(from: (f64, f64), to: (f64, f64), classes: &str) -> Element {
    let places = [("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)];
    element("line").at(places).class(classes)
}

/// What appears when the mark is pointed at.
fn hover(text: &str) -> Markup {
    element("title").holds(text).into()
}

/// About how wide words are, in pixels: rather too much than too little, in any common font.
fn width_of(text: &str) -> f64 {
    let widths = text.chars().map(|letter| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.36,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | ' ' | '-' | '/' => 0.43,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '\u{2026}' => 1.0,
        '+' | '\u{2212}' | '<' | '>' | '=' => 0.84,
        'A'..='Z' => 0.74,
        'a'..='z' | '0'..='9' => 0.64,
        // Letters of other scripts may be as wide as they are high.
        _ => 1.0,
    });
    widths.sum::<f64>() * WORDS_PX
}

/// Cuts words to what fits in so many pixels, with an ellipsis.
fn fitted(text: &str, room: f64) -> String {
    if width_of(text) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for letter in text.chars() {
        cut.push(letter);
        if width_of(&cut) + WORDS_PX > room {
            cut.pop();
            break;
        }
    }
    format!("{}\u{2026}", cut.trim_end())
}

/// The classes of a series.
fn series_classes(colour: usize, dash: usize) -> String {
    format!("s{} d{}", colour % COLOURS, dash % DASHES)
}

/// A short piece of a series' line, for a legend in the page. It says nothing to those who hear
/// the page: the words beside it do.
#[must_use]
pub fn swatch(colour: usize, dash: usize) -> Markup {
    element("svg")
        .with("viewBox", "0 0 26 10")
        .with("width", 26)
        .with("height", 10)
        .with("aria-hidden", "true")
        .holds(line((1.0, 5.0), (25.0, 5.0), &format!("series {}", series_classes(colour, dash))))
        .into()
}

/// A filled square of a series' colour, for a legend in the page.
#[must_use]
pub fn square(colour: usize) -> Markup {
    let places = [("x", 0.0), ("y", 0.0), ("width", 10.0), ("height", 10.0), ("rx", 2.0)];
    element("svg")
        .with("viewBox", "0 0 10 10")
        .with("width", 10)
        .with("height", 10)
        .with("aria-hidden", "true")
        .holds(element("rect").at(places).class(format!("bar {}", series_classes(colour, 0))))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_to_their_room() {
        assert_eq!(fitted("S4 repeat", 100.0), "S4 repeat");
        assert_eq!(fitted("a name without end", 85.0), "a name wi\u{2026}");
        assert_eq!(fitted("wwwwwwwwwwwwwww", 85.0), "wwwwww\u{2026}");
        assert_eq!(fitted("\u{e4}\u{f6}", 0.0), "\u{2026}");
    }
}
