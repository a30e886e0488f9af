//! TLS configurations against each other, in memory: what each transport proves, what it refuses,
//! and that nothing is resumed unless both sides were asked to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use authn::error::{Denied, Error};
use authn::identity;
use authn::material::{ClientMaterial, ServerMaterial};
use authn::pki::{Authority, CertificateRequest, Revoked, serial_of};
use authn::tls::{ServerTrust, TlsOptions, client_config, server_config};
use authn::{Profile, Transport};
use common::*;
use rustls::{CertificateError, HandshakeKind, ServerConfig};

const ONCE: TlsOptions = TlsOptions { resumption: false };
const RESUMED: TlsOptions = TlsOptions { resumption: true };

fn server(
    material: &ServerMaterial,
    transport: Transport,
    options: &TlsOptions,
) -> Arc<ServerConfig> {
    server_config(Some(material), transport, options).unwrap().unwrap()
}

#[test]
fn every_profile_gets_its_transport() {
    let authority = authority();
    let material = server_material(&authority, None);
    let issued = authority.issue(&client_request("gateway"), now()).unwrap();
    let client = client_material(&authority, Some(&issued));
    for profile in Profile::ALL {
        let server = server_config(Some(&material), profile.transport, &ONCE).unwrap();
        let client = client_config(&client, profile.transport, &ONCE, &ServerTrust::Path).unwrap();
        let (Some(server), Some(client)) = (server, client) else {
            assert_eq!(profile.transport, Transport::Plain);
            continue;
        };
        let (server, client) = handshake(&server, &client).unwrap();
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(server.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
        let suite = client.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        let peer = identity::of_peer(profile.transport, server.peer_certificates()).unwrap();
        let name = peer.and_then(|identity| identity.name);
        let expected = (profile.transport == Transport::Mutual).then_some("gateway");
        assert_eq!(name.as_deref(), expected, "{profile}");
        // A client shows its certificate only where the profile is mutual.
        assert_eq!(server.peer_certificates().is_some(), expected.is_some());
    }
}

#[test]
fn without_a_certificate_there_is_no_mutual_connection() {
    let authority = authority();
    let server = server(&server_material(&authority, None), Transport::Mutual, &ONCE);
    let without = client_material(&authority, None);
    let client =
        client_config(&without, Transport::Tls, &ONCE, &ServerTrust::Path).unwrap().unwrap();
    assert_eq!(handshake(&server, &client).err(), Some(rustls::Error::NoCertificatesPresented));
}

#[test]
fn certificates_of_the_wrong_kind_are_refused() {
    let authority = authority();
    let stranger = Authority::create("test authority", now()).unwrap();
    let server = server(&server_material(&authority, None), Transport::Mutual, &ONCE);
    let past = in_s(-40 * 86_400);
    let table = [
        ("a server's", authority.issue(&server_request(), now()).unwrap()),
        ("a stranger's", stranger.issue(&client_request("gateway"), now()).unwrap()),
        ("an ended one", authority.issue(&client_request("gateway"), past).unwrap()),
        ("one to come", authority.issue(&client_request("gateway"), in_s(86_400)).unwrap()),
    ];
    for (what, issued) in table {
        let client = client_material(&authority, Some(&issued));
        let client =
            client_config(&client, Transport::Mutual, &ONCE, &ServerTrust::Path).unwrap().unwrap();
        let error = handshake(&server, &client).expect_err(what);
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{what}: {error}");
    }
}

#[test]
fn revoked_certificates_are_refused_and_an_expired_list_refuses_all() {
    let authority = authority();
    let good = authority.issue(&client_request("gateway"), now()).unwrap();
    let bad = authority.issue(&client_request("gateway"), now()).unwrap();
    let serial = serial_of(bad.cert_pem.as_bytes()).unwrap();
    let revoked = [Revoked { serial, at: now() }];
    let fresh = authority.revocation_list(&revoked, 1, now(), 30).unwrap();
    let stale = authority.revocation_list(&[], 1, in_s(-40 * 86_400), 30).unwrap();
    let stranger = Authority::create("another", now()).unwrap();
    let foreign = stranger.revocation_list(&[], 1, now(), 30).unwrap();
    let table = [
        (&good, None, None),
        (&good, Some(&fresh), None),
        (&bad, None, None),
        (&bad, Some(&fresh), Some(CertificateError::Revoked)),
        (&good, Some(&foreign), Some(CertificateError::UnknownRevocationStatus)),
    ];
    let connect = |issued, list: Option<&String>| {
        let material = server_material(&authority, list.map(String::as_str));
        let server = server(&material, Transport::Mutual, &ONCE);
        let client = client_material(&authority, Some(issued));
        let client =
            client_config(&client, Transport::Mutual, &ONCE, &ServerTrust::Path).unwrap().unwrap();
        handshake(&server, &client).err()
    };
    for (issued, list, refused) in table {
        assert_eq!(connect(issued, list), refused.map(rustls::Error::InvalidCertificate));
    }
    let error = connect(&good, Some(&stale)).expect("a stale list");
    assert!(error.to_string().contains("xpired"), "{error}");
}

#[test]
fn a_client_rejects_unverifiable_servers_unless_configured_otherwise() {
    let authority = authority();
    let server = server(&server_material(&authority, None), Transport::Tls, &ONCE);
    let stranger = client_material(&Authority::create("another", now()).unwrap(), None);
    let client =
        client_config(&stranger, Transport::Tls, &ONCE, &ServerTrust::Path).unwrap().unwrap();
    let error = handshake(&server, &client).err().unwrap();
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    // The same with a certificate for clients, and with another name.
    for request in [
        CertificateRequest { server: false, client: true, ..server_request() },
        CertificateRequest { dns: &["orders.example"], ..server_request() },
    ] {
        let mut material = server_material(&authority, None);
        material.identity = certified(&authority.issue(&request, now()).unwrap());
        let server = server_config(Some(&material), Transport::Tls, &ONCE).unwrap().unwrap();
        let trusting = client_material(&authority, None);
        let client =
            client_config(&trusting, Transport::Tls, &ONCE, &ServerTrust::Path).unwrap().unwrap();
        let error = handshake(&server, &client).err().unwrap();
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    }
    let nothing = ClientMaterial::default();
    let client =
        client_config(&nothing, Transport::Tls, &ONCE, &ServerTrust::Anyone).unwrap().unwrap();
    handshake(&server, &client).unwrap();
}

/// Every pairing of a server and a client that were asked to resume or not.
#[test]
fn sessions_are_resumed_only_when_both_sides_enable_it() {
    let authority = authority();
    let material = server_material(&authority, None);
    let issued = authority.issue(&client_request("gateway"), now()).unwrap();
    let identity = client_material(&authority, Some(&issued));
    for transport in [Transport::Tls, Transport::Mutual] {
        for (ours, theirs) in [(ONCE, ONCE), (ONCE, RESUMED), (RESUMED, ONCE), (RESUMED, RESUMED)] {
            let server = server(&material, transport, &ours);
            let client =
                client_config(&identity, transport, &theirs, &ServerTrust::Path).unwrap().unwrap();
            let (first, peer) = handshake(&server, &client).unwrap();
            // A ticket that nobody can use is not even made.
            assert_eq!(peer.tls13_tickets_received(), u32::from(ours.resumption));
            assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
            let (second, _) = handshake(&server, &client).unwrap();
            let resumed = ours.resumption && theirs.resumption;
            let expected = if resumed { HandshakeKind::Resumed } else { HandshakeKind::Full };
            assert_eq!(second.handshake_kind(), Some(expected), "{transport:?}");
            // The identity survives resumption.
            let peer = identity::of_peer(transport, second.peer_certificates()).unwrap();
            let named = peer.is_some_and(|identity| identity.name.as_deref() == Some("gateway"));
            assert_eq!(named, transport == Transport::Mutual);
        }
    }
}

#[test]
fn one_profile_never_resumes_the_session_of_another() {
    let authority = authority();
    let material = server_material(&authority, None);
    let client = client_material(&authority, None);
    let client =
        client_config(&client, Transport::Tls, &RESUMED, &ServerTrust::Path).unwrap().unwrap();
    for _ in 0..3 {
        // The client offers the ticket of the server before it.
        let server = server(&material, Transport::Tls, &RESUMED);
        let (connection, _) = handshake(&server, &client).unwrap();
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
    }
}

/// Strangers may speak TLS 1.2, with the same guarantees.
#[test]
fn tls_1_2_is_spoken_and_not_resumed() {
    let authority = authority();
    let issued = authority.issue(&client_request("gateway"), now()).unwrap();
    let server = server(&server_material(&authority, None), Transport::Mutual, &ONCE);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let key = certified(&issued);
    let client =
        builder().with_client_auth_cert(key.chain().to_vec(), key.key().der().clone_key()).unwrap();
    let client = Arc::new(client);
    for _ in 0..2 {
        let (connection, _) = handshake(&server, &client).unwrap();
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        let peer = identity::of_peer(Transport::Mutual, connection.peer_certificates());
        assert_eq!(peer.unwrap().unwrap().name.as_deref(), Some("gateway"));
    }
    let anonymous = Arc::new(builder().with_no_client_auth());
    let error = handshake(&server, &anonymous).err().unwrap();
    assert_eq!(error, rustls::Error::NoCertificatesPresented);
}

#[test]
fn missing_material_is_named() {
    let authority = authority();
    let mut material = server_material(&authority, None);
    material.client_ca.clear();
    let server = |material: Option<&ServerMaterial>, transport| {
        server_config(material, transport, &ONCE).err()
    };
    assert_eq!(server(None, Transport::Plain), None);
    assert_eq!(server(None, Transport::Tls), Some(Error::ServerCertificateNeeded));
    assert_eq!(server(Some(&material), Transport::Tls), None);
    assert_eq!(server(Some(&material), Transport::Mutual), Some(Error::ClientAuthorityNeeded));
    material.client_ca = vec![authority.certificate().clone()];
    material.crls = vec![b"no list".to_vec().into()];
    let refused = server(Some(&material), Transport::Mutual);
    assert!(matches!(refused, Some(Error::RevocationList(_))), "{refused:?}");

    let client = |material: &ClientMaterial, transport, insecure| {
        let trust = if insecure { ServerTrust::Anyone } else { ServerTrust::Path };
        client_config(material, transport, &ONCE, &trust).err()
    };
    let nothing = ClientMaterial::default();
    assert_eq!(client(&nothing, Transport::Plain, false), None);
    assert_eq!(client(&nothing, Transport::Tls, false), Some(Error::RootsNeeded));
    assert_eq!(client(&nothing, Transport::Mutual, true), Some(Error::ClientCertificateNeeded));
    let rooted = client_material(&authority, None);
    assert_eq!(client(&rooted, Transport::Mutual, false), Some(Error::ClientCertificateNeeded));
}

/// The second lock: a connection that got past TLS without a certificate is refused all the same.
#[test]
fn a_mutual_peer_without_certificates_is_refused() {
    let authority = authority();
    let server = server(&server_material(&authority, None), Transport::Tls, &ONCE);
    let client = client_material(&authority, None);
    let client =
        client_config(&client, Transport::Tls, &ONCE, &ServerTrust::Path).unwrap().unwrap();
    let (connection, _) = handshake(&server, &client).unwrap();
    let peer = identity::of_peer(Transport::Mutual, connection.peer_certificates());
    assert_eq!(peer, Err(Denied::CertificateMissing));
}
