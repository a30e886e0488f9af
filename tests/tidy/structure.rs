//! The structure of the workspace in figures, none of which may grow:
//! `cargo test --test tidy structure -- --nocapture` prints them as `docs/structure.md` has them.

use std::fs;

use crate::crates::ARROWS;
use crate::figures::{
    Shape, errors_without_source, file_lines, quantile, same_named_types, text_errors,
};
use crate::modules::Modules;
use crate::{Source, report, root, sources};

/// Where each figure stands today. None of them may grow; whoever lowers one lowers its limit.
const FIGURES_MAX: &[(&str, usize)] = &[
    ("file lines, median", 160),
    ("file lines, 90th percentile", 350),
    ("types that share a name", 0),
    ("errors without a source", 0),
    ("public functions with a text as error", 0),
];

/// Types that may share a name, and why. Private to a file is no reason by itself.
const SHARED_NAMES: &[(&str, &str)] =
    &[("Error", "a crate's own, which is read with the crate's name: proto_http::Error")];

/// Errors that have no cause below them, and why.
const CAUSELESS: &[(&str, &str)] = &[
    ("authn/src/error/token.rs: TokenError", "a verdict on a token, compared on each request"),
    ("authn/src/grant/assertion.rs: AssertionError", "a verdict on an assertion"),
    ("authn/src/grant/error.rs: OAuthError", "a code of RFC 6749, and clients get no reason"),
    ("authn/src/owner.rs: NotAName", "a text outside of an alphabet"),
    ("authn/src/profile.rs: UnknownProfile", "a word that is in no table"),
    ("authn/src/scope.rs: UnknownScope", "a word that is in no table"),
    ("authn/src/tls/refusal.rs: PeerRefusal", "it is the cause, inside of an error of rustls"),
    ("loadgen/src/plan/targets.rs: TargetsError", "a line of a file that breaks its rules"),
    ("loadgen/src/traffic/workload.rs: WorkloadError", "a rule of HTTP that a request breaks"),
    ("loadgen/src/verdict/threshold.rs: ThresholdError", "a place in an expression"),
    ("loadgen/src/verdict/threshold/scene.rs: MissingFigure", "a record does not have it"),
    ("metrics-export/src/prometheus/parse.rs: ParseError", "a line of a page that is no sample"),
    ("proto-http/src/error.rs: Error", "a rule of HTTP that the bytes broke"),
    (
        "runtime/src/server/error.rs: Broken",
        "tells a service how to go on, after the cause was counted",
    ),
    ("runtime/src/url.rs: UrlError", "a rule of URLs that the text broke"),
    ("services/src/edge/json.rs: Invalid", "a sentence for the sender of a body"),
    ("services/src/gateway/fields.rs: FieldError", "a name that breaks a rule"),
    ("services/src/inventory/name.rs: BadName", "a text outside of an alphabet"),
];

#[test]
fn structure_in_figures() {
    let all = sources();
    let page = fs::read_to_string(root().join("docs/structure.md")).unwrap();
    let mut missing = Vec::new();
    println!("| crate | names | levels | arrows | circles |\n|---|---|---|---|---|");
    for (folder, _) in ARROWS {
        let Shape { boxes, levels, arrows, circles } = Shape::of(&Modules::of(folder, &all));
        let folder = if folder == "." { "src" } else { folder };
        let row = format!("| {folder} | {boxes} | {levels} | {arrows} | {circles} |");
        println!("{row}");
        if !page.contains(&row) {
            missing.push(row);
        }
    }
    let ours = |source: &Source| {
        source.path.contains("src/") && !source.is_test() && !source.path.starts_with("benches/")
    };
    let code: Vec<Source> = all.into_iter().filter(ours).collect();
    let lines = file_lines(&code);
    let mut types = same_named_types(&code);
    types.retain(|name, _| SHARED_NAMES.iter().all(|(shared, _)| shared != name));
    let mut causeless = errors_without_source(&code);
    causeless.retain(|error| CAUSELESS.iter().all(|(known, _)| known != error));
    let texts = text_errors(&code);
    let found =
        [quantile(&lines, 50), quantile(&lines, 90), types.len(), causeless.len(), texts.len()];
    println!("\n| figure | now | limit |\n|---|---|---|");
    for ((name, limit), now) in FIGURES_MAX.iter().zip(found) {
        println!("| {name} | {now} | {limit} |");
    }
    println!("| file lines, longest | {} | 500 |", lines.last().copied().unwrap_or_default());
    println!();
    for (name, files) in types {
        println!("type {name}: {}", files.join(" "));
    }
    println!("without source: {}", causeless.join("; "));
    println!("text as error: {}", texts.join(" "));
    report("rows that docs/structure.md should have", &missing);
    for ((name, limit), now) in FIGURES_MAX.iter().zip(found) {
        assert!(now <= *limit, "{name}: {now}, at most {limit}");
    }
}
