//! The loss chart: raw values thin, smoothed thick, evaluation dotted.

use super::{axes, coordinate, figures};
use crate::web::{
    components::MaybeText,
    format,
    plot::{Axis, thin},
};
use leptos::prelude::*;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKind {
    /// Every value as it came: thin and pale.
    Raw,
    /// The one to look at: thick.
    Smooth,
    /// Measured now and then: dotted, with a dot for each.
    Dotted,
}

/// One line. Points are (x, y) in the order of x; a y that is not finite breaks the line.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub kind: SeriesKind,
    pub points: Vec<(f64, f64)>,
}

impl SeriesKind {
    fn class(self) -> &'static str {
        match self {
            Self::Raw => "series series-raw",
            Self::Smooth => "series series-smooth",
            Self::Dotted => "series series-dotted",
        }
    }
}

/// Buckets after thinning: about two points for every pixel of a wide screen.
const BUCKETS: usize = 700;
/// Rows of the table below the chart.
const TABLE_ROWS: usize = 20;

/// 260 px high and as wide as there is room.
///
/// `<LineChart title="Loss" series=vec![Series { name: "Training".into(), kind: SeriesKind::Raw, points }, …]/>`
#[component]
pub fn LineChart(
    /// What y is: "Loss".
    #[prop(into)]
    title: String,
    series: Vec<Series>,
    /// What x counts.
    #[prop(default = "Step")]
    x_name: &'static str,
    #[prop(optional, into)] id: MaybeText,
) -> impl IntoView {
    let every = || series.iter().flat_map(|line| line.points.iter().copied());
    let x = Axis::along(every().map(|(x, _)| x), 6);
    let y = Axis::around(every().map(|(_, y)| y), 5);
    let empty = every().next().is_none();
    let marks = x.ticks().into_iter().map(|tick| (tick, x.label(tick))).collect();
    let summary = summary(&title, &series, x_name);
    let lines = series.iter().map(|line| lines(line, &x, &y)).collect_view();
    let legend = series
        .iter()
        .map(|line| {
            view! {
                <li>
                    <svg viewBox="0 0 20 8" aria-hidden="true"><path class=line.kind.class() d="M1 4h18"></path></svg>
                    {line.name.clone()}
                </li>
            }
        })
        .collect_view();
    let table = table(&series, x_name);
    view! {
        <figure class="chart-figure" id=id.0>
            <svg class="chart" role="img" aria-label=summary>
                {(!empty).then(|| axes(&x, &y, marks))}
                {empty.then(|| view! { <text x="50%" y="50%" text-anchor="middle">"No figures yet"</text> })}
                    <svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">
                        {lines}
                    </svg></svg>
            <figcaption><ul class="legend">{legend}</ul></figcaption>
            {(!empty).then(|| figures(title, table.0, table.1))}
        </figure>
    }
    .into_any()
}

fn lines(line: &Series, x: &Axis, y: &Axis) -> AnyView {
    let points = thin(&line.points, BUCKETS);
    let (mut path, mut dots, mut pen_down) = (String::new(), String::new(), false);
    for (px, py) in points {
        if !(px.is_finite() && py.is_finite()) {
            pen_down = false;
            continue;
        }
        let at = format!("{} {}", coordinate(x.at(px)), coordinate(1.0 - y.at(py)));
        path.push(if pen_down { 'L' } else { 'M' });
        path.push_str(&at);
        // A dot is a line without length under round caps: it keeps its shape when the plot is stretched.
        if line.kind == SeriesKind::Dotted {
            dots.push_str(&format!("M{at}h0"));
        }
        pen_down = true;
    }
    let dots = (!dots.is_empty()).then(|| view! { <path class="series-dot" d=dots></path> });
    view! { <path class=line.kind.class() d=path></path> {dots} }.into_any()
}

fn summary(title: &str, series: &[Series], x_name: &str) -> String {
    let parts: Vec<String> = series
        .iter()
        .filter(|line| line.kind != SeriesKind::Raw)
        .filter_map(|line| {
            let (first, last) = (line.points.first()?, line.points.last()?);
            Some(format!(
                "{}: {} at {} {:.0}, {} at {:.0}",
                line.name,
                format::loss(first.1),
                x_name.to_lowercase(),
                first.0,
                format::loss(last.1),
                last.0
            ))
        })
        .collect();
    if parts.is_empty() {
        format!("{title}: no figures yet")
    } else {
        format!("{title}. {}", parts.join("; "))
    }
}

/// Some evenly spread rows of every series by x; the last one always.
fn table(series: &[Series], x_name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let heads =
        std::iter::once(x_name.to_owned()).chain(series.iter().map(|line| line.name.clone())).collect();
    let mut xs: Vec<f64> = series
        .iter()
        .flat_map(|line| line.points.iter().map(|(x, _)| *x))
        .filter(|x| x.is_finite())
        .collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let stride = xs.len().div_ceil(TABLE_ROWS).max(1);
    let mut picked: Vec<f64> = xs.iter().rev().step_by(stride).copied().collect();
    // Rare values (evaluation) are what people look for: show them all, within reason.
    picked.extend(
        series
            .iter()
            .filter(|line| line.points.len() <= TABLE_ROWS)
            .flat_map(|line| line.points.iter().map(|p| p.0)),
    );
    picked.retain(|x| x.is_finite());
    picked.sort_by(f64::total_cmp);
    picked.dedup();
    let rows = picked
        .into_iter()
        .map(|x| {
            let values = series.iter().map(|line| {
                line.points
                    .iter()
                    .find(|point| point.0 == x)
                    .map_or_else(|| "–".to_owned(), |point| format::loss(point.1))
            });
            std::iter::once(format!("{x:.0}")).chain(values).collect()
        })
        .collect();
    (heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::render::render;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let series = vec![Series { name: "Training".into(), kind: SeriesKind::Smooth, points }];
        render(|| view! { <LineChart title="Loss" series=series/> })
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let html = chart(vec![(0.0, 4.0), (100.0, 0.0)]);
        assert!(html.contains("M0 0L1000 1000"), "{html}");
        assert!(html.contains("Loss. Training: 4.000 at step 0, 0.000 at 100"), "{html}");
    }

    #[test]
    fn nothing_and_not_a_number_draw_no_nonsense() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(1.0, f64::NAN), (2.0, 1.0), (3.0, f64::INFINITY)]] {
            let html = chart(points);
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
    }
}
