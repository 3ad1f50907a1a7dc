use cloakroom_store_api::SessionToken;

use super::*;

/// A write of a session, of so many bytes.
struct Write(SessionId, usize);

impl Call for Write {
    type Answer = ();

    const AT_ONCE: usize = 2;
    const WRITES: bool = true;

    fn lane(_: &Shared) -> &Lane<Self> {
        unreachable!("the tests have lanes of their own")
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0)
    }

    fn size(&self) -> usize {
        self.1
    }

    async fn run(_: &[&Self], _: Duration, _: &Statements, _: &mut PgConnection) -> Answers<()> {
        unreachable!("nothing is sent")
    }
}

type Waiter = oneshot::Receiver<Result<()>>;

fn new_id() -> SessionId {
    SessionToken::generate().unwrap().id()
}

fn asked(id: SessionId, size: usize) -> (Asked<Write>, Waiter) {
    let (reply, waiter) = oneshot::channel();
    let asked = Asked {
        call: Write(id, size),
        reply,
        until: Instant::now() + Duration::from_mins(1),
    };
    (asked, waiter)
}

/// Adds a call that may not go alone; says whether a runner is wanted.
fn push(lane: &Lane<Write>, id: SessionId, size: usize) -> (bool, Waiter) {
    let (asked, waiter) = asked(id, size);
    let added = lane.add(asked, &Arc::new(Semaphore::new(0)));
    (matches!(added, Added::RunnerWanted), waiter)
}

/// How many calls the next statement has.
fn next(lane: &Lane<Write>) -> Option<usize> {
    lane.next().map(|calls| calls.len())
}

#[test]
fn a_call_that_meets_no_other_goes_alone_if_none_does_already() {
    let (lane, other, lone) = (
        Lane::default(),
        Lane::default(),
        Arc::new(Semaphore::new(1)),
    );
    let add = |lane: &Lane<Write>| lane.add(asked(new_id(), 1).0, &lone);
    let Added::Alone(_, permit) = add(&lane) else {
        panic!("it meets no other");
    };
    assert!(matches!(add(&other), Added::RunnerWanted));
    drop(permit);
    assert!(matches!(add(&other), Added::RunnerWanted), "one waits");
    assert!(matches!(add(&lane), Added::Alone(..)));
}

/// Those that a runner has left behind are taken by the next that is started.
#[test]
fn a_call_does_not_go_alone_past_others() {
    let (lane, lone) = (Lane::default(), Arc::new(Semaphore::new(1)));
    let _waiter = push(&lane, new_id(), 1);
    lane.abandon();
    let added = lane.add(asked(new_id(), 1).0, &lone);
    assert!(matches!(added, Added::RunnerWanted));
    assert_eq!(next(&lane), Some(1), "nobody waits for the other");
}

#[test]
fn a_write_does_not_go_alone_beside_one_that_waits_for_its_row() {
    let (lane, id, lone) = (Lane::default(), new_id(), Arc::new(Semaphore::new(1)));
    assert!(lane.occupy(id) && !lane.occupy(id));
    let add = |id| lane.add(asked(id, 1).0, &lone);
    assert!(matches!(add(new_id()), Added::Alone(..)));
    assert!(matches!(add(id), Added::RunnerWanted));
}

#[test]
fn a_statement_has_no_more_calls_than_it_may() {
    let lane = Lane::default();
    let _waiters: Vec<_> = (0..300).map(|_| push(&lane, new_id(), 1)).collect();
    assert_eq!(
        [next(&lane), next(&lane), next(&lane)],
        [Some(256), Some(44), None]
    );
}

#[test]
fn a_statement_has_no_more_bytes_than_it_may_but_one_call() {
    let lane = Lane::default();
    let sizes = [BYTES / 2, BYTES / 2, 1, 2 * BYTES, 1];
    let _waiters = sizes.map(|size| push(&lane, new_id(), size));
    let counts = [(); 5].map(|()| next(&lane));
    assert_eq!(counts, [Some(2), Some(1), Some(1), Some(1), None]);
}

#[test]
fn writes_of_a_session_go_one_after_another() {
    let lane = Lane::default();
    let (busy, other) = (new_id(), new_id());
    let _waiters = [busy, busy, other].map(|id| push(&lane, id, 1));
    assert_eq!(
        [next(&lane), next(&lane), next(&lane)],
        [Some(2), None, None]
    );
    assert!(lane.release(busy), "the second one waits for a runner");
    assert_eq!([next(&lane), next(&lane)], [Some(1), None]);
    assert!(!lane.release(busy));
}

#[test]
fn what_nobody_waits_for_any_more_is_not_sent() {
    let lane = Lane::default();
    drop(push(&lane, new_id(), 1));
    let (_, _waiter) = push(&lane, new_id(), 1);
    assert_eq!([next(&lane), next(&lane)], [Some(1), None]);
}

#[test]
fn no_more_runners_are_wanted_than_statements_may_be_on_their_way() {
    let lane = Lane::default();
    let wanted = |lane| push(lane, new_id(), 1).0;
    assert_eq!([&lane; 4].map(wanted), [true, true, false, false]);
    lane.abandon();
    assert_eq!([&lane; 2].map(wanted), [true, false], "one has panicked");
    assert_eq!(next(&lane), None);
    assert_eq!([&lane; 2].map(wanted), [true, false], "one has ended");
}
