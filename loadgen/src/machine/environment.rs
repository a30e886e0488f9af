//! The machine that a run was taken on: processor, kernel, governor, accounting.
//!
//! Read once, before the first slice. Every fact is optional where the system may not tell it;
//! nothing is guessed.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use metrics_export::run::Environment;

/// The most of a kernel configuration that is read; real ones are near 300 kB.
const KERNEL_CONFIG_BYTES_MAX: u64 = 4 << 20;

/// What can be known of the machine and this build. The drivers are filled in by whoever runs.
#[must_use]
pub(crate) fn read(commit: Option<&str>) -> Environment {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = line_of("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    Environment {
        cpu_model: cpu_field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
        cpus: std::thread::available_parallelism().map_or(0, |cpus| cpus.get() as u64),
        virtual_machine: cpu_field(&cpuinfo, "flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        governor: line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        irq_time_accounting: kernel_config(&kernel)
            .map(|config| has_option(&config, "CONFIG_IRQ_TIME_ACCOUNTING")),
        kernel,
        generator_driver: String::new(),
        server_drivers: Vec::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: commit.map(str::to_owned),
        optimised: !cfg!(debug_assertions),
    }
}

fn line_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn cpu_field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The kernel's configuration, where it is kept: beside the kernel, or within it, packed.
fn kernel_config(release: &str) -> Option<String> {
    let plain = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    plain.iter().find_map(|path| fs::read_to_string(path).ok()).or_else(unpacked_config)
}

/// `/proc/config.gz` through gzip, which every distribution has; None without it.
fn unpacked_config() -> Option<String> {
    let packed = fs::File::open("/proc/config.gz").ok()?;
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(packed)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut text = String::new();
    let read =
        child.stdout.take().map(|out| out.take(KERNEL_CONFIG_BYTES_MAX).read_to_string(&mut text));
    // Whatever was not read is of no use; the child ends when its pipe is closed.
    let ended = child.wait();
    (matches!(read, Some(Ok(1..))) && ended.is_ok()).then_some(text)
}

fn has_option(config: &str, option: &str) -> bool {
    config.lines().any(|line| line.strip_prefix(option) == Some("=y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_distinguished_from_longer_ones() {
        let config = "# CONFIG_IRQ_TIME_ACCOUNTING is not set\nCONFIG_IRQ_TIME_ACCOUNTING_X=y\n\
                      CONFIG_HZ=250\n";
        assert!(!has_option(config, "CONFIG_IRQ_TIME_ACCOUNTING"));
        assert!(has_option("CONFIG_IRQ_TIME_ACCOUNTING=y\n", "CONFIG_IRQ_TIME_ACCOUNTING"));
    }

    #[test]
    fn the_processor_is_named() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: 9\nflags\t\t: fpu hypervisor sse\n";
        assert_eq!(cpu_field(cpuinfo, "model name"), Some("Some CPU: 9"));
        assert_eq!(cpu_field(cpuinfo, "missing"), None);
    }

    #[test]
    fn this_machine_is_described() {
        let environment = read(Some("abc"));
        assert!(environment.cpus >= 1);
        assert_eq!(environment.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(environment.commit.as_deref(), Some("abc"));
    }
}
