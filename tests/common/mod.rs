//! What the end-to-end tests share: a stack of the built command on free ports, and curl as the
//! foreign peer that talks to it. Everything is stopped when it is dropped.

#![expect(dead_code, reason = "each test file uses its own part of this module")]

pub(crate) mod play;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The built command.
pub(crate) const TOLLGATE: &str = env!("CARGO_BIN_EXE_tollgate");

/// The I/O drivers that every end-to-end test runs on.
pub(crate) const DRIVERS: [&str; 2] = ["auto", "epoll"];

/// The named profiles.
pub(crate) const PROFILES: [&str; 6] = ["S0", "S1", "S2", "S3", "S4", "S5"];

/// A stack may take this long to be ready on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(40);

/// A running `tollgate up` on free ports with a state directory of its own.
pub(crate) struct Up {
    pub child: Child,
    pub folder: TempDir,
    pub stack: Value,
    /// What `up` printed until it was ready.
    pub printed: String,
}

impl Up {
    /// Starts a stack and waits until it serves.
    pub(crate) fn start(profile: &str, options: &[&str]) -> Up {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        Up::start_in(folder, &state, profile, options)
    }

    fn start_in(folder: TempDir, state: &Path, profile: &str, options: &[&str]) -> Up {
        let mut child = Command::new(TOLLGATE)
            .args(["up", "--any-port", "--profile", profile, "--state"])
            .arg(state)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let deadline = Instant::now() + UP_WITHIN;
        let mut printed = String::new();
        while !printed.contains("Ctrl-C") {
            let left = deadline.saturating_duration_since(Instant::now());
            match receive.recv_timeout(left) {
                Ok(line) => {
                    printed.push_str(&line);
                    printed.push('\n');
                }
                Err(error) => {
                    let _ = child.kill();
                    let stderr = std::io::read_to_string(child.stderr.take().unwrap());
                    panic!("`up` was not ready ({error}):\n{printed}\n{}", stderr.unwrap());
                }
            }
        }
        let stack = fs::read(state.join("stack.json")).unwrap();
        let stack = serde_json::from_slice(&stack).unwrap();
        Up { child, folder, stack, printed }
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn service(&self, name: &str) -> &Value {
        let services = self.stack["services"].as_array().unwrap();
        services.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// Where a service serves.
    pub(crate) fn url(&self, service: &str) -> String {
        self.service(service)["url"].as_str().unwrap().to_owned()
    }

    /// Where a service's metrics are.
    pub(crate) fn admin_url(&self, service: &str) -> String {
        self.service(service)["admin_url"].as_str().unwrap().to_owned()
    }

    /// A service's process.
    pub(crate) fn pid(&self, service: &str) -> u32 {
        u32::try_from(self.service(service)["pid"].as_u64().unwrap()).unwrap()
    }

    /// The value of a counter or gauge: the sum over all series whose line holds every word.
    pub(crate) fn metric(&self, service: &str, name: &str, words: &[&str]) -> f64 {
        let page = Curl::new(&format!("{}/metrics", self.admin_url(service))).run();
        assert_eq!(page.status, 200, "{page:?}");
        page.body
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(['{', ' '])))
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// An access token for bench-runner, as `tollgate token` prints it.
    pub(crate) fn token(&self, scope: Option<&str>) -> String {
        let mut command = Command::new(TOLLGATE);
        command.args(["token", "--state"]).arg(self.state());
        if let Some(scope) = scope {
            command.args(["--scope", scope]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// curl towards a path of a service, trusting the stack's CA, with no credentials yet.
    pub(crate) fn curl(&self, service: &str, path: &str) -> Curl {
        let mut curl = Curl::new(&format!("{}{path}", self.url(service)));
        curl.arg("--cacert").arg(self.state().join("ca/ca.crt"));
        curl
    }

    /// Adds the certificate of a client to a curl call.
    pub(crate) fn with_certificate(&self, mut curl: Curl, client: &str) -> Curl {
        curl.arg("--cert").arg(self.state().join(format!("clients/{client}.crt")));
        curl.arg("--key").arg(self.state().join(format!("clients/{client}.key")));
        curl
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(&mut self, signal: &str, within: Duration) -> std::process::ExitStatus {
        send_signal(self.child.id(), signal);
        wait(&mut self.child, within).expect("the stack did not stop in time")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Stops a process that this test started, if it still runs.
fn end(child: &mut Child) {
    if child.try_wait().ok().flatten().is_none() {
        send_signal(child.id(), "TERM");
        if wait(child, Duration::from_secs(15)).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn send_signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(status.unwrap().success(), "process {pid} was not there for SIG{signal}");
}

/// Waits for a process's end.
pub(crate) fn wait(child: &mut Child, within: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// The built command, in a folder of the build where it may leave its runs.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(TOLLGATE);
    command.args(words).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs the built command to its end.
pub(crate) fn tollgate(words: &[&str]) -> Output {
    command(words).stdin(Stdio::null()).output().unwrap()
}

/// What a command printed, as JSON.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// One call of curl.
pub(crate) struct Curl {
    command: Command,
}

/// What came of a call of curl.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// curl's own exit code; 0 when an answer came.
    pub exit: i32,
    /// The answer's status, 0 without one.
    pub status: u16,
    /// The answer's head, as received.
    pub head: String,
    /// The answer's body.
    pub body: String,
    /// What curl said on standard error.
    pub said: String,
}

impl Curl {
    /// A call of this URL with a deadline.
    pub(crate) fn new(url: &str) -> Curl {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "20", url]);
        Curl { command }
    }

    /// Adds a word to curl's command line.
    pub(crate) fn arg(&mut self, word: impl AsRef<std::ffi::OsStr>) -> &mut Curl {
        self.command.arg(word);
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, header: &str) -> Curl {
        self.command.args(["-H", header]);
        self
    }

    /// Adds a bearer token.
    pub(crate) fn bearer(self, token: &str) -> Curl {
        self.header(&format!("Authorization: Bearer {token}"))
    }

    /// Sends a JSON body with POST.
    pub(crate) fn json(mut self, body: &str) -> Curl {
        self.command.args(["--data-binary", body]);
        self.header("Content-Type: application/json")
    }

    /// Uses another method.
    pub(crate) fn method(mut self, method: &str) -> Curl {
        self.command.args(["-X", method]);
        self
    }

    /// Runs curl and takes its output apart.
    pub(crate) fn run(mut self) -> Fetched {
        let output = self.command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `100 Continue` and the like come before the answer; the last head is the answer's.
        let mut rest = text.as_str();
        let mut head = "";
        while let Some((front, behind)) = rest.split_once("\r\n\r\n") {
            if !front.starts_with("HTTP/") {
                break;
            }
            (head, rest) = (front, behind);
        }
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Fetched {
            exit: output.status.code().unwrap_or(-1),
            status,
            head: head.to_owned(),
            body: rest.to_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Fetched {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One service of the built command on free ports, started without `up`.
pub(crate) struct Served {
    pub child: Child,
    pub listen: String,
    pub admin: String,
}

impl Served {
    /// Starts a service under S0 and waits until it serves.
    pub(crate) fn start(service: &str, options: &[&str]) -> Served {
        Served::spawn(&[&["serve", service, "--profile", "S0"], options].concat())
    }

    /// Starts the server of known cost, which answers `/api/ping`.
    pub(crate) fn reference() -> Served {
        Served::spawn(&["reference"])
    }

    fn spawn(words: &[&str]) -> Served {
        Served::run(command(words).stderr(Stdio::null()))
    }

    /// Starts what this command is on free ports and waits until it serves.
    pub(crate) fn run(command: &mut Command) -> Served {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let said = child.stderr.take().map(|said| std::io::read_to_string(said).unwrap());
            panic!("{error}: {line:?}\n{}", said.unwrap_or_default())
        });
        let text = |name: &str| ready["ready"][name].as_str().unwrap().to_owned();
        Served { listen: text("listen"), admin: text("admin"), child }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
