//! What `tollgate run` and `tollgate capacity` have in common: from the words that were typed to
//! the options of a target, the files that they name, and the place where the result goes.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use loadgen::command::run::{AuthorizationSource, ClientCredentials, OutputFormat, RunOptions};
use loadgen::machine::cpu::with_descendants;
use loadgen::machine::process::{CpuSource, Process};
use loadgen::plan::targets::check_token_params;
use loadgen::traffic::generator::GeneratorOptions;
use loadgen::traffic::requests;
use loadgen::traffic::slice::{GeneratorWait, SliceSpec};
use loadgen::traffic::trust::Trust;
use runtime::blocking;
use runtime::process::Shutdown;
use runtime::url::Url;
use zeroize::Zeroizing;

use crate::cli::{AnnotationArgs, BoundArgs, RequestArgs};
use crate::io::inputs::{fields, read, read_secret, secret, text, token};
use crate::options::{annotations, bounds, cores};
use crate::process::descriptors;
use crate::process::interrupt::unless_interrupted;
use crate::{Failure, values};

/// Reads what was typed with the files and names in it, unless Ctrl-C comes first, warns of what a
/// user should know, and makes sure that the connections can be opened.
pub(crate) fn prepare(
    typed: RequestArgs,
    annotations: AnnotationArgs,
    bounds: BoundArgs,
    slice: SliceSpec,
    shutdown: &Shutdown,
) -> Result<RunOptions, Failure> {
    let (annotations, bounds) = (annotations::parse(annotations)?, bounds::parse(bounds)?);
    let options = unless_interrupted(shutdown, move || options(typed, slice))?;
    let options = RunOptions { annotations, bounds, ..options };
    options.clear_text_warnings().iter().for_each(|warning| eprintln!("{warning}"));
    descriptors::ensure(options.slice.connections, options.generator.workers.len(), "-c")?;
    Ok(options)
}

/// The options of a target. The arrivals and the duration of its slice are the command's own.
fn options(typed: RequestArgs, slice: SliceSpec) -> Result<RunOptions, Failure> {
    let url = Url::parse(&typed.url).map_err(Failure::unusable)?;
    let mut options = RunOptions::new(url, spec(&typed, slice)?);
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
        options.expect = values::expect_status(text)?;
    }
    options.warmup = values::duration_or_zero("--warmup", &typed.warmup)?;
    options.generator = generator(&typed)?;
    options.servers = servers(&typed)?;
    options.server_name = typed.server_name.as_deref().map(values::server_name).transpose()?;
    options.trust = trust(&typed)?;
    let within = options.slice.timeout;
    options.connect_to =
        typed.connect_to.as_deref().map(|text| connect_to(text, within)).transpose()?;
    options.credentials = credentials(&typed)?;
    options.progress = std::io::stderr().is_terminal();
    options.method = typed.method;
    if let Some(file) = &typed.requests_file {
        options.requests = requests::parse(&text(file)?, &options.workload())
            .map_err(|error| Failure::failed(format!("{file}, {error}.")).because(error))?;
    }
    Ok(options)
}

/// The format that was asked for.
pub(crate) fn format(typed: &RequestArgs) -> Result<OutputFormat, Failure> {
    OutputFormat::parse(&typed.output_format).ok_or_else(|| {
        Failure::usage(format!(
            "--output-format takes text, json, csv, markdown or quiet, not {:?}.",
            typed.output_format
        ))
    })
}

fn spec(typed: &RequestArgs, slice: SliceSpec) -> Result<SliceSpec, Failure> {
    let each = match typed.requests_per_connection {
        None => None,
        Some(count) => Some(
            NonZeroU32::new(count)
                .ok_or_else(|| Failure::usage("--requests-per-connection takes 1 or more."))?,
        ),
    };
    let waits = [("spin", GeneratorWait::Spin), ("sleep", GeneratorWait::Sleep)];
    let wait = values::choice("--wait", &typed.wait, &waits)?;
    let timeout = values::duration("--timeout", &typed.timeout)?;
    let seed = values::seed(typed.seed);
    Ok(SliceSpec { requests_per_connection: each, timeout, seed, wait, ..slice })
}

fn generator(typed: &RequestArgs) -> Result<GeneratorOptions, Failure> {
    let mut options = match &typed.cores {
        Some(text) => GeneratorOptions::on_cores(&cores::usable(values::cores(text)?)?),
        None if typed.threads == 0 => return Err(Failure::usage("--threads takes 1 or more.")),
        None => GeneratorOptions::unpinned(typed.threads),
    };
    options.driver = values::driver(&typed.driver, false)?;
    Ok(options)
}

/// Where the server's CPU is read.
fn servers(typed: &RequestArgs) -> Result<Vec<Process>, Failure> {
    let process = |service: String, cpu| Process { service, cpu, admin: None };
    match (&typed.server_pid, &typed.metrics_url) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("--server-pid and --metrics-url exclude each other."))
        }
        (None, None) => Ok(Vec::new()),
        (None, Some(url)) => {
            let url = values::url("--metrics-url", url)?;
            if url.is_tls() {
                return Err(Failure::usage("--metrics-url takes an http URL, without TLS."));
            }
            Ok(vec![process("server".into(), CpuSource::Metrics(url))])
        }
        (Some(text), None) => {
            // Many servers keep their workers as children of the process that one starts.
            let ids = values::process_ids("--server-pid", text)?;
            let mut pids: Vec<u32> = ids.into_iter().flat_map(with_descendants).collect();
            pids.sort_unstable();
            pids.dedup();
            let named = |pid| process(format!("process {pid}"), CpuSource::Pid(pid));
            Ok(pids.into_iter().map(named).collect())
        }
    }
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
        .map_err(|error| Failure::failed(format!("--connect-to: {error}.")).because(error))
}

fn trust(typed: &RequestArgs) -> Result<Trust, Failure> {
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

fn credentials(typed: &RequestArgs) -> Result<AuthorizationSource, Failure> {
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
            Ok(token.map_or(AuthorizationSource::None, AuthorizationSource::Token))
        }
        [Some(url), Some(id), Some(file)] => {
            Ok(AuthorizationSource::Client(Arc::new(ClientCredentials {
                token_url: values::url("--token-url", url)?,
                client_id: id.clone(),
                secret: secret(file)?,
                scope: typed.scope.clone(),
                params,
            })))
        }
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
    check_token_params(&params).map_err(|sentence| {
        Failure::usage(format!("--token-param: {sentence}.")).because(sentence)
    })?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn places_to_connect_to_are_addresses_with_ports() {
        let within = Duration::from_secs(10);
        let v6: Vec<SocketAddr> = vec!["[::1]:8443".parse().unwrap()];
        assert_eq!(connect_to("[::1]:8443", within).unwrap(), v6);
        assert!(!connect_to("localhost:1", within).unwrap().is_empty());
        for wrong in ["", "h", "h:", "::1", "[::1]", "h:x", "h:0", "h:70000", "h:1/", "u@h:1"] {
            let error = connect_to(wrong, within).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Usage, "{wrong}");
        }
    }
}
