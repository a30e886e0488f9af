//! The page as a whole: what stands in it, in which order, and that nothing of a record can become
//! markup. What it looks like is for a browser to say (`tests/report_page.rs`).

use hdrhistogram::Histogram;

use super::*;
use crate::run::Breach;
use crate::testing;

const HOSTILE: &str = "</style></title><script>alert(1)</script><img src=//x.test onerror=x> \"'&";

fn spectra(run: &Run) -> Vec<Spectrum> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    (1..20_000_u64).for_each(|value| histogram.record(value * 331).unwrap());
    let variants = run.plan.variants.iter();
    variants
        .flat_map(|variant| {
            ["response", "service"].map(|tag| Spectrum::of(&variant.id, tag, &histogram))
        })
        .collect()
}

#[test]
fn the_verdict_stands_before_every_figure() {
    let run = testing::full();
    let page = report(&run, &spectra(&run));
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    let place = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words} is missing"));
    let order = [
        "<h1>first try</h1>",
        "<strong>VALID</strong>",
        ">Settings</h2>",
        ">The answer</h2>",
        "TLS adds 10.0\u{a0}µs of server CPU to a request",
        "Cost of each layer per request",
        "Server CPU per request",
        "Response time, from the intended send",
        "CPU per new connection",
        "More CPU per request than S1, by requests per connection",
        ">Noise floor</h2>",
        "Do layers add up? (cached)",
        "id=\"cell-1\"",
        ">What this rests on</h2>",
        "Made-up CPU",
        "2 of 2 proofs held",
        "Disturbed slices: 1 of 2",
    ];
    // Some of these words stand in the head or in a table too; what counts is the first place.
    let body = place("<body>");
    let places: Vec<usize> = order
        .iter()
        .map(|words| body + page[body..].find(words).unwrap_or_else(|| panic!("no {words}")))
        .collect();
    let sorted: Vec<usize> = places[..places.len() - 3].to_vec();
    assert!(sorted.is_sorted(), "{sorted:?}");
}

#[test]
fn a_broken_run_says_so_first_and_at_the_answer() {
    let run = testing::broken(testing::full());
    let page = report(&run, &[]);
    assert!(page.contains("<strong>INVALID</strong>"), "{page}");
    assert!(page.contains("measure on a quieter host"));
    assert!(page.contains("Unverified: S1: token verified"));
    assert!(page.contains("The run is not valid"));
    assert!(page.contains("There is no curve for S0, S0 control, S1"), "{page}");
    let mut cut = testing::full();
    cut.complete = false;
    assert!(report(&cut, &[]).contains("The run was interrupted"));
}

#[test]
fn many_breaches_are_folded_behind_the_first() {
    let mut run = testing::broken(testing::full());
    let breach = |at: u32| Breach::of_sentence(&format!("The hypervisor took {at}% of the time."));
    run.validity.breaches = (0..40).map(breach).collect();
    let page = report(&run, &[]);
    assert!(page.contains("<summary>36 more</summary>"), "{page}");
}

/// Every text of a record, replaced.
fn poisoned(value: &mut serde_json::Value, key: &str) {
    use serde_json::Value;
    // These name things elsewhere in the record, or are of a closed list: another text is refused.
    #[rustfmt::skip]
    const KEPT: [&str; 21] = [
        "schema", "command", "variant", "cell", "verdict", "kind", "id", "role", "per",
        "cpu_source",
        "subject", "topology", "arrivals", "generator_wait", "call_path", "handshake", "tokens",
        "method", "quantile", "cause", "scope",
    ];
    match value {
        Value::String(text) if !KEPT.contains(&key) => *text = HOSTILE.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, key)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(key, value)| poisoned(value, key));
        }
        _ => {}
    }
}

#[test]
fn no_text_of_a_record_becomes_markup() {
    let mut value = serde_json::to_value(testing::broken(testing::full())).unwrap();
    poisoned(&mut value, "");
    let mut run: Run = serde_json::from_value(value).unwrap();
    for service in run.results.iter_mut().flat_map(|result| &mut result.services) {
        service.service = HOSTILE.into();
    }
    for result in &mut run.results {
        result.errors = [(HOSTILE.to_owned(), 7)].into();
    }
    let clean = report(&testing::broken(testing::full()), &[]);
    let page = report(&run, &spectra(&run));
    assert!(page.contains("&lt;script&gt;alert(1)"), "the test poisons nothing");
    for (words, page) in [("clean", &clean), ("poisoned", &page)] {
        assert!(!page.contains("<script") && !page.contains("<img"), "{words}");
        assert_eq!(page.matches("</style>").count(), 1, "{words}");
        assert_eq!(page.matches("<title>").count(), page.matches("</title>").count(), "{words}");
    }
}

#[test]
fn a_page_needs_nothing_beside_itself() {
    let run = testing::full();
    let page = report(&run, &spectra(&run));
    for word in ["src=", "<link", "url(", "@import", "<script", "javascript:", "data:"] {
        assert!(!page.contains(word), "{word}");
    }
    // The only address is that of a request, as a word.
    assert_eq!(page.matches("://").count(), page.matches("GET https://host/path").count());
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn capacity_is_drawn_where_it_was_searched() {
    let mut run = testing::full();
    let page = report(&run, &[]);
    for words in [
        "S1 keeps p99 within 2.00 ms up to 8,000 requests/s: 20 of 20 slices did, so that with \
         95% confidence at least 86% of such slices do. At 9,000 requests/s it did not.",
        "<title>S1 at 4,000/s: p99 500 µs</title>",
        "dot hollow",
    ] {
        assert!(page.contains(words), "{words} is missing");
    }
    run.results.iter_mut().for_each(|result| result.capacity = None);
    assert!(!report(&run, &[]).contains("Latency against load"));
}

#[test]
fn an_empty_run_is_still_a_page() {
    let mut run = testing::run();
    run.plan.cells.clear();
    run.plan.variants.clear();
    run.slices.clear();
    let page = report(&run, &[]);
    assert!(page.contains("INVALID") && page.ends_with("</html>\n"), "{page}");
}

#[test]
fn no_figure_is_no_number() {
    let mut run = testing::full();
    for cost in &mut run.costs {
        cost.reference_ns = 0;
    }
    for result in &mut run.results {
        result.cpu_ns_per_request = 0;
        if let Some(connecting) = &mut result.connecting {
            connecting.cpu_ns_per_connection = 0;
        }
    }
    let page = report(&run, &spectra(&run));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}
