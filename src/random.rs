//! Rests that are not all the same, so that those who met once do not meet again.

/// A number from 0 to below 1. If the operating system has none, the middle: this keeps nothing secret.
pub(crate) fn share() -> f64 {
    getrandom::u32().map_or(0.5, |number| {
        f64::from(number) / (f64::from(u32::MAX) + 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_and_are_below_one() {
        let shares: Vec<f64> = (0..1000).map(|_| share()).collect();
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
        let low = shares.iter().filter(|share| **share < 0.5).count();
        assert!((300..700).contains(&low), "{low} of 1000 are below a half");
    }
}
