//! Text for a terminal: what it would act on instead of showing it, escaped.
//!
//! Names in records, a server's words and the contents of certificates come from strangers. Owns
//! which characters are escaped: controls, and those that change the direction of text or end a
//! line unseen. An escape is `\u001b`, as JSON has it, so that a JSON document stays the same
//! document. Refuses to shorten or to judge anything else.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The same text with nothing that a terminal acts on but line feeds and tabs.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| 0)
}

/// The same for a text that was coloured here: colours (`ESC [ digits m`) stay. What a stranger
/// wrote must have been made [`printable`] before it was coloured.
#[must_use]
pub fn printable_painted(text: &str) -> Cow<'_, str> {
    escaped(text, colour_bytes)
}

/// Escapes what is not harmless. `kept` tells how many bytes at the begin of a rest stay as they
/// are although they would be escaped.
fn escaped(text: &str, kept: impl Fn(&str) -> usize) -> Cow<'_, str> {
    let Some(first) = text.find(is_harmful) else { return Cow::Borrowed(text) };
    let (clean, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 64);
    out.push_str(clean);
    while let Some(character) = rest.chars().next() {
        let length = match kept(rest) {
            0 => character.len_utf8(),
            length => length,
        };
        let (now, after) = rest.split_at(length);
        if is_harmful(character) && length == character.len_utf8() {
            write!(out, "\\u{:04x}", u32::from(character)).expect("a String takes all");
        } else {
            out.push_str(now);
        }
        rest = after;
    }
    Cow::Owned(out)
}

fn is_harmful(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of direction; line and paragraph separator.
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

/// The length of the colour that the text begins with, or 0.
fn colour_bytes(text: &str) -> usize {
    let Some(codes) = text.strip_prefix("\x1b[") else { return 0 };
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(codes.len());
    if codes[end..].starts_with('m') { "\x1b[".len() + end + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_to_act_on() {
        let table = [
            ("a plain line\n\twith Umlauts: äöü, 漢字\n", None),
            ("clear \x1b[2J", Some("clear \\u001b[2J")),
            ("title \x1b]0;x\x07", Some("title \\u001b]0;x\\u0007")),
            ("back \r\x08over", Some("back \\u000d\\u0008over")),
            ("8-bit \u{9b}31m \u{7f}", Some("8-bit \\u009b31m \\u007f")),
            ("\u{202e}gpj.exe\u{2066}\u{200f}", Some("\\u202egpj.exe\\u2066\\u200f")),
            ("one\u{2028}two", Some("one\\u2028two")),
        ];
        for (text, shown) in table {
            assert_eq!(printable(text), shown.unwrap_or(text));
        }
    }

    #[test]
    fn colours_of_our_own_stay_and_nothing_else() {
        let ours = "\x1b[1;31mINVALID\x1b[0m é\n";
        assert_eq!(printable_painted(ours), ours);
        assert_eq!(printable(ours), "\\u001b[1;31mINVALID\\u001b[0m é\n");
        for other in ["\x1b[2J", "\x1b[31", "\x1b]0;m", "\x1b", "\x1b[?25lm"] {
            assert!(printable_painted(other).starts_with("\\u001b"), "{other:?}");
        }
    }

    #[test]
    fn a_json_document_stays_the_same() {
        let value = serde_json::json!({"a": "\x1b\u{9b}\u{202e}\u{7f}\n", "b": ["\u{2066}"]});
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = printable(&text);
            assert!(!shown.contains(is_harmful));
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
