//! The short look at the two cores that would be measured: what the hypervisor takes, what other
//! programs use, how late a sleeper is woken, how long a loop is kept from running, and what a look
//! at the clock costs. It measures with the generator's own event loop and accounting, so that what
//! it finds is what a measurement would find. It refuses to judge.

use std::hint::black_box;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::machine::cpu::Meter;
use loadgen::plan::Cores;
use runtime::DriverChoice;
use runtime::generator::{EventLoop, Wait};
use runtime::probe::{self, Trial};
use runtime::process::pin_to;

use super::facts::{MachineSample, Tried};
use crate::Failure;

/// How long the whole look takes: its CPU is kept in ticks of 10 ms.
const LENGTH: Duration = Duration::from_secs(1);

/// Parts of it: a loop that spins on both cores, then a sleeper that is woken again and again.
const SPIN: Duration = Duration::from_millis(400);
const NAPS: Duration = Duration::from_millis(300);

/// How long the sleeper means to sleep.
const NAP: Duration = Duration::from_micros(50);

/// A loop that did not run for longer than this was interrupted by more than a timer's tick.
const GAP: Duration = Duration::from_micros(20);

/// What is found out by trying.
pub(crate) fn tried() -> Tried {
    Tried {
        rings: probe::rings(),
        driver: probe::server_driver(),
        counters: probe::counters(),
        loopback: loopback(),
    }
}

fn loopback() -> Trial {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect(listener.local_addr()?)?;
    listener.accept()?;
    Ok(())
}

/// Looks for a second.
///
/// # Errors
/// When `/proc` cannot be read or no thread be had.
pub(crate) fn look(cores: &Cores) -> Result<MachineSample, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("The machine could not be looked at: {error}.")).because(error)
    };
    let meter = Meter::new(&[], &cores.servers, &cores.generator);
    let before = meter.read().map_err(failed)?;
    let began = Instant::now();
    let clock_read_ns = clock_read_ns();
    let (gap_max_ns, gaps) = gaps(cores);
    let mut late = naps(cores.generator.first().copied()).map_err(failed)?;
    late.sort_unstable();
    thread::sleep(LENGTH.saturating_sub(began.elapsed()));
    let usage = meter.between(&before, &meter.read().map_err(failed)?);
    let core_ns = usage.machine.wall_ns.max(1) as f64 * cores.measured().max(1) as f64;
    Ok(MachineSample {
        length: Duration::from_nanos(usage.machine.wall_ns),
        clock_read_ns,
        steal_share: usage.machine.steal_ns as f64 / core_ns,
        background_share: usage.machine.background_ns.map(|ns| ns as f64 / core_ns),
        throttled: usage.machine.throttled,
        wake_p50_ns: at_share(&late, 0.50),
        wake_p99_ns: at_share(&late, 0.99),
        gap_max_ns,
        gaps_per_second: gaps as f64 / SPIN.as_secs_f64() / cores.measured().max(1) as f64,
    })
}

/// The value below which this share of the sorted ones lies; 0 of none.
fn at_share(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// The best of many short batches: whatever came between is in the others.
fn clock_read_ns() -> f64 {
    const READS: u32 = 1_000;
    let batch = |_| {
        let began = Instant::now();
        for _ in 1..READS {
            black_box(Instant::now());
        }
        began.elapsed()
    };
    let best = (0..50).map(batch).min().unwrap_or_default();
    best.as_nanos() as f64 / f64::from(READS)
}

/// The longest gap in ns and the number of gaps, on both cores at the same time.
fn gaps(cores: &Cores) -> (u64, u64) {
    let mut all = [cores.servers.as_slice(), &cores.generator].concat();
    all.dedup();
    let spinners: Vec<_> = all.into_iter().map(|core| thread::spawn(move || spin(core))).collect();
    let found = spinners.into_iter().filter_map(|spinner| spinner.join().ok());
    found.fold((0, 0), |(longest, sum), (gap, count)| (gap.max(longest), sum + count))
}

fn spin(core: usize) -> (u64, u64) {
    // Where this is refused the kernel chooses the core, and the gaps are as real.
    let _ = pin_to(core);
    let (mut longest, mut count) = (Duration::ZERO, 0);
    let began = Instant::now();
    let mut last = began;
    while last - began < SPIN {
        let now = Instant::now();
        let gap = now - last;
        longest = longest.max(gap);
        count += u64::from(gap > GAP);
        last = now;
    }
    (longest.as_nanos() as u64, count)
}

/// How late each of many short sleeps ended, in ns, in a generator's own event loop.
fn naps(core: Option<usize>) -> std::io::Result<Vec<u64>> {
    let sleeper = thread::spawn(move || {
        let _ = core.map(pin_to);
        let mut io = EventLoop::new(DriverChoice::Auto)?;
        let (mut events, mut late) = (Vec::new(), Vec::new());
        let began = Instant::now();
        while began.elapsed() < NAPS {
            let until = Instant::now() + NAP;
            io.poll(Wait::Sleep, Some(until), &mut events)?;
            late.push(Instant::now().saturating_duration_since(until).as_nanos() as u64);
        }
        Ok(late)
    });
    sleeper.join().unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_sorted_values_are_found() {
        assert_eq!(at_share(&[], 0.5), 0);
        assert_eq!(at_share(&[7], 0.99), 7);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((at_share(&hundred, 0.5), at_share(&hundred, 0.99)), (51, 100));
    }

    #[test]
    fn a_look_brings_figures_home() {
        let core = runtime::process::allowed_cpus().unwrap()[0];
        let look = look(&Cores { servers: vec![core], generator: vec![core] }).unwrap();
        assert!(look.length >= LENGTH && look.clock_read_ns > 0.0);
        assert!(look.wake_p50_ns <= look.wake_p99_ns && look.gap_max_ns > 0);
        assert!((0.0..=1.0).contains(&look.steal_share));
    }
}
