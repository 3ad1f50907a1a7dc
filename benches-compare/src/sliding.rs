//! What it costs to move deadlines.

use std::{fmt::Write, time::Duration};

use anyhow::Result;

use crate::{
    entrants::Group,
    measure::{LOADS_PER_TOUCH, Operation, median},
    report::rounded,
};

/// Loads of ours with a touch now and then, beside loads without, in turn.
pub async fn table(groups: &[Group], rounds: usize, time: Duration) -> Result<String> {
    let mut text = format!(
        "Loads per second, without touches and with one after every {LOADS_PER_TOUCH}th load.\n\n\
         | store | callers | without | with | ratio |\n| --- | ---: | ---: | ---: | ---: |\n"
    );
    for group in groups {
        let ours = &group.entrants[0];
        for callers in [1, 16, 64] {
            let (mut without, mut with) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                without.push(ours.rate(Operation::Load, callers, time).await?);
                with.push(ours.rate(Operation::Sliding, callers, time).await?);
            }
            let (without, with) = (median(without), median(with));
            let _ = writeln!(
                text,
                "| {} | {callers} | {} | {} | **{:.2}** |",
                group.name,
                rounded(without),
                rounded(with),
                with / without
            );
        }
    }
    Ok(text)
}
