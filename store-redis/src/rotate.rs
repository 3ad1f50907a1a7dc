use std::time::Duration;

use cloakroom_store_api::{Age, Result, Saved, SessionId};
use tokio::time::Instant;

use crate::{
    create::put,
    error::{self, About},
    header::State,
    link::{Answer, Link, Verdict},
    owners,
    save::Draft,
    scripts::{EXPIRE, LEAVE, PROBE, ROTATE, SETTLE},
};

pub(crate) async fn rotate(link: &Link, old: SessionId, draft: Draft, age: Age) -> Result<Saved> {
    if draft.revision == 0 {
        return Ok(Saved::Gone);
    }
    if draft.id == old {
        return Ok(Saved::Conflict);
    }
    if !link.is_cluster() {
        return within_a_server(link, old, &draft, age).await;
    }
    // In a task of its own: a caller who is dropped does not stop it half-way.
    let link = link.clone();
    tokio::spawn(async move { across_servers(&link, old, draft, age).await })
        .await
        .unwrap_or_else(|_| Err(error::ended()))
}

async fn within_a_server(link: &Link, old: SessionId, draft: &Draft, age: Age) -> Result<Saved> {
    let index = (!draft.owner.is_empty()).then(|| link.prefix().owner(&draft.owner));
    let records = [old, draft.id].map(|id| link.prefix().record(id));
    let keys: Vec<&str> = records.iter().chain(&index).map(String::as_str).collect();
    let (idle, absolute) = (draft.idle().to_string(), draft.absolute().to_string());
    let revision = draft.revision.to_be_bytes();
    let arguments: [&[u8]; 8] = [
        old.as_bytes(),
        draft.id.as_bytes(),
        &revision,
        draft.head(),
        idle.as_bytes(),
        absolute.as_bytes(),
        draft.tail(),
        if age == Age::Restart { b"1" } else { b"0" },
    ];
    match link.answer(&ROTATE, &keys, &arguments).await {
        Ok(answer) => Ok(finished(link, old, &answer.about(old)?).await),
        Err(error) => {
            // Of a wrong type are the old record, which is corrupt then, or the index.
            if error::code(&error) == "WRONGTYPE" {
                link.about(old, &link.prefix().get(old)).await?;
            }
            Err(link.sorted(error, About::Store))
        }
    }
}

/// How long the traces of a rotation stay that was cut off half-way, in milliseconds.
const TRACES: u64 = 10_000;

/// Moves a record between two servers of a cluster, which no script can do in one step.
///
/// The new record is stored first, but waits: no load shows it, only the end of an owner's
/// sessions finds it. Then the old one ends, and then the new one is live. If the process dies
/// between these two the session is over, and what is left is gone in ten seconds.
async fn across_servers(link: &Link, old: SessionId, draft: Draft, age: Age) -> Result<Saved> {
    let (id, mark, revision) = (
        draft.id,
        draft.mark().to_vec(),
        draft.revision.to_be_bytes(),
    );
    let [old_key, key] = [old, id].map(|id| link.prefix().record(id));
    let asked = Instant::now();
    let probe = link.answer(&PROBE, &[&old_key], &[&revision]).await;
    let mut probe = probe.map_err(|error| link.sorted(error, About::Session(old)))?;
    // It has written nothing: if it was sent twice, what it said last is so.
    probe.is_second = false;
    let probe = probe.about(old)?;
    if probe.verdict != Verdict::Stored {
        return Ok(finished(link, old, &probe).await);
    }
    let now = probe.now;
    let created_at = match age {
        Age::Keep => probe.created_at,
        Age::Restart => now,
    };
    let idle_end = now + Duration::from_millis(draft.idle());
    let expires_at = idle_end.min(created_at + Duration::from_millis(draft.absolute()));
    let life = expires_at.since(now);
    let traces = TRACES.to_string();
    let leave: [&[u8]; 3] = [&revision, &mark, traces.as_bytes()];
    if life.is_zero() {
        let left = link.run(&LEAVE, old, &[&old_key], &leave).await?;
        return Ok(match finished(link, old, &left).await {
            Saved::Stored(_) => Saved::Gone,
            other => other,
        });
    }

    let (owner, absolute) = (draft.owner.clone(), draft.absolute());
    owners::index(link, &owner, id, absolute).await?;
    let value = draft.value(State::Pending, created_at, expires_at);
    let mut is_second = false;
    if !put(link, id, &value, &mark, TRACES, &mut is_second).await? {
        return Ok(Saved::Conflict);
    }
    if is_second {
        // Who has ended it in between has taken it out.
        owners::index(link, &owner, id, absolute).await?;
    }
    let left = link.run(&LEAVE, old, &[&old_key], &leave).await?;
    if left.verdict != Verdict::Stored {
        link.run(&EXPIRE, id, &[&key], &[b""]).await?;
        owners::unindex(link, owner.as_bytes(), &[id]).await;
        return Ok(finished(link, old, &left).await);
    }
    let rest = life
        .saturating_sub(asked.elapsed())
        .as_millis()
        .saturating_sub(1);
    let rest = rest.max(1).to_string();
    let settled = link
        .run(&SETTLE, id, &[&key], &[&mark, rest.as_bytes()])
        .await?;
    owners::unindex(link, &left.owner, &[old]).await;
    Ok(finished(link, old, &settled).await)
}

/// Takes the old session out of its owner's index if it has ended.
async fn finished(link: &Link, old: SessionId, answer: &Answer) -> Saved {
    owners::unindex(link, &answer.owner, &[old]).await;
    match answer.verdict {
        Verdict::Stored => Saved::Stored(answer.stamp()),
        Verdict::Conflict => Saved::Conflict,
        _ => Saved::Gone,
    }
}
