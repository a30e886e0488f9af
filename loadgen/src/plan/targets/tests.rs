//! What the file may say, what is refused and on which line, and that nothing makes it panic.

use proptest::prelude::*;

use super::*;

/// Every key at least once.
const WHOLE: &str = r#"# My servers.
label = "before the upgrade"
baseline = "plain"

[defaults]
cacert = "ca.crt"
expect_status = [200, 304]
server_pid = 4242
headers = { Accept = "application/json", X-Team = "a" }

[[target]]
name = "plain"
url = "http://127.0.0.1:8080/orders?x=1"
server_pid_file = "run/plain.pid"

[[target]]
name = "TLS + token"
url = "https://localhost:8443/orders"
method = "POST"
body = "{}"
headers = { x-team = "b" }
header_file = "secret.headers"
connect_to = "[::1]:8443"
cert = "client.crt"
key = "client.key"
resumption = true
token_url = "https://issuer.example/token"
client_id = "bench"
client_secret_file = "/etc/bench/secret"
scope = "orders.read orders.write"
token_params = { audience = "shop", resource = ["a", "b"] }
metrics_url = "http://127.0.0.1:9100/metrics"

[[target]]
name = "third"
url = "https://localhost:8444/"
requests_file = "requests.jsonl"
server_name = "third.example"
expect_status = 204
min_body_bytes = 0
insecure = true
token_file = "token"
control_group = "/sys/fs/cgroup/third"
against = "TLS + token"
connect_to = "127.0.0.1:9"
"#;

fn parse(text: &str) -> Result<Targets, TargetsError> {
    Targets::parse(text, Path::new("/etc/bench"))
}

#[test]
fn every_key_is_understood() {
    let Targets { label, baseline, targets } = parse(WHOLE).unwrap();
    assert_eq!((label.as_deref(), baseline, targets.len()), (Some("before the upgrade"), 0, 3));
    let [plain, tls, third] = targets.as_slice() else { panic!("{targets:?}") };
    assert_eq!((plain.id.as_str(), plain.line, plain.against), ("plain", 11, None));
    assert_eq!(plain.url.target, "/orders?x=1");
    assert_eq!(plain.cpu, Cpu::PidFile("/etc/bench/run/plain.pid".into()));
    assert_eq!(plain.cacert, None, "the default is for those that speak TLS");
    assert_eq!(plain.expect, Expect::one_of(&[200, 304], 0));
    assert_eq!((&plain.body, &plain.token), (&TargetBody::None, &TargetToken::None));
    assert_eq!((tls.id.as_str(), tls.against), ("tls-token", Some(0)));
    assert_eq!(tls.method.as_deref(), Some("POST"));
    assert_eq!(tls.body, TargetBody::Text("{}".into()));
    let fields: Vec<(&str, &[u8])> =
        tls.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    assert_eq!(fields, [("x-team", b"b".as_slice()), ("Accept", b"application/json")]);
    assert_eq!(tls.header_file, Some("/etc/bench/secret.headers".into()));
    assert_eq!(tls.connect_to.as_ref().unwrap().resolve().unwrap().len(), 1);
    assert_eq!(tls.cacert, Some("/etc/bench/ca.crt".into()));
    let identity = ("/etc/bench/client.crt".into(), "/etc/bench/client.key".into());
    assert_eq!(tls.identity, Some(identity));
    assert!(tls.resumption && !tls.insecure);
    let TargetToken::Client { token_url, client_id, client_secret_file, scope, params } =
        &tls.token
    else {
        panic!("{:?}", tls.token);
    };
    assert_eq!((token_url.host.as_str(), client_id.as_str()), ("issuer.example", "bench"));
    assert_eq!(client_secret_file, Path::new("/etc/bench/secret"));
    assert_eq!(scope.as_deref(), Some("orders.read orders.write"));
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(params, [("audience", "shop"), ("resource", "a"), ("resource", "b")]);
    assert!(matches!(&tls.cpu, Cpu::Metrics(url) if url.port == 9100));
    assert_eq!(third.against, Some(1));
    assert_eq!(third.body, TargetBody::Requests("/etc/bench/requests.jsonl".into()));
    assert_eq!(third.server_name, Some("third.example".try_into().unwrap()));
    assert_eq!(third.token, TargetToken::File("/etc/bench/token".into()));
    assert_eq!(third.cpu, Cpu::ControlGroup("/sys/fs/cgroup/third".into()));
    assert_eq!(third.expect, Expect::one_of(&[204], 0));
    assert!(third.insecure && !third.resumption);
}

#[test]
fn little_is_enough_and_pids_count_once() {
    let text = "[[target]]\nname = 'a'\nurl = 'http://h/'\nserver_pid = [7, 0x7, 1_0]\n\
                body_file = '/b'";
    let Targets { label, baseline, targets } = parse(text).unwrap();
    assert_eq!((label, baseline), (None, 0));
    assert_eq!(targets[0].cpu, Cpu::Pids(vec![7, 10]));
    assert_eq!(targets[0].expect, Expect::success());
    assert_eq!(targets[0].body, TargetBody::File("/b".into()));
}

#[test]
fn examples_match_their_description() {
    for (text, names) in [
        (include_str!("../../../../docs/examples/nginx.toml"), &["plain", "TLS", "mutual TLS"][..]),
        (
            include_str!("../../../../docs/examples/haproxy.toml"),
            &["plain", "TLS", "mutual TLS", "TLS + JWT"],
        ),
    ] {
        let Targets { baseline, targets, .. } = parse(text).unwrap();
        let found: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!((found.as_slice(), baseline), (names, 0));
        assert!(targets[2..].iter().all(|target| target.against == Some(1)));
        assert!(targets.iter().all(|target| matches!(target.cpu, Cpu::PidFile(_))));
        assert!(targets[2].identity.is_some());
    }
}

#[test]
fn the_documentation_has_every_key() {
    let text = include_str!("../../../../docs/targets.md");
    for key in keys::SHARED.iter().chain(&keys::TOP).chain(&["name"]) {
        assert!(text.contains(&format!("`{key}`")), "docs/targets.md does not tell of `{key}`");
    }
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(parse(example).unwrap().targets.len(), 3);
}

#[test]
fn errors_name_line_and_key() {
    let target = "[[target]]\nname = \"a\"\nurl = \"https://h/\"\n";
    let second = format!("{target}[[target]]\nname = \"b\"\nurl = \"http://h/\"\n");
    for (head, tail, line, word) in [
        ("", "", 1, "no [[target]]"),
        ("[[target]]\nname = \"a\"", "", 1, "no `url`"),
        ("[[target]]\n\nurl = \"http://h/\"", "", 1, "no `name`"),
        ("baseline = \"x\"\n", target, 1, "no target \"x\"; there are a"),
        ("baselines = \"x\"\n", target, 1, "no key `baselines` at the top of the file; there are"),
        ("target = 3\n", "", 1, "[[target]] with two brackets"),
        ("[target]\n", "", 1, "[[target]] with two brackets"),
        ("defaults = 3\n", target, 1, "`defaults` takes a table"),
        ("[defaults]\nname = \"x\"\n", target, 2, "no key `name` in [defaults]"),
        ("label = 3\n", target, 1, "`label` takes a text in quotes, and this is of type integer"),
        ("a = \n", "", 1, "column 5: this is no TOML"),
        ("\n\n[[target\n", "", 3, "this is no TOML"),
        ("[[target]]\nname = \"a\"\nname = \"b\"\n", "", 3, "this is no TOML: duplicate key"),
        (target, "urls = 3", 4, "no key `urls` in [[target]]"),
        (target, "token = \"abc\"", 4, "`token` would be a secret in this file: use token_file"),
        (target, "Password = \"abc\"", 4, "use header_file"),
        (target, "client_secret = \"abc\"", 4, "use client_secret_file"),
        (target, "headers = { Authorization = \"abc\" }", 4, "use token_file or header_file"),
        (target, "headers = { a = 1 }", 4, "`headers.a` takes a text"),
        (target, "headers = { a = \"1\", A = \"2\" }", 4, "stands here twice"),
        (target, "headers = { \"a b\" = \"1\" }", 4, "cannot be sent"),
        (target, "headers = { Content-Length = \"1\" }", 4, "written by tollgate itself"),
        (target, "headers = [1]", 4, "`headers` takes a table"),
        (target, "method = \"CONNECT\"", 4, "cannot be used"),
        (target, "body = \"\"", 4, "`body` is empty: leave it out"),
        (target, "body = \"x\"\nbody_file = \"y\"", 5, "`body` and `body_file` exclude"),
        (target, "body_file = \"x\"\nrequests_file = \"y\"", 5, "exclude each other"),
        (target, "server_name = \"a b\"", 4, "a host name or an address"),
        (target, "server_pid = 1\nmetrics_url = \"http://h/\"", 5, "exclude each other"),
        (target, "token_file = \"a\"\ntoken_url = \"http://h/\"", 5, "exclude each other"),
        (target, "server_pid = 0", 4, "whole numbers from 1 to 4194304"),
        (target, "server_pid = [1, \"2\"]", 4, "whole numbers from 1"),
        (target, "server_pid = 99999999999999999999", 4, "whole numbers"),
        (target, "expect_status = 100", 4, "whole numbers from 200 to 999"),
        (target, "expect_status = []", 4, "whole numbers"),
        (target, "min_body_bytes = [1, 2]", 4, "one number"),
        (target, "connect_to = \"localhost\"", 4, "takes HOST:PORT"),
        (target, "connect_to = \"::1:80\"", 4, "takes HOST:PORT"),
        (target, "connect_to = \"h:1/x\"", 4, "takes HOST:PORT"),
        (target, "metrics_url = \"https://h/\"", 4, "without TLS"),
        (target, "connect_to = 3", 4, "takes a text in quotes"),
        (target, "cert = \"c\"", 4, "`cert`, `key` belong together"),
        (target, "token_url = \"http://h/\"", 4, "`client_id`, `client_secret_file` belong"),
        (target, "scope = \"a\"", 4, "belong together"),
        (target, "metrics_url = \"h\"", 4, "`metrics_url`: the URL must begin with"),
        (target, "insecure = \"yes\"", 4, "`insecure` takes true or false"),
        (target, "cacert = \"a\\u0000b\"", 4, "no path"),
        (target, "against = \"a\"", 4, "no effect on the baseline"),
        (&second, "against = \"b\"", 7, "names the target itself"),
        (&second, "against = \"c\"", 7, "no target \"c\""),
        (&second, "cacert = \"c\"", 7, "`cacert` has no effect on an http:// URL"),
        (target, "[[target]]\nname = \"A\"\nurl = \"http://h/\"", 4, "the same files, a"),
        (target, "[[target]]\nname = \"a again\"\nurl = \"http://h/\"", 4, "A/A control"),
        (target, "[[target]]\nname = \"µ\"\nurl = \"http://h/\"", 4, "a letter or digit"),
        (target, "[[target]]\nname = \"a\\u001b[2J\"\nurl = \"http://h/\"", 4, "be printed"),
        (target, "[[target]]\nname = \"b\"\nurl = \"http://u:p@h/\"", 6, "credentials in a file"),
    ] {
        let text = format!("{head}{tail}");
        let error = parse(&text).expect_err(&text);
        assert_eq!(error.line, line, "{text}\n{error}");
        assert!(error.sentence.contains(word), "{text}\n{error}");
        assert!(!error.sentence.contains("abc"), "a secret is not repeated: {error}");
    }
}

#[test]
fn token_parameters_that_cannot_be_sent_are_refused_with_their_line() {
    for (table, word) in [
        ("\"a=b\"", "`token_params` takes a table"),
        ("{ a = 1 }", "`token_params.a` takes a text or a list"),
        ("{ a = [\"1\", 2] }", "`token_params.a` takes a text or a list"),
        ("{ a = [\"1\", \"2\"] }", "a is given twice"),
        ("{ grant_type = \"abc\" }", "grant_type cannot be given"),
        ("{ password = \"abc\" }", "password cannot be given"),
        ("{ audience = \"a\" }", "belong together"),
    ] {
        let target = "[[target]]\nname = \"a\"\nurl = \"https://h/\"\n";
        let error = parse(&format!("{target}token_params = {table}")).expect_err(table);
        assert_eq!(error.line, 4, "{table}: {error}");
        assert!(error.sentence.contains(word), "{table}: {error}");
        assert!(!error.sentence.contains("abc"), "a secret is not repeated: {error}");
    }
}

#[test]
fn there_are_limits() {
    let target = |at: usize| format!("[[target]]\nname = \"t{at}\"\nurl = \"http://h/\"\n");
    let many: String = (0..TARGETS_MAX).map(target).collect();
    assert_eq!(parse(&many).unwrap().targets.len(), TARGETS_MAX);
    let error = parse(&(many + &target(99))).unwrap_err();
    assert_eq!((error.line, error.sentence.contains("more than 64")), (193, true), "{error}");
    let huge = format!("# {}\n", "x".repeat(TEXT_BYTES_MAX));
    assert!(parse(&huge).unwrap_err().sentence.contains("256 KiB"));
    let body = format!("{}body = \"{}\"", target(1), "x".repeat(70_000));
    assert!(parse(&body).unwrap_err().sentence.contains("put it into a file"));
    let deep = format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(parse(&deep).unwrap_err().sentence.contains("no TOML"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        check_any(&text);
    }

    #[test]
    fn any_change_of_a_good_file_is_read_or_refused(
        at in any::<proptest::sample::Index>(),
        removed in 0..40_usize,
        added in "[\\PC\n\"'=\\[\\]{}.#0-9a-z_-]{0,12}",
    ) {
        let starts: Vec<usize> = WHOLE.char_indices().map(|(start, _)| start).collect();
        let from = starts[at.index(starts.len())];
        let to = starts.iter().copied().find(|end| *end >= from + removed);
        let changed = format!("{}{added}{}", &WHOLE[..from], &WHOLE[to.unwrap_or(WHOLE.len())..]);
        check_any(&changed);
    }

    #[test]
    fn lines_in_any_order_are_read_or_refused(
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 1..40),
    ) {
        let lines: Vec<&str> = WHOLE.lines().collect();
        let text: Vec<&str> = order.iter().map(|at| lines[at.index(lines.len())]).collect();
        check_any(&text.join("\n"));
    }
}

fn check_any(text: &str) {
    match parse(text) {
        Err(error) => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(&error.line), "{text}\n{error}");
            assert!(!error.sentence.contains('\n'), "{error}");
        }
        Ok(found) => {
            let mut ids: Vec<&str> =
                found.targets.iter().map(|target| target.id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), found.targets.len(), "{text}");
            assert_eq!(found.targets[found.baseline].against, None);
            let named = |target: &TargetSpec| target.against.is_none_or(|at| at < ids.len());
            assert!(found.targets.iter().all(named), "{text}");
        }
    }
}
