//! axum on hyper and tokio-rustls, as somebody who wants it fast would write it: one thread, ring,
//! every request's token verified by jsonwebtoken with its algorithm pinned, and none remembered.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use peers::{AUDIENCE, ISSUER, SCOPE, Settings, key_text};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is held against a token.
struct Guard {
    key: DecodingKey,
    validation: Validation,
    wants_scope: bool,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    scope: String,
}

fn main() {
    let settings = Settings::from_arguments();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let serving = tokio::task::LocalSet::new();
    serving.block_on(&runtime.expect("tokio starts"), serve(settings));
}

async fn serve(settings: Settings) {
    let listener = TcpListener::bind(settings.listen).await.expect("the port is free");
    let router = router(&settings);
    let tls = settings.tls().map(TlsAcceptor::from);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (router, tls) = (router.clone(), tls.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => talk(stream, router).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        talk(stream, router).await;
                    }
                }
            }
        });
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let service = TowerToHyperService::new(router);
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn router(settings: &Settings) -> Router {
    let text: &'static str = settings.answer.clone().leak();
    let answer = move || async move { ([(CONTENT_TYPE, "application/json")], text) };
    let route = get(answer).post(move |_body: Bytes| answer());
    let router = Router::new().route("/api/ping", route);
    if settings.wants_token() {
        let guard = Arc::new(Guard::new(settings));
        router.layer(middleware::from_fn_with_state(guard, check))
    } else {
        router
    }
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.judge(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

impl Guard {
    fn new(settings: &Settings) -> Guard {
        let member = |name| key_text(&settings.folder, &settings.algorithm, name);
        let (algorithm, key) = match settings.algorithm.as_str() {
            "ES256" => {
                (Algorithm::ES256, DecodingKey::from_ec_components(&member("x"), &member("y")))
            }
            "EdDSA" => (Algorithm::EdDSA, DecodingKey::from_ed_components(&member("x"))),
            "RS256" => {
                (Algorithm::RS256, DecodingKey::from_rsa_components(&member("n"), &member("e")))
            }
            other => panic!("there is no algorithm {other}"),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let key = key.expect("the key set's key can be used");
        Guard { key, validation, wants_scope: settings.wants_scope() }
    }

    fn judge(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| StatusCode::UNAUTHORIZED)?;
        let has_scope = || token.claims.scope.split(' ').any(|scope| scope == SCOPE);
        if self.wants_scope && !has_scope() { Err(StatusCode::FORBIDDEN) } else { Ok(()) }
    }
}
