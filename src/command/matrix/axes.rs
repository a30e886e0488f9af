//! The axes of an experiment as typed: lists with commas, turned into what they mean.

use std::num::NonZeroU32;

use authn::Profile;
use loadgen::plan::{Axes, CallPath, Form, HandshakeKind, TokenSupply};
use loadgen::traffic::schedule::{RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN, Rate};
use services::ServiceConfig;

use crate::{Failure, cli, values};

/// The most unique tokens: signing them must take seconds and not minutes.
const TOKENS_MAX: u32 = 100_000;

/// The profiles that builds are compared under unless others are named: without any layer of
/// security, and with mutual TLS and tokens.
const PROFILES_OF_BUILDS: &str = "S0,S4";

/// The profiles to compare, in the order typed; S0 to S5 by default, all nine for `--factorial`.
pub(super) fn profiles(typed: &cli::MatrixArgs) -> Result<Vec<Profile>, Failure> {
    if typed.factorial {
        return match typed.profiles {
            Some(_) => Err(Failure::usage("--factorial runs all nine: leave --profiles out.")),
            None => Ok(Profile::ALL.to_vec()),
        };
    }
    let of_builds = typed.builds.as_ref().map(|_| PROFILES_OF_BUILDS);
    let Some(text) = typed.profiles.as_deref().or(of_builds) else {
        return Ok(Profile::NAMED.iter().map(|(_, profile)| *profile).collect());
    };
    let profiles = list("--profiles", text, |name| {
        Profile::parse(name)
            .map_err(|_| format!("S0 to S5, or TRANSPORT+CHECK such as tls+scopes, not {name:?}"))
    })?;
    let repeated = |(at, profile): (usize, &Profile)| profiles[..at].contains(profile);
    if profiles.iter().enumerate().any(repeated) {
        return Err(Failure::usage("--profiles names a profile twice."));
    }
    Ok(profiles)
}

/// The axes beside the profile.
pub(super) fn axes(typed: &cli::MatrixArgs) -> Result<Axes, Failure> {
    if let Some(odd) = typed.protocols.as_deref().filter(|name| *name != "http/1.1") {
        return Err(Failure::usage(format!(
            "--protocols takes http/1.1, the only protocol so far, not {odd:?}."
        )));
    }
    let rates = match (&typed.rate, &typed.rates) {
        (Some(_), Some(_)) => return Err(Failure::usage("--rate and --rates mean the same.")),
        (rate, rates) => rate.clone().or_else(|| rates.clone()),
    };
    let mut axes = Axes::default();
    read(&mut axes.workloads, "--workloads", &typed.workloads, |text| Ok(text.to_owned()))?;
    read(&mut axes.call_paths, "--call-path", &typed.call_path, |text| {
        let known = [CallPath::Gateway, CallPath::Direct];
        let found = known.into_iter().find(|path| path.as_str() == text);
        found.ok_or_else(|| format!("gateway or direct, not {text:?}"))
    })?;
    read(&mut axes.rates, "--rates", &rates, |text| {
        let rate = text.parse().ok().and_then(Rate::per_second);
        rate.map(Some).ok_or_else(|| {
            let (least, most) = (RATE_PER_SECOND_MIN, RATE_PER_SECOND_MAX);
            format!("{least} to {most} requests per second, not {text:?}")
        })
    })?;
    read(&mut axes.connections, "--connections", &typed.connections, count)?;
    read(
        &mut axes.requests_per_connection,
        "--requests-per-connection",
        &typed.requests_per_connection,
        |text| match text {
            "keep" => Ok(None),
            _ => text
                .parse::<NonZeroU32>()
                .map(Some)
                .map_err(|_| format!("keep, or a number from 1 on, not {text:?}")),
        },
    )?;
    read(&mut axes.handshakes, "--handshake", &typed.handshake, |text| {
        HandshakeKind::parse(text).ok_or_else(|| format!("full or resumed, not {text:?}"))
    })?;
    read(&mut axes.token_algorithms, "--token-alg", &typed.token_alg, |text| {
        values::algorithm(text).map_err(|_| format!("es256, eddsa or rs256, not {text:?}"))
    })?;
    read(&mut axes.workers, "--workers", &typed.workers, count)?;
    if let Some(forms) = forms(typed)? {
        axes.forms = forms;
    }
    Ok(axes)
}

/// The forms of tokens where they were asked for: every kind of tokens with every state of the
/// cache.
fn forms(typed: &cli::MatrixArgs) -> Result<Option<Vec<Form>>, Failure> {
    if typed.tokens.is_none() && typed.token_cache.is_none() {
        return Ok(None);
    }
    let (mut kinds, mut caches) = (vec![TokenSupply::One], vec![true]);
    read(&mut kinds, "--tokens", &typed.tokens, tokens)?;
    read(&mut caches, "--token-cache", &typed.token_cache, |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("on or off, not {text:?}")),
    })?;
    let mut forms = Vec::new();
    for tokens in &kinds {
        for cache in &caches {
            check(*tokens, *cache)?;
            forms.push(Form::Only { tokens: *tokens, cache: *cache });
        }
    }
    Ok(Some(forms))
}

/// A pool that the cache holds a part of would be neither cached nor uncached.
fn check(tokens: TokenSupply, cache: bool) -> Result<(), Failure> {
    let least = 2 * ServiceConfig::TOKEN_CACHE_ENTRIES;
    match tokens {
        TokenSupply::Unique(count) if cache && (count as usize) < least => {
            Err(Failure::usage(format!(
                "--tokens unique:{count} with --token-cache on would find some tokens in the cache \
                 and some not: use at least unique:{least}, twice what the cache holds, or \
                 --token-cache off."
            )))
        }
        _ => Ok(()),
    }
}

fn tokens(text: &str) -> Result<TokenSupply, String> {
    let wrong = || format!("one, or unique:N with N from 2 to {TOKENS_MAX}, not {text:?}");
    match text.strip_prefix("unique:") {
        None if text == "one" => Ok(TokenSupply::One),
        None => Err(wrong()),
        Some(number) => number
            .parse::<u32>()
            .ok()
            .filter(|count| (2..=TOKENS_MAX).contains(count))
            .map(TokenSupply::Unique)
            .ok_or_else(wrong),
    }
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("numbers from 1 on, not {text:?}"))
}

/// Puts the list that was typed in place of the default.
fn read<T: PartialEq>(
    values: &mut Vec<T>,
    option: &str,
    typed: &Option<String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), Failure> {
    if let Some(text) = typed {
        *values = list(option, text, parse)?;
    }
    let repeated = |(at, value): (usize, &T)| values[..at].contains(value);
    if values.iter().enumerate().any(repeated) {
        return Err(Failure::usage(format!("{option} names a value twice.")));
    }
    Ok(())
}

/// A list with commas; `parse` says what its option takes, when it does not take a part.
fn list<T>(
    option: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Failure> {
    let parts = text.split(',').map(|part| parse(part.trim()));
    parts
        .collect::<Result<_, _>>()
        .map_err(|takes: String| Failure::usage(format!("{option} takes {takes}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::failure::FailureKind;

    fn typed(words: &[&str]) -> cli::MatrixArgs {
        let words = ["tollgate", "matrix"].iter().chain(words).map(|word| (*word).to_owned());
        match parse(words.collect()) {
            Parsed::Command(Command::Matrix(typed)) => *typed,
            _ => panic!("not understood as `matrix`"),
        }
    }

    #[test]
    fn lists_become_axes() {
        let axes = axes(&typed(&[
            "--workloads=ping,orders-read",
            "--connections=1, 64",
            "-R",
            "1000",
            "--requests-per-connection=keep,10",
            "--handshake=full,resumed",
            "--tokens=one,unique:300",
            "--token-cache=off",
            "--token-alg=eddsa",
            "--workers=2",
        ]))
        .unwrap();
        assert_eq!(axes.workloads, ["ping", "orders-read"]);
        assert_eq!(
            (axes.connections.as_slice(), axes.workers.as_slice()),
            (&[1, 64][..], &[2][..])
        );
        assert_eq!(axes.rates, [Rate::per_second(1000.0)]);
        assert_eq!(axes.requests_per_connection, [None, NonZeroU32::new(10)]);
        assert_eq!(axes.handshakes, [HandshakeKind::Full, HandshakeKind::Resumed]);
        assert_eq!(axes.forms[1], Form::Only { tokens: TokenSupply::Unique(300), cache: false });
        assert_eq!(axes.cells(&[]).unwrap().len(), 32);
    }

    #[test]
    fn what_an_axis_does_not_take_is_named() {
        for (words, word) in [
            (&["--profiles=S0,S9"][..], "S9"),
            (&["--profiles=S1,S1"], "twice"),
            (&["--profiles=S1", "--factorial"], "--factorial"),
            (&["--protocols=h2"], "h2"),
            (&["--call-path=around"], "around"),
            (&["--rates=0"], "--rates"),
            (&["--rates=1", "--rate=2"], "--rate"),
            (&["--connections=1,"], "--connections"),
            (&["--connections=1,1"], "twice"),
            (&["--requests-per-connection=0"], "keep"),
            (&["--handshake=half"], "half"),
            (&["--tokens=unique:1"], "unique:1"),
            (&["--tokens=unique:300"], "unique:8192"),
            (&["--token-cache=maybe"], "maybe"),
            (&["--token-alg=none"], "none"),
            (&["--workers=x"], "--workers"),
        ] {
            let typed = typed(words);
            let failure = axes(&typed).err().or_else(|| profiles(&typed).err()).unwrap();
            assert!(failure.to_string().contains(word), "{words:?}: {failure}");
            assert_eq!(failure.kind(), FailureKind::Usage, "{words:?}");
        }
    }
}
