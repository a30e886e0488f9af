//! What a recording says, as tables for the terminal and as words for the graph: what each layer
//! costs a request, and which functions run most.
//!
//! A cost is the share of the samples times the CPU that was measured for a request without
//! `perf`. It reads no clock and no file.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use metrics_export::flame::{FlameProfile, Stacks};

use super::layers::{self, CpuLayer};

/// How wide the names of layers and of functions are in a terminal.
const LAYER_CHARS: usize = 27;
const FUNCTION_CHARS: usize = 48;

/// A function, and the layer for which it ran.
type Function = (String, CpuLayer);

/// What each layer costs in every profile, the last of which is asked about; of two also the
/// difference.
pub(super) fn by_layers(profiles: &[FlameProfile<'_>]) -> String {
    let layer = |frames: &[String]| Some(layers::of_stack(frames));
    let counts: Vec<_> = profiles.iter().map(|profile| count(profile.stacks, layer)).collect();
    let mut out = head("layer", LAYER_CHARS, profiles);
    let found = |layer: &CpuLayer| counts.iter().any(|counts| counts.contains_key(layer));
    for layer in CpuLayer::ALL.into_iter().filter(found) {
        let figures = figures(profiles, |place| counts[place].get(&layer).copied().unwrap_or(0));
        let _ = writeln!(out, "{:<LAYER_CHARS$}{figures}", layer.name());
    }
    let figures = figures(profiles, |place| profiles[place].stacks.total());
    let _ = writeln!(out, "{:<LAYER_CHARS$}{figures}", "all");
    out
}

/// The functions that run most in the last profile, without what they call.
pub(super) fn by_functions(profiles: &[FlameProfile<'_>], top: usize) -> String {
    let leaf = |frames: &[String]| Some((frames.last()?.clone(), layers::of_stack(frames)));
    let counts: Vec<BTreeMap<Function, u64>> =
        profiles.iter().map(|profile| count(profile.stacks, leaf)).collect();
    let mut most: Vec<(&Function, &u64)> = counts.last().into_iter().flatten().collect();
    // Equal ones keep the order of their names.
    most.sort_by_key(|(_, samples)| Reverse(**samples));
    let mut out = head("function, without what it calls", FUNCTION_CHARS, profiles);
    for (function, _) in most.into_iter().take(top) {
        let figures = figures(profiles, |place| counts[place].get(function).copied().unwrap_or(0));
        let (name, layer) = (shortened(&function.0), function.1.name());
        let _ = writeln!(out, "{name:<FUNCTION_CHARS$}{figures}  {layer}");
    }
    out
}

/// The legend of a graph: every layer that was seen, by its place, with what it costs.
pub(super) fn legend(
    profile: &FlameProfile<'_>,
    against: Option<&FlameProfile<'_>>,
) -> Vec<(usize, String)> {
    let counts = |profile: &FlameProfile<'_>| count(profile.stacks, |f| Some(layers::of_stack(f)));
    let (own, other) = (counts(profile), against.map(counts).unwrap_or_default());
    let words = |layer: CpuLayer| {
        let us = profile.us(own.get(&layer).copied().unwrap_or(0));
        let difference = against.map(|against| {
            let other = other.get(&layer).copied().unwrap_or(0);
            format!(" ({:+.2})", us - against.us(other))
        });
        format!("{} {us:.2} us{}", layer.name(), difference.unwrap_or_default())
    };
    let seen = |layer: &CpuLayer| own.contains_key(layer) || other.contains_key(layer);
    let layers = CpuLayer::ALL.into_iter().filter(seen);
    layers.map(|layer| (layer as usize, words(layer))).collect()
}

fn count<K: Ord>(stacks: &Stacks, key: impl Fn(&[String]) -> Option<K>) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for (frames, times) in stacks.iter() {
        if let Some(key) = key(frames) {
            *counts.entry(key).or_default() += times;
        }
    }
    counts
}

fn head(what: &str, width: usize, profiles: &[FlameProfile<'_>]) -> String {
    let mut out = format!("{what:<width$}");
    for profile in profiles {
        let _ = write!(out, " {:>9} {:>7}", shorter(profile.name, 6) + " us", "share");
    }
    if profiles.len() > 1 {
        let _ = write!(out, " {:>9}", "more, us");
    }
    out.push('\n');
    out
}

/// The figures of a row: samples of each profile, by its place.
fn figures(profiles: &[FlameProfile<'_>], samples: impl Fn(usize) -> u64) -> String {
    let mut out = String::new();
    for (place, profile) in profiles.iter().enumerate() {
        let samples = samples(place);
        let share = 100.0 * samples as f64 / profile.stacks.total().max(1) as f64;
        let _ = write!(out, " {:>9.2} {share:>6.1}%", profile.us(samples));
    }
    if let [against, profile] = profiles {
        let _ = write!(out, " {:>+9.2}", profile.us(samples(1)) - against.us(samples(0)));
    }
    out
}

/// A function's name in its column: the end of a path says more than its beginning.
fn shortened(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let room = FUNCTION_CHARS - 1;
    match chars.len().checked_sub(room) {
        None | Some(0) => name.to_owned(),
        Some(over) => format!("..{}", chars[over + 2..].iter().collect::<String>()),
    }
}

/// The first word of a variant's name: `S4` of `S4 uncached`.
fn shorter(name: &str, room: usize) -> String {
    name.split(' ').next().unwrap_or(name).chars().take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks(folded: &[(&str, u64)]) -> Stacks {
        let mut stacks = Stacks::default();
        for (line, times) in folded {
            stacks.add(line.split(';').map(str::to_owned).collect(), *times);
        }
        stacks
    }

    fn two() -> [Stacks; 2] {
        let tcp = "gateway;runtime::f;tcp_sendmsg_[k]";
        let aes = "gateway;rustls::conn::f;ring_core::aes_gcm_enc";
        let own = [(tcp, 60), (aes, 20), ("gateway;authn::token::jwt::f;ring_core::p256_mul", 120)];
        [stacks(&[(tcp, 30), (aes, 10)]), stacks(&own)]
    }

    #[test]
    fn layers_are_shares_of_what_a_request_costs() {
        let [other, own] = &two();
        let against = FlameProfile { name: "S1", stacks: other, request_us: 8.0 };
        let profile = FlameProfile { name: "S4 uncached", stacks: own, request_us: 20.0 };
        let expected = "\
layer                           S1 us   share     S4 us   share  more, us
kernel: TCP and sockets          6.00   75.0%      6.00   30.0%     +0.00
TLS records                      2.00   25.0%      2.00   10.0%     +0.00
JWT                              0.00    0.0%     12.00   60.0%    +12.00
all                              8.00  100.0%     20.00  100.0%    +12.00
";
        assert_eq!(by_layers(&[against, profile]), expected);
        let alone = "\
layer                           S1 us   share
kernel: TCP and sockets          6.00   75.0%
TLS records                      2.00   25.0%
all                              8.00  100.0%
";
        assert_eq!(by_layers(&[against]), alone);
        let legend = legend(&profile, Some(&against));
        assert_eq!(legend.len(), 3);
        assert_eq!(legend[2], (CpuLayer::Jwt as usize, "JWT 12.00 us (+12.00)".to_owned()));
    }

    #[test]
    fn functions_are_listed_by_layer_and_cost() {
        let [_, own] = &two();
        let profile = FlameProfile { name: "S4", stacks: own, request_us: 20.0 };
        let lines = by_functions(&[profile], 2);
        let lines: Vec<&str> = lines.lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("ring_core::p256_mul ") && lines[0].ends_with("60.0%  JWT"));
        assert!(lines[1].starts_with("tcp_sendmsg_[k] "), "{lines:?}");
    }

    #[test]
    fn long_names_keep_their_ends() {
        let long = format!("{}::the_end", "a".repeat(80));
        let short = shortened(&long);
        assert!(short.starts_with("..a") && short.ends_with("::the_end"));
        assert_eq!(short.chars().count(), FUNCTION_CHARS - 1);
        let fits = "b".repeat(FUNCTION_CHARS - 1);
        assert_eq!(shortened(&fits), fits);
    }
}
