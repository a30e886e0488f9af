//! The keys of a target: which there are, which exclude each other, which only TLS has, and which
//! are refused because a secret would stand in them.

/// Keys that `[[target]]` and `[defaults]` take.
pub(super) const SHARED: [&str; 27] = [
    "url",
    "method",
    "headers",
    "header_file",
    "body",
    "body_file",
    "requests_file",
    "expect_status",
    "connect_to",
    "server_name",
    "cacert",
    "cert",
    "key",
    "insecure",
    "resumption",
    "token_file",
    "token_url",
    "client_id",
    "client_secret_file",
    "scope",
    "token_params",
    "server_pid",
    "server_pid_file",
    "metrics_url",
    "control_group",
    "against",
    "min_body_bytes",
];

/// Keys at the top of the file.
pub(super) const TOP: [&str; 4] = ["baseline", "label", "defaults", "target"];

/// Keys that have no meaning without TLS.
pub(super) const TLS: [&str; 6] =
    ["server_name", "cacert", "cert", "key", "insecure", "resumption"];

/// Keys of which a target has one: a target that gives one of them has none of the others from the
/// defaults.
pub(super) const ALTERNATIVES: [&[&[&str]]; 3] = [
    &[&["body"], &["body_file"], &["requests_file"]],
    &[&["token_file"], &["token_url", "client_id", "client_secret_file", "scope", "token_params"]],
    &[&["server_pid"], &["server_pid_file"], &["metrics_url"], &["control_group"]],
];

/// Names of keys and of fields that hold secrets, and what is used in their place.
const SECRETS: [(&str, &str); 14] = [
    ("token", "token_file"),
    ("bearer", "token_file"),
    ("access_token", "token_file"),
    ("password", "header_file"),
    ("passphrase", "a key file without one"),
    ("secret", "client_secret_file"),
    ("client_secret", "client_secret_file"),
    ("api_key", "header_file"),
    ("apikey", "header_file"),
    ("x_api_key", "header_file"),
    ("authorization", "token_file or header_file"),
    ("proxy_authorization", "header_file"),
    ("cookie", "header_file"),
    ("private_key", "key"),
];

/// What to use in the place of a key or field that would hold a secret; None for any other.
pub fn in_place_of_secret(name: &str) -> Option<&'static str> {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    SECRETS.iter().find(|(secret, _)| *secret == plain).map(|(_, instead)| *instead)
}

/// The alternative that a key belongs to: its group, and its place there.
pub(super) fn alternative(key: &str) -> Option<(usize, usize)> {
    let mut groups = ALTERNATIVES.iter().enumerate();
    groups.find_map(|(group, ways)| {
        ways.iter().position(|way| way.contains(&key)).map(|way| (group, way))
    })
}
