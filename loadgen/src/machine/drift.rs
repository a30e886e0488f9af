//! How the cost of equal work drifts on one core: two kinds of work in turn, the same amount in
//! every sample, with the CPU time that each sample took. Kernel work writes a byte to a socket
//! pair and reads it again; user work is a loop of integer arithmetic. It refuses to compute what
//! follows from the samples (`stats/allan.rs`) and to judge.

use std::hint::black_box;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use runtime::process::{pin_to, thread_cpu_ns};

/// Bytes that a sample of kernel work writes and reads, one at a time. A sample is then well below
/// a millisecond, so that a stretch of 2 ms has several of each kind.
const PAIRS: usize = 100;

/// Samples that are taken of each kind before the first one that counts.
const TRIALS: usize = 50;

/// Steps of the loop in a trial of it.
const TRIAL_STEPS: u64 = 10_000;

/// What was measured: samples in the order of time, one of each kind in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftSamples {
    /// From the first sample to the last, on the wall clock.
    pub length: Duration,
    /// CPU time of each sample of kernel work, in ns.
    pub socket_pairs_ns: Vec<f64>,
    /// CPU time of each sample of user work, in ns.
    pub integer_loop_ns: Vec<f64>,
}

impl DriftSamples {
    /// How many samples of one kind a stretch of this length has, on average over all.
    #[must_use]
    pub fn within(&self, stretch: Duration) -> usize {
        let all = self.socket_pairs_ns.len() as f64;
        let share = stretch.as_secs_f64() / self.length.as_secs_f64().max(f64::MIN_POSITIVE);
        (all * share).round() as usize
    }
}

/// Works on this core for this long, in a thread of its own.
///
/// # Errors
/// When the core may not be used, or no socket pair or thread be had.
pub fn measure(core: usize, length: Duration) -> io::Result<DriftSamples> {
    let worker = thread::Builder::new().name("drift".into()).spawn(move || work(core, length))?;
    worker.join().unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into()))
}

fn work(core: usize, length: Duration) -> io::Result<DriftSamples> {
    pin_to(core)?;
    let mut sockets = UnixStream::pair()?;
    let mut state = 1;
    let steps = equal_steps(&mut sockets, &mut state)?;
    let (mut socket_pairs_ns, mut integer_loop_ns) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < length {
        let before = thread_cpu_ns();
        socket_pairs(&mut sockets)?;
        let between = thread_cpu_ns();
        integer_loop(&mut state, steps);
        let after = thread_cpu_ns();
        socket_pairs_ns.push((between - before) as f64);
        integer_loop_ns.push((after - between) as f64);
    }
    Ok(DriftSamples { length: began.elapsed(), socket_pairs_ns, integer_loop_ns })
}

/// How many steps of the loop take as long as the socket pairs, by the fastest trial of each.
fn equal_steps(sockets: &mut (UnixStream, UnixStream), state: &mut u64) -> io::Result<u64> {
    let (mut pairs_ns, mut loop_ns) = (u64::MAX, u64::MAX);
    for _ in 0..TRIALS {
        let before = thread_cpu_ns();
        socket_pairs(sockets)?;
        let between = thread_cpu_ns();
        integer_loop(state, TRIAL_STEPS);
        pairs_ns = pairs_ns.min(between - before);
        loop_ns = loop_ns.min(thread_cpu_ns() - between);
    }
    Ok((TRIAL_STEPS * pairs_ns / loop_ns.max(1)).max(1))
}

/// Nothing ever waits: a byte is read only after it was written.
fn socket_pairs((near, far): &mut (UnixStream, UnixStream)) -> io::Result<()> {
    let mut byte = [1];
    for _ in 0..PAIRS {
        near.write_all(&byte)?;
        far.read_exact(&mut byte)?;
    }
    Ok(())
}

/// The steps of a linear congruential generator (Knuth's MMIX), each of which needs the one before.
fn integer_loop(state: &mut u64, steps: u64) {
    for _ in 0..black_box(steps) {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
    black_box(*state);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_core() -> usize {
        runtime::process::allowed_cpus().unwrap()[0]
    }

    #[test]
    fn both_kinds_are_sampled_in_turn() {
        let length = Duration::from_millis(60);
        let samples = measure(first_core(), length).unwrap();
        assert!(samples.length >= length);
        assert!(!samples.socket_pairs_ns.is_empty());
        assert_eq!(samples.socket_pairs_ns.len(), samples.integer_loop_ns.len());
        let sum_ns = samples.socket_pairs_ns.iter().chain(&samples.integer_loop_ns).sum::<f64>();
        assert!(sum_ns > 0.0 && sum_ns <= samples.length.as_nanos() as f64);
    }

    #[test]
    fn the_loop_takes_about_as_long_as_the_socket_pairs() {
        let mut samples = measure(first_core(), Duration::from_millis(60)).unwrap();
        let mut middle = |ns: fn(&mut DriftSamples) -> &mut Vec<f64>| {
            let all = ns(&mut samples);
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let pairs_ns = middle(|samples| &mut samples.socket_pairs_ns);
        let loop_ns = middle(|samples| &mut samples.integer_loop_ns);
        // A machine under load drifts between the trials and the samples.
        assert!((0.2..5.0).contains(&(loop_ns / pairs_ns)), "{loop_ns} and {pairs_ns}");
    }

    #[test]
    fn a_core_that_may_not_be_used_is_an_error() {
        assert!(measure(usize::MAX, Duration::from_millis(1)).is_err());
    }

    #[test]
    fn a_stretch_has_its_share_of_the_samples() {
        let samples = DriftSamples {
            length: Duration::from_secs(4),
            socket_pairs_ns: vec![1.0; 20_001],
            integer_loop_ns: vec![1.0; 20_001],
        };
        let within = |ms| samples.within(Duration::from_millis(ms));
        assert_eq!([0, 2, 1_000, 4_000].map(within), [0, 10, 5_000, 20_001]);
        let none = DriftSamples { length: Duration::ZERO, socket_pairs_ns: vec![], ..samples };
        assert_eq!(none.within(Duration::from_secs(1)), 0);
    }
}
