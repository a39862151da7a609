//! The table as a picture.

use anyhow::{Context, Result};
use countersign_types::Scheme;
use plotters::{
    backend::SVGBackend,
    chart::ChartBuilder,
    coord::combinators::IntoLogRange,
    drawing::IntoDrawingArea,
    element::{Circle, PathElement},
    series::LineSeries,
    style::{BLACK, Color, Palette, Palette99, WHITE},
};

use super::matrix::Figure;

/// The picture's size, in pixels.
const SIZE: (u32, u32) = (820, 460);

/// Signatures per second by requests in flight, one line for each action and distance, and one for the ceiling.
pub(super) fn throughput(figures: &[Figure]) -> Result<String> {
    let of: Vec<&Figure> =
        figures.iter().filter(|figure| figure.scheme == Scheme::SchnorrSecp256k1).collect();
    let ceiling = of.iter().map(|figure| figure.row.ceiling_per_second).sum::<f64>() / of.len().max(1) as f64;
    let widest = of.iter().map(|figure| figure.row.in_flight).max().context("no figures")? as f64;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .caption("schnorr-secp256k1, 3 of 5", ("sans-serif", 18))
            .build_cartesian_2d((1.0..widest * 1.15).log_scale(), 0.0..ceiling * 1.15)?;
        chart.configure_mesh().x_desc("requests in flight").y_desc("signatures per second").draw()?;
        chart
            .draw_series(LineSeries::new([(1.0, ceiling), (widest, ceiling)], BLACK.stroke_width(1)))?
            .label("FROST alone, on all cores")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK));
        for (index, line) in lines(&of).into_iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
                .label(line.label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    Ok(svg + "\n")
}

struct Line {
    label: String,
    points: Vec<(f64, f64)>,
}

/// The figures of one action and distance each, in the order of their first.
fn lines(figures: &[&Figure]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for figure in figures {
        let label = format!("{}, {} ms between nodes", figure.action.name(), figure.round_trip_ms);
        let point = (figure.row.in_flight as f64, figure.row.per_second);
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { label, points: vec![point] }),
        }
    }
    lines
}
