//! LLM Tuner: tune language models on your own data, on one machine or on AWS.
//!
//! The map of the house. Arrows of `use` only ever point down a floor; `docs/ARCHITECTURE.md` has the whole plan.
//!
//! - Floor 4, `web`: everything that speaks HTTP: pages, fragments, server functions, islands, the JSON API.
//! - Floor 3, `services`: what the product does. Knows no HTTP, no SQL, no process.
//! - Floor 2, `store` (metadata), `storage` (files), `backends` (training): ports with their adapters.
//! - Floor 1, `domain`: types and rules, without I/O, compiled for WASM too.
//!
//! Beside the house stand two crates that know nothing of it: `llm-tuner-dataset` (formats and rules of data) and
//! `llm-tuner-engine` (training and inference).
//!
//! With the feature `ssr` this library is the server; with one of the features
//! `island-*`, compiled for WASM, it is what the browser runs.

// Leptos views are deeply nested types.
#![recursion_limit = "256"]

pub mod domain;
pub mod web;

#[cfg(feature = "ssr")]
pub mod aws;
#[cfg(feature = "ssr")]
pub mod backends;
#[cfg(feature = "ssr")]
pub mod commands;
#[cfg(feature = "ssr")]
pub mod config;
#[cfg(feature = "ssr")]
pub mod services;
#[cfg(feature = "ssr")]
pub mod storage;
#[cfg(feature = "ssr")]
pub mod store;
#[cfg(feature = "ssr")]
pub mod telemetry;

/// Called once by `public/islands.js` after the WASM is loaded, before it wakes the islands on the page.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
