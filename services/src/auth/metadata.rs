//! The authorization server's metadata (RFC 8414): what it is and what it can do.
//!
//! Owns the document. It refuses to name what is not built: there is no OpenID Connect here.

use authn::grant::AuthMethod;
use authn::{Algorithm, Scope, Transport};
use serde_json::json;

/// Where tokens are issued, for an issuer.
pub(super) fn token_endpoint(issuer: &str) -> String {
    format!("{}/oauth2/token", issuer.trim_end_matches('/'))
}

/// The document (RFC 8414 section 2) of an issuer whose clients come over this transport.
pub(super) fn metadata_json(issuer: &str, transport: Transport) -> String {
    let base = issuer.trim_end_matches('/');
    // RFC 8705 section 2.1: a certificate proves a client under mutual TLS only.
    let mutual = transport == Transport::Mutual;
    let methods = AuthMethod::ALL.into_iter();
    let methods = methods.filter(|method| mutual || *method != AuthMethod::TlsClientAuth);
    let methods: Vec<&str> = methods.map(AuthMethod::as_str).collect();
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    json!({
        "issuer": issuer,
        "token_endpoint": token_endpoint(issuer),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        // RFC 8705 section 3.3.
        "tls_client_certificate_bound_access_tokens": false,
    })
    .to_string()
}
