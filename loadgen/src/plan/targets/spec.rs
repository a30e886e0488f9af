//! From the keys of one target to what they mean.

use std::path::{Path, PathBuf};

use runtime::url::Url;
use rustls::pki_types::ServerName;

use super::read::{Entry, TargetTable};
use super::{Cpu, TargetBody, TargetSpec, TargetToken, TargetsError, check_token_params, keys};
use crate::traffic::check::Expect;
use crate::traffic::workload::{self, Workload};

/// The most fields of a request.
const HEADERS_MAX: usize = 64;

/// The most processes of a server.
const PIDS_MAX: usize = 1024;

/// Linux gives no higher process id.
const PID_END: u64 = 4_194_305;

type Built<T> = Result<T, TargetsError>;

/// Everything but names of other targets, which are not known yet.
pub(super) fn build(table: &TargetTable<'_>, folder: &Path) -> Built<TargetSpec> {
    let reader = Reader { table, folder };
    let url = table.required("url")?.url()?;
    reader.refuse_excluded()?;
    if !url.is_tls() {
        reader.refuse_tls()?;
    }
    let spec = TargetSpec {
        name: table.required("name")?.text()?.to_owned(),
        id: String::new(),
        line: table.line,
        method: reader.text("method")?,
        headers: reader.headers()?,
        header_file: reader.path("header_file")?,
        body: reader.body()?,
        expect: reader.expect()?,
        connect_to: reader.connect_to()?,
        server_name: reader.server_name()?.filter(|_| url.is_tls()),
        cacert: reader.path("cacert")?.filter(|_| url.is_tls()),
        identity: reader.identity()?.filter(|_| url.is_tls()),
        insecure: reader.flag("insecure")? && url.is_tls(),
        resumption: reader.flag("resumption")? && url.is_tls(),
        token: reader.token()?,
        cpu: reader.cpu()?,
        against: None,
        url,
    };
    reader.check_request(&spec)?;
    Ok(spec)
}

struct Reader<'a> {
    table: &'a TargetTable<'a>,
    folder: &'a Path,
}

impl Reader<'_> {
    fn entry(&self, key: &str) -> Option<&Entry<'_>> {
        self.table.entry(key)
    }

    fn text(&self, key: &str) -> Built<Option<String>> {
        self.entry(key).map(|entry| entry.text().map(String::from)).transpose()
    }

    fn flag(&self, key: &str) -> Built<bool> {
        self.entry(key).map_or(Ok(false), Entry::flag)
    }

    /// A path, from the folder of the file on.
    fn path(&self, key: &str) -> Built<Option<PathBuf>> {
        let path = |entry: &Entry<'_>| match entry.text()? {
            text if text.contains('\0') => entry.refuse(format!("`{key}` is no path")),
            text => Ok(self.folder.join(text)),
        };
        self.entry(key).map(path).transpose()
    }

    /// Two keys of which a target has one.
    fn refuse_excluded(&self) -> Built<()> {
        for entry in self.table.entries() {
            let Some((group, way)) = keys::alternative(&entry.key) else { continue };
            let other = self.table.entries().find(|other| {
                keys::alternative(&other.key).is_some_and(|(g, w)| g == group && w < way)
            });
            if let Some(other) = other {
                let (one, two) = (&other.key, &entry.key);
                return entry.refuse(format!("`{one}` and `{two}` exclude each other"));
            }
        }
        Ok(())
    }

    /// A key of the target's own that has no effect; from the defaults it is meant for others.
    fn refuse_tls(&self) -> Built<()> {
        let own = self.table.entries().filter(|entry| !entry.is_default);
        let useless = own.filter(|entry| keys::TLS.contains(&entry.key.as_str()));
        match useless.min_by_key(|entry| entry.line) {
            None => Ok(()),
            Some(entry) => entry.refuse(format!(
                "`{}` has no effect on an http:// URL: use https://, or leave it out",
                entry.key
            )),
        }
    }

    fn headers(&self) -> Built<Vec<(String, Vec<u8>)>> {
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for entry in self.table.entries().filter(|entry| entry.key == "headers") {
            let before = headers.len();
            for (name, value) in entry.pairs()? {
                if let Some(instead) = keys::in_place_of_secret(&name) {
                    return entry.refuse(format!(
                        "the field `{name}` would be a secret in this file: use {instead}"
                    ));
                }
                let same = |known: &(String, Vec<u8>)| known.0.eq_ignore_ascii_case(&name);
                if headers[before..].iter().any(same) {
                    return entry.refuse(format!("the field `{name}` stands here twice"));
                }
                if !headers.iter().any(same) {
                    headers.push((name, value.into_bytes()));
                }
            }
            if headers.len() > HEADERS_MAX {
                return entry.refuse(format!("there are more than {HEADERS_MAX} fields"));
            }
        }
        Ok(headers)
    }

    fn body(&self) -> Built<TargetBody> {
        let requests = self.path("requests_file")?.map(TargetBody::Requests);
        let file = self.path("body_file")?.map(TargetBody::File);
        Ok(self
            .text("body")?
            .map(TargetBody::Text)
            .or(file)
            .or(requests)
            .unwrap_or(TargetBody::None))
    }

    fn expect(&self) -> Built<Expect> {
        let least = match self.entry("min_body_bytes") {
            None => 0,
            Some(entry) => match entry.numbers(0..u64::from(u32::MAX))?.as_slice() {
                [bytes] => *bytes,
                _ => return entry.refuse("`min_body_bytes` takes one number"),
            },
        };
        let Some(entry) = self.entry("expect_status") else {
            return Ok(Expect { body_bytes_min: least, ..Expect::success() });
        };
        // Interim replies are no answers (RFC 9110 section 15.2).
        let statuses: Vec<u16> =
            entry.numbers(200..1000)?.into_iter().map(|status| status as u16).collect();
        Ok(Expect::one_of(&statuses, least))
    }

    /// The parts of a URL say what a host and a port are.
    fn connect_to(&self) -> Built<Option<Url>> {
        let Some(entry) = self.entry("connect_to") else { return Ok(None) };
        let text = entry.text()?;
        let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let url = Url::parse(&format!("http://{text}")).ok();
        match url.filter(|url| has_port && url.target == "/" && !text.ends_with('/')) {
            Some(url) => Ok(Some(url)),
            None => entry.refuse(format!(
                "`connect_to` takes HOST:PORT, with an IPv6 address in brackets, not {text:?}"
            )),
        }
    }

    fn server_name(&self) -> Built<Option<ServerName<'static>>> {
        let name = |entry: &Entry<'_>| {
            let text = entry.text()?;
            ServerName::try_from(text.to_owned()).or_else(|_| {
                entry.refuse(format!("`server_name` takes a host name or an address, not {text:?}"))
            })
        };
        self.entry("server_name").map(name).transpose()
    }

    fn identity(&self) -> Built<Option<(PathBuf, PathBuf)>> {
        match (self.path("cert")?, self.path("key")?) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            _ => self.incomplete(&["cert", "key"]),
        }
    }

    fn token(&self) -> Built<TargetToken> {
        if let Some(file) = self.path("token_file")? {
            return Ok(TargetToken::File(file));
        }
        let url = self.entry("token_url").map(Entry::url).transpose()?;
        let needed = (url, self.text("client_id")?, self.path("client_secret_file")?);
        let (scope, params) = (self.text("scope")?, self.token_params()?);
        match needed {
            (None, None, None) if scope.is_none() && params.is_empty() => Ok(TargetToken::None),
            (Some(token_url), Some(client_id), Some(client_secret_file)) => {
                Ok(TargetToken::Client { token_url, client_id, client_secret_file, scope, params })
            }
            _ => self.incomplete(&[
                "token_url",
                "client_id",
                "client_secret_file",
                "scope",
                "token_params",
            ]),
        }
    }

    fn token_params(&self) -> Built<Vec<(String, String)>> {
        let Some(entry) = self.entry("token_params") else { return Ok(Vec::new()) };
        let params = entry.lists()?;
        match check_token_params(&params) {
            Ok(()) => Ok(params),
            Err(error) => entry.refuse(error.to_string()),
        }
    }

    /// Keys of which each needs the others.
    fn incomplete<T>(&self, needed: &[&str]) -> Built<T> {
        let given = needed.iter().filter_map(|key| self.entry(key)).min_by_key(|entry| entry.line);
        let line = given.map_or(self.table.line, |entry| entry.line);
        let optional = |key: &&&str| !matches!(**key, "scope" | "token_params");
        let needed = needed.iter().filter(optional);
        let names: Vec<String> = needed.map(|key| format!("`{key}`")).collect();
        let sentence = format!("{} belong together: give all of them", names.join(", "));
        Err(TargetsError { line, sentence })
    }

    fn cpu(&self) -> Built<Cpu> {
        if let Some(entry) = self.entry("server_pid") {
            let pids = entry.numbers(1..PID_END)?;
            if pids.len() > PIDS_MAX {
                return entry.refuse(format!("there are more than {PIDS_MAX} processes"));
            }
            let mut pids: Vec<u32> = pids.into_iter().map(|pid| pid as u32).collect();
            pids.sort_unstable();
            // Counted twice, a process would cost twice as much.
            pids.dedup();
            return Ok(Cpu::Pids(pids));
        }
        if let Some(file) = self.path("server_pid_file")? {
            return Ok(Cpu::PidFile(file));
        }
        if let Some(folder) = self.path("control_group")? {
            return Ok(Cpu::ControlGroup(folder));
        }
        let Some(entry) = self.entry("metrics_url") else { return Ok(Cpu::None) };
        match entry.url()? {
            url if url.is_tls() => entry.refuse("`metrics_url` takes an http URL, without TLS"),
            url => Ok(Cpu::Metrics(url)),
        }
    }

    /// What the generator could not send is told here, with its line.
    fn check_request(&self, spec: &TargetSpec) -> Built<()> {
        let method = spec.method.as_deref().unwrap_or("GET");
        let fields = spec.headers.clone();
        let request = Workload::custom(&spec.name, method, &spec.url.target, fields, Vec::new());
        workload::check(&request).map_err(|error| {
            let key = match error {
                workload::WorkloadError::Method(_) => "method",
                workload::WorkloadError::Path => "url",
                _ => "headers",
            };
            let line = self.entry(key).map_or(self.table.line, |entry| entry.line);
            TargetsError { line, sentence: error.to_string() }
        })
    }
}
