//! Stacks as a tree, and the tree as boxes: what stands on what, how wide, and in which layer.

use std::collections::BTreeMap;

use super::{FlameGraph, Stacks};

/// One frame in its place: its samples and those of all that it called, in both profiles.
#[derive(Debug, Default)]
struct FrameNode {
    samples: u64,
    against: u64,
    called: BTreeMap<String, FrameNode>,
}

impl FrameNode {
    fn grow(&mut self, stacks: &Stacks, count: fn(&mut FrameNode) -> &mut u64) {
        for (frames, times) in stacks.iter() {
            *count(self) += times;
            let mut node = &mut *self;
            for frame in frames {
                node = node.called.entry(frame.clone()).or_default();
                *count(node) += times;
            }
        }
    }
}

/// A frame that is drawn. Places are shares of the width of all.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) depth: usize,
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) us: f64,
    /// What it costs in the other profile.
    pub(super) against_us: Option<f64>,
    pub(super) layer: Option<usize>,
}

/// Every frame that is at least `narrowest` wide, callers before what they called.
pub(super) fn place(flame: &FlameGraph<'_>, narrowest: f64) -> Vec<Placed> {
    let mut root = FrameNode::default();
    root.grow(flame.profile.stacks, |node| &mut node.samples);
    if let Some(against) = flame.against {
        root.grow(against.stacks, |node| &mut node.against);
    }
    let mut placing = Placing { flame, narrowest, all: root.samples.max(1), placed: Vec::new() };
    placing.place(&root, "all", 0, 0.0, None);
    placing.placed
}

struct Placing<'a> {
    flame: &'a FlameGraph<'a>,
    narrowest: f64,
    all: u64,
    placed: Vec<Placed>,
}

impl Placing<'_> {
    fn place(
        &mut self,
        node: &FrameNode,
        name: &str,
        depth: usize,
        left: f64,
        within: Option<usize>,
    ) {
        let width = node.samples as f64 / self.all as f64;
        if width < self.narrowest {
            return;
        }
        let layer = (self.flame.layer)(name).or(within);
        self.placed.push(Placed {
            name: name.to_owned(),
            depth,
            left,
            width,
            us: self.flame.profile.us(node.samples),
            against_us: self.flame.against.map(|against| against.us(node.against)),
            layer,
        });
        let mut left = left;
        for (name, called) in &node.called {
            self.place(called, name, depth + 1, left, layer);
            left += called.samples as f64 / self.all as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::FlameProfile;
    use super::super::tests::stacks;
    use super::*;

    fn layer(name: &str) -> Option<usize> {
        ["kernel", "tls"].iter().position(|layer| name.starts_with(layer))
    }

    #[test]
    fn frames_stand_on_their_callers_and_beside_each_other() {
        let own = stacks(&[("serve;tls;aes", 2), ("serve;read;kernel", 5), ("serve", 1)]);
        let flame = FlameGraph {
            title: "",
            lines: &[],
            profile: FlameProfile { name: "S1", stacks: &own, request_us: 16.0 },
            against: None,
            layer: &layer,
            legend: &[],
        };
        let frame = |(name, depth, left, width, us, layer): (&str, _, _, _, _, _)| {
            let (name, against_us) = (name.to_owned(), None);
            Placed { name, depth, left, width, us, against_us, layer }
        };
        let expected = [
            ("all", 0, 0.0, 1.0, 16.0, None),
            ("serve", 1, 0.0, 1.0, 16.0, None),
            ("read", 2, 0.0, 0.625, 10.0, None),
            ("kernel", 3, 0.0, 0.625, 10.0, Some(0)),
            ("tls", 2, 0.625, 0.25, 4.0, Some(1)),
            ("aes", 3, 0.625, 0.25, 4.0, Some(1)),
        ];
        assert_eq!(place(&flame, 0.0), expected.map(frame));
        assert_eq!(place(&flame, 0.5).len(), 4);
    }

    #[test]
    fn differences_are_taken_per_request_and_not_by_samples() {
        // Twice the samples at the same cost of a request: no difference.
        let (own, other) = (stacks(&[("a;b", 4), ("a;c", 4)]), stacks(&[("a;b", 2), ("a;d", 2)]));
        let profile = FlameProfile { name: "S4", stacks: &own, request_us: 8.0 };
        let flame = FlameGraph {
            title: "",
            lines: &[],
            profile,
            against: Some(FlameProfile { name: "S1", stacks: &other, request_us: 8.0 }),
            layer: &|_| None,
            legend: &[],
        };
        let of = |name: &str| {
            let placed = place(&flame, 0.0);
            let frame = placed.iter().find(|frame| frame.name == name).cloned();
            frame.map(|frame| (frame.us, frame.against_us))
        };
        assert_eq!(of("a"), Some((8.0, Some(8.0))));
        assert_eq!(of("b"), Some((4.0, Some(4.0))));
        assert_eq!(of("c"), Some((4.0, Some(0.0))));
        // What only the other profile has is no part of this one's width.
        assert_eq!(of("d").map(|(us, _)| us), Some(0.0));
    }
}
