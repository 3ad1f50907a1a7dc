//! Tables in Markdown, and plots.

use std::{fmt::Write, path::Path};

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Medians of calls per second.
pub struct Rates {
    pub group: &'static str,
    pub operation: &'static str,
    pub callers: usize,
    /// The first is ours.
    pub entrants: Vec<(&'static str, f64)>,
}

/// One table for a group: a row for each operation and number of callers.
pub fn table(rates: &[Rates]) -> String {
    let mut text = String::from("Calls per second; in brackets, how many times that ours is.\n\n");
    let Some(first) = rates.first() else {
        return text;
    };
    text += "| operation | callers |";
    for (name, _) in &first.entrants {
        let _ = write!(text, " {name} |");
    }
    text += "\n| --- | ---: |";
    text += &" ---: |".repeat(first.entrants.len());
    for row in rates {
        let ours = row.entrants[0].1;
        let _ = write!(
            text,
            "\n| {} | {} | **{}** |",
            row.operation,
            row.callers,
            rounded(ours)
        );
        for (_, theirs) in &row.entrants[1..] {
            let _ = write!(text, " {} ({:.2} ×) |", rounded(*theirs), ours / theirs);
        }
    }
    text + "\n"
}

pub fn rounded(rate: f64) -> String {
    let rate = format!("{rate:.0}");
    let digits = rate.len();
    let groups = rate.char_indices().map(|(index, digit)| {
        let comma = index > 0 && (digits - index).is_multiple_of(3);
        if comma {
            format!(",{digit}")
        } else {
            digit.to_string()
        }
    });
    groups.collect()
}

const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 84, 140),
    RGBColor(214, 120, 40),
    RGBColor(120, 150, 70),
    RGBColor(150, 90, 140),
    RGBColor(150, 150, 150),
];

/// Bars of one operation in a group, at each number of callers.
pub fn plot(rates: &[&Rates], file: &Path) -> Result<()> {
    let Some(first) = rates.first() else {
        return Ok(());
    };
    let title = format!("{}: {}s per second", first.group, first.operation);
    let most = rates
        .iter()
        .flat_map(|row| row.entrants.iter().map(|(_, rate)| *rate))
        .fold(0.0, f64::max);
    let bars = first.entrants.len() + 1;
    let area = SVGBackend::new(file, (760, 380)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..(rates.len() * bars) as f64, 0.0..most * 1.15)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_label_formatter(&|rate| rounded(*rate))
            .draw()?;
        for (entrant, (name, _)) in first.entrants.iter().enumerate() {
            let colour = COLOURS[entrant % COLOURS.len()];
            chart
                .draw_series(rates.iter().enumerate().map(|(row, rates)| {
                    let left = (row * bars + entrant) as f64 + 0.5;
                    Rectangle::new(
                        [(left, 0.0), (left + 0.9, rates.entrants[entrant].1)],
                        colour.filled(),
                    )
                }))?
                .label(*name)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
                });
        }
        for (row, rates) in rates.iter().enumerate() {
            let middle = (row * bars) as f64 + bars as f64 / 2.0;
            let style = ("sans-serif", 14).into_font().color(&BLACK);
            let (x, y) = chart.backend_coord(&(middle, 0.0));
            area.draw(&Text::new(
                format!("{} callers", rates.callers),
                (x - 30, y + 10),
                style,
            ))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("{}: {error}", file.display()))
}
