//! Charts as SVG from the server: whole without JavaScript, and each with its figures as a table.
//!
//! The SVG is the plot, laid out in real pixels, so that text keeps its size; CSS margins leave room for the
//! axes' words outside it. Only the lines live in a stretched coordinate system of 1000 × 1000.

mod histogram;
mod line;

pub use histogram::Histogram;
pub use line::{LineChart, Series, SeriesKind};

use crate::web::plot::Axis;
use leptos::prelude::*;

/// A coordinate in the stretched 1000 × 1000 plot.
fn coordinate(share: f64) -> String {
    let text = format!("{:.1}", share.clamp(-1.0, 2.0) * 1000.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A position within the plot as the SVG attribute wants it.
fn percent(share: f64) -> String {
    format!("{:.3}%", share * 100.0)
}

/// Grid lines with their values: lines across for y, words below for x.
fn axes(x: &Axis, y: &Axis, x_marks: Vec<(f64, String)>) -> AnyView {
    let (x, y) = (x.clone(), y.clone());
    let rows = y
        .ticks()
        .into_iter()
        .map(|tick| {
            let at = percent(1.0 - y.at(tick));
            view! {
                <line class="chart-grid" x1="0" x2="100%" y1=at.clone() y2=at.clone()></line>
                <text x="-8" y=at text-anchor="end" dominant-baseline="middle">{y.label(tick)}</text>
            }
        })
        .collect_view();
    let columns = x_marks
        .into_iter()
        .map(|(value, words)| {
            let share = x.at(value);
            let anchor = if share > 0.96 { "end" } else { "middle" };
            view! { <text x=percent(share) y="100%" dy="20" text-anchor=anchor>{words}</text> }
        })
        .collect_view();
    view! { {rows} {columns} }.into_any()
}

/// The same figures for those who can't see the drawing, and for those who want to read them.
fn figures(caption: String, heads: Vec<String>, rows: Vec<Vec<String>>) -> AnyView {
    let heads =
        heads.into_iter().map(|head| view! { <th scope="col" class="figure">{head}</th> }).collect_view();
    let rows = rows
        .into_iter()
        .map(|row| {
            let cells = row.into_iter().map(|cell| view! { <td class="figure">{cell}</td> }).collect_view();
            view! { <tr>{cells}</tr> }
        })
        .collect_view();
    let label = caption.clone();
    view! {
        <details class="more t-12">
            <summary>{crate::web::icons::icon(crate::web::icons::Icon::Next)}"Figures"</summary>
            <div class="table-scroll table-tall" role="region" aria-label=label tabindex="0">
                <table class="data-table">
                    <caption class="visually-hidden">{caption}</caption>
                    <thead><tr>{heads}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}
