//! Flame graphs: stacks of a profile in, one SVG out that stands alone.
//!
//! A profile counts samples, and counts of two profiles cannot be compared: one served more
//! requests. So widths are what a request costs, in microseconds: the share of the samples times
//! the CPU that was measured for a request. A graph that is drawn against another profile is as
//! wide as its own, and coloured by what each frame costs more or less than in the other. It
//! refuses to know what a frame's name means; who names layers hands over which it is.

mod draw;
mod tree;

use std::collections::BTreeMap;

/// Stacks with how often each was sampled. Frames go from the outermost caller to what ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks(BTreeMap<Vec<String>, u64>);

impl Stacks {
    /// Counts a stack `times` more.
    pub fn add(&mut self, frames: Vec<String>, times: u64) {
        *self.0.entry(frames).or_default() += times;
    }

    /// All samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each stack with its samples, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.0.iter().map(|(frames, times)| (frames.as_slice(), *times))
    }

    /// The text that flame graph tools call folded: a line a stack, frames between semicolons, the
    /// samples behind a space.
    #[must_use]
    pub fn folded(&self) -> String {
        self.iter().map(|(frames, times)| format!("{} {times}\n", frames.join(";"))).collect()
    }
}

/// A profile and what a request cost in it.
#[derive(Clone, Copy, Debug)]
pub struct FlameProfile<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its stacks.
    pub stacks: &'a Stacks,
    /// CPU of a request in microseconds; all stacks together.
    pub request_us: f64,
}

impl FlameProfile<'_> {
    /// What so many of its samples are, in microseconds of a request.
    #[must_use]
    pub fn us(&self, samples: u64) -> f64 {
        self.request_us * samples as f64 / self.stacks.total().max(1) as f64
    }
}

/// A flame graph to be drawn.
pub struct FlameGraph<'a> {
    /// The first line.
    pub title: &'a str,
    /// What else must be known to read it.
    pub lines: &'a [String],
    /// What is drawn.
    pub profile: FlameProfile<'a>,
    /// What it is compared with.
    pub against: Option<FlameProfile<'a>>,
    /// The number of the layer that a frame begins, by its name; none where it is its caller's.
    pub layer: &'a dyn Fn(&str) -> Option<usize>,
    /// The layers by their numbers, with what shall stand beside their colours.
    pub legend: &'a [(usize, String)],
}

impl FlameGraph<'_> {
    /// The graph as a file.
    #[must_use]
    pub fn svg(&self) -> String {
        draw::svg(self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn stacks(folded: &[(&str, u64)]) -> Stacks {
        let mut stacks = Stacks::default();
        for (line, times) in folded {
            stacks.add(line.split(';').map(str::to_owned).collect(), *times);
        }
        stacks
    }

    #[test]
    fn equal_stacks_are_one_line() {
        let stacks = stacks(&[("a;c", 2), ("a;b", 1), ("a;c", 3)]);
        assert_eq!(stacks.folded(), "a;b 1\na;c 5\n");
        assert_eq!(stacks.total(), 6);
    }

    #[test]
    fn samples_are_a_share_of_the_request() {
        let stacks = stacks(&[("a", 30), ("b", 10)]);
        let profile = FlameProfile { name: "S4", stacks: &stacks, request_us: 8.0 };
        assert!((profile.us(30) - 6.0).abs() < 1e-9);
        let none = FlameProfile { stacks: &Stacks::default(), ..profile };
        assert!(none.us(0).abs() < 1e-9);
    }
}
