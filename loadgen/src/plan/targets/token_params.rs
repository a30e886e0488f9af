//! Parameters of a token request beyond those of RFC 6749, such as `audience` and `resource`, which
//! some authorization servers want. It refuses the ones that have a flag or key of their own, and
//! those that would be secrets in a list of processes.

use super::in_place_of_secret;
use crate::traffic::error::ContextError;

/// The most parameters of a request: a form of more is a mistake.
const PARAMS_MAX: usize = 32;

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// Parameters that may stand in a request several times (RFC 8707, RFC 8693); others may not
/// (RFC 6749 section 3.2).
const REPEATED: [&str; 2] = ["audience", "resource"];

/// Names that are refused, each with the reason.
const RESERVED: [(&str, &str); 8] = [
    ("grant_type", "it is always client_credentials"),
    ("client_id", "it has a flag and a key of its own"),
    ("scope", "it has a flag and a key of its own"),
    ("client_assertion", "it would be a secret, and clients prove themselves by HTTP Basic"),
    ("client_assertion_type", "clients prove themselves by HTTP Basic"),
    ("assertion", "it would be a secret of another grant"),
    ("code", "it would be a secret of another grant"),
    ("refresh_token", "it would be a secret of another grant"),
];

/// Checks parameters before anything is sent.
///
/// # Errors
/// The parameter, and what is wrong with it.
pub fn check_token_params(params: &[(String, String)]) -> Result<(), ContextError> {
    if params.len() > PARAMS_MAX {
        return Err(format!("a token request takes at most {PARAMS_MAX} parameters").into());
    }
    for (place, (name, value)) in params.iter().enumerate() {
        // RFC 6749 appendix A.1: the letters of a parameter's name.
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(known) {
            return Err(format!(
                "the name of a token parameter has letters, digits, -, . and _, not {name:?}"
            )
            .into());
        }
        let reserved = RESERVED.iter().find(|(taken, _)| name.eq_ignore_ascii_case(taken));
        let secret = || in_place_of_secret(name).map(|_| "secrets are read from files");
        if let Some(reason) = reserved.map(|(_, reason)| *reason).or_else(secret) {
            return Err(format!("the token parameter {name} cannot be given: {reason}").into());
        }
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            return Err(format!(
                "the token parameter {name} takes a value of 1 to {VALUE_BYTES_MAX} bytes"
            )
            .into());
        }
        let twice = params[..place].iter().any(|(before, _)| before == name);
        if twice && !REPEATED.contains(&name.as_str()) {
            return Err(format!("the token parameter {name} is given twice").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(params: &[(&str, &str)]) -> Result<(), ContextError> {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        check_token_params(&params.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_that_servers_want_are_taken() {
        let two = [("audience", "https://api.example/"), ("resource", "a"), ("resource", "b")];
        for params in [&[][..], &two, &[("x-tenant.id_2", " a=b&c ")]] {
            assert_eq!(checked(params), Ok(()), "{params:?}");
        }
    }

    #[test]
    fn parameters_that_are_ours_or_secret_are_refused_by_name() {
        let secrets = ["client_secret", "password"];
        for name in RESERVED.map(|(name, _)| name).into_iter().chain(secrets) {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                let said = checked(&[(&name, "sesame")]).unwrap_err().to_string();
                assert!(said.contains(&name) && !said.contains("sesame"), "{said}");
            }
        }
    }

    #[test]
    fn parameters_that_make_no_form_are_refused() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let many = [("resource", "a"); PARAMS_MAX + 1];
        for params in [
            &[("", "a")][..],
            &[("a b", "a")],
            &[("a&b", "a")],
            &[("a", "")],
            &[("a", &long)],
            &[("a", "1"), ("a", "2")],
            &many,
        ] {
            assert!(checked(params).is_err(), "{:?}", params[0].0);
        }
    }
}
