//! The servers of known cost that a calibration starts, as data, and what they are asked.
//!
//! It owns their settings and names. It refuses to know how they are built: whoever starts them
//! turns [`KnownServer::words`] into a process.

use crate::plan::{ExternalTarget, TokenSupply, Variant};
use crate::traffic::check::Expect;
use crate::traffic::workload::Workload;

/// One server and what it does beside answering.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownServer {
    /// What it is within an experiment.
    pub role: &'static str,
    /// Processor time that each of its requests burns.
    pub busy_us: f64,
    /// The same, after the response was written.
    pub after_us: f64,
    /// Memory that each of its requests reads, one word of each cache line.
    pub walk_kib: u32,
    /// How long each of its answers waits.
    pub delay_ms: u32,
    /// Whether it stands still for a tenth of every second.
    pub stalls: bool,
    /// For how many ms it stands still, and of how many.
    pub pause_ms: Option<(u32, u32)>,
    /// Whether it burns processor time meanwhile.
    pub pause_burns: bool,
    /// The share of its answers that is wrong.
    pub wrong_percent: f64,
    /// The share of its requests whose connection is reset.
    pub reset_percent: f64,
    /// Whether it gets a control group of its own, where one can be made.
    pub own_group: bool,
}

/// A server that only answers.
const BASE: KnownServer = KnownServer {
    role: "base",
    busy_us: 0.0,
    after_us: 0.0,
    walk_kib: 0,
    delay_ms: 0,
    stalls: false,
    pause_ms: None,
    pause_burns: false,
    wrong_percent: 0.0,
    reset_percent: 0.0,
    own_group: false,
};

/// Every server; a variant names one by its place.
pub const SERVERS: [KnownServer; 13] = [
    BASE,
    KnownServer { role: "busy-2", busy_us: 2.0, ..BASE },
    KnownServer { role: "busy-10", busy_us: 10.0, ..BASE },
    KnownServer { role: "busy-50", busy_us: 50.0, ..BASE },
    KnownServer { role: "delay", delay_ms: 10, ..BASE },
    KnownServer { role: "stall", stalls: true, ..BASE },
    KnownServer { role: "faulty", wrong_percent: 3.0, reset_percent: 1.0, ..BASE },
    KnownServer { role: "group", own_group: true, ..BASE },
    KnownServer { role: "group-busy", busy_us: 50.0, own_group: true, ..BASE },
    KnownServer { role: "busy-0.5", busy_us: 0.5, ..BASE },
    KnownServer { role: "after-20", after_us: 20.0, ..BASE },
    KnownServer { role: "walk-256", walk_kib: 256, ..BASE },
    KnownServer { role: "pause-50-of-500", pause_ms: Some((50, 500)), pause_burns: true, ..BASE },
];

impl KnownServer {
    /// Its settings as the options of `tollgate reference`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        option("busy-us", self.busy_us.to_string());
        option("after-us", self.after_us.to_string());
        option("walk-kib", self.walk_kib.to_string());
        option("delay-ms", self.delay_ms.to_string());
        option("wrong-percent", self.wrong_percent.to_string());
        option("reset-percent", self.reset_percent.to_string());
        if let Some((pause_ms, every_ms)) = self.pause_ms {
            option("pause-ms", pause_ms.to_string());
            option("pause-every-ms", every_ms.to_string());
        }
        words.extend(self.pause_burns.then(|| "--pause-burns".to_owned()));
        words.extend(self.stalls.then(|| "--stall".to_owned()));
        words
    }
}

/// The server that a variant is; None for one of another list.
#[must_use]
pub fn server(variant: &Variant) -> Option<&'static KnownServer> {
    match variant.subject {
        crate::plan::Subject::External(external) => SERVERS.get(external.index),
        crate::plan::Subject::Profile(_) => None,
    }
}

/// The variants of these roles, all in the first cell.
pub(super) fn variants(roles: &[&str]) -> Vec<Variant> {
    let known = |role: &&str| SERVERS.iter().position(|server| server.role == *role);
    let variant = |index: usize| {
        let role = SERVERS[index].role;
        let external = ExternalTarget { index, tls: false, certificate: false, resumption: false };
        Variant { connects: false, ..Variant::external(role, role, external, TokenSupply::None) }
    };
    roles.iter().filter_map(known).map(variant).collect()
}

/// The same with the A/A control of the first.
pub(super) fn with_control(roles: &[&str]) -> Vec<Variant> {
    let mut variants = variants(roles);
    let control = variants.first().map(Variant::control);
    variants.splice(1..1, control);
    variants
}

/// What they are asked. A good answer is longer than a wrong one.
#[must_use]
pub fn workload() -> Workload {
    Workload { expect: Expect::one_of(&[200], 80), ..Workload::ping() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_role(role: &str) -> &'static KnownServer {
        SERVERS.iter().find(|server| server.role == role).unwrap()
    }

    #[test]
    fn roles_find_their_servers() {
        let variants = variants(&["base", "busy-0.5", "busy-50", "nobody"]);
        let found: Vec<&str> = variants.iter().map(|v| server(v).unwrap().role).collect();
        assert_eq!(found, ["base", "busy-0.5", "busy-50"]);
    }

    #[test]
    fn roles_say_what_their_servers_do() {
        for (at, server) in SERVERS.iter().enumerate() {
            let first = SERVERS.iter().position(|other| other.role == server.role);
            assert_eq!(first, Some(at), "{} stands for two", server.role);
            let Some((what, number)) = server.role.split_once('-') else { continue };
            let told = match what {
                "busy" => server.busy_us.to_string(),
                "after" => server.after_us.to_string(),
                "walk" => server.walk_kib.to_string(),
                "pause" => {
                    server.pause_ms.map(|(pause, every)| format!("{pause}-of-{every}")).unwrap()
                }
                _ => continue,
            };
            assert_eq!(number, told, "{}", server.role);
        }
    }

    #[test]
    fn settings_become_words() {
        assert_eq!(
            of_role("faulty").words().join(" "),
            "--busy-us 0 --after-us 0 --walk-kib 0 --delay-ms 0 --wrong-percent 3 \
             --reset-percent 1"
        );
        for (role, expected) in [
            ("stall", "--stall"),
            ("busy-0.5", "--busy-us 0.5"),
            ("busy-2", "--busy-us 2"),
            ("after-20", "--after-us 20"),
            ("walk-256", "--walk-kib 256"),
            ("pause-50-of-500", "--pause-ms 50 --pause-every-ms 500 --pause-burns"),
        ] {
            // A blank at both ends keeps 2 and 20 apart.
            let words = format!(" {} ", of_role(role).words().join(" "));
            assert!(words.contains(&format!(" {expected} ")), "{role}: {words}");
        }
    }
}
