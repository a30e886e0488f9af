//! What the user says about a measurement, for its record. It refuses texts that would not fit a
//! table or a file name of a store.

use std::collections::BTreeMap;

use loadgen::plan::Annotations;

use crate::Failure;
use crate::cli::AnnotationArgs;

/// The longest name of an environment, in characters.
const ENVIRONMENT_CHARS_MAX: usize = 100;

/// The most tags, and the longest key and value of one, in characters.
const TAGS_MAX: usize = 16;
const KEY_CHARS_MAX: usize = 63;
const VALUE_CHARS_MAX: usize = 200;

/// The annotations that were typed, with the commit of this build.
pub(crate) fn parse(typed: AnnotationArgs) -> Result<Annotations, Failure> {
    let AnnotationArgs { label, environment, tag } = typed;
    if let Some(name) = &environment {
        let chars = name.chars().count();
        if name.trim().is_empty() || chars > ENVIRONMENT_CHARS_MAX || has_control(name) {
            return Err(Failure::usage(format!(
                "--environment takes 1 to {ENVIRONMENT_CHARS_MAX} characters on one line."
            )));
        }
    }
    Ok(Annotations {
        label,
        environment,
        tags: tags(&tag)?,
        commit: option_env!("TOLLGATE_COMMIT").map(String::from),
    })
}

fn tags(typed: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    if typed.len() > TAGS_MAX {
        return Err(Failure::usage(format!(
            "--tag may be given {TAGS_MAX} times, not {}.",
            typed.len()
        )));
    }
    let mut tags = BTreeMap::new();
    for text in typed {
        let (key, value) = tag(text).ok_or_else(|| {
            Failure::usage(format!(
                "--tag takes K=V with a key of 1 to {KEY_CHARS_MAX} letters, digits, '-', '_', \
                 '.' or '/', and a value of at most {VALUE_CHARS_MAX} characters on one line, not \
                 {text:?}."
            ))
        })?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::usage(format!("--tag names {key} twice: give each key once.")));
        }
    }
    Ok(tags)
}

fn tag(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_key = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.chars().all(plain);
    let is_value = value.chars().count() <= VALUE_CHARS_MAX && !has_control(value);
    (is_key && is_value).then_some((key, value))
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(environment: Option<&str>, tags: &[&str]) -> Result<Annotations, Failure> {
        let tag = tags.iter().map(|tag| (*tag).to_owned()).collect();
        parse(AnnotationArgs { label: None, environment: environment.map(String::from), tag })
    }

    #[test]
    fn environment_and_tags_are_taken() {
        let found = typed(Some("staging, rack 7"), &["ticket=42", "note=a=b", "empty="]).unwrap();
        assert_eq!(found.environment.as_deref(), Some("staging, rack 7"));
        let tags: Vec<(&str, &str)> =
            found.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("empty", ""), ("note", "a=b"), ("ticket", "42")]);
    }

    #[test]
    fn limits_are_kept() {
        let long = "x".repeat(101);
        let many: Vec<String> = (0..17).map(|n| format!("k{n}=v")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let wide = format!("k={}", "v".repeat(201));
        for (environment, tags, why) in [
            (Some(long.as_str()), &[][..], "1 to 100 characters"),
            (Some(" "), &[], "1 to 100 characters"),
            (Some("a\nb"), &[], "on one line"),
            (None, &["novalue"], "K=V"),
            (None, &["=v"], "K=V"),
            (None, &["a b=v"], "K=V"),
            (None, &["k=a\u{1b}b"], "on one line"),
            (None, &[wide.as_str()], "at most 200"),
            (None, &["k=1", "k=2"], "names k twice"),
            (None, &many[..], "16 times, not 17"),
        ] {
            let message = typed(environment, tags).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
