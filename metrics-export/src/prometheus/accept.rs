//! Which format a scraper prefers, by its `Accept` fields (RFC 9110 section 12.5.1). A range that
//! cannot be read says nothing; a page is never refused for it.

use super::ExpositionFormat;

/// How well a format is wanted: by how specific a range, and with what quality, in thousandths.
type Wanted = (Specificity, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    Type,
    Exact,
}

/// The format that is wanted most. OpenMetrics must be wanted as much as text and more
/// specifically than by a range for everything.
pub(super) fn negotiate<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> ExpositionFormat {
    let (mut open, mut text) = (None, None);
    for value in accept {
        let Ok(value) = std::str::from_utf8(value) else { continue };
        for range in unquoted(value, ',') {
            let Some((name, version, quality)) = read(range) else { continue };
            better(&mut open, matched(&name, "application/openmetrics-text"), quality, || {
                matches!(version, None | Some("1.0.0"))
            });
            better(&mut text, matched(&name, "text/plain"), quality, || {
                matches!(version, None | Some("0.0.4"))
            });
        }
    }
    match (open, text) {
        (Some((_, 0)), _) | (None, _) => ExpositionFormat::Text,
        (Some(_), None) => ExpositionFormat::OpenMetrics,
        (Some((specificity, open)), Some((_, text))) => {
            let asked = specificity > Specificity::Anything && open == text;
            if open > text || asked {
                ExpositionFormat::OpenMetrics
            } else {
                ExpositionFormat::Text
            }
        }
    }
}

/// The most specific range counts, and of equally specific ones the best.
fn better(
    best: &mut Option<Wanted>,
    specificity: Option<Specificity>,
    quality: u16,
    known_version: impl Fn() -> bool,
) {
    let Some(specificity) = specificity else { return };
    if specificity == Specificity::Exact && !known_version() {
        return;
    }
    *best = Some(best.unwrap_or((specificity, quality)).max((specificity, quality)));
}

fn matched(range: &str, media_type: &str) -> Option<Specificity> {
    let of_type = media_type.split('/').next().unwrap_or_default();
    match range {
        _ if range == media_type => Some(Specificity::Exact),
        "*/*" => Some(Specificity::Anything),
        _ if range.strip_suffix("/*") == Some(of_type) => Some(Specificity::Type),
        _ => None,
    }
}

/// A range in lower case, its version, and its quality in thousandths.
fn read(range: &str) -> Option<(String, Option<&str>, u16)> {
    let mut parts = unquoted(range, ';').into_iter().map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let (mut version, mut thousandths) = (None, 1000);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (key.trim_end(), value.trim_start());
        if key.eq_ignore_ascii_case("version") {
            version = Some(value.trim_matches('"'));
        } else if key.eq_ignore_ascii_case("q") {
            thousandths = quality(value)?;
        }
    }
    Some((name, version, thousandths))
}

/// RFC 9110 section 12.4.2: 0 to 1 with at most three digits behind the point.
fn quality(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let sound = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{digits:0<3}").parse::<u16>().ok().filter(|_| sound)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The parts between separators that stand in no quotes.
fn unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(fields: &[&str]) -> ExpositionFormat {
        negotiate(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn open_metrics_is_sent_where_it_is_asked_for() {
        for fields in [
            &["application/openmetrics-text"][..],
            &["application/openmetrics-text; version=1.0.0; charset=utf-8"],
            &["APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1.000"],
            &["application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
               version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
            &["text/plain;q=0.2, application/openmetrics-text;q=0.3"],
            &["text/plain, application/openmetrics-text"],
            &["text/plain;q=0.5", "application/openmetrics-text;q=0.6"],
            &["application/*, text/html"],
            &["text/plain;q=0, */*"],
            &["x/y;a=\"text/plain,;\\\"\", application/openmetrics-text"],
            &[super::super::ACCEPT],
        ] {
            assert_eq!(chosen(fields), ExpositionFormat::OpenMetrics, "{fields:?}");
        }
    }

    #[test]
    fn text_is_sent_in_every_other_case() {
        for fields in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/*"],
            &["text/plain;version=0.0.4"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/json"],
            &["application/openmetrics-text;version=0.0.1"],
            &["application/openmetrics-text;version=2.0.0, text/plain;q=0.1"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0, */*"],
            &["application/openmetrics-text;q=0.4, text/plain;q=0.5"],
            &["application/openmetrics-text;q=0.4, text/*;q=0.5"],
            &["application/openmetrics-text;q=0.1, */*"],
            &["application/openmetrics-text;q=1.5"],
            &["application/openmetrics-text;q=x"],
            &["x/y;a=\"application/openmetrics-text\""],
        ] {
            assert_eq!(chosen(fields), ExpositionFormat::Text, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn any_accept_gets_a_page(fields: Vec<Vec<u8>>, text in "[a-z/*;=,q.0-9\"\\\\ ]{0,40}") {
            let _ = negotiate(fields.iter().map(Vec::as_slice));
            let _ = negotiate([text.as_bytes()]);
        }
    }
}
