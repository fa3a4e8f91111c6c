// SPDX-License-Identifier: GPL-2.0

//! The models.

use crate::linux::bindings::Segment;
use crate::linux::file::File;
use crate::linux::network::{
    self,
    Handshake,
    Peer, //
};
use crate::linux::try_lock::TryLock;
use crate::server::outcome;
use crate::server::stats::Counter;
use crate::server::{
    Counts,
    Files,
    Room,
    Server,
    Watched, //
};
use kernel::world;
use loom::cell::UnsafeCell;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::Relaxed, //
};

/// Tries `model` in each order that takes a thread from the processor at most `preemptions` times
/// against its will; more or fewer times if `MODEL_PREEMPTIONS` says so.
fn check(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let more: Option<usize> = std::env::var("MODEL_PREEMPTIONS")
        .ok()
        .and_then(|number| number.parse().ok());
    let preemptions = more.unwrap_or(preemptions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        world::begin();
        kernel::task::forget();
        outcome::begin();
        model();
        world::end();
    });
    let executions = executions.load(Relaxed);
    eprintln!("{name}: {executions} orders, {preemptions} preemptions");
}

/// The server that most models have.
fn server() -> Server {
    Server::start(8, 1)
}

/// The same, in a world where who waits for RCU readers does wait.
fn patient_server() -> Server {
    world::world().waits_for_readers.set(true);
    server()
}

/// Another CPU.
fn spawn(work: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(work)
}

/// Another CPU, where a connection is made with which `segments` come.
fn connect(segments: &'static [Segment]) -> loom::thread::JoinHandle<()> {
    spawn(move || {
        if let Some(peer) = Peer::connect_with(segments) {
            peer.forget();
        }
    })
}

/// A connection comes, and nothing else: its worker looks at it, also if it was about to sleep for
/// long.
#[test]
fn begins() {
    check("begins", 3, || {
        let server = server();
        let other = connect(&[]);
        outcome::wait(|outcome| outcome.accepted == 1);
        other.join().unwrap();
        server.stop();
    });
}

/// Events of a connection come on two CPUs, while its worker takes its turns: each octet is
/// answered, without any further event, and without waiting for the clock.
#[test]
fn events() {
    check("events", 2, || {
        world::world().is_tickless.set(true);
        let server = server();
        let peer = Peer::connect().expect("a connection");
        let one = spawn(move || peer.send(Segment::Octet));
        let other = spawn(move || peer.send(Segment::Octet));
        outcome::wait(|outcome| outcome.answered == 2);
        one.join().unwrap();
        other.join().unwrap();
        server.stop();
        peer.forget();
    });
}

/// Events of two connections come on two CPUs, while their worker takes turns: it is woken for each
/// that it has not seen, without waiting for the clock.
#[test]
fn wake_ups() {
    check("wake_ups", 2, || {
        world::world().is_tickless.set(true);
        let server = server();
        let one = Peer::connect().expect("a connection");
        let other = Peer::connect().expect("a connection");
        let cpu = spawn(move || one.send(Segment::Octet));
        other.send(Segment::Octet);
        outcome::wait(|outcome| outcome.answered == 2);
        cpu.join().unwrap();
        server.stop();
        one.forget();
        other.forget();
    });
}

/// A connection is reset while octets come and the server is stopped: it is ended once, and
/// nothing is left of it.
#[test]
fn ends() {
    check("ends", 2, || {
        let server = server();
        let peer = Peer::connect().expect("a connection");
        let one = spawn(move || peer.send(Segment::Octet));
        let other = spawn(move || peer.send(Segment::Reset));
        let counted = server.stop();
        assert_eq!(counted.get("connections_accepted"), 1);
        one.join().unwrap();
        other.join().unwrap();
        peer.forget();
    });
}

/// The error queue of a connection has something, while the connection is reset and the server
/// stopped: nothing is left of it.
#[test]
fn error_without_lock() {
    check("error_without_lock", 2, || {
        let server = patient_server();
        let peer = Peer::connect().expect("a connection");
        let one = spawn(move || peer.report_error());
        let other = spawn(move || peer.send(Segment::Reset));
        server.stop();
        one.join().unwrap();
        other.join().unwrap();
        peer.forget();
    });
}

/// Two connections come at the same time, and there is memory for none of them in softirq: a
/// worker takes both, without waiting for the clock.
#[test]
fn left_without_memory() {
    check("left_without_memory", 2, || {
        let server = server();
        world::world().failures.set(2);
        let one = connect(&[Segment::Fin]);
        let other = connect(&[Segment::Fin]);
        outcome::wait(|outcome| outcome.ended == 2);
        one.join().unwrap();
        other.join().unwrap();
        server.stop();
    });
}

/// Two connections come at the same time, of which one is allowed: the other has its turn when
/// the first has ended, without waiting for the clock. Each has a worker of its own.
#[test]
fn left_without_room() {
    check("left_without_room", 1, || {
        let server = Server::start(1, 2);
        let other = connect(&[Segment::Fin]);
        Peer::connect_with(&[Segment::Fin])
            .expect("a connection")
            .forget();
        outcome::wait(|outcome| outcome.ended == 2);
        other.join().unwrap();
        server.stop();
    });
}

/// Whoever finds no place is seen by whoever gives one back, or finds that one.
#[test]
fn room() {
    check("room", 3, || {
        let room = Room::new();
        assert!(room.enter());
        let another = room.clone();
        let waits = Rc::new(Cell::new(false));
        let found_none = waits.clone();
        let other = spawn(move || found_none.set(!another.enter()));
        let is_seen = room.leave();
        other.join().unwrap();
        assert!(is_seen || !waits.get());
    });
}

/// The number of connections is raised while one comes for which there was no room.
#[test]
fn room_is_made() {
    check("room_is_made", 2, || {
        let server = Server::start(1, 1);
        let first = Peer::connect().expect("a connection");
        let other = connect(&[]);
        server.control().configure(2);
        outcome::wait(|outcome| outcome.accepted == 2);
        other.join().unwrap();
        server.stop();
        first.forget();
    });
}

/// A work item ends while octets come: its connection takes up its result, without any further
/// event.
#[test]
fn job_ends() {
    check("job_ends", 2, || {
        let server = server();
        outcome::set_asks_file();
        let peer = Peer::connect().expect("a connection");
        peer.send(Segment::Octet);
        outcome::wait(|outcome| outcome.answered == 1);
        server.stop();
        peer.forget();
    });
}

/// A connection is reset, and the server stopped, while a work item is done for it: nothing is
/// left of either.
#[test]
fn job_of_the_dead() {
    check("job_of_the_dead", 2, || {
        let server = server();
        outcome::set_asks_file();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        let other = spawn(move || peer.send(Segment::Reset));
        server.stop();
        other.join().unwrap();
        peer.forget();
    });
}

/// The server is stopped while a work item ends: no queue keeps the connection that it wakes.
#[test]
fn job_outlives() {
    check("job_outlives", 2, || {
        let server = server();
        outcome::set_asks_file();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun == 1);
        server.stop();
        peer.forget();
    });
}

/// The server is stopped while a work item waits for a place that comes free: the place is given
/// back, whether the work item has begun or not.
#[test]
fn job_is_given_up() {
    check("job_is_given_up", 2, || {
        let server = server();
        outcome::set_asks_file();
        server.files().close(1, File::new());
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.asked == 1);
        server.stop();
        peer.forget();
    });
}

/// The server is stopped while a work item hangs, which then keeps nothing of its connection, and
/// is waited for when the module is unloaded.
#[test]
fn job_hangs() {
    check("job_hangs", 2, || {
        let server = server();
        outcome::set_hangs();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun == 1);
        let server = server.halt();
        assert!(peer.is_alone(), "a work item keeps its connection");
        outcome::tell(|outcome| outcome.goes_on = true);
        server.unload();
        peer.forget();
    });
}

/// Two connections ask for the same: both are answered, whether or not one waits for the other.
#[test]
fn flight() {
    check("flight", 2, || {
        let server = server();
        outcome::set_shares();
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.answered == 2);
        server.stop();
        one.forget();
        other.forget();
    });
}

/// The same, with a worker for each.
#[test]
fn flight_of_workers() {
    check("flight_of_workers", 1, || {
        let server = Server::start(8, 2);
        outcome::set_shares();
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.answered == 2);
        server.stop();
        one.forget();
        other.forget();
    });
}

/// A connection waits for the work item of another one, which is reset meanwhile: it is answered.
#[test]
fn flight_of_the_dead() {
    check("flight_of_the_dead", 1, || {
        let server = server();
        outcome::set_shares();
        outcome::set_hangs();
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun == 1);
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.waiting == 1);
        one.send(Segment::Reset);
        outcome::wait(|outcome| outcome.ended == 1);
        outcome::tell(|outcome| outcome.goes_on = true);
        outcome::wait(|outcome| outcome.answered == 1);
        server.stop();
        one.forget();
        other.forget();
    });
}

/// The same, before that work item has a place.
#[test]
fn flight_is_given_up() {
    check("flight_is_given_up", 1, || {
        let server = Server::start_with_places(8, 1, 1);
        outcome::set_shares();
        server.files().close(2, File::hanging());
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.asked == 1);
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.waiting == 1);
        one.send(Segment::Reset);
        outcome::wait(|outcome| outcome.answered == 1);
        outcome::tell(|outcome| outcome.closed += 1);
        server.stop();
        one.forget();
        other.forget();
    });
}

/// The server is stopped while one waits for a work item of another one that hangs: neither is
/// kept.
#[test]
fn flight_hangs() {
    check("flight_hangs", 2, || {
        let server = server();
        outcome::set_shares();
        outcome::set_hangs();
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun == 1);
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.waiting == 1);
        let server = server.halt();
        assert!(one.is_alone(), "a work item keeps its connection");
        assert!(other.is_alone(), "a flight keeps a connection");
        outcome::tell(|outcome| outcome.goes_on = true);
        server.unload();
        one.forget();
        other.forget();
    });
}

/// The server is stopped while such a work item ends: no queue keeps the connection that waits.
#[test]
fn flight_outlives() {
    check("flight_outlives", 2, || {
        let server = server();
        outcome::set_shares();
        outcome::set_hangs();
        let one = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun == 1);
        let other = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.waiting == 1);
        outcome::tell(|outcome| outcome.goes_on = true);
        server.stop();
        one.forget();
        other.forget();
    });
}

/// A work item needs another file system than it was begun for: it goes on when there is a place,
/// which may be its own.
#[test]
fn job_wanders() {
    check("job_wanders", 2, || {
        let server = Server::start_with_places(8, 1, 1);
        outcome::set_wanders();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.answered == 1);
        server.stop();
        peer.forget();
    });
}

/// The same, while the server is stopped.
#[test]
fn wanderer_is_given_up() {
    check("wanderer_is_given_up", 2, || {
        let server = server();
        outcome::set_wanders();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.begun > 0);
        server.stop();
        peer.forget();
    });
}

/// Two file systems have one place: each work item has its turn.
#[test]
fn lanes() {
    check("lanes", 3, || {
        let files = Rc::new(Files::new(1, 5));
        let another = files.clone();
        let other = spawn(move || {
            another.close(1, File::new());
            drop(another);
        });
        files.close(2, File::new());
        other.join().unwrap();
        Rc::into_inner(files).expect("no others").unload();
        outcome::wait(|outcome| outcome.closed == 2);
    });
}

/// Two file systems come at once, of which one hangs: each has a lane of its own.
#[test]
fn lane_is_taken() {
    check("lane_is_taken", 2, || {
        let files = Rc::new(Files::new(2, 5));
        let another = files.clone();
        let other = spawn(move || {
            another.close(1, File::hanging());
            drop(another);
        });
        files.close(2, File::new());
        other.join().unwrap();
        Rc::into_inner(files).expect("no others").unload();
    });
}

/// A file system hangs with all that it is asked for: another one has a place.
#[test]
fn lane_hangs() {
    check("lane_hangs", 2, || {
        let files = Rc::new(Files::new(2, 5));
        let another = files.clone();
        files.close(1, File::hanging());
        let other = spawn(move || {
            another.close(1, File::hanging());
            drop(another);
        });
        files.close(2, File::new());
        other.join().unwrap();
        Rc::into_inner(files).expect("no others").unload();
    });
}

/// Files whose end is work for the disk are closed whatever else hangs, and leave places as they
/// are.
#[test]
fn closing_hangs() {
    check("closing_hangs", 1, || {
        let files = Files::new(2, 6);
        files.close(1, File::hanging());
        files.flush(1, File::hanging());
        files.close(2, File::hanging());
        files.flush(2, File::new());
        files.unload();
    });
}

/// The same without a lane for them.
#[test]
fn closing_without_lane() {
    check("closing_without_lane", 2, || {
        let files = Files::new(1, 3);
        files.flush(1, File::hanging());
        files.close(2, File::new());
        files.unload();
    });
}

/// What was deleted can't be freed until a file has been written out.
fn freeing(lanes: usize) {
    let files = Files::new(1, lanes);
    files.free(1, File::hanging());
    files.flush(1, File::new());
    files.unload();
}

/// Each has a lane.
#[test]
fn freeing_hangs() {
    check("freeing_hangs", 2, || freeing(5));
}

/// Both are in lanes that belong to no file system.
#[test]
fn freeing_without_lane() {
    check("freeing_without_lane", 2, || freeing(3));
}

/// The accept queue is looked at in vain while a connection comes that can't be taken in softirq.
#[test]
fn left_meanwhile() {
    check("left_meanwhile", 2, || {
        let server = server();
        world::world().failures.set(1);
        let other = connect(&[Segment::Fin]);
        server.control().configure(9);
        outcome::wait(|outcome| outcome.ended == 1);
        other.join().unwrap();
        server.stop();
    });
}

/// A new configuration comes while requests do: what a turn has is whole, and the old one is
/// dropped by a worker that has nothing to do.
#[test]
fn configuration() {
    check("configuration", 2, || {
        let server = server();
        let peer = Peer::connect().expect("a connection");
        let other = spawn(move || peer.send(Segment::Octet));
        let control = server.control();
        control.configure(9);
        outcome::wait(|outcome| outcome.dropped == 1);
        control.configure(10);
        outcome::wait(|outcome| outcome.dropped == 2 && outcome.answered == 1);
        other.join().unwrap();
        drop(control);
        server.stop();
        peer.forget();
    });
}

/// The listening socket is closed under the server, and the new one, too: a third is made. The
/// first try fails, so that the clock has its part in it.
#[test]
fn listener_is_closed() {
    check("listener_is_closed", 2, || {
        world::world().ticks.set(2);
        let server = server();
        network::fail_listen(1);
        let other = spawn(|| {
            network::abort_listener();
            outcome::wait(|outcome| outcome.listening == 2);
            network::abort_listener();
        });
        outcome::wait(|outcome| outcome.listening == 3);
        other.join().unwrap();
        server.stop();
    });
}

/// The server is stopped while a connection comes, and while somebody closes the listening socket.
#[test]
fn stop() {
    check("stop", 2, || {
        let server = patient_server();
        let one = connect(&[Segment::Octet]);
        let other = spawn(network::abort_listener);
        server.stop();
        one.join().unwrap();
        other.join().unwrap();
    });
}

/// The last ACK of `handshake` comes, with a request: it is established.
fn complete(handshake: Handshake) {
    let peer = handshake.complete(&[Segment::Octet]);
    let peer = peer.expect("a handshake that has begun comes to its end");
    outcome::tell(|outcome| outcome.asked += 1);
    peer.forget();
}

/// The server is stopped, with time to drain, while a handshake begins: either nobody listens, or
/// the connection comes to be, and its request is answered.
#[test]
fn drains_syn() {
    check("drains_syn", 2, || {
        let server = patient_server();
        let other = spawn(|| {
            if let Some(handshake) = Handshake::begin() {
                complete(handshake);
            }
        });
        server.drain();
        server.stop();
        other.join().unwrap();
        outcome::wait(|outcome| outcome.answered == outcome.asked);
    });
}

/// The same, while a handshake ends: its request is answered.
#[test]
fn drains_ack() {
    check("drains_ack", 1, || {
        let server = patient_server();
        let handshake = Handshake::begin().expect("somebody listens");
        let other = spawn(move || complete(handshake));
        server.drain();
        server.stop();
        other.join().unwrap();
        outcome::wait(|outcome| outcome.answered == 1);
    });
}

/// The same, while the first request of a connection comes: it is answered.
#[test]
fn drains_request() {
    check("drains_request", 1, || {
        let server = patient_server();
        let peer = Peer::connect().expect("a connection");
        let other = spawn(move || peer.send(Segment::Octet));
        server.drain();
        outcome::wait(|outcome| outcome.answered == 1);
        other.join().unwrap();
        server.stop();
        peer.forget();
    });
}

/// The same, with a connection of which nothing is to come: it is ended, without waiting for the
/// clock. Its worker may be about to sleep for long.
#[test]
fn drains_idle() {
    check("drains_idle", 2, || {
        let server = patient_server();
        let peer = Peer::connect_with(&[Segment::Octet]).expect("a connection");
        outcome::wait(|outcome| outcome.answered == 1);
        server.drain();
        outcome::wait(|outcome| outcome.ended == 1);
        server.stop();
        peer.forget();
    });
}

/// The same, while somebody closes the listening socket.
#[test]
fn drains_without_listener() {
    check("drains_without_listener", 1, || {
        let server = patient_server();
        let other = spawn(network::abort_listener);
        server.drain();
        other.join().unwrap();
        server.stop();
    });
}

/// A worker is wanted for the first time, while somebody looks whether it is stalled: it isn't.
#[test]
fn stalled() {
    check("stalled", 2, || {
        let worker = Watched::new();
        let wanted = worker.clone();
        let other = spawn(move || wanted.want());
        assert!(!worker.is_stalled(), "nobody has waited for it");
        other.join().unwrap();
        assert!(!worker.is_stalled(), "nobody has waited for long");
        world::world().now.set(1002);
        assert!(worker.is_stalled(), "somebody has waited for long");
    });
}

/// Two workers count together, and somebody reads: nothing is lost, and a count only grows.
#[test]
fn counts() {
    check("counts", 3, || {
        world::world().counts.set(true);
        let counts = Counts::new();
        let worker = |number| {
            let counters = counts.worker(number);
            spawn(move || {
                counters.count(Counter::Requests);
                counters.count(Counter::Requests);
            })
        };
        let (one, other) = (worker(0), worker(1));
        let first = counts.show().get("requests");
        let second = counts.show().get("requests");
        assert!(first <= second);
        one.join().unwrap();
        other.join().unwrap();
        assert_eq!(counts.show().get("requests"), 4);
    });
}

/// Softirq, and workers of two CPUs, want what a CPU has at hand: each finds what was done there
/// before, or that somebody is there.
#[test]
fn shelf() {
    check("shelf", 3, || {
        let shelf = Rc::new(TryLock::new(UnsafeCell::new(0)));
        let count = Rc::new(Cell::new(0));
        let visit = |shelf: &TryLock<UnsafeCell<u32>>, count: &Cell<u32>| {
            if let Some(guard) = shelf.try_lock() {
                // SAFETY: Loom fails if somebody else has it, or may not see what was done.
                guard.with_mut(|number| unsafe { *number += 1 });
                count.set(count.get() + 1);
            }
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (shelf, count) = (shelf.clone(), count.clone());
                spawn(move || {
                    visit(&shelf, &count);
                    visit(&shelf, &count);
                })
            })
            .collect();
        visit(&shelf, &count);
        for other in others {
            other.join().unwrap();
        }
        let guard = shelf.try_lock().expect("nobody is there any more");
        // SAFETY: As above.
        let number = guard.with(|number| unsafe { *number });
        assert!(number > 0, "nobody has come in");
        assert_eq!(number, count.get(), "two were there at once");
    });
}
