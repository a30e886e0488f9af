//! From words to a tree, by recursive descent:
//!
//! ```text
//! either  = both ("or" both)*
//! both    = compare ("and" compare)*
//! compare = sum ((">" | ">=" | "<" | "<=") sum)?
//! sum     = product (("+" | "-") product)*
//! product = part (("*" | "/") part)*
//! part    = "-" part | "(" either ")" | NUMBER | "baseline" | NAME "." METRIC
//! ```
//! Depth is limited; whether a bracket holds a condition or a figure is checked on the tree.

use super::ThresholdError;
use super::lex::{Lexeme, Word, words};
use super::metric::{self, Metric};
use super::tree::{Arithmetic, Expr, ExprKind, Figure, Relation};

/// The deepest nesting of brackets and signs: no one reads more, and each level costs stack.
const DEPTH_MAX: usize = 32;

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Expr, ThresholdError> {
    let words = words(text)?;
    let mut parser = Parser { words: &words, at: 0, depth: 0 };
    let tree = parser.either()?;
    match parser.peek() {
        Lexeme::End => tree.checked(),
        Lexeme::Sign(">" | ">=" | "<" | "<=") => {
            parser.refuse("a condition has one comparison: join two with `and`")
        }
        _ => parser.refuse("an operator was expected here: + - * / > >= < <= `and` `or`"),
    }
}

struct Parser<'a> {
    words: &'a [Word],
    at: usize,
    depth: usize,
}

type Parsed = Result<Expr, ThresholdError>;

impl Parser<'_> {
    fn peek(&self) -> &Lexeme {
        &self.words[self.at].token
    }

    fn column(&self) -> usize {
        self.words[self.at].column
    }

    /// Goes on by one word; the end is never passed.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.words.len() - 1);
    }

    fn refuse<T>(&self, sentence: &str) -> Result<T, ThresholdError> {
        ThresholdError::at(self.column(), sentence)
    }

    fn is_keyword(&self, word: &str) -> bool {
        matches!(self.peek(), Lexeme::Name(name) if name.eq_ignore_ascii_case(word))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Lexeme::Sign(found) if *found == sign)
    }

    fn either(&mut self) -> Parsed {
        let mut left = self.both()?;
        while self.is_keyword("or") {
            let column = self.column();
            self.advance();
            left = Expr { column, kind: ExprKind::Either(Box::new([left, self.both()?])) };
        }
        Ok(left)
    }

    fn both(&mut self) -> Parsed {
        let mut left = self.compare()?;
        while self.is_keyword("and") {
            let column = self.column();
            self.advance();
            left = Expr { column, kind: ExprKind::Both(Box::new([left, self.compare()?])) };
        }
        Ok(left)
    }

    fn compare(&mut self) -> Parsed {
        let left = self.sum()?;
        let order = match self.peek() {
            Lexeme::Sign(">") => Relation::More,
            Lexeme::Sign(">=") => Relation::MoreOrEqual,
            Lexeme::Sign("<") => Relation::Less,
            Lexeme::Sign("<=") => Relation::LessOrEqual,
            _ => return Ok(left),
        };
        let column = self.column();
        self.advance();
        Ok(Expr { column, kind: ExprKind::Compare(order, Box::new([left, self.sum()?])) })
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let sign = match self.peek() {
                Lexeme::Sign("+") => Arithmetic::Plus,
                Lexeme::Sign("-") => Arithmetic::Minus,
                _ => return Ok(left),
            };
            left = self.arithmetic(sign, left, Parser::product)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.part()?;
        loop {
            let sign = match self.peek() {
                Lexeme::Sign("*") => Arithmetic::Times,
                Lexeme::Sign("/") => Arithmetic::Over,
                _ => return Ok(left),
            };
            left = self.arithmetic(sign, left, Parser::part)?;
        }
    }

    fn arithmetic(
        &mut self,
        sign: Arithmetic,
        left: Expr,
        right: fn(&mut Self) -> Parsed,
    ) -> Parsed {
        let column = self.column();
        self.advance();
        Ok(Expr { column, kind: ExprKind::Arithmetic(sign, Box::new([left, right(self)?])) })
    }

    fn part(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.refuse(&format!("more than {DEPTH_MAX} levels of brackets and signs"));
        }
        let part = self.shallow_part();
        self.depth -= 1;
        part
    }

    fn shallow_part(&mut self) -> Parsed {
        let column = self.column();
        let kind = match self.peek().clone() {
            Lexeme::Number(value, dimension) => {
                self.advance();
                ExprKind::Number(value, dimension)
            }
            Lexeme::Sign("-") => {
                self.advance();
                ExprKind::Negative(Box::new(self.part()?))
            }
            Lexeme::Sign("(") => {
                self.advance();
                let inner = self.either()?;
                if !self.is_sign(")") {
                    return self.refuse(&format!(
                        "the bracket of column {column} is not closed: a `)` was expected here"
                    ));
                }
                self.advance();
                return Ok(inner);
            }
            Lexeme::Name(name) => self.figure_or_baseline(name)?,
            Lexeme::Quoted(name) => {
                self.advance();
                self.metric_of(name)?
            }
            Lexeme::Sign(_) | Lexeme::End => {
                return self.refuse(
                    "a figure was expected here: VARIANT.METRIC, LAYER.METRIC, a number, or \
                     `baseline`",
                );
            }
        };
        Ok(Expr { column, kind })
    }

    /// A name is one word or several with blanks, such as `S4 repeat`, up to the dot.
    fn figure_or_baseline(&mut self, first: String) -> Result<ExprKind, ThresholdError> {
        self.advance();
        if first.eq_ignore_ascii_case("baseline") && !self.is_sign(".") {
            return Ok(ExprKind::Baseline);
        }
        let mut name = first;
        while let Lexeme::Name(word) = self.peek() {
            if self.is_keyword("and") || self.is_keyword("or") {
                break;
            }
            name = format!("{name} {word}");
            self.advance();
        }
        self.metric_of(name)
    }

    fn metric_of(&mut self, name: String) -> Result<ExprKind, ThresholdError> {
        if !self.is_sign(".") {
            return self.refuse(&format!(
                "a dot and a metric were expected behind {name:?}, as in \
                 `S4.cpu_us_per_request`; blanks go around a minus, and quotes around a name \
                 with other signs"
            ));
        }
        self.advance();
        let known = || metric::ALL.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
        let Lexeme::Name(word) = self.peek() else {
            return self.refuse(&format!("a metric was expected here, one of {}", known()));
        };
        let found: Option<&'static Metric> = metric::find(word);
        let Some(metric) = found else {
            return self.refuse(&format!("{word:?} is no metric; there are {}", known()));
        };
        self.advance();
        Ok(ExprKind::Figure(Figure { name, metric, of_baseline: false }))
    }
}
