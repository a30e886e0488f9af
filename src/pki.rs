//! `tollgate pki`: puts what `authn::pki` makes into files. What exists is kept, so that running it
//! twice changes nothing; certificates that have run out are made anew.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use authn::material::CertifiedKey;
use authn::pki::{Authority, Issued, Request};
use services::ServiceKind;

use crate::Failure;
use crate::cli::{Pki, PkiCommand, PkiIssue};
use crate::state::{StateDir, write_atomically};
use crate::stdout::print;

/// The clients that every stack knows; the same names stand in the auth server's registry.
pub(crate) const CLIENTS: [&str; 3] = ["bench-runner", "service-order", "bench-ui"];

/// How long certificates of the stack itself are valid, in days.
const STACK_CERTIFICATE_DAYS: u32 = 90;

/// Certificates that end within this time are replaced, in seconds: none shall end during a run.
const RENEW_BEFORE_S: u64 = 24 * 60 * 60;

/// Longest name of a certificate: the limit of a common name (RFC 5280, appendix A.1).
const NAME_BYTES_MAX: usize = 64;

/// Carries out `tollgate pki`.
pub(crate) fn command(typed: Pki) -> Result<u8, Failure> {
    match typed.command {
        PkiCommand::Init(init) => {
            let state = StateDir::create(Path::new(&init.state))?;
            ensure(&state)?;
            print(&format!("CA and certificates are in {}.\n", state.root().display()))?;
        }
        PkiCommand::Issue(issue) => {
            let state = StateDir::open(Path::new(&issue.state))?;
            let paths = issue_one(&state, &issue)?;
            let [cert, key] = [&paths[0], &paths[1]].map(|path| path.display());
            print(&format!("certificate: {cert}\nkey: {key}\n"))?;
        }
    }
    Ok(0)
}

/// Makes whatever is missing of a stack's CA and certificates.
pub(crate) fn ensure(state: &StateDir) -> Result<(), Failure> {
    let authority = ensure_authority(state)?;
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for (_, service, _) in ServiceKind::TABLE {
        let request = Request {
            name: service,
            dns: &["localhost", service],
            ips: &loopback,
            spiffe: true,
            server: true,
            client: true,
            days: STACK_CERTIFICATE_DAYS,
        };
        ensure_certificate(state, &authority, "certs", &request)?;
    }
    for client in CLIENTS {
        let request = Request {
            name: client,
            dns: &[],
            ips: &[],
            spiffe: true,
            server: false,
            client: true,
            days: STACK_CERTIFICATE_DAYS,
        };
        ensure_certificate(state, &authority, "clients", &request)?;
    }
    Ok(())
}

fn ensure_authority(state: &StateDir) -> Result<Authority, Failure> {
    let (cert, key) = (state.ca_cert(), state.path("ca/ca.key"));
    if cert.exists() && key.exists() {
        return load_authority(state);
    }
    let authority = Authority::create("tollgate CA", now_s()).map_err(Failure::failed)?;
    write_atomically(&key, authority.key_pem().as_bytes(), 0o600)?;
    write_atomically(&cert, authority.cert_pem().as_bytes(), 0o644)?;
    Ok(authority)
}

fn load_authority(state: &StateDir) -> Result<Authority, Failure> {
    let (cert, key) = (read(&state.ca_cert())?, read(&state.path("ca/ca.key"))?);
    Authority::load(&cert, &key)
        .map_err(|error| Failure::failed(format!("{}: {error}", state.ca_cert().display())))
}

fn ensure_certificate(
    state: &StateDir,
    authority: &Authority,
    folder: &str,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let folder = state.path(folder);
    if !is_good(&folder, request.name) {
        let issued = authority.issue(request, now_s()).map_err(Failure::failed)?;
        write_issued(&folder, request.name, &issued)?;
    }
    Ok(())
}

/// Whether a certificate and its key are there, belong together and last for another day.
fn is_good(folder: &Path, name: &str) -> bool {
    let file = |kind: &str| fs::read(folder.join(format!("{name}.{kind}"))).ok();
    let (Some(cert), Some(key)) = (file("crt"), file("key")) else {
        return false;
    };
    CertifiedKey::from_pem(&cert, &key)
        .is_ok_and(|pair| pair.check_validity(now_s() + RENEW_BEFORE_S).is_ok())
}

fn issue_one(state: &StateDir, typed: &PkiIssue) -> Result<[PathBuf; 2], Failure> {
    let name_is_good = !typed.name.is_empty()
        && typed.name.len() <= NAME_BYTES_MAX
        && typed.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !typed.name.starts_with('.');
    if !name_is_good {
        return Err(Failure::usage(format!(
            "The name {:?} cannot stand in a certificate here. Use up to {NAME_BYTES_MAX} letters, \
             digits, '-', '_' and '.'.",
            typed.name
        )));
    }
    let ips: Vec<IpAddr> = typed.san.iter().filter_map(|san| san.parse().ok()).collect();
    let names = typed.san.iter().filter(|san| san.parse::<IpAddr>().is_err());
    let dns: Vec<&str> = names.map(String::as_str).collect();
    if typed.server && typed.san.is_empty() {
        return Err(Failure::usage(
            "A server's certificate needs the names that clients call it by. Give --san NAME once \
             or more.",
        ));
    }
    let request = Request {
        name: &typed.name,
        dns: &dns,
        ips: &ips,
        spiffe: true,
        server: typed.server,
        client: !typed.server,
        days: typed.days,
    };
    let issued = load_authority(state)?.issue(&request, now_s()).map_err(Failure::failed)?;
    let folder = match &typed.out {
        Some(out) => PathBuf::from(out),
        None => state.path(if typed.server { "certs" } else { "clients" }),
    };
    write_issued(&folder, &typed.name, &issued)
}

/// The key goes first: a certificate that is there always has its key.
fn write_issued(folder: &Path, name: &str, issued: &Issued) -> Result<[PathBuf; 2], Failure> {
    let (cert, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    write_atomically(&key, issued.key_pem.as_bytes(), 0o600)?;
    write_atomically(&cert, issued.cert_pem.as_bytes(), 0o644)?;
    Ok([cert, key])
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::failed(format!("Could not read {}: {error}.", path.display())))
}

/// Seconds since 1970, as certificates and tokens count.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_kept_and_what_is_broken_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(&folder.path().join("s")).unwrap();
        ensure(&state).unwrap();
        let gateway = state.path("certs/gateway.crt");
        let (ca, first) = (read(&state.ca_cert()).unwrap(), read(&gateway).unwrap());
        ensure(&state).unwrap();
        assert_eq!((read(&state.ca_cert()).unwrap(), read(&gateway).unwrap()), (ca, first.clone()));
        fs::write(&gateway, "not a certificate").unwrap();
        ensure(&state).unwrap();
        assert_ne!(read(&gateway).unwrap(), first);
        assert!(is_good(&state.path("certs"), "gateway"));
    }
}
