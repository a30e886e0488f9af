//! The queue alone, and a core of each driver that waits for it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;

use super::*;
use crate::executor::driver::{DriverChoice, Executor};

/// Longer than anything here takes, shorter than a patience.
const LONG: Duration = Duration::from_secs(60);

/// An off-load thread that is held up by a job until the sender is dropped or used.
fn held_up(jobs_max: usize) -> (Offload, mpsc::Sender<()>) {
    let offload = Offload::start("test", jobs_max).unwrap();
    let (release, released) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    offload
        .try_send(move || {
            begun.send(()).unwrap();
            let _ = released.recv();
        })
        .unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    (offload, release)
}

#[test]
fn jobs_are_done_in_their_order_and_a_full_queue_refuses() {
    let (offload, release) = held_up(3);
    let (tell, told) = mpsc::channel();
    for number in 0..3 {
        let tell = tell.clone();
        offload.try_send(move || tell.send(number).unwrap()).unwrap();
    }
    assert!(matches!(offload.try_send(|| ()), Err(OffloadError::Full)));
    drop((release, tell));
    assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 2]);
    offload.try_send(|| ()).unwrap();
    assert_eq!(offload.end(LONG), 0);
}

#[test]
fn a_panic_does_not_end_the_thread() {
    let offload = Offload::start("test", 4).unwrap();
    offload.try_send(|| panic!("on purpose")).unwrap();
    let (tell, told) = mpsc::channel();
    offload.try_send(move || tell.send(7).unwrap()).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(7));
}

#[test]
fn at_the_end_what_is_queued_is_done_or_dropped_at_the_deadline() {
    let (offload, release) = held_up(4);
    let done = Arc::new(Mutex::new(0));
    for _ in 0..2 {
        let done = Arc::clone(&done);
        offload.try_send(move || *done.lock().unwrap() += 1).unwrap();
    }
    // The first job is still held up, the others wait behind it.
    assert_eq!(offload.end(Duration::from_millis(10)), 3);
    assert_eq!(*done.lock().unwrap(), 0);
    assert_eq!(Arc::strong_count(&done), 1, "they are dropped");
    assert!(matches!(offload.try_send(|| ()), Err(OffloadError::Ended)));
    drop(release);
    assert_eq!(offload.end(LONG), 0, "the thread has ended");

    let (offload, release) = held_up(4);
    let counted = Arc::clone(&done);
    offload.try_send(move || *counted.lock().unwrap() += 1).unwrap();
    drop(release);
    assert_eq!(offload.end(LONG), 0);
    assert_eq!(*done.lock().unwrap(), 1);
}

#[test]
fn a_dropped_handle_lets_the_thread_finish() {
    let (offload, release) = held_up(4);
    let (tell, told) = mpsc::channel();
    offload.try_send(move || tell.send(7).unwrap()).unwrap();
    drop(offload);
    drop(release);
    assert_eq!(told.recv_timeout(LONG), Ok(7));
    assert_eq!(told.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

fn on_each_driver(test: impl Fn(&mut Executor)) {
    for choice in [DriverChoice::Auto, DriverChoice::Epoll] {
        let (mut executor, _) = Executor::new(choice).unwrap();
        test(&mut executor);
    }
}

#[test]
fn a_core_waits_for_a_result_and_does_other_work_meanwhile() {
    on_each_driver(|executor| {
        let (offload, release) = held_up(4);
        let result = executor.block_on(async move {
            let turns = Rc::new(Cell::new(0));
            let own = Rc::clone(&turns);
            monoio::spawn(async move {
                for _ in 0..3 {
                    monoio::time::sleep(Duration::from_millis(1)).await;
                    own.set(own.get() + 1);
                }
                drop(release);
            });
            let result = offload.submit(|| thread::current().name().map(str::to_owned)).await;
            assert_eq!(turns.get(), 3, "the core went on");
            result
        });
        assert_eq!(result.unwrap().as_deref(), Some("test"));
    });
}

#[test]
fn who_waits_learns_of_a_panic_a_full_queue_and_the_end() {
    on_each_driver(|executor| {
        let (offload, release) = held_up(1);
        let (panicked, full) = executor.block_on(async {
            monoio::join!(offload.submit(|| panic!("on purpose")), async {
                let full = offload.submit(|| 7).await;
                drop(release);
                full
            })
        });
        assert!(matches!(panicked, Err(OffloadError::Panicked)), "{panicked:?}");
        assert!(matches!(full, Err(OffloadError::Full)), "{full:?}");

        let (offload, release) = held_up(1);
        let ended = executor.block_on(async {
            let waits = offload.submit(|| 7);
            monoio::join!(waits, async {
                assert_eq!(offload.end(Duration::from_millis(1)), 2);
                drop(release);
            })
        });
        assert!(matches!(ended.0, Err(OffloadError::Ended)), "{ended:?}");
    });
}

#[test]
fn who_gives_up_waiting_loses_nothing_but_the_result() {
    on_each_driver(|executor| {
        let (offload, release) = held_up(2);
        let (tell, told) = mpsc::channel();
        executor.block_on(async {
            let submitted = offload.submit(move || tell.send(7).unwrap());
            let gave_up = monoio::time::timeout(Duration::from_millis(5), submitted).await;
            assert!(gave_up.is_err());
            drop(release);
            assert_eq!(offload.submit(|| 8).await.unwrap(), 8);
        });
        assert_eq!(told.recv_timeout(LONG), Ok(7));
    });
}
