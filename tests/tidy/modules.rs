//! The modules of a crate and who uses whom, read from the sources as text: `use` trees and paths
//! written out, tests left out, re-exports followed to where a name is defined.
//!
//! A module is a file. It points at the module that defines what it names. It refuses to know
//! macros, and names that come by `*`; both point at the module that they were taken from.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::imports::{Named, read};

/// A module's path inside its crate; empty is the crate's root.
pub(crate) type ModulePath = Vec<String>;

/// The modules of one crate and their arrows.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// Each module with the modules that it uses, itself left out.
    pub(crate) uses: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

impl Modules {
    /// The modules of the crate in `folder`, which is `.` for the package on top.
    pub(crate) fn of(folder: &str, sources: &[Source]) -> Modules {
        let top = if folder == "." { "src/".to_string() } else { format!("{folder}/src/") };
        let mut named = BTreeMap::new();
        for source in sources.iter().filter(|source| !source.is_test()) {
            if let Some(path) = source.path.strip_prefix(&top) {
                named.insert(module_path(path), read(source));
            }
        }
        let mut modules = Modules::default();
        for (module, named_here) in &named {
            let all = named_here.paths.iter().chain(named_here.names.values());
            let targets = all.filter_map(|path| follow(&named, module, path, 0));
            let used: BTreeSet<ModulePath> = targets.filter(|target| target != module).collect();
            modules.uses.insert(module.clone(), used);
        }
        modules
    }

    /// The names on the first level, each with those that it uses.
    pub(crate) fn boxes(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut boxes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, used) in &self.uses {
            let Some(from) = module.first() else { continue };
            let names = used.iter().filter_map(|path| path.first()).filter(|name| *name != from);
            boxes.entry(from).or_default().extend(names.map(String::as_str));
        }
        boxes
    }

    /// The circles: sets of modules of which each leads to each other. A module and what lies below
    /// it are one thing for this, since a parent introduces its children and they share its types.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let levels: BTreeSet<&[String]> =
            self.uses.keys().filter_map(|path| path.split_last()).map(|(_, level)| level).collect();
        for level in levels {
            found.extend(strongly_connected(&self.siblings(level)));
        }
        found
    }

    /// The names below one module with those of them that each uses, whatever lies below them.
    fn siblings(&self, level: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let name = |path: &ModulePath| {
            (path.len() > level.len() && path.starts_with(level))
                .then(|| path[..=level.len()].join("::"))
        };
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, used) in &self.uses {
            let Some(from) = name(module) else { continue };
            let targets = used.iter().filter_map(name).filter(|target| *target != from);
            let targets: Vec<String> = targets.collect();
            graph.entry(from).or_default().extend(targets);
        }
        graph
    }
}

/// `serve.rs` and `serve/mod.rs` are the module `serve`.
fn module_path(file: &str) -> ModulePath {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") {
        return Vec::new();
    }
    stem.split('/').map(str::to_string).collect()
}

/// Follows a path from `module` to the module that defines its end; `None` where it leads out of
/// the crate.
fn follow(
    named: &BTreeMap<ModulePath, Named>,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let (first, mut rest) = path.split_first()?;
    let mut place = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        name => {
            let below = [module, &[name.to_string()]].concat();
            if named.contains_key(&below) {
                below
            } else {
                // A name that a `use` of this module brought in points where that one points.
                return None;
            }
        }
    };
    while let Some((name, after)) = rest.split_first() {
        let below = [place.as_slice(), std::slice::from_ref(name)].concat();
        if name == "super" {
            place.pop();
        } else if named.contains_key(&below) {
            place = below;
        } else {
            let known = named.get(&place).and_then(|named_here| named_here.names.get(name));
            let further = known.filter(|_| depth < 8);
            return match further {
                Some(path) => follow(named, &place, path, depth + 1),
                None => Some(place),
            };
        }
        rest = after;
    }
    Some(place)
}

/// The sets of more than one name that lead to each other, each sorted.
fn strongly_connected(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (name.as_str(), reachable(graph, name))).collect();
    let mut found = BTreeSet::new();
    for (name, far) in &reach {
        let circle: Vec<String> = far
            .iter()
            .filter(|other| reach.get(**other).is_some_and(|back| back.contains(name)))
            .map(ToString::to_string)
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(graph.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source { path: format!("a/src/{path}"), text: text.to_string() })
            .collect();
        Modules::of("a", &sources)
    }

    fn uses(modules: &Modules, module: &str) -> Vec<String> {
        modules.uses[&vec![module.to_string()]].iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn trees_paths_and_re_exports_lead_to_the_defining_module() {
        let modules = modules(&[
            ("lib.rs", "mod one;\nmod two;\npub use two::{Two, below::Three as Third};"),
            ("one.rs", "use crate::{Two, two::{self, below::*}};\nuse std::fmt;"),
            ("two/mod.rs", "pub mod below;\n// crate::one::Comment\nlet a = \"crate::one::Text\";"),
            ("two/below.rs", "fn a() -> impl Iterator + use<'_> { crate::Third::new() }"),
            ("four.rs", "fn a() { super::two::below::free() }\n#[cfg(test)]\nuse crate::one;"),
        ]);
        assert_eq!(uses(&modules, "one"), ["two", "two::below"]);
        assert_eq!(uses(&modules, "two"), [""; 0]);
        assert_eq!(uses(&modules, "four"), ["two::below"]);
        assert_eq!(modules.circles(), [[""; 0]; 0]);
    }

    #[test]
    fn circles_are_found_at_every_level() {
        let modules = modules(&[
            ("lib.rs", ""),
            ("one.rs", "use crate::two::X;"),
            ("two.rs", "fn a() { crate::three::f() }"),
            ("three.rs", "use super::one::Y;"),
            ("deep.rs", "use self::a::A;"),
            ("deep/a.rs", "use super::{b::B, Shared};"),
            ("deep/b.rs", "use super::a::A;"),
        ]);
        assert_eq!(modules.circles(), [vec!["one", "three", "two"], vec!["deep::a", "deep::b"]]);
    }
}
