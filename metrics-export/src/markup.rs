//! Elements of HTML and SVG as values.
//!
//! Names of elements and attributes are constants of this program; everything else is escaped on
//! its way in, so that a label cannot become markup. There is no way to pass text through as it
//! is, but for constants. It knows no document: what a page or a chart consists of is theirs.

use std::fmt::{self, Display, Write};

/// Text that is already markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// Nothing.
    #[must_use]
    pub fn none() -> Markup {
        Markup::default()
    }

    /// Words from anywhere.
    #[must_use]
    pub fn text(words: &str) -> Markup {
        Markup(escape(words))
    }

    /// Markup that this program consists of.
    #[must_use]
    pub fn constant(markup: &'static str) -> Markup {
        Markup(markup.to_owned())
    }

    /// Adds more behind it.
    pub fn push(&mut self, more: impl Into<Markup>) {
        self.0.push_str(&more.into().0);
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The markup as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Markup {
    fn from(words: &str) -> Markup {
        Markup::text(words)
    }
}

impl From<String> for Markup {
    fn from(words: String) -> Markup {
        Markup::text(&words)
    }
}

impl<M: Into<Markup>> FromIterator<M> for Markup {
    fn from_iter<I: IntoIterator<Item = M>>(parts: I) -> Markup {
        let mut all = Markup::none();
        parts.into_iter().for_each(|part| all.push(part));
        all
    }
}

impl Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An element that is being put together.
#[derive(Clone, Debug)]
pub struct Element {
    name: &'static str,
    attributes: String,
    inside: Markup,
}

/// An element without attributes and without anything inside.
#[must_use]
pub fn element(name: &'static str) -> Element {
    Element { name, attributes: String::new(), inside: Markup::none() }
}

impl Element {
    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Element {
        let value = escape(&value.to_string());
        write!(self.attributes, " {name}=\"{value}\"").expect("writing to a String does not fail");
        self
    }

    /// Adds attributes that are lengths or places.
    #[must_use]
    pub fn at<const N: usize>(self, places: [(&'static str, f64); N]) -> Element {
        places.into_iter().fold(self, |element, (name, value)| element.with(name, place(value)))
    }

    /// Names its classes.
    #[must_use]
    pub fn class(self, classes: impl Display) -> Element {
        self.with("class", classes)
    }

    /// Adds to what is inside; words are escaped.
    #[must_use]
    pub fn holds(mut self, more: impl Into<Markup>) -> Element {
        self.inside.push(more);
        self
    }

    /// Adds each of these to what is inside.
    #[must_use]
    pub fn holds_all<M: Into<Markup>>(self, parts: impl IntoIterator<Item = M>) -> Element {
        parts.into_iter().fold(self, Element::holds)
    }
}

impl From<Element> for Markup {
    fn from(element: Element) -> Markup {
        let Element { name, attributes, inside } = element;
        Markup(format!("<{name}{attributes}>{inside}</{name}>"))
    }
}

/// A place in a drawing, to a tenth of a unit, which no eye tells from the whole truth.
#[must_use]
pub fn place(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // What is no number has no place; zero at least draws.
    if rounded.is_finite() && rounded != 0.0 { format!("{rounded}") } else { "0".into() }
}

/// Escapes what markup reserves. Control characters and those that turn the direction of writing
/// become a replacement character: neither has a meaning in a label, and the second can make it
/// look like another.
fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stay_words() {
        let hostile = "</title><script>alert('1')</script>\"&amp;\u{202e}\0";
        let built: Markup = element("p").with("title", hostile).holds(hostile).into();
        let escaped = "&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;\
                       &amp;amp;\u{fffd}\u{fffd}";
        assert_eq!(built.as_str(), format!("<p title=\"{escaped}\">{escaped}</p>"));
    }

    #[test]
    fn places_are_short_and_always_numbers() {
        for (value, expected) in
            [(1.0, "1"), (1.25, "1.3"), (-0.01, "0"), (f64::NAN, "0"), (f64::INFINITY, "0")]
        {
            assert_eq!(place(value), expected);
        }
    }

    proptest! {
        #[test]
        fn no_words_open_an_element_or_end_an_attribute(words in any::<String>()) {
            let built: Markup = element("b").with("title", &words).holds(words.as_str()).into();
            let text = built.as_str();
            prop_assert_eq!(text.matches('<').count(), 2);
            prop_assert_eq!(text.matches('>').count(), 2);
            prop_assert_eq!(text.matches('"').count(), 2);
        }
    }
}
