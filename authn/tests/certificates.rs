//! Certificates and their files: what is issued, what is read back, what is wrong with a file, and
//! what openssl, a stranger, says to it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use authn::error::Error;
use authn::identity;
use authn::material::{self, CertifiedKey};
use authn::pki::{Authority, CertificateRequest, Revoked, serial_of};
use common::*;
use rustls::pki_types::UnixTime;

const RSA_KEY: &[u8] = include_bytes!("data/test_rsa.key");

#[test]
fn certificates_name_their_bearer() {
    let authority = authority();
    let request = client_request("bench-runner");
    let unnamed = CertificateRequest { spiffe: false, ..request.clone() };
    for (request, name) in [(request, Some("bench-runner")), (unnamed, None)] {
        let issued = authority.issue(&request, now()).unwrap();
        let chain = material::certificates(issued.cert_pem.as_bytes()).unwrap();
        assert_eq!(chain.len(), 1);
        let identity = identity::from_certificate(&chain[0]).unwrap();
        assert_eq!(identity.name.as_deref(), name);
    }
}

#[test]
fn validity_is_back_dated_and_ends_with_the_authority() {
    let now = 1_700_000_000;
    let day = 86_400;
    let at = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
    let authority = Authority::create("test", at(now)).unwrap();
    let certificate = |days, from| {
        let request = CertificateRequest { days, ..server_request() };
        certified(&authority.issue(&request, at(from)).unwrap())
    };
    let one_day = certificate(1, now);
    assert_eq!(one_day.check_validity(at(now - 3601)), Err(Error::NotYetValid(now - 3600)));
    assert_eq!(one_day.check_validity(at(now - 3600)), Ok(()));
    assert_eq!(one_day.check_validity(at(now + day)), Ok(()));
    assert_eq!(one_day.check_validity(at(now + day + 1)), Err(Error::Expired(now + day)));
    let end = now + 3650 * day;
    assert_eq!(certificate(36_500, now).check_validity(at(end + 1)), Err(Error::Expired(end)));
    let late = authority.issue(&server_request(), at(end + 1)).err();
    assert_eq!(late, Some(Error::Expired(end)));
    assert!(Error::Expired(end).to_string().contains("2033-11-11T22:13:20Z"));
}

/// A change that makes a request for a certificate unusable, and a part of what is said.
type Change = (fn(&mut CertificateRequest<'static>), &'static str);

const CHANGES: [Change; 9] = [
    (|request| (request.dns, request.ips) = (&[], &[]), "a DNS name or an IP address"),
    (|request| request.dns = &["no host"], "not a DNS name"),
    (|request| request.dns = &["a.*.b"], "not a DNS name"),
    (|request| request.name = "", "cannot be a name"),
    (|request| request.name = "Not A Name", "cannot be a name"),
    (|request| (request.name, request.spiffe) = ("a\nb", false), "cannot be a name"),
    (|request| request.days = 0, "days"),
    (|request| request.days = 36_501, "days"),
    (|request| request.server = false, "server's or a client's"),
];

#[test]
fn unusable_certificates_are_not_issued() {
    let authority = authority();
    for (change, sentence) in CHANGES {
        let mut request = server_request();
        change(&mut request);
        let error = authority.issue(&request, now()).err().unwrap().to_string();
        assert!(error.contains(sentence), "{request:?}: {error}");
    }
    let wild = CertificateRequest { dns: &["*.example.com"], ..server_request() };
    assert!(authority.issue(&wild, now()).is_ok());
    assert_eq!(
        Authority::create("test", UnixTime::since_unix_epoch(Duration::MAX)).err(),
        Some(Error::Days)
    );
}

#[test]
fn an_authority_survives_its_files() {
    let made = authority();
    let loaded = Authority::load(made.cert_pem().as_bytes(), made.key_pem().as_bytes()).unwrap();
    assert_eq!(loaded.certificate(), made.certificate());
    let issued = loaded.issue(&client_request("gateway"), now()).unwrap();
    // What the loaded one issues, a server that trusts the one that was made accepts.
    let options = Default::default();
    let server = server_material(&made, None);
    let server = authn::tls::server_config(Some(&server), authn::Transport::Mutual, &options);
    let client = client_material(&made, Some(&issued));
    let client = authn::tls::client_config(
        &client,
        authn::Transport::Mutual,
        &options,
        &authn::tls::ServerTrust::Path,
    );
    handshake(&server.unwrap().unwrap(), &client.unwrap().unwrap()).unwrap();

    let other = authority();
    let load = |cert: &str, key: &str| Authority::load(cert.as_bytes(), key.as_bytes()).err();
    assert_eq!(load(made.cert_pem(), &other.key_pem()), Some(Error::KeyMismatch));
    assert_eq!(load(&issued.cert_pem, &issued.key_pem), Some(Error::NotAnAuthority));
    assert_eq!(load("", &made.key_pem()), Some(Error::NoCertificate));
    assert_eq!(load(made.cert_pem(), ""), Some(Error::NoKey));
}

#[test]
fn mistakes_in_files_have_distinct_errors() {
    let authority = authority();
    let (one, two) = (
        authority.issue(&server_request(), now()).unwrap(),
        authority.issue(&server_request(), now()).unwrap(),
    );
    let (cert, key) = (one.cert_pem.as_bytes(), one.key_pem.as_bytes());
    let both = [cert, key].concat();
    let two_keys = [key, two.key_pem.as_bytes()].concat();
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
        DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let cut = &cert[..cert.len() / 2];
    let not_der = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let load = |cert: &[u8], key: &[u8]| CertifiedKey::from_pem(cert, key).err();
    assert_eq!(load(cert, key), None);
    assert_eq!(load(&both, &both), None);
    assert_eq!(load(cert, two.key_pem.as_bytes()), Some(Error::KeyMismatch));
    assert_eq!(load(cert, RSA_KEY), Some(Error::KeyMismatch));
    assert_eq!(load(key, key), Some(Error::NoCertificate));
    assert_eq!(load(b"", key), Some(Error::NoCertificate));
    assert_eq!(load(cert, cert), Some(Error::NoKey));
    assert_eq!(load(cert, &two_keys), Some(Error::ManyKeys));
    assert_eq!(load(cert, encrypted), Some(Error::EncryptedKey));
    assert!(matches!(load(cert, old_encrypted), Some(Error::EncryptedKey | Error::Pem(_))));
    assert_eq!(load(not_der, key), Some(Error::Certificate));
    assert_eq!(load(cert, not_key), Some(Error::Key));
    assert!(matches!(load(cut, key), Some(Error::Pem(_))));
    assert_eq!(material::revocation_lists(cert).err(), Some(Error::NoRevocationList));
    assert!(!format!("{:?}", certified(&one)).contains("48, "), "a key was printed");
}

#[test]
fn serial_numbers_are_read_as_they_are_written() {
    let authority = authority();
    let serial = |issued: &authn::pki::Issued| serial_of(issued.cert_pem.as_bytes()).unwrap();
    let one = serial(&authority.issue(&server_request(), now()).unwrap());
    let two = serial(&authority.issue(&server_request(), now()).unwrap());
    assert!(one.len() == 16 && two.len() == 16 && one != two);
}

/// An authority that somebody made with openssl, with a subject of several parts, and openssl's
/// verdict on what both authorities issue and revoke.
#[test]
fn openssl_agrees() {
    let folder = std::env::temp_dir().join(format!("authn-certificates-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let run = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' ').map(|argument| argument.replace('~', " ")))
            .current_dir(&folder)
            .output()
            .expect("these tests need the openssl program; install the package openssl");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert!(
        run(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout ca.key \
             -out ca.crt -addext keyUsage=critical,keyCertSign,cRLSign \
             -subj /C=DE/O=Some~Company/OU=Tests/CN=Foreign~CA"
        )
        .0
    );
    let foreign = Authority::load(&read("ca.crt"), &read("ca.key")).unwrap();
    for authority in [foreign, authority()] {
        check_with_openssl(&authority, &folder, &run);
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn check_with_openssl(authority: &Authority, folder: &Path, run: &dyn Fn(&str) -> (bool, String)) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let server = authority.issue(&server_request(), now()).unwrap();
    let client = authority.issue(&client_request("gateway"), now()).unwrap();
    write("root.crt", authority.cert_pem());
    write("server.crt", &server.cert_pem);
    write("client.crt", &client.cert_pem);
    let verify = "verify -x509_strict -CAfile root.crt";
    assert!(run(&format!("{verify} -purpose sslserver server.crt")).0);
    assert!(run(&format!("{verify} -purpose sslclient client.crt")).0);
    assert!(!run(&format!("{verify} -purpose sslclient server.crt")).0);
    assert!(!run(&format!("{verify} -purpose sslserver client.crt")).0);
    assert!(run(&format!("{verify} -verify_hostname localhost server.crt")).0);
    assert!(run(&format!("{verify} -verify_ip 127.0.0.1 server.crt")).0);
    let (_, text) = run("x509 -in client.crt -noout -ext subjectAltName,keyUsage,basicConstraints");
    assert!(text.contains("URI:spiffe://tollgate/gateway"), "{text}");
    assert!(text.contains("CA:FALSE") && text.contains("Digital Signature"), "{text}");

    let serial = serial_of(client.cert_pem.as_bytes()).unwrap();
    let revoked = [Revoked { serial, at: now() }];
    write("root.crl", &authority.revocation_list(&revoked, 7, now(), 30).unwrap());
    assert!(run("crl -in root.crl -CAfile root.crt -noout -verify").0);
    let verify = "verify -CAfile root.crt -CRLfile root.crl -crl_check";
    assert!(run(&format!("{verify} server.crt")).0);
    assert!(!run(&format!("{verify} client.crt")).0);
}
