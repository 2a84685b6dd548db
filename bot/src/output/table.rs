//! Aligned tables that fit their terminal.
//!
//! Pure. A table without a limit shows every cell in full. With one, columns first shrink to their minimum, those
//! that shrink from the middle before those that shrink from the end and pairs; droppable columns go before that. A
//! row never wraps.

use anstyle::Style;

use super::text::{escape, shorten_end, shorten_middle, shorten_pair, width};
use super::{Look, style};

/// Columns between two cells.
const GAP: usize = 2;

/// What a column gives up when the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrink {
    /// Nothing.
    Never,
    /// The middle of its text, down to so many columns.
    Middle(usize),
    /// The end of its text, down to so many columns.
    End(usize),
    /// What the two sides of an arrow have in common, down to so many columns.
    Pair(usize),
    /// The middle of its text, down to so many columns, and then itself.
    Drop(usize),
}

impl Shrink {
    fn minimum(self) -> Option<usize> {
        match self {
            Self::Never => None,
            Self::Middle(minimum) | Self::End(minimum) | Self::Pair(minimum) | Self::Drop(minimum) => Some(minimum),
        }
    }
}

/// One cell: text, escaped when it is made, in one style.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in the terminal's own colour.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: escape(text).into_owned(), style: Style::new() }
    }

    /// A cell in that style.
    #[must_use]
    pub fn styled(text: &str, style: Style) -> Self {
        Self { text: escape(text).into_owned(), style }
    }

    /// The same, so many columns further in.
    #[must_use]
    pub fn indented(mut self, columns: usize) -> Self {
        self.text.insert_str(0, &" ".repeat(columns));
        self
    }
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Shrink)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    Cells(Vec<Cell>),
    /// A line of its own below a row, already laid out.
    Note(String),
}

impl Table {
    /// A table of columns with their headings, from left to right.
    #[must_use]
    pub fn new(columns: &[(&'static str, Shrink)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, mut cells: Vec<Cell>) {
        cells.resize(self.columns.len(), Cell::default());
        self.rows.push(Row::Cells(cells));
    }

    /// Adds text below the last row, written as it is.
    pub fn note(&mut self, text: String) {
        self.rows.push(Row::Note(text));
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether nothing has to be shortened at that width.
    #[must_use]
    pub fn fits(&self, limit: usize) -> bool {
        total(&self.natural_widths()) <= limit
    }

    /// The table as lines, each ended by a newline; empty without rows.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.widths(look.width);
        let mut out = String::new();
        let headings: Vec<Cell> =
            self.columns.iter().map(|(heading, _)| Cell::styled(heading, style::HEADING)).collect();
        self.line(&mut out, &headings, &widths, look);
        for row in &self.rows {
            match row {
                Row::Cells(cells) => self.line(&mut out, cells, &widths, look),
                Row::Note(text) => out.push_str(text),
            }
        }
        out
    }

    fn line(&self, out: &mut String, cells: &[Cell], widths: &[usize], look: Look) {
        let mut pending = 0;
        for ((cell, (_, shrink)), limit) in cells.iter().zip(&self.columns).zip(widths) {
            if *limit == 0 {
                continue;
            }
            let text = match shrink {
                Shrink::End(_) => shorten_end(&cell.text, *limit),
                Shrink::Pair(_) => shorten_pair(&cell.text, *limit),
                _ => shorten_middle(&cell.text, *limit),
            };
            if !text.is_empty() {
                out.extend(std::iter::repeat_n(' ', pending));
                pending = 0;
                out.push_str(&look.paint(cell.style, &text));
            }
            pending += limit - width(&text) + GAP;
        }
        out.push('\n');
    }

    /// The width of each column; 0 for one that is not shown (empty everywhere, or dropped).
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths = self.natural_widths();
        if let Some(limit) = limit {
            self.shrink_to_minimum(&mut widths, limit);
            self.squeeze(&mut widths, limit);
        }
        widths
    }

    fn natural_widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (column, cell) in cells.iter().enumerate() {
                    widths[column] = widths[column].max(width(&cell.text));
                }
            }
        }
        for (column, (heading, _)) in self.columns.iter().enumerate() {
            if widths[column] > 0 {
                widths[column] = widths[column].max(width(heading));
            }
        }
        widths
    }

    fn shrink_to_minimum(&self, widths: &mut [usize], limit: usize) {
        self.shrink(widths, limit, |shrink| matches!(shrink, Shrink::Drop(_)));
        self.drop(widths, limit);
        self.shrink(widths, limit, |shrink| matches!(shrink, Shrink::Middle(_)));
        self.shrink(widths, limit, |shrink| matches!(shrink, Shrink::End(_) | Shrink::Pair(_)));
    }

    /// Takes columns away one by one from the widest of those chosen, until the table fits or all are at their
    /// minimum.
    fn shrink(&self, widths: &mut [usize], limit: usize, chosen: impl Fn(Shrink) -> bool) {
        while total(widths) > limit {
            let widest = self
                .columns
                .iter()
                .enumerate()
                .filter(|(column, (heading, shrink))| {
                    let minimum = shrink.minimum().unwrap_or(usize::MAX).max(width(heading));
                    chosen(*shrink) && widths[*column] > minimum
                })
                .max_by_key(|(column, _)| widths[*column]);
            match widest {
                Some((column, _)) => widths[column] -= 1,
                None => return,
            }
        }
    }

    fn drop(&self, widths: &mut [usize], limit: usize) {
        for (column, (_, shrink)) in self.columns.iter().enumerate().rev() {
            if total(widths) > limit && matches!(shrink, Shrink::Drop(_)) {
                widths[column] = 0;
            }
        }
    }

    /// The last resort of a very narrow terminal: columns go below their minimum rather than wrap, those that must not
    /// shrink last.
    fn squeeze(&self, widths: &mut [usize], limit: usize) {
        for never_too in [false, true] {
            while total(widths) > limit {
                let widest = (0..widths.len())
                    .filter(|column| widths[*column] > 3 && (never_too || self.columns[*column].1 != Shrink::Never))
                    .max_by_key(|column| widths[*column]);
                match widest {
                    Some(column) => widths[column] -= 1,
                    None => break,
                }
            }
        }
    }
}

fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("WORKLOAD", Shrink::Middle(12)),
            ("IMAGE", Shrink::Middle(12)),
            ("STATUS", Shrink::Never),
            ("FILE", Shrink::Drop(10)),
        ]);
        table.row(vec![
            Cell::new("dev:helmrelease/podinfo-with-a-long-name"),
            Cell::new("registry.example.com/team/podinfo"),
            Cell::styled("update", style::UPDATE),
            Cell::new("apps/dev/podinfo.yaml"),
        ]);
        table.row(vec![Cell::new("a"), Cell::new("b"), Cell::new("current")]);
        table
    }

    #[test]
    fn a_pipe_gets_every_cell_in_full() {
        let text = sample().render(Look::PLAIN);
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "dev:helmrelease/podinfo-with-a-long-name  registry.example.com/team/podinfo  update   apps/dev/podinfo.yaml"
        );
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for limit in 24..140 {
            let text = sample().render(Look { color: false, width: Some(limit) });
            for line in text.lines() {
                assert!(width(line) <= limit, "{limit}: {line}");
            }
            if limit >= 40 {
                assert!(text.contains("update"), "{limit}");
            }
        }
    }

    #[test]
    fn the_droppable_column_goes_before_images_are_cut() {
        let text = sample().render(Look { color: false, width: Some(90) });
        assert!(!text.contains("FILE") && text.contains("registry.example.com/team/podinfo"), "{text}");
    }

    #[test]
    fn colour_adds_nothing_but_escape_sequences() {
        let colored = sample().render(Look { color: true, width: None });
        assert!(colored.contains("\x1b["));
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), sample().render(Look::PLAIN));
    }

    #[test]
    fn cells_are_escaped_and_empty_columns_go() {
        let mut table = Table::new(&[("A", Shrink::Never), ("B", Shrink::Never), ("C", Shrink::Never)]);
        table.row(vec![Cell::new("x\x1b[2J"), Cell::new(""), Cell::new("y")]);
        assert_eq!(table.render(Look::PLAIN), "A         C\nx\\x1b[2J  y\n");
        assert_eq!(Table::new(&[("A", Shrink::Never)]).render(Look::PLAIN), "");
    }
}
