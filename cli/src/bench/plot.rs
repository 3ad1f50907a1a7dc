use std::error::Error;

use plotters::backend::SVGBackend;
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::combinators::IntoLogRange,
    drawing::IntoDrawingArea,
    element::PathElement,
    series::LineSeries,
    style::{Color, Palette, Palette99, RGBColor},
};

use super::{load::Measured, quantile};

/// Each call's time by percentile, as an SVG. Both axes are logarithmic: the slow ends of the
/// distributions are what one looks for.
pub(crate) fn svg(measured: &[Measured]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let measured: Vec<_> = measured.iter().filter(|m| !m.times.is_empty()).collect();
    let times = measured
        .iter()
        .flat_map(|m| [0.0, 1.0].map(|q| quantile(&m.times, q)));
    let shortest = times.clone().fold(f64::MAX, f64::min).max(0.001);
    let longest = times.fold(shortest * 10.0, f64::max);

    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (960, 540)).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Time of a call by percentile", ("sans-serif", 22))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..NINES, (shortest..longest).log_scale())
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc("percentile")
            .y_desc("milliseconds")
            .x_labels(5)
            .x_label_formatter(&percentile)
            .y_label_formatter(&|time| format!("{time}"))
            .draw()
            .map_err(text)?;
        for (number, measured) in measured.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let points = (0..=POINTS).map(|point| {
                let nines = NINES * f64::from(point) / f64::from(POINTS);
                let time = quantile(&measured.times, 1.0 - 10_f64.powf(-nines));
                (nines, time.max(shortest))
            });
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))
                .map_err(text)?
                .label(measured.operation.name())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(GREY)
            .draw()
            .map_err(text)?;
        area.present().map_err(text)?;
    }
    Ok(picture)
}

const WHITE: RGBColor = RGBColor(255, 255, 255);
const GREY: RGBColor = RGBColor(128, 128, 128);

/// The axis ends at 99.99 in 100.
const NINES: f64 = 4.0;

const POINTS: u32 = 200;

fn percentile(nines: &f64) -> String {
    let percentile = 100.0 * (1.0 - 10_f64.powf(-nines));
    format!("{percentile:.*}", (*nines - 2.0).clamp(0.0, 2.0) as usize)
}

/// The library's errors borrow from the picture.
fn text(error: impl Error) -> String {
    error.to_string()
}
