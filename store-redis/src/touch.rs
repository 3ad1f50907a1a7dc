use cloakroom_store_api::{Result, SessionId, Stamp};
use redis::RedisError;

use crate::{
    lane::{self, Answers, Call, Lane},
    link::{Answer, Link, Shared, Verdict},
    scripts::TOUCH,
};

/// Moves the deadline of a live record.
pub(crate) async fn touch(link: &Link, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
    let answer = lane::ask(link, Touch { id, revision }).await?;
    Ok((answer.verdict == Verdict::Stored).then(|| answer.stamp()))
}

/// Asks for a deadline to be moved.
pub(crate) struct Touch {
    id: SessionId,
    revision: u64,
}

impl Call for Touch {
    type Answer = Answer;
    const MOST: usize = 32;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.touches
    }

    fn id(&self) -> SessionId {
        self.id
    }

    async fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> Result<Answers<Self>, RedisError> {
        let revisions = calls.iter().map(|touch| touch.revision.to_be_bytes());
        let revisions: Vec<_> = revisions.collect();
        let arguments: Vec<_> = revisions.iter().map(<[u8; 8]>::as_slice).collect();
        link.answers(&TOUCH, calls, &arguments, is_second).await
    }
}
