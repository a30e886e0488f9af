//! What two runs did not do alike, as sentences. Each of these can move a figure by more than the
//! change that is looked for, so that they are said before it.

use metrics_export::run::{ArrivalPattern, Cell, Plan, Run, Topology};

use crate::stats::pairing;

/// Rates that are closer than this are alike: the operating point is found anew in each run, and
/// a request costs hardly more at a rate this much higher.
const RATE_TOLERANCE: f64 = 0.1;

/// Every difference; what is missing on one side last.
pub(super) fn sentences(a: &Run, b: &Run) -> Vec<String> {
    let mut found = Differences(Vec::new());
    found.plans(a, b);
    found.environments(a, b);
    for cell in &b.plan.cells {
        let other = pairing::cell(b, &cell.id, a);
        let before = other.and_then(|id| a.plan.cells.iter().find(|cell| cell.id == id));
        if let Some(before) = before {
            found.cells(before, cell);
        }
    }
    found.variants(a, b);
    found.missing(a, b, "before");
    found.missing(b, a, "after");
    found.0
}

struct Differences(Vec<String>);

impl Differences {
    fn said<T: PartialEq + ToString>(&mut self, what: &str, a: T, b: T) {
        if a != b {
            let shown = |value: T| match value.to_string() {
                text if text.is_empty() => "unknown".to_owned(),
                text => text,
            };
            self.0.push(format!("{what}: {} before, {} after", shown(a), shown(b)));
        }
    }

    fn plans(&mut self, a: &Run, b: &Run) {
        let (before, now) = (&a.plan, &b.plan);
        self.said("what was measured", before.subject, now.subject);
        let builds = |plan: &Plan| match plan.build_texts() {
            texts if texts.is_empty() => "one".into(),
            texts => texts,
        };
        self.said("builds", builds(before), builds(now));
        let place = |plan: &Plan| plan.environment.clone().unwrap_or_default();
        self.said("environment", place(before), place(now));
        let topology = |plan: Option<Topology>| plan.map_or("", Topology::as_str);
        self.said("topology", topology(before.topology), topology(now.topology));
        let pattern = |plan: Option<ArrivalPattern>| plan.map_or("none", ArrivalPattern::as_str);
        self.said("arrivals", pattern(before.arrivals), pattern(now.arrivals));
        self.said("client mode", before.generator_wait, now.generator_wait);
        let ms = |ns: u64| format!("{} ms", ns / 1_000_000);
        self.said("length of a slice", ms(before.slice_ns), ms(now.slice_ns));
        self.said("server cores", list(&before.server_cores), list(&now.server_cores));
        self.said("generator cores", list(&before.generator_cores), list(&now.generator_cores));
    }

    fn environments(&mut self, a: &Run, b: &Run) {
        let (before, now) = (&a.environment, &b.environment);
        self.said("CPU", before.cpu_model.as_str(), &now.cpu_model);
        self.said("processors", before.cpus, now.cpus);
        let virtual_machine = |yes: bool| if yes { "a virtual machine" } else { "no hypervisor" };
        self.said(
            "machine",
            virtual_machine(before.virtual_machine),
            virtual_machine(now.virtual_machine),
        );
        self.said("kernel", before.kernel.as_str(), &now.kernel);
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        self.said("frequency governor", known(&before.governor), known(&now.governor));
        let accounting = |known: Option<bool>| match known {
            None => "",
            Some(true) => "apart from tasks",
            Some(false) => "to the task that is interrupted",
        };
        self.said(
            "softirq is billed",
            accounting(before.irq_time_accounting),
            accounting(now.irq_time_accounting),
        );
        self.said("generator's driver", before.generator_driver.as_str(), &now.generator_driver);
        let drivers = |names: &[String]| names.join(" and ");
        self.said("servers' driver", drivers(&before.server_drivers), drivers(&now.server_drivers));
        let build = |optimised: bool| if optimised { "optimised" } else { "not optimised" };
        self.said("build", build(before.optimised), build(now.optimised));
        self.said("version", before.version.as_str(), &now.version);
        self.said("commit", known(&before.commit), known(&now.commit));
    }

    fn cells(&mut self, a: &Cell, b: &Cell) {
        let named = |what: &str| match b.label.as_str() {
            "" => what.to_owned(),
            label => format!("{what} of {label}"),
        };
        self.said(&named("workload"), a.workload.as_str(), &b.workload);
        self.said(&named("call path"), a.call_path, b.call_path);
        self.said(&named("protocol"), a.protocol.as_str(), &b.protocol);
        self.said(&named("connections"), a.connections, b.connections);
        let each = |count: Option<u32>| count.map_or("any number".into(), |each| each.to_string());
        self.said(
            &named("requests per connection"),
            each(a.requests_per_connection),
            each(b.requests_per_connection),
        );
        self.said(&named("handshake"), a.handshake, b.handshake);
        self.said(&named("token signature"), a.token_algorithm.as_str(), &b.token_algorithm);
        self.said(&named("workers"), a.workers, b.workers);
        let (before, now) = (a.rate_milli_per_s as f64, b.rate_milli_per_s as f64);
        if (before - now).abs() > RATE_TOLERANCE * before.max(now) {
            let rate = |milli: f64| format!("{:.0}/s", milli / 1000.0);
            self.said(&named("rate"), rate(before), rate(now));
        }
    }

    fn variants(&mut self, a: &Run, b: &Run) {
        for pair in pairing::pairs(a, b) {
            let label = &pair.b.label;
            self.said(&format!("CPU of {label} read from"), pair.a.cpu_source, pair.b.cpu_source);
            self.said(&format!("tokens of {label}"), pair.a.tokens, pair.b.tokens);
            let request = |text: &Option<String>| text.clone().unwrap_or_default();
            self.said(
                &format!("request of {label}"),
                request(&pair.a.request),
                request(&pair.b.request),
            );
        }
    }

    fn missing(&mut self, run: &Run, other: &Run, when: &str) {
        let alone = run.plan.variants.iter();
        let alone = alone.filter(|planned| pairing::counterpart(run, planned, other).is_none());
        let labels: Vec<String> = alone.map(|planned| named(run, &planned.id)).collect();
        if !labels.is_empty() {
            self.0.push(format!("measured only {when}: {}", labels.join(", ")));
        }
    }
}

/// A variant by its label, or by its id where labels repeat.
fn named(run: &Run, id: &str) -> String {
    if run.plan.cells.len() > 1 { id.to_owned() } else { run.label(id).to_owned() }
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
