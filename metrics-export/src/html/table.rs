//! Tables of figures: names to the left, figures to the right, columns in named groups. A table
//! that is wider than the page scrolls in its own box.

use crate::markup::{Element, Markup, element};

/// A table that is being filled.
#[derive(Clone, Debug, Default)]
pub(super) struct TextTable {
    caption: String,
    /// Names of groups with how many columns each has; empty: no groups.
    groups: Vec<(String, usize)>,
    columns: Vec<String>,
    rows: Vec<Vec<Markup>>,
    /// Columns, from the left, that are names or sentences.
    words: usize,
    /// The column that holds sentences, which may be broken.
    sentences: Option<usize>,
}

impl TextTable {
    /// An empty table. The caption is for those who hear the page, and for the page's reader when
    /// `visible_caption` shows it.
    pub(super) fn new(caption: &str, columns: &[&str]) -> TextTable {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        TextTable { caption: caption.into(), columns, words: 1, ..TextTable::default() }
    }

    /// Names for groups of columns; an empty name leaves a gap.
    pub(super) fn grouped(mut self, groups: &[(&str, usize)]) -> TextTable {
        self.groups = groups.iter().map(|(name, columns)| ((*name).into(), *columns)).collect();
        self
    }

    /// How many columns from the left hold words instead of figures.
    pub(super) fn words(mut self, columns: usize) -> TextTable {
        self.words = columns;
        self
    }

    /// Which column holds sentences.
    pub(super) fn sentences(mut self, column: usize) -> TextTable {
        self.sentences = Some(column);
        self
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<Markup>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in its box.
    pub(super) fn draw(self) -> Markup {
        if self.is_empty() {
            return Markup::none();
        }
        let head = self.head();
        let row = |cells: &Vec<Markup>| {
            let cells = cells.iter().enumerate().map(|(at, cell)| {
                let name = if at == 0 { element("th").with("scope", "row") } else { element("td") };
                self.aligned(name, at).holds(cell.clone())
            });
            element("tr").holds_all(cells)
        };
        let table = element("table")
            .holds(head)
            .holds(element("tbody").holds_all(self.rows.iter().map(row)));
        // The box can be scrolled with the keyboard, so that it needs a name.
        element("div")
            .class("scroll")
            .with("role", "region")
            .with("tabindex", 0)
            .with("aria-label", &self.caption)
            .holds(table)
            .into()
    }

    fn head(&self) -> Element {
        let names = self.columns.iter().enumerate().map(|(at, name)| {
            self.aligned(element("th").with("scope", "col"), at).holds(name.as_str())
        });
        let mut head = element("thead");
        if !self.groups.is_empty() {
            let groups = self.groups.iter().map(|(name, columns)| {
                let cell = element(if name.is_empty() { "td" } else { "th" });
                let cell = cell.with("colspan", columns).class("group");
                if name.is_empty() { cell } else { cell.with("scope", "colgroup").holds(&**name) }
            });
            head = head.holds(element("tr").holds_all(groups));
        }
        head.holds(element("tr").holds_all(names))
    }

    fn aligned(&self, cell: Element, column: usize) -> Element {
        match column {
            _ if self.sentences == Some(column) => cell.class("words sentence"),
            _ if column < self.words => cell.class("words"),
            _ => cell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_left_aligned_and_escaped() {
        let mut table = TextTable::new("Costs", &["layer", "µs"]).grouped(&[("", 1), ("CPU", 1)]);
        table.row(["<b>", "1.0"]);
        let drawn = table.draw();
        let text = drawn.as_str();
        assert!(text.contains("<th scope=\"row\" class=\"words\">&lt;b&gt;</th><td>1.0</td>"));
        assert!(text.contains("<th colspan=\"1\" class=\"group\" scope=\"colgroup\">CPU</th>"));
        assert!(text.contains("aria-label=\"Costs\""), "{text}");
    }

    #[test]
    fn a_table_without_rows_is_not_there() {
        assert!(TextTable::new("Costs", &["layer"]).draw().is_empty());
    }
}
