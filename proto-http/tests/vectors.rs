//! The vectors of `tests/data`, each in every way its bytes can be cut in two.

mod common;

use std::collections::BTreeSet;

use common::{ClientRun, ServerRun, Vector, cuts, small_limits, vectors};
use proto_http::Method;

const REQUESTS: &str = include_str!("data/requests.txt");
const RESPONSES: &str = include_str!("data/responses.txt");

fn expected(vector: &Vector) -> &[String] {
    &vector.sections[0].1
}

#[test]
fn requests() {
    for vector in vectors(REQUESTS) {
        for cut in cuts(&vector.bytes) {
            let mut run = ServerRun::new(small_limits());
            cut.iter().for_each(|part| run.feed(part));
            let lengths: Vec<_> = cut.iter().map(|part| part.len()).collect();
            assert_eq!(run.lines, expected(&vector), "{}, cut {lengths:?}", vector.name);
        }
    }
}

#[test]
fn responses() {
    for vector in vectors(RESPONSES) {
        let (method, _) = vector.name.split_once(": ").expect("a response has a method");
        for cut in cuts(&vector.bytes) {
            let mut run = ClientRun::new(small_limits(), Method::from_bytes(method.as_bytes()));
            cut.iter().for_each(|part| run.feed(part));
            run.eof();
            let lengths: Vec<_> = cut.iter().map(|part| part.len()).collect();
            assert_eq!(run.lines, expected(&vector), "{}, cut {lengths:?}", vector.name);
        }
    }
}

/// No error is without a vector that provokes it, and no status without an error.
#[test]
fn every_error_has_a_vector() {
    let lines = |file| vectors(file).into_iter().flat_map(|vector| expected(&vector).to_vec());
    let errors: BTreeSet<String> = lines(REQUESTS)
        .chain(lines(RESPONSES))
        .filter_map(|line| Some(line.strip_prefix("error ")?.rsplit(' ').next()?.to_owned()))
        .collect();
    let statuses: BTreeSet<String> = lines(REQUESTS)
        .filter_map(|line| Some(line.strip_prefix("error ")?.split(' ').next()?.to_owned()))
        .collect();
    // LengthRequired is asked for by a route; see `RequestHead::require_length`.
    assert_eq!(errors.len(), 31, "{errors:?}");
    let all = ["400", "413", "414", "417", "431", "501", "505"];
    assert_eq!(statuses.iter().collect::<Vec<_>>(), all);
}
