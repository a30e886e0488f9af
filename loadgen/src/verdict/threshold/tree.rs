//! An expression as a tree, and the rules of its units. A tree that was checked has comparisons
//! where truths are wanted and figures where figures are; nothing below refuses it for its shape.

use super::ThresholdError;
use super::metric::{Dimension, Metric};

/// A part of an expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    /// In characters from 1; of an operation, where its sign stands.
    pub(super) column: usize,
    pub(super) kind: ExprKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExprKind {
    /// A number, times in microseconds.
    Number(f64, Dimension),
    /// A figure of a variant or of a layer.
    Figure(Figure),
    /// The word `baseline`; none is left once the tree was checked.
    Baseline,
    Negative(Box<Expr>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    Compare(Relation, Box<[Expr; 2]>),
    /// `and`.
    Both(Box<[Expr; 2]>),
    /// `or`.
    Either(Box<[Expr; 2]>),
}

/// What is looked up in a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// A variant or a layer, as typed.
    pub(super) name: String,
    pub(super) metric: &'static Metric,
    /// Of the baseline run and not of the one that is judged.
    pub(super) of_baseline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
}

impl Relation {
    pub(super) fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Relation::More => left > right,
            Relation::MoreOrEqual => left >= right,
            Relation::Less => left < right,
            Relation::LessOrEqual => left <= right,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Relation::More => ">",
            Relation::MoreOrEqual => ">=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
        }
    }
}

impl Expr {
    /// The parts of this one.
    pub(super) fn parts(&self) -> &[Expr] {
        match &self.kind {
            ExprKind::Number(..) | ExprKind::Figure(_) | ExprKind::Baseline => &[],
            ExprKind::Negative(part) => std::slice::from_ref(part),
            ExprKind::Arithmetic(_, parts)
            | ExprKind::Compare(_, parts)
            | ExprKind::Both(parts)
            | ExprKind::Either(parts) => &parts[..],
        }
    }

    fn parts_mut(&mut self) -> &mut [Expr] {
        match &mut self.kind {
            ExprKind::Number(..) | ExprKind::Figure(_) | ExprKind::Baseline => &mut [],
            ExprKind::Negative(part) => std::slice::from_mut(part),
            ExprKind::Arithmetic(_, parts)
            | ExprKind::Compare(_, parts)
            | ExprKind::Both(parts)
            | ExprKind::Either(parts) => &mut parts[..],
        }
    }

    /// Every figure below, with its column, in the order of the text.
    pub(super) fn figures(&self) -> Vec<(usize, &Figure)> {
        match &self.kind {
            ExprKind::Figure(figure) => vec![(self.column, figure)],
            _ => self.parts().iter().flat_map(Expr::figures).collect(),
        }
    }

    /// The value of a sum whose figures `of` knows; None when one is not known.
    pub(super) fn value(&self, of: &dyn Fn(&Figure) -> Option<f64>) -> Option<f64> {
        match &self.kind {
            ExprKind::Number(value, _) => Some(*value),
            ExprKind::Figure(figure) => of(figure),
            ExprKind::Negative(part) => Some(-part.value(of)?),
            ExprKind::Arithmetic(sign, parts) => {
                let (left, right) = (parts[0].value(of)?, parts[1].value(of)?);
                Some(match sign {
                    Arithmetic::Plus => left + right,
                    Arithmetic::Minus => left - right,
                    Arithmetic::Times => left * right,
                    Arithmetic::Over => left / right,
                })
            }
            ExprKind::Baseline
            | ExprKind::Compare(..)
            | ExprKind::Both(_)
            | ExprKind::Either(_) => None,
        }
    }

    /// What a sum is counted in.
    pub(super) fn dimension(&self) -> Dimension {
        self.measure().unwrap_or(Dimension::Number)
    }

    /// Puts the figure that is meant in the place of each `baseline`, then checks the units.
    pub(super) fn checked(mut self) -> Result<Expr, ThresholdError> {
        self.name_baselines()?;
        match self.measure()? {
            Dimension::Truth => Ok(self),
            _ => ThresholdError::at(
                self.column,
                "this is a figure and no condition: compare it, as in \
                 `S4.cpu_us_per_request > 50 us`",
            ),
        }
    }

    fn name_baselines(&mut self) -> Result<(), ThresholdError> {
        if !matches!(self.kind, ExprKind::Compare(..)) {
            return self.parts_mut().iter_mut().try_for_each(Expr::name_baselines);
        }
        let mut meant: Vec<Figure> = Vec::new();
        for (_, figure) in self.figures() {
            if !meant.contains(figure) {
                meant.push(figure.clone());
            }
        }
        self.replace_baseline(&meant)
    }

    fn replace_baseline(&mut self, meant: &[Figure]) -> Result<(), ThresholdError> {
        if self.kind != ExprKind::Baseline {
            return self.parts_mut().iter_mut().try_for_each(|part| part.replace_baseline(meant));
        }
        match meant {
            [only] => {
                self.kind = ExprKind::Figure(Figure { of_baseline: true, ..only.clone() });
                Ok(())
            }
            [] => ThresholdError::at(
                self.column,
                "which figure of the baseline run? Compare a figure with it, as in \
                 `S4.cpu_us_per_request > 1.05 * baseline`",
            ),
            [_, _, ..] => ThresholdError::at(
                self.column,
                "which figure of the baseline run? This comparison names several: leave one, or \
                 make two comparisons with `or`",
            ),
        }
    }

    /// The unit of this part, where its parts go together.
    fn measure(&self) -> Result<Dimension, ThresholdError> {
        match &self.kind {
            ExprKind::Number(_, dimension) => Ok(*dimension),
            ExprKind::Figure(figure) => Ok(figure.metric.dimension),
            ExprKind::Baseline => Ok(Dimension::Number),
            ExprKind::Negative(part) => part.figure_dimension(),
            ExprKind::Arithmetic(sign, parts) => self.combine(*sign, parts),
            ExprKind::Compare(_, parts) => {
                self.alike(&parts[..], "compared")?;
                Ok(Dimension::Truth)
            }
            ExprKind::Both(parts) | ExprKind::Either(parts) => {
                for part in parts.iter() {
                    if part.measure()? != Dimension::Truth {
                        return ThresholdError::at(
                            part.column,
                            "`and` and `or` stand between comparisons, and this is a figure",
                        );
                    }
                }
                Ok(Dimension::Truth)
            }
        }
    }

    fn figure_dimension(&self) -> Result<Dimension, ThresholdError> {
        match self.measure()? {
            Dimension::Truth => ThresholdError::at(
                self.column,
                "a comparison is no figure: join comparisons with `and` or `or`",
            ),
            dimension => Ok(dimension),
        }
    }

    fn combine(&self, sign: Arithmetic, parts: &[Expr; 2]) -> Result<Dimension, ThresholdError> {
        if matches!(sign, Arithmetic::Plus | Arithmetic::Minus) {
            return self.alike(&parts[..], "added or subtracted");
        }
        let (left, right) = (parts[0].figure_dimension()?, parts[1].figure_dimension()?);
        match (sign, left, right) {
            (_, left, right) if right.is_bare() => Ok(left),
            (Arithmetic::Times, left, right) if left.is_bare() => Ok(right),
            (Arithmetic::Over, left, right) if left == right => Ok(Dimension::Number),
            (_, left, right) => ThresholdError::at(
                self.column,
                format!(
                    "{} and {} give no figure that could be compared: use a plain number for one",
                    left.describe(),
                    right.describe()
                ),
            ),
        }
    }

    /// What two parts that must be counted in the same unit are counted in.
    fn alike(&self, parts: &[Expr], done: &str) -> Result<Dimension, ThresholdError> {
        let (left, right) = (parts[0].figure_dimension()?, parts[1].figure_dimension()?);
        match (left, right) {
            (left, right) if left == right => Ok(left),
            (Dimension::Number, other) | (other, Dimension::Number) => Ok(other),
            (Dimension::Share, _) | (_, Dimension::Share) => ThresholdError::at(
                self.column,
                "a percentage can only multiply: write `1.05 * ..` for 5% more",
            ),
            (left, right) => ThresholdError::at(
                self.column,
                format!("{} and {} cannot be {done}", left.describe(), right.describe()),
            ),
        }
    }
}
