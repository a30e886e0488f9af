//! The words of an expression: numbers with their units, names, signs. Refuses characters that
//! mean nothing, and says where they stand.

use super::ThresholdError;
use super::metric::Dimension;

/// A word and where it begins, in characters from 1, and in bytes from 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) column: usize,
    pub(super) token: Lexeme,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lexeme {
    /// A number, times in microseconds.
    Number(f64, Dimension),
    /// Letters, digits, `_`, and `-` between them.
    Name(String),
    /// What stands in quotes.
    Quoted(String),
    /// One of the signs.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// Two-character signs before the ones that they begin with.
const SIGNS: [&str; 11] = [">=", "<=", ">", "<", "+", "-", "*", "/", "(", ")", "."];

/// Units of numbers: name, factor, dimension.
const UNITS: [(&str, f64, Dimension); 5] = [
    ("ns", 0.001, Dimension::Time),
    ("us", 1.0, Dimension::Time),
    ("ms", 1_000.0, Dimension::Time),
    ("s", 1_000_000.0, Dimension::Time),
    ("%", 0.01, Dimension::Share),
];

/// Takes the whole text apart; the last word is [`Lexeme::End`].
pub(super) fn words(text: &str) -> Result<Vec<Word>, ThresholdError> {
    let mut lexer = Lexer { text, at: 0, words: Vec::new() };
    while let Some(next) = lexer.rest().chars().next() {
        if next.is_whitespace() {
            lexer.at += next.len_utf8();
        } else {
            lexer.word(next)?;
        }
    }
    lexer.push(lexer.at, Lexeme::End);
    Ok(lexer.words)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    words: Vec<Word>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn push(&mut self, from: usize, token: Lexeme) {
        self.words.push(Word { column: self.column(from), token });
    }

    fn word(&mut self, first: char) -> Result<(), ThresholdError> {
        let from = self.at;
        let token = match first {
            '0'..='9' => self.number()?,
            '"' | '\'' => self.quoted(first)?,
            first if first.is_alphabetic() || first == '_' => self.name(),
            first => {
                let sign = SIGNS.iter().find(|sign| self.rest().starts_with(**sign));
                let Some(sign) = sign else {
                    return ThresholdError::at(self.column(from), unknown(first));
                };
                self.at += sign.len();
                Lexeme::Sign(sign)
            }
        };
        self.push(from, token);
        Ok(())
    }

    /// Takes characters as long as they are wanted.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<Lexeme, ThresholdError> {
        let from = self.at;
        let digits = self.take(|c| c.is_ascii_digit() || c == '.');
        let value: Option<f64> = digits.parse().ok();
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return ThresholdError::at(self.column(from), format!("{digits:?} is no number"));
        };
        let after = self.at;
        self.take(char::is_whitespace);
        let unit_at = self.at;
        let unit = if self.rest().starts_with('%') {
            self.at += 1;
            "%"
        } else {
            self.take(|c| c.is_alphanumeric() || c == '_')
        };
        if let Some((_, factor, dimension)) = UNITS.iter().find(|(name, ..)| *name == unit) {
            return Ok(Lexeme::Number(value * factor, *dimension));
        }
        if unit_at == after && !unit.is_empty() {
            let known: Vec<&str> = UNITS.iter().map(|(name, ..)| *name).collect();
            return ThresholdError::at(
                self.column(unit_at),
                format!(
                    "{unit:?} is no unit; use one of {}, or quotes around a name that begins \
                     with a digit",
                    known.join(", ")
                ),
            );
        }
        // What follows after a blank and is no unit is the next word.
        self.at = after;
        Ok(Lexeme::Number(value, Dimension::Number))
    }

    fn quoted(&mut self, quote: char) -> Result<Lexeme, ThresholdError> {
        let from = self.at;
        self.at += quote.len_utf8();
        let name = self.take(|c| c != quote);
        if !self.rest().starts_with(quote) {
            return ThresholdError::at(self.column(from), "this quote is never closed");
        }
        self.at += quote.len_utf8();
        Ok(Lexeme::Quoted(name.to_owned()))
    }

    /// A name. `-` is part of it between two letters or digits, as in `s4-repeat`; but not behind
    /// a dot, for no metric has one and `S1.x-S0.x` is a difference.
    fn name(&mut self) -> Lexeme {
        let from = self.at;
        let is_metric = matches!(self.words.last(), Some(Word { token: Lexeme::Sign("."), .. }));
        let letter = |c: char| c.is_alphanumeric() || c == '_';
        loop {
            self.take(letter);
            let mut next = self.rest().chars();
            let joined = next.next() == Some('-') && next.next().is_some_and(letter);
            if is_metric || !joined {
                return Lexeme::Name(self.text[from..self.at].to_owned());
            }
            self.at += 1;
        }
    }
}

fn unknown(c: char) -> String {
    match c {
        '=' | '!' => "only >, >=, < and <= compare: two measured figures are never equal".into(),
        '&' | '|' => "conditions are joined with the words `and` and `or`".into(),
        _ => format!("{c:?} means nothing here"),
    }
}
