//! What `tollgate run` and `tollgate capacity` have in common: from the words that were typed to
//! the options of a target, the files that they name, and the place where the result goes.

use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loadgen::check::Expect;
use loadgen::cpu::with_descendants;
use loadgen::generator::GeneratorOptions;
use loadgen::report;
use loadgen::requests;
use loadgen::run::{
    ClientCredentials, Credentials, Format, KeptToken, RunOptions, Trust, check_token_params,
};
use loadgen::slice::{SliceSpec, Wait};
use loadgen::stack::{CpuSource, Process};
use loadgen::targets::in_place_of_secret;
use runtime::blocking;
use runtime::files::loose_mode;
use runtime::process::{Shutdown, allowed_cpus};
use runtime::url::Url;
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::cli::RequestWords;
use crate::matrix::{self, duration, seed_of_now};
use crate::{Failure, descriptors, serve};

/// The largest file with headers, a body or requests that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The largest file with a token or a secret, in bytes: as much as a token endpoint may send.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Reads what was typed with the files and names in it, unless Ctrl-C comes first, warns of what a
/// user should know, and makes sure that the connections can be opened.
pub(crate) fn prepare(
    typed: &RequestWords,
    slice: SliceSpec,
    shutdown: &Shutdown,
) -> Result<RunOptions, Failure> {
    let words = typed.clone();
    let options = matrix::unless_interrupted(shutdown, move || options(&words, slice))?;
    options.clear_text_warnings().iter().for_each(|warning| eprintln!("{warning}"));
    descriptors::ensure(options.slice.connections, options.generator.workers.len(), "-c")?;
    Ok(options)
}

/// The options of a target. The arrivals and the duration of its slice are the command's own.
fn options(typed: &RequestWords, slice: SliceSpec) -> Result<RunOptions, Failure> {
    let url = Url::parse(&typed.url).map_err(|error| Failure::usage(format!("{error}.")))?;
    let mut options = RunOptions::new(url, spec(typed, slice)?);
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
    if let Some(text) = &typed.expect_status {
        options.expect = expect_status(text)?;
    }
    options.warmup = match typed.warmup.as_str() {
        "0" | "0s" => Duration::ZERO,
        text => duration("--warmup", text)?,
    };
    options.bounds = typed.bounds.parse()?;
    options.generator = generator(typed)?;
    options.servers = servers(typed)?;
    options.server_name = typed.server_name.as_deref().map(server_name).transpose()?;
    options.trust = trust(typed)?;
    if let Some(file) = &typed.requests_file {
        let text = String::from_utf8(read(file)?)
            .map_err(|_| Failure::failed(format!("{file} is not text.")))?;
        options.requests = requests::parse(&text, &options.workload())
            .map_err(|error| Failure::failed(format!("{file}, {error}.")))?;
    }
    let within = options.slice.timeout;
    options.connect_to =
        typed.connect_to.as_deref().map(|text| connect_to(text, within)).transpose()?;
    options.credentials = credentials(typed)?;
    options.progress = std::io::stderr().is_terminal();
    Ok(options)
}

/// The format that was asked for.
pub(crate) fn format(typed: &RequestWords) -> Result<Format, Failure> {
    Format::parse(&typed.output_format).ok_or_else(|| {
        Failure::usage(format!(
            "--output-format takes text, json, csv, markdown or quiet, not {:?}.",
            typed.output_format
        ))
    })
}

/// Statuses that are good, as `expect_status` of targets.toml lists them. Interim responses answer
/// no request (RFC 9110 section 15.2).
fn expect_status(text: &str) -> Result<Expect, Failure> {
    let status = |part: &str| {
        let digits = part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|status| digits && *status >= 200)
    };
    let statuses: Option<Vec<u16>> = text.split(',').map(|part| status(part.trim())).collect();
    let statuses = statuses.ok_or_else(|| {
        Failure::usage(format!(
            "--expect-status takes whole numbers from 200 to 999, such as 304 or 200,404, not \
             {text:?}."
        ))
    })?;
    Ok(Expect::one_of(&statuses, 0))
}

fn spec(typed: &RequestWords, slice: SliceSpec) -> Result<SliceSpec, Failure> {
    let each = match typed.requests_per_connection {
        None => None,
        Some(count) => Some(
            NonZeroU32::new(count)
                .ok_or_else(|| Failure::usage("--requests-per-connection takes 1 or more."))?,
        ),
    };
    let wait = match typed.wait.as_str() {
        "spin" => Wait::Spin,
        "sleep" => Wait::Sleep,
        other => {
            return Err(Failure::usage(format!("--wait takes spin or sleep, not {other:?}.")));
        }
    };
    let timeout = duration("--timeout", &typed.timeout)?;
    let seed = typed.seed.unwrap_or_else(seed_of_now);
    Ok(SliceSpec { requests_per_connection: each, timeout, seed, wait, ..slice })
}

fn generator(typed: &RequestWords) -> Result<GeneratorOptions, Failure> {
    let mut options = match &typed.cores {
        Some(text) => GeneratorOptions::on_cores(&usable(serve::cores(text)?)?),
        None if typed.threads == 0 => return Err(Failure::usage("--threads takes 1 or more.")),
        None => GeneratorOptions::unpinned(typed.threads),
    };
    options.driver = serve::driver(&typed.driver, false)?;
    Ok(options)
}

/// The same cores, if this process may use them.
fn usable(cores: Vec<usize>) -> Result<Vec<usize>, Failure> {
    let allowed = allowed_cpus()
        .map_err(|error| Failure::failed(format!("The usable cores are not known: {error}.")))?;
    match cores.iter().find(|core| !allowed.contains(core)) {
        Some(core) => Err(Failure::usage(format!(
            "Core {core} is not one that this process may use, which has {}.",
            report::cores(&allowed)
        ))),
        None => Ok(cores),
    }
}

/// Where the server's CPU is read.
fn servers(typed: &RequestWords) -> Result<Vec<Process>, Failure> {
    let process = |service: String, cpu| Process { service, cpu, admin: None };
    match (&typed.server_pid, &typed.metrics_url) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("--server-pid and --metrics-url exclude each other."))
        }
        (None, None) => Ok(Vec::new()),
        (None, Some(url)) => {
            let url = Url::parse(url)
                .map_err(|error| Failure::usage(format!("--metrics-url: {error}.")))?;
            if url.is_tls() {
                return Err(Failure::usage("--metrics-url takes an http URL, without TLS."));
            }
            Ok(vec![process("server".into(), CpuSource::Metrics(url))])
        }
        (Some(text), None) => {
            let mut pids: Vec<u32> = Vec::new();
            for part in text.split(',') {
                let pid = part.trim().parse().ok().filter(|pid| *pid > 0).ok_or_else(|| {
                    Failure::usage(format!("--server-pid takes PID[,PID], not {text:?}."))
                })?;
                // Many servers keep their workers as children of the process that one starts.
                pids.extend(with_descendants(pid));
            }
            pids.sort_unstable();
            pids.dedup();
            let named = |pid| process(format!("process {pid}"), CpuSource::Pid(pid));
            Ok(pids.into_iter().map(named).collect())
        }
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Failure::usage(format!("--server-name takes a host name or an address, not {text:?}."))
    })
}

/// All addresses of `HOST:PORT`. The parts of a URL say what a host and a port are.
fn connect_to(text: &str, within: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--connect-to takes HOST:PORT, with an IPv6 address in brackets, not {text:?}."
        ))
    };
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !has_port || text.contains(['/', '?', '#', '@']) {
        return Err(wrong());
    }
    let url = Url::parse(&format!("http://{text}/")).map_err(|_| wrong())?;
    blocking::resolve(&url, within)
        .map_err(|error| Failure::failed(format!("--connect-to: {error}.")))
}

fn trust(typed: &RequestWords) -> Result<Trust, Failure> {
    let identity_pem = match (&typed.cert, &typed.key) {
        (Some(cert), Some(key)) => Some((read(cert)?, Zeroizing::new(read_secret(key)?))),
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

fn credentials(typed: &RequestWords) -> Result<Credentials, Failure> {
    let client = [&typed.token_url, &typed.client_id, &typed.client_secret_file];
    if typed.token_file.is_some() && client.iter().any(|given| given.is_some()) {
        return Err(Failure::usage("--token-file and --token-url exclude each other."));
    }
    let params = token_params(&typed.token_param)?;
    match client {
        [None, None, None] if typed.scope.is_some() || !params.is_empty() => {
            Err(Failure::usage("--scope and --token-param are for --token-url: give that too."))
        }
        [None, None, None] => {
            let token = typed.token_file.as_deref().map(token).transpose()?;
            Ok(token.map_or(Credentials::None, Credentials::Token))
        }
        [Some(url), Some(id), Some(file)] => Ok(Credentials::Client(Arc::new(ClientCredentials {
            token_url: Url::parse(url)
                .map_err(|error| Failure::usage(format!("--token-url: {error}.")))?,
            client_id: id.clone(),
            secret: secret(file)?,
            scope: typed.scope.clone(),
            params,
        }))),
        _ => Err(Failure::usage(
            "--token-url, --client-id and --client-secret-file belong together.",
        )),
    }
}

/// Parameters of a token request as `K=V`.
fn token_params(typed: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Failure::usage(format!(
            "--token-param takes K=V, such as audience=https://api.example/, not {text:?}."
        ))),
    };
    let params = typed.iter().map(pair).collect::<Result<Vec<_>, Failure>>()?;
    check_token_params(&params)
        .map_err(|sentence| Failure::usage(format!("--token-param: {sentence}.")))?;
    Ok(params)
}

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

/// What is in the file of a token, or comes on standard input for `-`: all of it. What a token is
/// is judged where it is used.
pub(crate) fn token(file: &str) -> Result<Zeroizing<String>, Failure> {
    let text = private_text(file)?;
    KeptToken::check(&text).map_err(|error| Failure::failed(format!("{file}: {error}.")))?;
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

fn private_text(file: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            let mut input = std::io::stdin().lock().take(SECRET_BYTES_MAX as u64 + 1);
            input.read_to_end(&mut bytes).map_err(|error| {
                Failure::failed(format!("Standard input could not be read: {error}."))
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

pub(crate) fn read(file: &str) -> Result<Vec<u8>, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_connect_to_are_addresses_with_ports() {
        let within = Duration::from_secs(10);
        let v6: Vec<SocketAddr> = vec!["[::1]:8443".parse().unwrap()];
        assert_eq!(connect_to("[::1]:8443", within).unwrap(), v6);
        assert!(!connect_to("localhost:1", within).unwrap().is_empty());
        for wrong in ["", "h", "h:", "::1", "[::1]", "h:x", "h:0", "h:70000", "h:1/", "u@h:1"] {
            let error = connect_to(wrong, within).unwrap_err();
            assert_eq!(error.code, crate::exit::USAGE, "{wrong}");
        }
    }

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

    #[test]
    fn expected_statuses_are_those_that_answer_a_request() {
        let expect = expect_status("304, 200,999").unwrap();
        let good = [200, 304, 999].map(|status| expect.judge(status, 0).is_ok());
        assert_eq!(good, [true; 3]);
        assert!(expect.judge(201, 0).is_err());
        for wrong in ["", "ok", "100", "1000", "+200", "0200", "200,", "2xx", "200-299", "-1"] {
            let error = expect_status(wrong).unwrap_err();
            assert!(error.message.contains("from 200 to 999"), "{wrong}");
            assert_eq!(error.code, crate::exit::USAGE, "{wrong}");
        }
    }
}
