//! `tollgate pki`: puts what `authn::pki` makes into files. What exists is kept, so that running it
//! twice changes nothing; certificates that have run out, or are not of the CA, are made anew. It
//! refuses to make a CA in the place of another, whose key may be kept elsewhere.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use authn::chain::check_authority;
use authn::material::{CertifiedKey, certificates};
use authn::pki::{Authority, CertificateRequest, Issued};
use runtime::files::{PRIVATE, PUBLIC};
use rustls::pki_types::{CertificateDer, UnixTime};
use services::ServiceKind;
use zeroize::Zeroizing;

use crate::Failure;
use crate::cli::{PkiArgs, PkiCommand, PkiIssue};
use crate::io::stdout::print;
use crate::process::state::{self, StateDir};

/// The clients that every stack knows; the same names stand in the auth server's registry.
pub(crate) const CLIENTS: [&str; 3] = ["bench-runner", "service-order", "bench-ui"];

/// How long certificates of the stack itself are valid, in days.
const STACK_CERTIFICATE_DAYS: u32 = 90;

/// Certificates that end within this time are replaced, in seconds: none shall end during a run.
const RENEW_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest name of a certificate: the limit of a common name (RFC 5280, appendix A.1).
const NAME_BYTES_MAX: usize = 64;

/// Carries out `tollgate pki`.
pub(crate) fn command(typed: PkiArgs) -> Result<u8, Failure> {
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

/// Makes whatever is missing of a stack's CA and certificates. A CA is never made in the place of
/// another: where its key is kept elsewhere, everything that it signed must be good.
pub(crate) fn ensure(state: &StateDir) -> Result<(), Failure> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let services = ServiceKind::TABLE.map(|(_, service, _)| (service, ["localhost", service]));
    let servers = services.iter().map(|(service, dns)| CertificateRequest {
        name: service,
        dns,
        ips: &loopback,
        spiffe: true,
        server: true,
        client: true,
        days: STACK_CERTIFICATE_DAYS,
    });
    let clients = CLIENTS.iter().map(|client| CertificateRequest {
        name: client,
        dns: &[],
        ips: &[],
        spiffe: true,
        server: false,
        client: true,
        days: STACK_CERTIFICATE_DAYS,
    });
    let servers = servers.map(|request| (state.path("certs"), request));
    let all = servers.chain(clients.map(|request| (state.path("clients"), request)));
    let authority = ensure_authority(state)?;
    let ca = match &authority {
        Some(authority) => vec![authority.certificate().clone()],
        None => certificates(&read(&state.ca_cert())?).map_err(|error| {
            Failure::failed(format!("{}: {error}", state.ca_cert().display())).because(error)
        })?,
    };
    for (folder, request) in all {
        let Err(fault) = check(&folder, request.name, &ca) else {
            continue;
        };
        let path = folder.join(format!("{}.crt", request.name));
        let Some(authority) = &authority else {
            return Err(Failure::failed(keyless(state, &path, &fault)));
        };
        if fs::symlink_metadata(&path).is_ok() {
            eprintln!("{} is issued anew: {fault}.", path.display());
        }
        let issued = authority.issue(&request, UnixTime::now()).map_err(Failure::of)?;
        write_issued(&folder, request.name, &issued)?;
    }
    Ok(())
}

/// What to do about a certificate that the CA must issue, where its key is not here.
fn keyless(state: &StateDir, path: &Path, fault: &str) -> String {
    format!(
        "{} is needed: {fault}. The CA's key is not here to issue it: put it back as {} for this \
         command, or begin anew with another CA by removing {}, certs and clients.",
        path.display(),
        state.path("ca/ca.key").display(),
        state.path("ca").display(),
    )
}

/// The CA of the state; none where its key is kept elsewhere. It is made where there is nothing of
/// one, and nothing that another one issued.
fn ensure_authority(state: &StateDir) -> Result<Option<Authority>, Failure> {
    let (cert, key) = (state.ca_cert(), state.path("ca/ca.key"));
    match (is_there(&cert)?, is_there(&key)?) {
        (true, true) => return load_authority(state).map(Some),
        (true, false) => return Ok(None),
        (false, true) => {
            return Err(Failure::failed(format!(
                "There is {} without its certificate: put {} back, or remove the key to begin \
                 anew with another CA.",
                key.display(),
                cert.display()
            )));
        }
        (false, false) => {}
    }
    if let Some(link) = [&cert, &key].into_iter().find(|path| path.is_symlink()) {
        return Err(Failure::failed(format!(
            "{} is a link that leads nowhere: bring back what it leads to, or remove it.",
            link.display()
        )));
    }
    let issued = ["certs", "clients"].map(|folder| state.path(folder));
    let issued = issued.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut issued = issued.map(|entry| entry.path());
    if let Some(certificate) = issued.find(|path| path.extension().is_some_and(|e| e == "crt")) {
        return Err(Failure::failed(format!(
            "There is no CA in {}, but {} was issued by one: put ca.crt back, or remove certs and \
             clients to begin anew with another CA.",
            state.path("ca").display(),
            certificate.display()
        )));
    }
    let authority = Authority::create("tollgate CA", UnixTime::now()).map_err(Failure::of)?;
    state::write(&key, authority.key_pem().as_bytes(), PRIVATE)?;
    state::write(&cert, authority.cert_pem().as_bytes(), PUBLIC)?;
    Ok(Some(authority))
}

/// A link that leads nowhere, such as to a disk that is not here now, is no file.
fn is_there(path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|error| {
        Failure::failed(format!("Could not look at {}: {error}.", path.display())).because(error)
    })
}

fn load_authority(state: &StateDir) -> Result<Authority, Failure> {
    let (cert, key) = (read(&state.ca_cert())?, read(&state.path("ca/ca.key"))?);
    Authority::load(&cert, &key).map_err(|error| {
        Failure::failed(format!("{}: {error}", state.ca_cert().display())).because(error)
    })
}

/// Checks that a certificate and its key are there, belong together, are of this CA, and last for
/// another day.
fn check(folder: &Path, name: &str, ca: &[CertificateDer<'static>]) -> Result<(), String> {
    let file = |kind: &str| {
        let path = folder.join(format!("{name}.{kind}"));
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no {}", path.display()),
            _ => format!("{} cannot be read: {error}", path.display()),
        })
    };
    let (cert, key) = (file("crt")?, Zeroizing::new(file("key")?));
    let pair = CertifiedKey::from_pem(&cert, &key).map_err(|error| error.to_string())?;
    let now = UnixTime::now();
    let until = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + RENEW_BEFORE);
    pair.check_validity(until)
        .and_then(|()| check_authority(pair.chain(), ca, now))
        .map_err(|error| error.to_string())
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
    let request = CertificateRequest {
        name: &typed.name,
        dns: &dns,
        ips: &ips,
        spiffe: true,
        server: typed.server,
        client: !typed.server,
        days: typed.days,
    };
    let issued = load_authority(state)?.issue(&request, UnixTime::now()).map_err(Failure::of)?;
    let folder = match &typed.out {
        Some(out) => PathBuf::from(out),
        None => state.path(if typed.server { "certs" } else { "clients" }),
    };
    write_issued(&folder, &typed.name, &issued)
}

/// The key goes first: a certificate that is there always has its key.
fn write_issued(folder: &Path, name: &str, issued: &Issued) -> Result<[PathBuf; 2], Failure> {
    let (cert, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    state::write(&key, issued.key_pem.as_bytes(), PRIVATE)?;
    state::write(&cert, issued.cert_pem.as_bytes(), PUBLIC)?;
    Ok([cert, key])
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::failed(format!("Could not read {}: {error}.", path.display())).because(error)
    })
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
        assert_eq!(check(&state.path("certs"), "gateway", &ca_of(&state)), Ok(()));
    }

    fn ca_of(state: &StateDir) -> Vec<CertificateDer<'static>> {
        certificates(&read(&state.ca_cert()).unwrap()).unwrap()
    }

    /// Every file below the directory with its content.
    fn content(state: &StateDir) -> Vec<(PathBuf, Vec<u8>)> {
        let folders = ["ca", "certs", "clients"].map(|folder| state.path(folder));
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), read(&path).unwrap())).collect()
    }

    #[test]
    fn a_ca_is_never_made_in_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(&folder.path().join("s")).unwrap();
        ensure(&state).unwrap();
        let [cert, key] = [state.ca_cert(), state.path("ca/ca.key")];
        let away = |path: &Path| {
            fs::rename(path, folder.path().join(path.file_name().unwrap())).unwrap();
        };
        let back = |path: &Path| {
            fs::rename(folder.path().join(path.file_name().unwrap()), path).unwrap();
        };
        let refused = |word: &str| {
            let before = content(&state);
            let message = ensure(&state).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            assert_eq!(content(&state), before);
        };
        away(&key);
        let before = content(&state);
        ensure(&state).unwrap();
        assert_eq!(content(&state), before, "without the key all is well as long as all is good");
        let orders = state.path("clients/bench-ui.crt");
        away(&orders);
        refused("ca/ca.key");
        back(&orders);
        away(&cert);
        refused("put ca.crt back");
        back(&key);
        refused("without its certificate");
        back(&cert);
        ensure(&state).unwrap();
        assert_eq!(read(&state.ca_cert()).unwrap(), before[0].1);
    }

    #[test]
    fn a_certificate_of_another_ca_is_issued_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [state, other] =
            ["s", "t"].map(|name| StateDir::create(&folder.path().join(name)).unwrap());
        ensure(&state).unwrap();
        ensure(&other).unwrap();
        for file in ["certs/orders.crt", "certs/orders.key"] {
            fs::copy(other.path(file), state.path(file)).unwrap();
        }
        let of_other = check(&state.path("certs"), "orders", &ca_of(&state)).unwrap_err();
        assert!(of_other.contains("not issued by this authority"), "{of_other}");
        ensure(&state).unwrap();
        assert_eq!(check(&state.path("certs"), "orders", &ca_of(&state)), Ok(()));
    }
}
