//! What was found, as a line, a page and a plot.

use std::{error::Error, fmt::Write as _, fs, path::Path, time::Duration};

use plotters::{
    backend::SVGBackend,
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::PathElement,
    series::LineSeries,
    style::{Color, RGBColor},
};
use time::{OffsetDateTime, format_description::well_known::Iso8601};

use crate::{canary::Seen, fault::Fault};

#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) duration: Duration,
    pub(crate) users: usize,
    pub(crate) seen: Seen,
    pub(crate) happened: Vec<Happened>,
    pub(crate) seconds: Vec<Second>,
    /// Sessions that are stored at the end, dead ones among them.
    pub(crate) left: u64,
    /// To the server, at the end.
    pub(crate) connections: u64,
}

#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) fault: Fault,
    pub(crate) at: Duration,
    pub(crate) mended: Duration,
}

/// What one second was like.
#[derive(Debug)]
pub(crate) struct Second {
    pub(crate) at: Duration,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// Of each process, in MiB.
    pub(crate) memory: [Option<f64>; 2],
}

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

impl Found {
    pub(crate) fn is_right(&self) -> bool {
        let Seen {
            foreign,
            revived,
            lost,
            too_many,
            answered,
            ..
        } = self.seen;
        let is_served = self
            .happened
            .iter()
            .all(|fault| self.recovery(fault).is_some());
        answered > 0 && is_served && [foreign, revived, lost, too_many] == [0; 4]
    }

    pub(crate) fn figures(&self) -> String {
        let Seen {
            answered,
            unavailable,
            unanswered,
            foreign,
            revived,
            lost,
            too_many,
        } = self.seen;
        format!(
            "seconds={} users={} faults={} answered={answered} unavailable={unavailable} \
             unanswered={unanswered} foreign={foreign} revived={revived} lost={lost} \
             too_many={too_many}",
            self.duration.as_secs(),
            self.users,
            self.happened.len(),
        )
    }

    /// The median memory of both processes in a part of the time, in MiB.
    fn memory(&self, from: f64, to: f64) -> f64 {
        let number = self.seconds.len() as f64;
        let part = &self.seconds[(number * from) as usize..(number * to) as usize];
        let mut found: Vec<f64> = part.iter().flat_map(|s| s.memory).flatten().collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied().unwrap_or_default()
    }

    /// From the end of a fault until a second in which nothing failed, in seconds.
    fn recovery(&self, happened: &Happened) -> Option<u64> {
        let mut after = self
            .seconds
            .iter()
            .filter(|second| second.at > happened.mended);
        let quiet = after.find(|second| second.failed == 0 && second.answered > 0)?;
        Some((quiet.at - happened.mended).as_secs())
    }

    fn page(&self, wrong: &Self, version: &str) -> Result<String> {
        let mut page = String::from(PREFACE);
        let date = OffsetDateTime::now_utc().format(&Iso8601::DATE)?;
        writeln!(
            page,
            "- {date}, cloakroom {version}\n- `{}`\n\
             - an application that signs nobody out and counts twice, to see that it is found out: `{}`",
            self.figures(),
            wrong.figures(),
        )?;
        writeln!(
            page,
            "- memory of a process: {:.1} MiB in the second tenth of the time, {:.1} MiB in the last\n\
             - at the end: {} connections to PostgreSQL, one of which counts them; {} sessions stored\n",
            self.memory(0.1, 0.2),
            self.memory(0.9, 1.0),
            self.connections,
            self.left,
        )?;
        page.push_str(
            "| fault | times | requests that failed | seconds until none failed, at most |\n",
        );
        page.push_str("| --- | ---: | ---: | ---: |\n");
        for fault in Fault::ALL {
            let happened = || {
                self.happened
                    .iter()
                    .filter(|happened| happened.fault == fault)
            };
            let failed: u64 = happened().map(|happened| self.failed_in(happened)).sum();
            let recovery = happened()
                .filter_map(|happened| self.recovery(happened))
                .max();
            let recovery = recovery.map_or_else(|| "-".into(), |seconds| seconds.to_string());
            writeln!(
                page,
                "| {} | {} | {failed} | {recovery} |",
                fault.about(),
                happened().count()
            )?;
        }
        Ok(page)
    }

    /// How many requests failed from a fault until the next.
    fn failed_in(&self, happened: &Happened) -> u64 {
        let next = self.happened.iter().find(|other| other.at > happened.at);
        let until = next.map_or(self.duration, |next| next.at);
        let during = self
            .seconds
            .iter()
            .filter(|s| s.at > happened.at && s.at <= until);
        during.map(|second| second.failed).sum()
    }

    fn plot(&self) -> Result<String> {
        let mut picture = String::new();
        {
            let area = SVGBackend::with_string(&mut picture, (960, 600)).into_drawing_area();
            area.fill(&WHITE).map_err(text)?;
            let (above, below) = area.split_vertically(360);
            let of = |value: fn(&Second) -> f64| {
                self.seconds.iter().map(move |s| (minutes(s.at), value(s)))
            };
            self.chart(
                &above,
                "requests a second: answered (green), failed (red)",
                &[
                    (GREEN, of(|s| s.answered as f64).collect()),
                    (RED, of(|s| s.failed as f64).collect()),
                ],
            )?;
            let memory = |node: usize| {
                let known = self
                    .seconds
                    .iter()
                    .filter_map(|s| Some((minutes(s.at), s.memory[node]?)));
                known.collect()
            };
            self.chart(
                &below,
                "MiB of each process",
                &[(GREEN, memory(0)), (BLUE, memory(1))],
            )?;
            area.present().map_err(text)?;
        }
        Ok(picture)
    }

    /// Lines over time, with a mark at each fault.
    fn chart(&self, area: &Area<'_>, name: &str, lines: &[Line]) -> Result {
        let highest = lines
            .iter()
            .flat_map(|(_, points)| points)
            .map(|(_, value)| *value);
        let highest = highest.fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(name, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..minutes(self.duration), 0.0..highest)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc("minutes")
            .max_light_lines(0)
            .draw()
            .map_err(text)?;
        let marks = self.happened.iter().map(|happened| {
            let at = minutes(happened.at);
            PathElement::new([(at, 0.0), (at, highest)], GREY.stroke_width(1))
        });
        chart.draw_series(marks).map_err(text)?;
        for (color, points) in lines {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(1));
            chart.draw_series(line).map_err(text)?;
        }
        Ok(())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Line = (RGBColor, Vec<(f64, f64)>);

const WHITE: RGBColor = RGBColor(255, 255, 255);
const GREY: RGBColor = RGBColor(210, 210, 210);
const GREEN: RGBColor = RGBColor(30, 130, 60);
const RED: RGBColor = RGBColor(190, 30, 30);
const BLUE: RGBColor = RGBColor(40, 80, 190);

/// Writes the page and the plot.
pub(crate) fn write(found: &Found, wrong: &Found, version: &str, docs: &Path) -> Result {
    fs::write(docs.join("soak.md"), found.page(wrong, version)?)?;
    Ok(fs::write(docs.join("soak.svg"), found.plot()?)?)
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

/// The drawing's errors borrow it.
fn text(error: impl std::fmt::Display) -> Box<dyn Error> {
    error.to_string().into()
}

const PREFACE: &str = include_str!("preface.md");
