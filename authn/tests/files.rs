//! Files of certificates and keys as openssl, a stranger, writes them: what is read, what is said
//! of what cannot be, and which of it must be valid and is trusted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use authn::Transport;
use authn::error::Error;
use authn::material::{self, CertifiedKey, ClientMaterial, Peers, ServerMaterial};
use authn::tls::{ServerTrust, TlsOptions, client_config, server_config};
use common::*;
use rustls::{CertificateError, ServerConfig};

/// A folder with a CA, a server's certificate and its key, and openssl at work in it.
struct Lab {
    folder: PathBuf,
    server: CertifiedKey,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let folder = std::env::temp_dir().join(format!("authn-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let authority = authority();
        let issued = authority.issue(&server_request(), now()).unwrap();
        let list = authority.revocation_list(&[], 1, now(), 30).unwrap();
        let lab = Lab { folder, server: certified(&issued) };
        lab.write("crt", issued.cert_pem.as_bytes());
        lab.write("key", issued.key_pem.as_bytes());
        lab.write("ca", authority.cert_pem().as_bytes());
        lab.write("crl", list.as_bytes());
        lab
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap()
    }

    /// What openssl writes to its output.
    fn openssl(&self, arguments: &str) -> Vec<u8> {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .expect("these tests need the openssl program; install the package openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
        output.stdout
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The same text in lines of so many characters, with these ends, and something around it.
fn rewrapped(pem: &[u8], columns: usize, end: &str) -> Vec<u8> {
    let text = str::from_utf8(pem).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let lines: Vec<&str> =
        body.as_bytes().chunks(columns).map(|line| str::from_utf8(line).unwrap()).collect();
    let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    [&[first][..], &lines, &[last, ""]].concat().join(end).into_bytes()
}

#[test]
fn certificates_are_read_in_every_form_that_openssl_writes() {
    let lab = Lab::new("forms");
    let (plain, ca, crl) = (lab.read("crt"), lab.read("ca"), lab.read("crl"));
    let old = String::from_utf8(plain.clone()).unwrap().replace("CERTIFICATE", "X509 CERTIFICATE");
    lab.openssl("pkcs12 -export -in crt -inkey key -passout pass: -out p12 -name friend");
    let indented = String::from_utf8(plain.clone()).unwrap().replace('\n', "\n  ");
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("text before", lab.openssl("x509 -in crt -text")),
        ("bag attributes", lab.openssl("pkcs12 -in p12 -passin pass: -nokeys")),
        ("key and certificate", lab.openssl("pkcs12 -in p12 -passin pass: -nodes")),
        ("trusted", lab.openssl("x509 -in crt -trustout -setalias a")),
        ("trusted, limited", lab.openssl("x509 -in crt -addreject serverAuth -trustout")),
        ("der", lab.openssl("x509 -in crt -outform DER")),
        ("oldest label", old.into_bytes()),
        ("crlf", rewrapped(&plain, 64, "\r\n")),
        ("cr", rewrapped(&plain, 64, "\r")),
        ("76 columns", rewrapped(&plain, 76, "\n")),
        ("one long line", rewrapped(&plain, usize::MAX, "\n")),
        ("4 columns", rewrapped(&plain, 4, "\n")),
        ("byte order mark", [b"\xef\xbb\xbf", &plain[..]].concat()),
        ("white space", [b"\r\n \t\n", &plain[..], b"\n\n  "].concat()),
        ("indented", [b"  ", indented.as_bytes()].concat()),
        ("no end of line", plain.trim_ascii_end().to_vec()),
        ("revocation list", [&crl[..], &plain].concat()),
        (
            "damaged list",
            [&b"-----BEGIN X509 CRL-----\n?\n-----END X509 CRL-----\n"[..], &plain].concat(),
        ),
        ("text of any kind", ["# Müller: -----BEGIN\n".as_bytes(), &plain, b"\xff\0 end"].concat()),
    ];
    for (what, file) in forms {
        let read = material::certificates(&file);
        assert_eq!(read.as_deref(), Ok(&lab.server.chain()[..1]), "{what}");
    }
    let chain = [&plain[..], &ca].concat();
    assert_eq!(material::certificates(&chain).unwrap().len(), 2);
    let der_list = lab.openssl("crl -in crl -outform DER");
    for list in [&lab.openssl("crl -in crl -text")[..], &der_list] {
        assert_eq!(material::revocation_lists(list).unwrap()[0][..], der_list[..]);
    }
}

#[test]
fn keys_are_read_in_every_form_that_openssl_writes() {
    let lab = Lab::new("keys");
    let crt = lab.read("crt");
    let both = [&crt[..], &lab.read("key")].concat();
    let traditional = lab.openssl("ec -in key");
    let parameters = lab.openssl("ecparam -name prime256v1");
    let key = lab.read("key");
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("pkcs8", lab.openssl("pkcs8 -topk8 -nocrypt -in key")),
        ("sec1", traditional.clone()),
        ("parameters before", [parameters, traditional].concat()),
        ("text before", lab.openssl("pkey -in key -text")),
        ("pkcs8 der", lab.openssl("pkey -in key -outform DER")),
        ("sec1 der", lab.openssl("ec -in key -outform DER")),
        ("chain and key", both.clone()),
        ("the key twice", [&key[..], &crt, &key].concat()),
        ("crlf", rewrapped(&key, 64, "\r\n")),
        ("byte order mark", [b"\xef\xbb\xbf", &key[..]].concat()),
    ];
    for (what, file) in forms {
        let read = CertifiedKey::from_pem(&crt, &file);
        assert!(read.is_ok(), "{what}: {read:?}");
    }
    for (kind, command) in [
        ("rsa", "req -x509 -newkey rsa:2048 -nodes -keyout other -subj /CN=a -days 2"),
        ("ed25519", "req -x509 -newkey ed25519 -nodes -keyout other -subj /CN=a -days 2"),
        (
            "p384",
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout other \
             -subj /CN=a",
        ),
    ] {
        let crt = lab.openssl(command);
        let mut files = vec![lab.read("other"), lab.openssl("pkey -in other -outform DER")];
        if kind == "rsa" {
            files.push(lab.openssl("rsa -in other -traditional"));
            files.push(lab.openssl("rsa -in other -traditional -outform DER"));
        }
        for file in files {
            let read = CertifiedKey::from_pem(&crt, &file);
            assert!(read.is_ok(), "{kind}: {read:?}");
        }
    }
}

#[test]
fn encrypted_or_packed_files_name_the_command_that_unpacks_them() {
    let lab = Lab::new("packed");
    let crt = lab.read("crt");
    lab.openssl("pkcs12 -export -in crt -inkey key -passout pass: -out p12");
    lab.write("old", &lab.openssl("ec -in key -aes256 -passout pass:x"));
    lab.write("new", &lab.openssl("pkcs8 -topk8 -in key -passout pass:x"));
    lab.write("new.der", &lab.openssl("pkcs8 -topk8 -in key -passout pass:x -outform DER"));
    assert!(lab.read("old").windows(22).any(|part| part == b"Proc-Type: 4,ENCRYPTED"));
    for name in ["old", "new", "new.der"] {
        let error = CertifiedKey::from_pem(&crt, &lab.read(name)).unwrap_err();
        assert_eq!(error, Error::EncryptedKey, "{name}");
        assert!(error.to_string().contains("openssl pkey -in KEY -out PLAIN_KEY"));
        // The command that is named is one that helps.
        lab.openssl(&format!("pkey -in {name} -out plain -passin pass:x"));
        assert!(CertifiedKey::from_pem(&crt, &lab.read("plain")).is_ok(), "{name}");
    }
    let pkcs7 = lab.openssl("crl2pkcs7 -nocrl -certfile crt");
    let request = lab.openssl("req -new -key key -subj /CN=a");
    let openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    let sentence = |error: Error| error.to_string();
    for (error, part) in [
        (material::certificates(&pkcs7).map(drop), "openssl pkcs7 -print_certs"),
        (material::certificates(&request).map(drop), "have a CA sign it"),
        (material::certificates(&lab.read("p12")).map(drop), "openssl pkcs12 -in FILE"),
        (material::private_key(&lab.read("p12")).map(drop), "openssl pkcs12 -in FILE"),
        (material::private_key(openssh).map(drop), "ssh-keygen -p -m PKCS8"),
    ] {
        let shown = error.map_err(sentence).unwrap_err();
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// Keys that TLS has here no use for: their kind is what is said.
#[test]
fn a_key_of_an_unsupported_kind_is_named() {
    let lab = Lab::new("kinds");
    for (key, kind) in [
        ("rsa:1024", "RSA of 1024 bits"),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "ECDSA on P-521"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "ECDSA on secp256k1"),
        ("ed448", "Ed448"),
    ] {
        let crt = lab.openssl(&format!("req -x509 -newkey {key} -nodes -keyout other -subj /CN=a"));
        let error = CertifiedKey::from_pem(&crt, &lab.read("other")).unwrap_err();
        assert_eq!(error, Error::KeyKind(kind.into()), "{error}");
    }
}

/// A block that is asked for is read whole or not at all.
#[test]
fn damaged_blocks_are_reported_with_their_line() {
    let lab = Lab::new("damaged");
    let text = String::from_utf8(lab.read("crt")).unwrap();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let table = [
        (text.replace(end, ""), "that begins in line 1 has no END line"),
        (format!("\n{}", text.replace(end, "-----END PRIVATE KEY-----")), "line 2 ends as"),
        (text.replace(end, begin), "has no END line"),
        (text.replacen("MI", "M?", 1), "is not base64"),
        (text.replacen("MI", "MMI", 1), "is not base64"),
    ];
    for (file, part) in table {
        let error = material::certificates(file.as_bytes()).unwrap_err();
        assert!(matches!(&error, Error::Pem(why) if why.contains(part)), "{part}: {error}");
    }
    // In a word, such a line is text.
    assert_eq!(material::certificates(b"x -----BEGIN CERTIFICATE-----"), Err(Error::NoCertificate));
}

/// Certificates of a CA and below, with dates of their own.
fn dated(lab: &Lab, name: &str, ca: Option<&str>, ends: &str) -> Vec<u8> {
    lab.openssl(&format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key \
         -out {name}.csr -subj /CN={name} -addext basicConstraints=critical,CA:TRUE"
    ));
    let by = match ca {
        Some(ca) => format!("-CA {ca}.crt -CAkey {ca}.key -CAcreateserial"),
        None => format!("-signkey {name}.key"),
    };
    lab.openssl(&format!(
        "x509 -req -in {name}.csr {by} -days {ends} -copy_extensions copy -out {name}.crt"
    ));
    lab.read(&format!("{name}.crt"))
}

#[test]
fn only_what_a_path_needs_must_be_valid() {
    let lab = Lab::new("dates");
    let root = dated(&lab, "root", None, "3650");
    let old_root = dated(&lab, "old", None, "1");
    let middle = dated(&lab, "middle", Some("root"), "1");
    let leaf = dated(&lab, "leaf", Some("middle"), "3000");
    let renewed = {
        lab.openssl(
            "x509 -req -in middle.csr -CA root.crt -CAkey root.key -days 3000 -out renewed",
        );
        lab.read("renewed")
    };
    let key = lab.read("leaf.key");
    let (now, later) = (now(), in_s(10 * 86_400));
    let pair = |chain: &[&[u8]]| CertifiedKey::from_pem(&chain.concat(), &key).unwrap();

    let whole = pair(&[&leaf, &middle, &root]);
    assert_eq!((whole.check_validity(now), whole.unneeded(now)), (Ok(()), vec![]));
    // The CA between is needed, unless it is there in a form that is valid.
    let error = whole.check_validity(later).unwrap_err();
    assert!(matches!(&error, Error::Chain(why) if why.contains("\"CN=middle\"")), "{error}");
    let twice = pair(&[&leaf, &middle, &renewed]);
    assert_eq!(twice.check_validity(later), Ok(()));
    assert!(twice.unneeded(later)[0].contains("\"CN=middle\""), "{:?}", twice.unneeded(later));
    // One that stands beside the path is named.
    let beside = pair(&[&leaf, &old_root]);
    assert_eq!(beside.check_validity(later), Ok(()));
    let sentences = beside.unneeded(later);
    assert_eq!(sentences.len(), 1);
    assert!(sentences[0].contains("\"CN=old\"") && sentences[0].contains("nothing needs it"));
    let end = in_s(4000 * 86_400);
    assert!(matches!(beside.check_validity(end), Err(Error::Expired(_))));

    // An authority that has ended is trusted for nothing; the others are.
    let unreadable = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bundle = [&old_root[..], unreadable, &root].concat();
    let found = material::authorities(&bundle, Peers::Servers, later).unwrap();
    assert_eq!((found.valid.len(), found.all.len(), found.warnings.len()), (1, 3, 2));
    assert!(found.warnings[0].contains("\"CN=old\""), "{:?}", found.warnings);
    let error = material::authorities(&old_root, Peers::Servers, later).unwrap_err();
    assert!(error.to_string().contains("\"CN=old\""), "{error}");
    let none = material::authorities(unreadable, Peers::Servers, later).unwrap_err();
    assert_eq!(none, Error::Certificate);
}

/// What OpenSSL's trust settings forbid a CA is forbidden here.
#[test]
fn trust_settings_limit_an_authority() {
    let lab = Lab::new("settings");
    let table = [
        ("-setalias a", true, true),
        ("-addtrust serverAuth", true, false),
        ("-addtrust serverAuth -addtrust clientAuth", true, true),
        ("-addtrust anyExtendedKeyUsage", true, true),
        ("-addtrust emailProtection", false, false),
        ("-addreject serverAuth", false, false),
        ("-addreject clientAuth", true, false),
        ("-addreject emailProtection", true, true),
    ];
    for (settings, servers, both) in table {
        let file = lab.openssl(&format!("x509 -in ca {settings} -trustout"));
        assert!(file.starts_with(b"-----BEGIN TRUSTED CERTIFICATE-----"), "{settings}");
        let read = |peers| material::authorities(&file, peers, now()).is_ok();
        assert_eq!((read(Peers::Servers), read(Peers::Both)), (servers, both), "{settings}");
    }
}

fn serving(identity: CertifiedKey) -> Arc<ServerConfig> {
    let material = ServerMaterial { identity, client_ca: vec![], crls: vec![] };
    server_config(Some(&material), Transport::Tls, &TlsOptions::default()).unwrap().unwrap()
}

/// What a client that trusts these says to the server.
fn refusal(server: &Arc<ServerConfig>, roots: &[u8], trust: &ServerTrust) -> Option<String> {
    let material = ClientMaterial { roots: material::certificates(roots).unwrap(), identity: None };
    let client = client_config(&material, Transport::Tls, &TlsOptions::default(), trust);
    match handshake(server, &client.unwrap().unwrap()).err()? {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            Some(other.to_string())
        }
        other => Some(other.to_string()),
    }
}

/// The generator takes the very certificate that it was given, which no path proves where it is a
/// CA's. Its name and its dates count all the same. A service never takes it.
#[test]
fn the_very_certificate_is_accepted_for_the_generator_only() {
    let lab = Lab::new("exact");
    let make = |host: &str, days: &str| {
        lab.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key \
             -out own.csr -subj /CN=own -addext basicConstraints=CA:TRUE \
             -addext subjectAltName=DNS:{host}"
        ));
        let crt = lab.openssl(&format!(
            "x509 -req -in own.csr -signkey own.key -days {days} -copy_extensions copy"
        ));
        let key = lab.read("own.key");
        (serving(CertifiedKey::from_pem(&crt, &key).unwrap()), crt)
    };
    let exact = |crt: &[u8]| ServerTrust::Exact(material::certificates(crt).unwrap());
    let (server, own) = make("localhost", "2");
    assert_eq!(refusal(&server, &own, &exact(&own)), None);
    let strict = refusal(&server, &own, &ServerTrust::Path).unwrap();
    assert!(strict.contains("CA's own certificate"), "{strict}");
    // Another certificate of the same name and the same subject is not it.
    let (_, twin) = make("localhost", "2");
    assert!(refusal(&server, &twin, &exact(&twin)).is_some());
    assert!(refusal(&server, &own, &exact(&twin)).is_some());
    let (server, own) = make("elsewhere", "2");
    let shown = refusal(&server, &own, &exact(&own)).unwrap();
    assert!(shown.contains("elsewhere"), "{shown}");
    let (server, own) = make("localhost", "-1");
    let shown = refusal(&server, &own, &exact(&own)).unwrap();
    assert!(shown.contains("expired"), "{shown}");
}

/// A signature of a key that is not supported is not told as a wrong one.
#[test]
fn an_unsupported_key_in_a_chain_is_the_cause_that_is_named() {
    let lab = Lab::new("causes");
    for (key, cause) in [
        ("rsa:1024", "the key of \"CN=weak\" is RSA of 1024 bits"),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "the key of \"CN=weak\" is ECDSA on P-521"),
    ] {
        let root = lab.openssl(&format!(
            "req -x509 -sha256 -newkey {key} -nodes -keyout weak.key -subj /CN=weak -days 2"
        ));
        lab.write("weak.crt", &root);
        lab.openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key \
                     -out own.csr -subj /CN=own -addext subjectAltName=DNS:localhost",
        );
        lab.openssl(
            "x509 -req -sha256 -in own.csr -CA weak.crt -CAkey weak.key -CAcreateserial \
                     -copy_extensions copy -days 2 -out own.crt",
        );
        let server =
            serving(CertifiedKey::from_pem(&lab.read("own.crt"), &lab.read("own.key")).unwrap());
        // A weak one that has nothing to do with it is not accused.
        let shown = refusal(&server, &root, &ServerTrust::Path).unwrap();
        assert!(shown.contains(cause), "{key}: {shown}");
        let shown = refusal(&server, &lab.read("ca"), &ServerTrust::Path).unwrap();
        assert!(!shown.contains("CN=weak"), "{key}: {shown}");
    }
}
