//! What can be typed. These structs hold the words as they came; each command turns them into what
//! they mean in a file of its own. argh does the parsing; `--key=value` and exit code 2 are added
//! here because it knows neither.

mod annotations;
mod bounds;
mod calibrate;
mod capacity;
mod compare;
mod doctor;
mod flags;
mod flame;
mod measure;
mod reference;
mod report;
mod request;
mod run;
mod serve;
mod suggest;

use std::ffi::OsString;

use argh::FromArgs;

pub(crate) use annotations::AnnotationArgs;
pub(crate) use bounds::BoundArgs;
pub(crate) use calibrate::CalibrateArgs;
pub(crate) use capacity::CapacityArgs;
pub(crate) use compare::CompareArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use flame::FlameArgs;
pub(crate) use measure::MatrixArgs;
pub(crate) use reference::ReferenceArgs;
pub(crate) use report::ReportArgs;
pub(crate) use request::RequestArgs;
pub(crate) use run::RunArgs;
pub(crate) use serve::{RoleOptions, ServeArgs, ServeOptions};

/// Tells what each layer of service security costs, on your hardware, for your traffic.
/// Start with: tollgate matrix --quick
#[derive(FromArgs, Debug)]
#[argh(help_triggers("-h", "--help", "help"))]
struct Top {
    /// print the version and end
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// One of the things that tollgate does.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub(crate) enum Command {
    Serve(Box<ServeArgs>),
    Up(Box<UpArgs>),
    Token(TokenArgs),
    Pki(PkiArgs),
    Run(Box<RunArgs>),
    Capacity(Box<CapacityArgs>),
    Matrix(Box<MatrixArgs>),
    Report(ReportArgs),
    Compare(CompareArgs),
    Flame(Box<FlameArgs>),
    Calibrate(CalibrateArgs),
    Doctor(DoctorArgs),
    Reference(ReferenceArgs),
}

/// Start the whole stack (auth, inventory, orders, gateway) and keep it running until Ctrl-C.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "up")]
pub(crate) struct UpArgs {
    /// security profile S0 to S5, or TRANSPORT+CHECK (else SEC_PROFILE, else S2)
    #[argh(option)]
    pub(crate) profile: Option<String>,
    /// directory for keys, certificates, secrets and logs (default: ./tollgate-state)
    #[argh(option, default = "default_state()")]
    pub(crate) state: String,
    /// worker threads a service (default: 1)
    #[argh(option)]
    pub(crate) workers: Option<usize>,
    /// cores that the services may use, such as 0 or 0,2-3 (default: all that this process has)
    #[argh(option)]
    pub(crate) cores: Option<String>,
    /// refuse to start where io_uring cannot be used
    #[argh(switch)]
    pub(crate) require_io_uring: bool,
    /// the I/O driver: auto or epoll
    #[argh(option, default = "String::from(\"auto\")")]
    pub(crate) driver: String,
    /// any free ports instead of the default table
    #[argh(switch)]
    pub(crate) any_port: bool,
    /// signature of access tokens: es256, eddsa or rs256 (rs256 needs DIR/auth/rs256.pem)
    #[argh(option, default = "String::from(\"es256\")")]
    pub(crate) token_alg: String,
    /// orders kept, newest first (default: 1000000)
    #[argh(option)]
    pub(crate) orders_retained: Option<usize>,
    /// starting stock as SKU=N; may be repeated
    #[argh(option)]
    pub(crate) stock: Vec<String>,
    /// longest wait for requests in flight when stopping, in ms (default: 5000)
    #[argh(option)]
    pub(crate) drain_ms: Option<u64>,
    /// time the steps of every request, at a small cost: see each service's /metrics
    #[argh(switch)]
    pub(crate) stage_timing: bool,
    /// what the services' audit logs record: off, refusals (default), or all requests
    #[argh(option)]
    pub(crate) audit: Option<String>,
    /// end when a service ends by itself, instead of starting it again
    #[argh(switch)]
    pub(crate) no_restart: bool,
}

/// Print an access token from the running stack's auth server.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "token")]
pub(crate) struct TokenArgs {
    /// state directory of the running stack (default: ./tollgate-state)
    #[argh(option, default = "default_state()")]
    pub(crate) state: String,
    /// client to ask as (default: bench-runner)
    #[argh(option, default = "String::from(\"bench-runner\")")]
    pub(crate) client: String,
    /// scopes, separated by spaces (default: all that the client may have)
    #[argh(option)]
    pub(crate) scope: Option<String>,
}

/// Make a certificate authority and certificates.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "pki")]
pub(crate) struct PkiArgs {
    #[argh(subcommand)]
    pub(crate) command: PkiCommand,
}

/// What `tollgate pki` does.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub(crate) enum PkiCommand {
    Init(PkiInit),
    Issue(PkiIssue),
}

/// Make a CA, the services' certificates and the clients' certificates; what exists is kept.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "init")]
pub(crate) struct PkiInit {
    /// state directory (default: ./tollgate-state)
    #[argh(option, default = "default_state()")]
    pub(crate) state: String,
}

/// Issue one more certificate from the CA of a state directory.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "issue")]
pub(crate) struct PkiIssue {
    /// name: the certificate's common name and spiffe://tollgate/NAME
    #[argh(positional)]
    pub(crate) name: String,
    /// state directory (default: ./tollgate-state)
    #[argh(option, default = "default_state()")]
    pub(crate) state: String,
    /// a certificate for a server (the default is one for a client)
    #[argh(switch)]
    pub(crate) server: bool,
    /// DNS name or IP address that the certificate is valid for; may be repeated
    #[argh(option)]
    pub(crate) san: Vec<String>,
    /// validity in days (default: 90)
    #[argh(option, default = "90")]
    pub(crate) days: u32,
    /// directory to write NAME.crt and NAME.key into (default: certs or clients of the state)
    #[argh(option)]
    pub(crate) out: Option<String>,
}

fn default_state() -> String {
    String::from("tollgate-state")
}

/// What came of the words that were typed.
pub(crate) enum Parsed {
    /// A command to carry out.
    Command(Command),
    /// A text that was asked for.
    Help(String),
    /// The words were not understood; the text says why.
    Usage(String),
}

/// Understands the words of a command line as the system gives them.
pub(crate) fn parse_raw(words: impl Iterator<Item = OsString>) -> Parsed {
    match words.map(OsString::into_string).collect() {
        Ok(words) => parse(words),
        Err(word) => {
            let word = word.to_string_lossy();
            Parsed::Usage(format!("The argument {word} is not text in UTF-8."))
        }
    }
}

/// Parses the words of the command line, the program's own name first.
pub(crate) fn parse(words: Vec<String>) -> Parsed {
    let words = split_equals(words);
    let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    match Top::from_args(&["tollgate"], &arguments) {
        Ok(Top { version: true, .. }) => Parsed::Help(version()),
        Ok(Top { command: Some(command), .. }) => Parsed::Command(command),
        Ok(Top { command: None, .. }) => {
            Parsed::Usage("No command was given. See: tollgate --help".into())
        }
        Err(early) if early.status.is_ok() => Parsed::Help(early.output.trim_end().into()),
        Err(early) => Parsed::Usage(explained(early.output.trim_end(), &arguments)),
    }
}

/// The version, and the commit where it is known: `tollgate 0.1.0 (0123456789ab)`.
/// `matrix --builds` reads it.
pub(crate) fn version() -> String {
    let commit = option_env!("TOLLGATE_COMMIT").map(|commit| format!(" ({commit})"));
    format!("tollgate {}{}", env!("CARGO_PKG_VERSION"), commit.unwrap_or_default())
}

/// What argh says of an argument that it does not know, with what was probably meant, and where
/// all that can be typed there is listed. Anything else that it says stays as it is.
fn explained(refusal: &str, arguments: &[&str]) -> String {
    let Some(given) = refusal.strip_prefix("Unrecognized argument: ") else {
        return refusal.to_owned();
    };
    let (mut place, mut help) = (Vec::new(), help(&[]));
    for word in arguments {
        if !suggest::commands(&help).any(|command| command == *word) {
            break;
        }
        place.push(*word);
        help = self::help(&place);
    }
    let meant = suggest::nearest(given, &help);
    let meant = meant.map(|meant| format!("Did you mean {meant}? ")).unwrap_or_default();
    let place: String = place.iter().map(|word| format!("{word} ")).collect();
    format!("{refusal}. {meant}See: tollgate {place}--help")
}

/// The help of a command, by the words that lead to it.
fn help(place: &[&str]) -> String {
    let asked = Top::from_args(&["tollgate"], &[place, &["--help"]].concat());
    asked.err().map(|early| early.output).unwrap_or_default()
}

/// Makes `--key=value` two words. Words after `--` are left alone, and so is what a short option
/// such as `-H` takes, since that may hold any text.
fn split_equals(words: Vec<String>) -> Vec<String> {
    let mut split = Vec::with_capacity(words.len());
    let mut verbatim = false;
    for word in words {
        let after_short = split.last().is_some_and(|w: &String| is_short_option(w));
        verbatim |= word == "--";
        match word.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
            Some((key, value)) if !verbatim && !after_short && is_key(key) => {
                split.push(format!("--{key}"));
                split.push(value.to_owned());
            }
            _ => split.push(word),
        }
    }
    split
}

fn is_short_option(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 2 && bytes[0] == b'-' && bytes[1].is_ascii_alphabetic()
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        std::iter::once("tollgate").chain(line.iter().copied()).map(String::from).collect()
    }

    #[test]
    fn equals_and_space_mean_the_same() {
        for line in [&["up", "--profile=S5"][..], &["up", "--profile", "S5"]] {
            match parse(words(line)) {
                Parsed::Command(Command::Up(up)) => assert_eq!(up.profile.as_deref(), Some("S5")),
                _ => panic!("{line:?} was not understood as `up`"),
            }
        }
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let split =
            split_equals(words(&["run", "--header=X-A: b=c", "-H", "--odd=1", "--", "--a=b"]));
        assert_eq!(split[2..], ["--header", "X-A: b=c", "-H", "--odd=1", "--", "--a=b"]);
    }

    #[test]
    fn unknown_flags_and_missing_commands_are_usage_errors() {
        for line in [&["up", "--nonsense"][..], &[], &["serve"], &["dance"], &["up", "--state"]] {
            assert!(matches!(parse(words(line)), Parsed::Usage(_)), "{line:?}");
        }
    }

    #[test]
    fn unknown_arguments_lead_to_the_nearest_known_one() {
        for (line, text) in [
            (
                &["run", "http://h/", "--conections", "1"][..],
                "Unrecognized argument: --conections. Did you mean --connections? \
                 See: tollgate run --help",
            ),
            (
                &["matrix", "--profile", "S1"],
                "Unrecognized argument: --profile. Did you mean --profiles? \
                 See: tollgate matrix --help",
            ),
            (&["matrx"], "Unrecognized argument: matrx. Did you mean matrix? See: tollgate --help"),
            (
                &["serve", "gatewy"],
                "Unrecognized argument: gatewy. Did you mean gateway? See: tollgate serve --help",
            ),
            (&["dance"], "Unrecognized argument: dance. See: tollgate --help"),
        ] {
            match parse(words(line)) {
                Parsed::Usage(said) => assert_eq!(said, text),
                _ => panic!("{line:?} was understood"),
            }
        }
    }

    #[test]
    fn help_and_version_are_not_errors() {
        for line in [&["--help"][..], &["-h"], &["up", "--help"], &["--version"], &["-V"]] {
            assert!(matches!(parse(words(line)), Parsed::Help(_)), "{line:?}");
        }
    }
}
