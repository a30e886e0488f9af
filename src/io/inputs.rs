//! What a command line names and does not hold: files with headers, bodies, tokens and secrets,
//! standard input in place of one. It owns their limits, and the warning where a secret lies open.
//! What a text means is judged where it is used.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use loadgen::command::run::KeptToken;
use loadgen::plan::targets::in_place_of_secret;
use runtime::files::loose_mode;
use zeroize::Zeroizing;

use crate::Failure;

/// The largest file with headers, a body or requests that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The largest file with a token or a secret, in bytes: as much as a token endpoint may send.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Headers as `Name: value`, or `@FILE` with one on each line, as curl takes them. Every user of
/// the machine sees what was typed, so that fields which hold secrets come from files alone.
pub(crate) fn fields(typed: &[String]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut fields = Vec::new();
    for header in typed {
        match header.strip_prefix('@') {
            None => {
                let (name, value) = field(header)?;
                if in_place_of_secret(name.trim()).is_some() {
                    let token = match name.trim().eq_ignore_ascii_case("Authorization") {
                        true => "a bearer token with --token-file FILE, anything else",
                        false => "it",
                    };
                    return Err(Failure::usage(format!(
                        "-H {name} would show a secret to everybody who lists processes: give \
                         {token} with -H @FILE, where FILE holds the line."
                    )));
                }
                fields.push((name, value));
            }
            Some(file) => {
                let text = text(file)?;
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    fields.push(field(line)?);
                }
            }
        }
    }
    Ok(fields)
}

/// The value may be a secret, so that a complaint shows the name only.
fn field(header: &str) -> Result<(String, Vec<u8>), Failure> {
    match header.split_once(':') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), value.trim().as_bytes().to_vec()))
        }
        _ => Err(Failure::usage("A header is given as 'Name: value', or as @FILE.")),
    }
}

/// A file as text.
pub(crate) fn text(file: &str) -> Result<String, Failure> {
    String::from_utf8(read(file)?)
        // The error would hold the bytes, which may be a secret.
        .map_err(|_| Failure::failed(format!("{file} is not text.")))
}

/// What is in the file of a token, or comes on standard input for `-`: all of it. What a token is
/// is judged where it is used.
pub(crate) fn token(file: &str) -> Result<Zeroizing<String>, Failure> {
    let text = private_text(file)?;
    KeptToken::check(&text)
        .map_err(|error| Failure::failed(format!("{file}: {error}.")).because(error))?;
    Ok(text)
}

/// The one line of a file with a client's secret, or of standard input for `-`. It is never cut:
/// what has more lines is something else.
pub(crate) fn secret(file: &str) -> Result<Zeroizing<String>, Failure> {
    let text = private_text(file)?;
    let line = text.trim_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    if line.is_empty() {
        return Err(Failure::failed(format!("{file} is empty; a secret was expected in it.")));
    }
    if line.starts_with('\u{feff}') || line.chars().any(char::is_control) {
        return Err(Failure::failed(format!(
            "{file} must hold a secret on one line and nothing else: it has several lines, \
             control characters or a byte order mark."
        )));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// The text of a file with a secret, or of standard input.
fn private_text(file: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            let mut input = std::io::stdin().lock().take(SECRET_BYTES_MAX as u64 + 1);
            input.read_to_end(&mut bytes).map_err(|error| {
                Failure::failed(format!("Standard input could not be read: {error}."))
                    .because(error)
            })?;
            bytes
        }
        _ => read_secret(file)?,
    };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(Failure::failed(format!(
            "{file} is larger than {} KiB: no token or secret is.",
            SECRET_BYTES_MAX / 1024
        )));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::failed(format!(
            "{file} is not text in UTF-8: save it as plain text (was it made by PowerShell?)."
        ))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A file with a key or a secret. Whom else it is open to is the user's to decide here.
pub(crate) fn read_secret(file: &str) -> Result<Vec<u8>, Failure> {
    let loose = fs::metadata(file).ok().and_then(|found| loose_mode(Path::new(file), &found));
    if let Some(command) = loose {
        eprintln!("WARNING: others may use the secret in {file}; close it with: {command}");
    }
    read(file)
}

/// A file that the command line names, within the limit of such files.
pub(crate) fn read(file: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::failed(format!("Could not read {file}: {error}.")).because(error)
    };
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::failed(format!("{file} is larger than 64 MiB.")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_from_words_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        fs::write(&file, "Authorization: Bearer abc\n\nX-B: 1: 2\n").unwrap();
        let typed = ["X-A:v".to_owned(), format!("@{}", file.display())];
        let fields = fields(&typed).unwrap();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["X-A", "Authorization", "X-B"]);
        assert_eq!(fields[2].1, b"1: 2");
        assert!(field("no colon").is_err());
    }
}
