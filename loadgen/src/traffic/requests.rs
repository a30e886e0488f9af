//! A file of requests as a user writes it: JSON, one request a line, sent in turn. It owns what a
//! line may say, and names the line that is wrong; it refuses keys that it does not know, because
//! a slip of the finger would silently measure something else.
//!
//! ```
//! use loadgen::traffic::{requests, workload::Workload};
//! let base = Workload::custom("run", "GET", "/", Vec::new(), Vec::new());
//! let text = r#"
//!     {"path": "/a"}
//!     {"method": "POST", "path": "/b", "headers": {"X-A": "1"}, "body": {"n": 1}}
//! "#;
//! let found = requests::parse(text, &base).unwrap();
//! assert_eq!((found[0].method.as_str(), found[1].method.as_str()), ("GET", "POST"));
//! ```

use serde_json::{Map, Value};

use crate::traffic::error::ContextError;
use crate::traffic::workload::{Piece, Workload, check};

/// More lines than this are refused: each is laid out in memory before the first is sent.
const REQUESTS_MAX: usize = 100_000;

/// Reads the requests of a file. What a line leaves out is as in `base`: method and path, and each
/// header field that the line does not give a value of its own. Empty lines are skipped.
///
/// # Errors
/// The line, and what is wrong with it.
pub fn parse(text: &str, base: &Workload) -> Result<Vec<Workload>, ContextError> {
    let mut requests: Vec<Workload> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: ContextError| why.about(format_args!("line {number}"));
        if requests.len() == REQUESTS_MAX {
            return Err(wrong(format!("more than {REQUESTS_MAX} requests cannot be used").into()));
        }
        let request = request(line, base).map_err(wrong)?;
        check(&request).map_err(|error| wrong(ContextError::of(error)))?;
        if requests.first().is_some_and(|first| is_head(first) != is_head(&request)) {
            let why = "HEAD cannot stand beside other methods, because its replies have no body";
            return Err(wrong(why.into()));
        }
        requests.push(request);
    }
    if requests.is_empty() {
        return Err("it holds no request: write one a line, such as {\"path\": \"/\"}".into());
    }
    Ok(requests)
}

fn is_head(request: &Workload) -> bool {
    request.method == "HEAD"
}

fn request(line: &str, base: &Workload) -> Result<Workload, ContextError> {
    let no_json = |error: serde_json::Error| {
        let (column, why) = (error.column(), error.to_string());
        // Each line is a text of its own to the parser, which calls it line 1.
        let why = why.split(" at line ").next().unwrap_or_default();
        let message = format!("it is no JSON from column {column} on: {why}");
        ContextError::new(message).because(error)
    };
    let value = serde_json::from_str(line).map_err(no_json)?;
    let Value::Object(said) = value else {
        return Err("a request is a JSON object, such as {\"path\": \"/\"}".into());
    };
    let known = ["method", "path", "headers", "body"];
    if let Some(other) = said.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("{other:?} is none of method, path, headers and body").into());
    }
    let body = match said.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(json) => json.to_string().into_bytes(),
    };
    let method = match text(&said, "method")? {
        Some(method) => method,
        // As for a single request: what has a body and no method is sent with POST.
        None if base.method == "GET" && !body.is_empty() => "POST".into(),
        None => base.method.clone(),
    };
    let path = match text(&said, "path")? {
        Some(path) => vec![Piece::Text(path.into_bytes())],
        None => base.path.clone(),
    };
    let body = if body.is_empty() { Vec::new() } else { vec![Piece::Text(body)] };
    Ok(Workload { method, path, fields: fields(&said, base)?, body, ..base.clone() })
}

fn text(said: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match said.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{key:?} takes a text, not {other}")),
    }
}

/// The fields of `base` that the line does not name, and those of the line.
fn fields(said: &Map<String, Value>, base: &Workload) -> Result<Vec<(String, Vec<u8>)>, String> {
    let own = match said.get("headers") {
        None => return Ok(base.fields.clone()),
        Some(Value::Object(own)) => own,
        Some(_) => return Err("\"headers\" takes an object of names and values".into()),
    };
    let named = |name: &str| own.keys().any(|key| key.eq_ignore_ascii_case(name));
    let mut fields = base.fields.clone();
    fields.retain(|(name, _)| !named(name));
    for (name, value) in own {
        // The value may be a secret, so that a complaint shows the name only.
        let Value::String(value) = value else {
            return Err(format!("the header {name:?} takes a text"));
        };
        fields.push((name.clone(), value.clone().into_bytes()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Workload {
        let fields = vec![("X-A".into(), b"base".to_vec()), ("X-B".into(), b"base".to_vec())];
        Workload::custom("run", "GET", "/base", fields, Vec::new())
    }

    #[test]
    fn a_line_changes_what_it_names() {
        let text = "{}\n\n{\"body\": \"x=1\", \"headers\": {\"x-a\": \"own\"}}\n\
                    {\"method\": \"PUT\", \"path\": \"/p?q\", \"body\": [1, \"a\"]}\n";
        let found = parse(text, &base()).unwrap();
        let body = |at: usize| match found[at].body.as_slice() {
            [Piece::Text(text)] => String::from_utf8(text.clone()).unwrap(),
            _ => String::new(),
        };
        let methods: Vec<&str> = found.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["GET", "POST", "PUT"]);
        assert_eq!([body(0), body(1), body(2)], ["", "x=1", "[1,\"a\"]"]);
        let (b, own) = (("X-B".into(), b"base".to_vec()), ("x-a".into(), b"own".to_vec()));
        assert_eq!(found[1].fields, [b, own]);
        assert_eq!(found[2].fields, base().fields);
    }

    #[test]
    fn the_wrong_line_is_named() {
        for (text, needle) in [
            ("", "holds no request"),
            ("{}\n{", "line 2: it is no JSON"),
            ("[1]", "line 1: a request is a JSON object"),
            ("{}\n\n{\"paht\": \"/\"}", "line 3: \"paht\" is none of"),
            ("{\"path\": 7}", "line 1: \"path\" takes a text"),
            ("{\"path\": \"a b\"}", "line 1: the path must begin"),
            ("{\"method\": \"GE T\"}", "line 1: the method"),
            ("{\"headers\": []}", "line 1: \"headers\" takes an object"),
            ("{\"headers\": {\"X\": 1}}", "line 1: the header \"X\" takes a text"),
            ("{\"headers\": {\"X\": \"a\\nb\"}}", "line 1: the header \"X\" cannot be sent"),
            ("{}\n{\"method\": \"HEAD\"}", "line 2: HEAD cannot stand"),
        ] {
            let error = parse(text, &base()).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
        let many = "{}\n".repeat(REQUESTS_MAX + 1);
        assert!(
            parse(&many, &base()).unwrap_err().to_string().starts_with("line 100001: more than")
        );
    }
}
