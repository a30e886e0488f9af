//! `tollgate run URL`: turns what was typed into a run, reads the files it names, and prints what
//! came of it.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::num::NonZeroU32;
use std::path::Path;

use loadgen::generator::GeneratorOptions;
use loadgen::run::{
    ClientCredentials, Credentials, Format, Outcome, RunOptions, Trust, run as run_url,
};
use loadgen::schedule::Rate;
use loadgen::slice::{Arrivals, SliceSpec, Wait};
use runtime::process::{Shutdown, raise_file_limit};
use runtime::url::Url;
use zeroize::Zeroizing;

use crate::matrix::{duration, pattern, seed_of_now};
use crate::state::write_atomically;
use crate::{Failure, cli, serve};

/// The largest file with headers, a body or a token that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Carries out `tollgate run`.
pub(crate) fn command(typed: cli::Run) -> Result<u8, Failure> {
    let format = Format::parse(&typed.output_format).ok_or_else(|| {
        Failure::usage(format!(
            "--output-format takes text, json, csv, markdown or quiet, not {:?}.",
            typed.output_format
        ))
    })?;
    let options = options(&typed)?;
    let shutdown = Shutdown::install().map_err(Failure::failed)?.watch();
    raise_file_limit().map_err(|error| {
        Failure::failed(format!("The limit of open files could not be raised: {error}."))
    })?;
    let interrupted = || shutdown.received().is_some();
    let outcome = run_url(&options, &interrupted)
        .map_err(|error| Failure { code: error.exit_code(), message: format!("{error}.") })?;
    deliver(&typed, &outcome, format)?;
    Ok(outcome.exit_code())
}

fn options(typed: &cli::Run) -> Result<RunOptions, Failure> {
    let url = Url::parse(&typed.url).map_err(Failure::usage)?;
    let mut options = RunOptions::new(url, slice(typed)?);
    options.label = typed.label.clone();
    options.method = typed.method.clone();
    options.fields = fields(&typed.header)?;
    options.body = match (&typed.body, &typed.body_file) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--body and --body-file exclude each other."));
        }
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(file)) => read(file)?,
        (None, None) => Vec::new(),
    };
    options.warmup = match typed.warmup.as_str() {
        "0" | "0s" => std::time::Duration::ZERO,
        text => duration("--warmup", text)?,
    };
    options.generator = generator(typed)?;
    options.trust = trust(typed)?;
    options.credentials = credentials(typed)?;
    options.progress = std::io::stderr().is_terminal();
    Ok(options)
}

fn slice(typed: &cli::Run) -> Result<SliceSpec, Failure> {
    let rate = match (typed.rate, typed.qps) {
        (Some(_), Some(_)) => return Err(Failure::usage("--rate and --qps mean the same.")),
        (rate, qps) => rate.or(qps),
    };
    let pattern = pattern(&typed.arrivals)?;
    let arrivals = match rate {
        None => Arrivals::Closed,
        Some(rate) => Arrivals::Open {
            rate: Rate::per_second(rate).ok_or_else(|| {
                Failure::usage(format!("--rate takes requests per second above 0, not {rate}."))
            })?,
            pattern,
        },
    };
    let each = match typed.requests_per_connection {
        None => None,
        Some(count) => Some(
            NonZeroU32::new(count)
                .ok_or_else(|| Failure::usage("--requests-per-connection takes 1 or more."))?,
        ),
    };
    let mut spec =
        SliceSpec::new(arrivals, typed.connections, duration("--duration", &typed.duration)?);
    spec.requests_max = typed.requests;
    spec.requests_per_connection = each;
    spec.timeout = duration("--timeout", &typed.timeout)?;
    spec.seed = typed.seed.unwrap_or_else(seed_of_now);
    spec.wait = match typed.wait.as_str() {
        "spin" => Wait::Spin,
        "sleep" => Wait::Sleep,
        other => {
            return Err(Failure::usage(format!("--wait takes spin or sleep, not {other:?}.")));
        }
    };
    Ok(spec)
}

fn generator(typed: &cli::Run) -> Result<GeneratorOptions, Failure> {
    let mut options = match &typed.cores {
        Some(text) => GeneratorOptions::on_cores(&serve::cores(text)?),
        None if typed.threads == 0 => return Err(Failure::usage("--threads takes 1 or more.")),
        None => GeneratorOptions::unpinned(typed.threads),
    };
    options.driver = serve::driver(&typed.driver, false)?;
    Ok(options)
}

fn trust(typed: &cli::Run) -> Result<Trust, Failure> {
    let identity_pem = match (&typed.cert, &typed.key) {
        (Some(cert), Some(key)) => Some((read(cert)?, Zeroizing::new(read(key)?))),
        (None, None) => None,
        _ => return Err(Failure::usage("--cert and --key belong together.")),
    };
    Ok(Trust {
        authorities_pem: typed.cacert.as_deref().map(read).transpose()?,
        identity_pem,
        insecure: typed.insecure,
        resumption: typed.resumption,
    })
}

fn credentials(typed: &cli::Run) -> Result<Credentials, Failure> {
    let client = [&typed.token_url, &typed.client_id, &typed.client_secret_file];
    if typed.token_file.is_some() && client.iter().any(|given| given.is_some()) {
        return Err(Failure::usage("--token-file and --token-url exclude each other."));
    }
    if let Some(file) = &typed.token_file {
        return Ok(Credentials::Token(secret(file)?));
    }
    match client {
        [None, None, None] => Ok(Credentials::None),
        [Some(url), Some(id), Some(file)] => Ok(Credentials::Client(ClientCredentials {
            token_url: Url::parse(url).map_err(Failure::usage)?,
            client_id: id.clone(),
            secret: secret(file)?,
            scope: typed.scope.clone(),
        })),
        _ => Err(Failure::usage(
            "--token-url, --client-id and --client-secret-file belong together.",
        )),
    }
}

/// Headers as `Name: value`, or `@FILE` with one on each line, as curl takes them.
fn fields(typed: &[String]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut fields = Vec::new();
    for header in typed {
        match header.strip_prefix('@') {
            None => fields.push(field(header)?),
            Some(file) => {
                let text = String::from_utf8(read(file)?)
                    .map_err(|_| Failure::failed(format!("{file} is not text.")))?;
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

/// The first line of a file, or of standard input for `-`.
fn secret(file: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(match file {
        "-" => {
            let mut bytes = Vec::new();
            let mut input = std::io::stdin().lock().take(FILE_BYTES_MAX);
            input.read_to_end(&mut bytes).map_err(|error| {
                Failure::failed(format!("Standard input could not be read: {error}."))
            })?;
            bytes
        }
        _ => read(file)?,
    });
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::failed(format!("{file} does not hold a secret as text.")))?;
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
        None => Err(Failure::failed(format!("{file} is empty; a secret was expected in it."))),
    }
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::failed(format!("Could not read {file}: {error}."));
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::failed(format!("{file} is larger than 64 MiB.")));
    }
    Ok(bytes)
}

fn deliver(typed: &cli::Run, outcome: &Outcome, format: Format) -> Result<(), Failure> {
    let text = outcome.render(format);
    match &typed.output {
        Some(file) => drop(write_atomically(Path::new(file), text.as_bytes(), 0o644)?),
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::failed(format!("The result was not printed: {error}.")))?,
    }
    if let Some(file) = &typed.hlog {
        let log = outcome.hlog().map_err(Failure::failed)?;
        write_atomically(Path::new(file), &log, 0o644)?;
    }
    Ok(())
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
