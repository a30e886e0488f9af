//! Which module of a crate may use which: no circles, and no arrow against the layers that
//! ARCHITECTURE.md draws; and how many names stand on one level of a folder.
//!
//! A layer line stands in a fenced block of that page:
//!
//! ```text
//! services: boot > gateway orders > store > limits error
//! ```
//!
//! It lists every name on the first level of the crate's `src/`. A name may use those to its right
//! and those of its own group. A line that begins with `>` goes on with the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::crates::ARROWS;
use crate::modules::Modules;
use crate::{Source, report, root, sources};

/// Circles of modules that are still to be cut, crate by crate. A circle that is not listed fails,
/// and so does a listed one that is gone: the list only shrinks.
const KNOWN_CIRCLES: &[(&str, &str)] = &[];

/// The most names on the first level of a crate's `src/`.
const CRATE_NAMES_MAX: usize = 14;

/// The crates whose folders may hold more, and why.
const WIDE_CRATES: &[(&str, usize, &str)] =
    &[("metrics-export", 18, "a file a format, which reads well side by side")];

/// The most names in a folder below that.
const FOLDER_NAMES_MAX: usize = 20;

/// Folders that are still to be divided. The list only shrinks.
const KNOWN_WIDE: &[&str] = &[];

/// Modules that are to become crates: they use nothing else of the crate they stand in.
const STANDALONE: &[(&str, &str)] = &[("loadgen", "traffic")];

/// The groups of a crate's names, the one that uses all others first.
type Layers<'a> = Vec<Vec<&'a str>>;

/// How the package on top is called in a layer line.
const TOP: &str = "tollgate";

#[test]
fn modules_have_no_circles() {
    let sources = sources();
    for (folder, _) in ARROWS {
        let found: Vec<String> =
            Modules::of(folder, &sources).circles().iter().map(|names| names.join(" ")).collect();
        let known = KNOWN_CIRCLES.iter().filter(|(name, _)| *name == folder);
        let known: Vec<&str> = known.map(|(_, names)| *names).collect();
        assert_eq!(found, known, "circles of modules in {folder}, found and known");
    }
}

#[test]
fn modules_use_only_what_the_layers_allow() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let drawn = layers(&page);
    assert!(drawn.contains_key(TOP), "ARCHITECTURE.md has no layer line of {TOP}");
    let sources = sources();
    let mut found = Vec::new();
    for (name, layers) in &drawn {
        let folder = if *name == TOP { "." } else { name };
        found.extend(against(name, layers, &Modules::of(folder, &sources)));
    }
    report("modules against the layers of ARCHITECTURE.md", &found);
}

/// What of a crate is not as its layers say.
fn against(name: &str, layers: &Layers<'_>, modules: &Modules) -> Vec<String> {
    let boxes = modules.boxes();
    let place = |wanted: &str| layers.iter().position(|group| group.contains(&wanted));
    let mut found = Vec::new();
    let listed: Vec<&str> = layers.iter().flatten().copied().collect();
    for gone in listed.iter().filter(|listed| !boxes.contains_key(**listed)) {
        found.push(format!("{name}: {gone} is listed and is not there"));
    }
    for (from, used) in &boxes {
        let Some(own) = place(from) else {
            found.push(format!("{name}: {from} is not listed"));
            continue;
        };
        for target in used.iter().filter(|target| place(target).is_some_and(|to| to < own)) {
            found.push(format!("{name}: {from} uses {target}, which stands above it"));
        }
    }
    found
}

/// The layer lines of the page, crate by crate.
fn layers(page: &str) -> BTreeMap<&str, Layers<'_>> {
    let mut crates: BTreeMap<&str, Layers<'_>> = BTreeMap::new();
    let (mut fenced, mut last) = (false, None);
    for line in page.lines() {
        if line.starts_with("```") {
            (fenced, last) = (!fenced, None);
            continue;
        }
        let known = |name: &&str| *name == TOP || ARROWS.iter().any(|(folder, _)| folder == name);
        let head = line.split_once(':').map(|(name, groups)| (name.trim(), groups));
        let (name, groups) = match head.filter(|(name, _)| known(name)) {
            Some((name, groups)) => (Some(name), groups),
            None if line.trim_start().starts_with('>') => {
                (last, line.trim_start().trim_start_matches('>'))
            }
            None => continue,
        };
        let Some(name) = name.filter(|_| fenced) else { continue };
        let groups = groups.split('>').map(|group| group.split_whitespace().collect());
        crates.entry(name).or_default().extend(groups);
        last = Some(name);
    }
    crates
}

#[test]
fn levels_have_few_names() {
    let mut found = Vec::new();
    let sources = sources();
    let levels = names_on_levels(&sources);
    for (level, names) in &levels {
        let (count, limit, known) = (names.len(), limit(level), KNOWN_WIDE.contains(level));
        if count > limit && !known {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            found.push(format!("{level}: {count} names, at most {limit}: {}", names.join(" ")));
        } else if count <= limit && known {
            found.push(format!("{level}: {count} names are few enough, take it off the list"));
        }
    }
    report("folders with many names", &found);
}

/// The most names on a level.
fn limit(level: &str) -> usize {
    let name = match level.strip_suffix("/src") {
        Some(name) => name,
        None if level == "src" => TOP,
        None => return FOLDER_NAMES_MAX,
    };
    let wide = WIDE_CRATES.iter().find(|(wide, ..)| *wide == name);
    wide.map_or(CRATE_NAMES_MAX, |(_, names, _)| *names)
}

/// Each folder of sources with its names: a file and the folder of the same name are one.
fn names_on_levels(sources: &[Source]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut levels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let code = sources.iter().filter(|source| source.path.contains("src/") && !source.is_test());
    for source in code.filter(|source| !source.path.starts_with("benches/")) {
        let mut path = source.path.trim_end_matches(".rs");
        while let Some((level, name)) = path.rsplit_once('/') {
            if !matches!(name, "mod" | "lib" | "main") {
                levels.entry(level).or_default().insert(name.to_string());
            }
            if level.ends_with("src") {
                break;
            }
            path = level;
        }
    }
    levels
}

#[test]
fn what_is_to_become_a_crate_stands_alone() {
    let sources = sources();
    for (folder, module) in STANDALONE {
        let modules = Modules::of(folder, &sources);
        let inside =
            modules.uses.iter().filter(|(path, _)| path.first().is_some_and(|m| m == module));
        let leaks: Vec<String> = inside
            .flat_map(|(path, used)| used.iter().map(move |target| (path, target)))
            .filter(|(_, target)| target.first().is_none_or(|name| name != module))
            .map(|(path, target)| format!("{}: {}", path.join("::"), target.join("::")))
            .collect();
        report(&format!("uses of {folder} outside {module}"), &leaks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_lines_are_read_from_fenced_blocks() {
        let page = "services: not this\n```\nservices: a b > c\n  > d\nother: x\n```\n> e\n";
        let read = layers(page);
        assert_eq!(read.len(), 1);
        assert_eq!(read["services"], [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }

    #[test]
    fn arrows_go_to_the_right_or_stay_in_their_group() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "fn f() { crate::a::f() }"),
            ("d.rs", ""),
        ];
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source { path: format!("x/src/{path}"), text: text.to_string() })
            .collect();
        let modules = Modules::of("x", &sources);
        let found = against("x", &vec![vec!["a", "b"], vec!["c", "e"]], &modules);
        assert_eq!(
            found,
            [
                "x: e is listed and is not there",
                "x: c uses a, which stands above it",
                "x: d is not listed"
            ]
        );
    }

    #[test]
    fn a_file_and_its_folder_are_one_name() {
        let paths = ["src/main.rs", "src/a.rs", "src/a/b.rs", "src/c/mod.rs", "src/a/tests.rs"];
        let source = |path: &&str| Source { path: path.to_string(), text: String::new() };
        let sources: Vec<Source> = paths.iter().map(source).collect();
        let levels = names_on_levels(&sources);
        assert_eq!(levels["src"].iter().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(levels["src/a"].iter().collect::<Vec<_>>(), ["b"]);
    }
}
