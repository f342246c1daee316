//! The chart of a job's metrics: training loss raw and smoothed, evaluation loss dotted; learning rate and gradient
//! norm by choice. Hover reads all series at a step, drag zooms, double click shows all again.

use super::state::Feed;
use crate::web::plot::{Axis, smooth, thin};
use leptos::{ev, prelude::*};

/// Drawing units; the SVG is stretched to the card's width.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 240.0;
/// A series is drawn as the lowest and highest point of each.
const BUCKETS: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Loss,
    LearningRate,
    GradientNorm,
}

pub fn chart(feed: RwSignal<Feed>) -> impl IntoView {
    let shown = RwSignal::new(Shown::Loss);
    let log = RwSignal::new(false);
    let zoom = RwSignal::new(None::<(f64, f64)>);
    let hover = RwSignal::new(None::<f64>);
    let grip = RwSignal::new(None::<f64>);
    let plot = Memo::new(move |_| feed.with(|feed| Plot::new(feed, shown.get(), log.get(), zoom.get())));
    let at = move |event: &ev::PointerEvent| {
        let width = event_target::<leptos::web_sys::Element>(event)
            .closest("svg")
            .ok()
            .flatten()
            .map_or(1.0, |svg| f64::from(svg.client_width()));
        plot.with(|plot| plot.step_at(f64::from(event.offset_x()) / width.max(1.0)))
    };
    let button = move |what: Shown, label: &'static str| {
        view! {
            <button type="button" class="btn btn-small" aria-pressed=move || (shown.get() == what).to_string()
                on:click=move |_| shown.set(what)>{label}</button>
        }
    };
    view! {
        <section class="card" aria-label="Chart">
            <div class="card-head">
                <h2>{move || match shown.get() { Shown::Loss => "Loss", Shown::LearningRate => "Learning rate", Shown::GradientNorm => "Gradient norm" }}</h2>
                <div class="actions">
                    {button(Shown::Loss, "Loss")} {button(Shown::LearningRate, "Learning rate")} {button(Shown::GradientNorm, "Gradient norm")}
                    <button type="button" class="btn btn-small" aria-pressed=move || log.get().to_string() on:click=move |_| log.update(|log| *log = !*log)>"Log scale"</button>
                    <button type="button" class="btn btn-small" hidden=move || zoom.with(Option::is_none) on:click=move |_| zoom.set(None)>"Show all"</button>
                </div>
            </div>
            <div class="card-body live-chart">
                <svg class="live-plot" viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img"
                    aria-label=move || plot.with(Plot::words)
                    on:pointermove=move |event| hover.set(Some(at(&event)))
                    on:pointerleave=move |_| { hover.set(None); grip.set(None); }
                    on:pointerdown=move |event| grip.set(Some(at(&event)))
                    on:pointerup=move |event| {
                        let end = at(&event);
                        if let Some(begin) = grip.get_untracked() && plot.with_untracked(|plot| (end - begin).abs() > plot.span() / 50.0) {
                            zoom.set(Some((begin.min(end), begin.max(end))));
                        }
                        grip.set(None);
                    }
                    on:dblclick=move |_| zoom.set(None)>
                    {move || plot.with(|plot| plot.grid.iter().map(|(y, _)| view! { <line class="chart-grid" x1="0" x2=WIDTH.to_string() y1=y.to_string() y2=y.to_string()/> }).collect_view())}
                    <path class="series series-raw" d=move || plot.with(|plot| plot.raw.clone())/>
                    <path class="series series-smooth" d=move || plot.with(|plot| plot.smooth.clone())/>
                    <path class="series series-dotted" d=move || plot.with(|plot| plot.evaluation.clone())/>
                    {move || hover.get().map(|step| {
                        let x = plot.with(|plot| plot.x(step));
                        view! { <line class="chart-hover" x1=x.to_string() x2=x.to_string() y1="0" y2=HEIGHT.to_string()/> }
                    })}
                </svg>
                <div class="live-axis t-12 muted">
                    {move || plot.with(|plot| plot.grid.iter().rev().map(|(_, label)| view! { <span class="figure">{label.clone()}</span> }).collect_view())}
                </div>
                <p class="live-reading t-12" aria-live="off">{move || feed.with(|feed| reading(feed, shown.get(), hover.get()))}</p>
            </div>
        </section>
    }
    .into_any()
}

/// All series at the step under the pointer, or at the last one.
fn reading(feed: &Feed, shown: Shown, step: Option<f64>) -> String {
    let names: &[(&str, &str)] = match shown {
        Shown::Loss => &[("train_loss", "training"), ("eval_loss", "evaluation")],
        Shown::LearningRate => &[("learning_rate", "learning rate")],
        Shown::GradientNorm => &[("grad_norm", "gradient norm")],
    };
    let mut words = Vec::new();
    let mut at = step;
    for (name, label) in names {
        let Some(points) = feed.metrics.get(*name).filter(|points| !points.is_empty()) else { continue };
        let wanted = step.unwrap_or(f64::INFINITY);
        let nearest = points.partition_point(|point| point.0 <= wanted).max(1) - 1;
        at = at.or(Some(points[nearest].0));
        words.push(format!("{label} {}", number(points[nearest].1)));
    }
    match at {
        Some(step) if !words.is_empty() => format!("Step {step:.0}: {}", words.join(", ")),
        _ => "The first figures come after a few steps.".to_owned(),
    }
}

/// Four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.001 => format!("{value:.2e}"),
        size if size < 10.0 => format!("{value:.4}"),
        _ => format!("{value:.1}"),
    }
}

/// Everything drawn, in drawing units.
#[derive(Debug, Clone, PartialEq, Default)]
struct Plot {
    from: f64,
    to: f64,
    /// (y, label), top first.
    grid: Vec<(f64, String)>,
    raw: String,
    smooth: String,
    evaluation: String,
}

impl Plot {
    fn new(feed: &Feed, shown: Shown, log: bool, zoom: Option<(f64, f64)>) -> Self {
        let series = |name: &str| feed.metrics.get(name).map_or(&[][..], Vec::as_slice);
        let (main, evaluation) = match shown {
            Shown::Loss => (series("train_loss"), series("eval_loss")),
            Shown::LearningRate => (series("learning_rate"), &[][..]),
            Shown::GradientNorm => (series("grad_norm"), &[][..]),
        };
        let last = main.last().into_iter().chain(evaluation.last()).map(|point| point.0).fold(1.0, f64::max);
        let (from, to) = zoom.unwrap_or((0.0, last));
        let scale = |value: f64| if log { value.max(1e-12).log10() } else { value };
        let within = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points
                .iter()
                .filter(|(x, y)| (from..=to).contains(x) && y.is_finite())
                .map(|&(x, y)| (x, scale(y)))
                .collect()
        };
        // The more points, the more of the past counts: a short run is not drawn late.
        let smoothed = within(&smooth(main, if main.len() > 400 { 0.9 } else { 0.6 }));
        let (main, evaluation) = (within(main), within(evaluation));
        let mut values: Vec<f64> = main.iter().chain(&evaluation).map(|point| point.1).collect();
        values.sort_by(f64::total_cmp);
        let (Some(&low), Some(&high)) =
            (values.first(), values.get((values.len() * 995 / 1000).min(values.len().saturating_sub(1))))
        else {
            return Self { from, to, ..Self::default() };
        };
        let axis = Axis::around([low, high].into_iter(), 4);
        // A loss is never below 0: neither is its axis, which rounds outwards from just above 0.
        let (low, high) = (axis.low, axis.high);
        let x = |step: f64| (step - from) / (to - from).max(1e-9) * WIDTH;
        let y = |value: f64| ((high - value) / (high - low) * HEIGHT).clamp(0.0, HEIGHT);
        let path = |points: &[(f64, f64)]| {
            let mut path = String::new();
            for (px, py) in thin(points, BUCKETS) {
                let command = if path.is_empty() { "M" } else { "L" };
                path.push_str(&format!("{command}{:.1} {:.1}", x(px), y(py)));
            }
            path
        };
        let label = |value: f64| if log { number(10f64.powf(value)) } else { axis.label(value) };
        let grid = axis.ticks().into_iter().rev().map(|value| (y(value), label(value))).collect();
        Self {
            from,
            to,
            grid,
            raw: if shown == Shown::Loss { path(&main) } else { String::new() },
            smooth: if shown == Shown::Loss { path(&smoothed) } else { path(&main) },
            evaluation: path(&evaluation),
        }
    }

    fn span(&self) -> f64 {
        self.to - self.from
    }
    fn step_at(&self, share: f64) -> f64 {
        self.from + share.clamp(0.0, 1.0) * self.span()
    }
    fn x(&self, step: f64) -> f64 {
        (step - self.from) / self.span().max(1e-9) * WIDTH
    }
    fn words(&self) -> String {
        format!("Chart over the steps {:.0} to {:.0}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(points: &[(f64, f64)]) -> Feed {
        let mut feed = Feed::default();
        feed.metrics.insert("train_loss".to_owned(), points.to_vec());
        feed
    }

    #[test]
    fn the_first_and_the_last_step_are_at_the_edges() {
        let points: Vec<(f64, f64)> = (0..5_000).map(|i| (f64::from(i), 5.0 / f64::from(i + 1))).collect();
        let plot = Plot::new(&feed(&points), Shown::Loss, true, None);
        assert!(plot.raw.starts_with("M0.0 "), "{}", &plot.raw[..20]);
        assert!(plot.raw.contains("L1000.0 "));
        assert!(plot.raw.matches('L').count() < 2 * BUCKETS);
    }

    #[test]
    fn nothing_yet_and_nonsense_draw_nothing() {
        assert_eq!(Plot::new(&Feed::default(), Shown::Loss, false, None).raw, "");
        assert_eq!(Plot::new(&feed(&[(1.0, f64::NAN)]), Shown::Loss, true, None).raw, "");
    }

    #[test]
    fn the_axis_has_round_figures() {
        let plot = Plot::new(&feed(&[(0.0, 6.02), (10.0, 0.37)]), Shown::Loss, false, None);
        let labels: Vec<_> = plot.grid.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["8", "6", "4", "2", "0"]);
    }
}
