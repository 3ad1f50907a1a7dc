use std::collections::HashSet;

use super::view::{Seen, Version, What};

/// Searches for an order that explains what was seen of one session; if there is none, says how
/// far the longest comes.
///
/// It is the search of Wing and Gong, with Lowe's memory: what has been tried is the set of calls
/// done and what is stored after them, whatever order led there.
pub(crate) fn unexplained(seen: &[Seen]) -> Option<String> {
    let mut tried = HashSet::new();
    let mut done = Done::none_of(seen);
    let mut stored: Option<Version> = None;
    // What was done, and what was stored before.
    let mut path: Vec<(usize, Option<Version>)> = Vec::new();
    let mut next = 0;
    let mut farthest = (Vec::new(), stored.clone(), done.clone());
    loop {
        let Some(last) = done.last_begin(seen) else {
            return None; // All that was answered has its place.
        };
        let step = (next..seen.len())
            .take_while(|n| seen[*n].began <= last)
            .filter(|n| !done.has(*n))
            .find_map(|n| {
                let after = seen[n].what.after(&stored)?;
                let mut more = done.clone();
                more.insert(n);
                tried.insert((more, after.clone())).then_some((n, after))
            });
        if let Some((n, after)) = step {
            path.push((n, std::mem::replace(&mut stored, after)));
            done.insert(n);
            next = 0;
            if path.len() > farthest.0.len() {
                let order = path.iter().map(|(n, _)| *n).collect();
                farthest = (order, stored.clone(), done.clone());
            }
        } else if let Some((n, before)) = path.pop() {
            stored = before;
            done.remove(n);
            next = n + 1;
        } else {
            let (order, stored, done) = farthest;
            let last = done.last_begin(seen).unwrap_or(u64::MAX);
            let stuck: Vec<_> = (0..seen.len())
                .filter(|n| !done.has(*n) && seen[*n].began <= last)
                .map(|n| seen[n].to_string())
                .collect();
            let last_done = order.iter().skip(order.len().saturating_sub(SHOWN));
            let before: Vec<_> = last_done.map(|n| seen[*n].to_string()).collect();
            return Some(format!(
                "after {} of {} calls, the last of them\n{}\n{stored:?} is stored, and none of these can come next:\n{}",
                order.len(),
                seen.len(),
                before.join("\n"),
                stuck.join("\n")
            ));
        }
    }
}

/// How many calls are shown of those that an order explains.
const SHOWN: usize = 12;

/// The calls that have their place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Done {
    bits: Box<[u64]>,
    /// The first that is not done.
    first: usize,
}

impl Done {
    fn none_of(seen: &[Seen]) -> Self {
        Self {
            bits: vec![0; seen.len().div_ceil(64)].into(),
            first: 0,
        }
    }

    fn has(&self, n: usize) -> bool {
        self.bits[n / 64] >> (n % 64) & 1 == 1
    }

    fn insert(&mut self, n: usize) {
        self.bits[n / 64] |= 1 << (n % 64);
        while self.first < self.bits.len() * 64 && self.has(self.first) {
            self.first += 1;
        }
    }

    fn remove(&mut self, n: usize) {
        self.bits[n / 64] &= !(1 << (n % 64));
        self.first = self.first.min(n);
    }

    /// Who comes next must have begun before this: it is when the first of those ended that are
    /// not done. `None` if all that was answered is done.
    fn last_begin(&self, seen: &[Seen]) -> Option<u64> {
        let mut last = None;
        for (n, seen) in seen.iter().enumerate().skip(self.first) {
            if last.is_some_and(|last| seen.began > last) {
                break;
            }
            if !self.has(n) && !matches!(seen.what, What::Perhaps(_)) {
                last = Some(last.map_or(seen.ended, |last: u64| last.min(seen.ended)));
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(began: u64, ended: u64, what: What) -> Seen {
        Seen { what, began, ended }
    }

    #[test]
    fn calls_at_once_may_come_in_any_order() {
        let history = [
            seen(0, 3, What::Ends(true)),
            seen(1, 2, What::Begins(Version::default())),
            seen(4, 5, What::Is(None)),
        ];
        assert_eq!(unexplained(&history), None);
    }

    #[test]
    fn a_call_does_not_come_before_one_that_had_ended() {
        let history = [
            seen(0, 1, What::Ends(true)),
            seen(2, 3, What::Begins(Version::default())),
        ];
        let why = unexplained(&history).unwrap();
        assert!(why.contains("after 0 of 2"), "{why}");
    }

    #[test]
    fn a_lost_call_may_have_been_done_late_or_never() {
        let lost = || {
            let begins = What::Begins(Version::default());
            seen(0, u64::MAX, What::Perhaps(Box::new(begins)))
        };
        let there = What::Is(Some(Version::default()));
        let never = [lost(), seen(1, 2, What::Is(None))];
        let late = [
            lost(),
            seen(1, 2, What::Is(None)),
            seen(3, 4, there.clone()),
        ];
        assert_eq!(unexplained(&never), None);
        assert_eq!(unexplained(&late), None);
        let undone = [lost(), seen(1, 2, there), seen(3, 4, What::Is(None))];
        assert!(unexplained(&undone).is_some());
    }
}
