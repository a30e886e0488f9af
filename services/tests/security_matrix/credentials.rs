//! What is sent in place of a good token: each is good but for one fault. Forgeries are made by
//! hand, with the primitives of the TLS library, since nothing of this project would sign them.

use std::collections::BTreeMap;
use std::sync::Arc;

use authn::material::private_key;
use authn::{Algorithm, KeySet, NewClaims, Scope, ScopeSet, Signer, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::crypto::tls13::OkmBlock;
use serde_json::{Value, json};

use crate::support::mesh::Mesh;
use crate::support::{Lab, claims};

/// What a request carries to say who asks.
#[derive(Clone, Default)]
pub(crate) struct Credential {
    /// The values of `Authorization`, each in a field of its own.
    pub(crate) authorization: Vec<String>,
    /// What stands behind the path.
    pub(crate) query: String,
}

impl Credential {
    fn bearer(token: &str) -> Credential {
        Credential::field(format!("Bearer {token}"))
    }

    fn field(value: String) -> Credential {
        Credential { authorization: vec![value], query: String::new() }
    }
}

/// All credentials of one client, by the name of their row.
pub(crate) type Credentials = BTreeMap<&'static str, Credential>;

/// Makes the credentials of clients for one stack.
pub(crate) struct Forge<'a> {
    signer: &'a Signer,
    /// The other key of the authorization server, which signs what [`Signer`] would not.
    by_hand: ByHand,
    /// A key that nobody has published.
    unknown: Signer,
    /// The same under the name of one that is.
    wrong: Signer,
}

impl<'a> Forge<'a> {
    pub(crate) fn new(mesh: &'a Mesh) -> Forge<'a> {
        let key_id = KeySet::of([&mesh.signer]).unwrap().iter().next().unwrap().key_id().clone();
        let (der, unknown) = Signer::generate(Algorithm::Es256).unwrap();
        let wrong = Signer::from_pkcs8(Algorithm::Es256, &der, Some(&key_id)).unwrap();
        Forge { signer: &mesh.signer, by_hand: ByHand::new(&mesh.lab), unknown, wrong }
    }

    /// A good token of this client.
    pub(crate) fn good(&self, client: &str) -> Credential {
        self.signed(&good_claims(client))
    }

    /// All credentials of this client at a route of this scope.
    pub(crate) fn all(&self, client: &str, scope: Option<Scope>) -> Credentials {
        let good = good_claims(client);
        let (start, token) = (good.issued_at, self.signer.sign(&good).unwrap());
        let field = format!("Bearer {token}");
        let others = Scope::ALL.into_iter().filter(|other| Some(*other) != scope);
        let expired = NewClaims { issued_at: start - 600, expires_at: start - 60, ..good };
        let not_yet = NewClaims { issued_at: start + 600, expires_at: start + 900, ..good };
        let long = NewClaims { expires_at: start + 86_401 + 60, ..good };
        let query = format!("?access_token={token}");
        BTreeMap::from([
            ("none", Credential::default()),
            ("bad-scheme", Credential::field("Basic dXNlcjpwYXNz".into())),
            ("not-a-token", Credential::bearer("x")),
            (
                "two-fields",
                Credential { authorization: vec![field.clone(), field], query: "".into() },
            ),
            ("in-the-query", Credential { query, ..self.good(client) }),
            ("expired", self.signed(&expired)),
            ("not-yet-valid", self.signed(&not_yet)),
            ("lives-too-long", self.signed(&long)),
            ("wrong-issuer", self.signed(&NewClaims { issuer: "https://other.test", ..good })),
            ("wrong-audience", self.signed(&NewClaims { audience: "another", ..good })),
            ("unknown-key", Credential::bearer(&self.unknown.sign(&good).unwrap())),
            ("wrong-key", Credential::bearer(&self.wrong.sign(&good).unwrap())),
            ("alg-none", self.by_hand.unsigned(&good)),
            ("alg-confusion", self.by_hand.hs256(&good)),
            ("wrong-typ", self.by_hand.eddsa("JWT", &good)),
            ("no-client-id", self.by_hand.without("client_id", &good)),
            ("no-jti", self.by_hand.without("jti", &good)),
            ("missing-scope", self.signed(&NewClaims { scopes: others.collect(), ..good })),
            ("good-by-hand", self.by_hand.eddsa("at+jwt", &good)),
            ("good", Credential::bearer(&token)),
        ])
    }

    fn signed(&self, claims: &NewClaims<'_>) -> Credential {
        Credential::bearer(&self.signer.sign(claims).unwrap())
    }
}

fn good_claims(client: &str) -> NewClaims<'_> {
    let scopes: ScopeSet = Scope::ALL.into_iter().collect();
    NewClaims { scopes, ..claims(client, "") }
}

/// The Ed25519 key of the authorization server, and what the TLS library can do with it.
struct ByHand {
    crypto: Arc<CryptoProvider>,
    key: Arc<dyn rustls::sign::SigningKey>,
    key_id: String,
    public: Vec<u8>,
}

impl ByHand {
    fn new(lab: &Lab) -> ByHand {
        let pem = lab.read("auth/eddsa.key");
        let crypto = lab.client(Transport::Tls, None).tls.unwrap().crypto_provider().clone();
        let der = private_key(&pem).unwrap().der().clone_key();
        let key = crypto.key_provider.load_private_key(der).unwrap();
        let signer = Signer::from_pem(Algorithm::EdDsa, &pem, None).unwrap();
        let keys: Value = serde_json::from_str(&KeySet::of([&signer]).unwrap().to_json()).unwrap();
        let member = |name: &str| keys["keys"][0][name].as_str().unwrap().to_owned();
        let public = URL_SAFE_NO_PAD.decode(member("x")).unwrap();
        ByHand { crypto, key, key_id: member("kid"), public }
    }

    /// RFC 7519 section 6.
    fn unsigned(&self, claims: &NewClaims<'_>) -> Credential {
        Credential::bearer(&format!("{}.", self.message("none", "at+jwt", claims)))
    }

    /// The public key taken for a shared secret (RFC 8725 section 2.1).
    fn hs256(&self, claims: &NewClaims<'_>) -> Credential {
        let message = self.message("HS256", "at+jwt", claims);
        let suites = self.crypto.cipher_suites.iter();
        let sha256 = suites.filter_map(|suite| suite.tls13()).next().unwrap();
        let tag = sha256.hkdf_provider.hmac_sign(&OkmBlock::new(&self.public), message.as_bytes());
        assert_eq!(tag.as_ref().len(), 32, "HMAC with SHA-256");
        Credential::bearer(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
    }

    fn eddsa(&self, typ: &str, claims: &NewClaims<'_>) -> Credential {
        self.signed(&self.message("EdDSA", typ, claims))
    }

    /// Signed, but with one claim missing.
    fn without(&self, claim: &str, claims: &NewClaims<'_>) -> Credential {
        let mut payload = payload(claims);
        payload.as_object_mut().unwrap().remove(claim).unwrap();
        self.signed(&self.message_of("EdDSA", "at+jwt", &payload))
    }

    fn signed(&self, message: &str) -> Credential {
        let signer = self.key.choose_scheme(&[SignatureScheme::ED25519]).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
        Credential::bearer(&format!("{message}.{signature}"))
    }

    /// Header and claims as they are signed (RFC 7515 section 5.1).
    fn message(&self, alg: &str, typ: &str, claims: &NewClaims<'_>) -> String {
        self.message_of(alg, typ, &payload(claims))
    }

    fn message_of(&self, alg: &str, typ: &str, payload: &Value) -> String {
        let header = json!({"alg": alg, "typ": typ, "kid": self.key_id});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}", encode(&header), encode(payload))
    }
}

fn payload(claims: &NewClaims<'_>) -> Value {
    json!({
        "iss": claims.issuer, "aud": claims.audience, "sub": claims.subject,
        "client_id": claims.client_id, "jti": claims.token_id,
        "scope": claims.scopes.to_string(), "iat": claims.issued_at, "exp": claims.expires_at,
    })
}
