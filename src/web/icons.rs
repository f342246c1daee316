//! The icons: our own drawings on a 16 px grid, 1.5 px lines in the colour of the text around them.
//! Decoration only (`aria-hidden`): whoever shows one without a word beside it gives it a label.

use leptos::prelude::*;

macro_rules! icons {
    ($($name:ident $drawing:literal)*) => {
        /// What an icon stands for, not what it looks like.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Icon { $($name),* }

        impl Icon {
            /// All of them, for the gallery.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// SVG content for a 16 × 16 box.
            pub fn drawing(self) -> &'static str {
                match self { $(Self::$name => $drawing),* }
            }
        }
    };
}

icons! {
    Overview r#"<rect x="2.25" y="2.25" width="4.75" height="6" rx="1"/><rect x="9" y="2.25" width="4.75" height="3" rx="1"/><rect x="9" y="7.25" width="4.75" height="6.5" rx="1"/><rect x="2.25" y="10.25" width="4.75" height="3.5" rx="1"/>"#
    Data r#"<ellipse cx="8" cy="3.9" rx="5.25" ry="1.9"/><path d="M2.75 3.9v8.2c0 1.05 2.35 1.9 5.25 1.9s5.25-.85 5.25-1.9V3.9M2.75 8c0 1.05 2.35 1.9 5.25 1.9s5.25-.85 5.25-1.9"/>"#
    Training r#"<path d="M2.25 2.25v10a1.5 1.5 0 0 0 1.5 1.5h10"/><path d="M4.75 3.75c.6 4.6 2.6 6.5 8.5 6.75"/>"#
    Models r#"<path d="m8 1.75 5.5 3.1v6.3L8 14.25l-5.5-3.1v-6.3zM2.75 5 8 8l5.25-3M8 8v6"/>"#
    Playground r#"<path d="M3.5 2.75h9c.7 0 1.25.55 1.25 1.25v6c0 .7-.55 1.25-1.25 1.25H7.75L4.5 13.75v-2.5h-1c-.7 0-1.25-.55-1.25-1.25V4c0-.7.55-1.25 1.25-1.25zM5.25 5.75h5.5M5.25 8.25h3"/>"#
    Costs r#"<circle cx="8" cy="8" r="5.75"/><path d="M9.85 6.5C9.6 5.85 8.9 5.5 8 5.5c-1.05 0-1.85.45-1.85 1.25 0 1.75 3.7.75 3.7 2.5 0 .8-.8 1.25-1.85 1.25-.9 0-1.6-.35-1.85-1M8 4.25V5.5M8 10.5v1.25"/>"#
    Settings r#"<path d="M2.25 5h5.5M11.25 5h2.5M2.25 11h2.5M8.25 11h5.5"/><circle cx="9.5" cy="5" r="1.75"/><circle cx="6.5" cy="11" r="1.75"/>"#
    SignOut r#"<path d="M6.5 2.25H3.75c-.8 0-1.5.7-1.5 1.5v8.5c0 .8.7 1.5 1.5 1.5H6.5M10.25 4.75 13.5 8l-3.25 3.25M13.25 8h-7"/>"#
    ThemeSystem r#"<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5v11a5.5 5.5 0 0 0 0-11z" fill="currentColor"/>"#
    ThemeLight r#"<circle cx="8" cy="8" r="2.75"/><path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7"/>"#
    ThemeDark r#"<path d="M13.25 9.6A5.6 5.6 0 0 1 6.4 2.75a5.6 5.6 0 1 0 6.85 6.85z"/>"#
    Fold r#"<rect x="2.25" y="2.75" width="11.5" height="10.5" rx="1.5"/><path d="M6.25 2.75v10.5"/>"#
    Menu r#"<path d="M2.5 4.25h11M2.5 8h11M2.5 11.75h11"/>"#
    Search r#"<circle cx="7" cy="7" r="4.25"/><path d="m10.25 10.25 3.25 3.25"/>"#
    Close r#"<path d="m4 4 8 8M12 4l-8 8"/>"#
    Plus r#"<path d="M8 3v10M3 8h10"/>"#
    Check r#"<path d="m3 8.5 3.25 3.25L13 4.75"/>"#
    Warning r#"<path d="M7.1 2.9 1.9 12a1 1 0 0 0 .9 1.5h10.4a1 1 0 0 0 .9-1.5L8.9 2.9a1 1 0 0 0-1.8 0zM8 6.25v3"/><circle cx="8" cy="11.4" r=".4" fill="currentColor"/>"#
    Error r#"<path d="M5.4 2h5.2L14 5.4v5.2L10.6 14H5.4L2 10.6V5.4zM6 6l4 4M10 6l-4 4"/>"#
    Info r#"<circle cx="8" cy="8" r="5.75"/><path d="M8 7.5v3.25"/><circle cx="8" cy="5.25" r=".4" fill="currentColor"/>"#
    Waiting r#"<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.2 2.12"/>"#
    Working r#"<path d="M8 2.5A5.5 5.5 0 1 1 2.5 8"/>"#
    Stopped r#"<rect x="3.75" y="3.75" width="8.5" height="8.5" rx="1.25"/>"#
    Lost r#"<path d="M5.5 5.9a2.5 2.5 0 1 1 3.6 2.2c-.7.35-1.1.8-1.1 1.65"/><circle cx="8" cy="12.6" r=".4" fill="currentColor"/>"#
    Play r#"<path d="M4.75 3.1v9.8c0 .4.45.65.8.4l7-4.9a.5.5 0 0 0 0-.8l-7-4.9a.5.5 0 0 0-.8.4z"/>"#
    Upload r#"<path d="M8 10.5V3M4.75 6 8 2.75 11.25 6M2.5 10.5v1.75c0 .8.7 1.5 1.5 1.5h8c.8 0 1.5-.7 1.5-1.5V10.5"/>"#
    Download r#"<path d="M8 2.5V10M4.75 7 8 10.25 11.25 7M2.5 10.5v1.75c0 .8.7 1.5 1.5 1.5h8c.8 0 1.5-.7 1.5-1.5V10.5"/>"#
    Copy r#"<rect x="5.75" y="5.75" width="8" height="8" rx="1.25"/><path d="M10.25 3.75v-.5c0-.55-.45-1-1-1h-6c-.55 0-1 .45-1 1v6c0 .55.45 1 1 1h.5"/>"#
    Trash r#"<path d="M2.5 4.25h11M6 4V2.75c0-.3.2-.5.5-.5h3c.3 0 .5.2.5.5V4M4 4.5l.6 8.3c0 .5.45.95 1 .95h4.8c.55 0 1-.4 1-.95L12 4.5M6.75 7v4M9.25 7v4"/>"#
    Retry r#"<path d="M13.25 8a5.25 5.25 0 1 1-1.6-3.75l1.6 1.5M13.5 2.5v3.25h-3.25"/>"#
    Clone r#"<path d="M4.5 2.5v4c0 1 .75 1.75 1.75 1.75h5.5M9.5 5.75 12 8.25l-2.5 2.5M4.5 6.5v5c0 1 .75 1.75 1.75 1.75h3"/>"#
    Send r#"<path d="M8 13.25V3M3.75 7 8 2.75 12.25 7"/>"#
    Edit r#"<path d="m10.6 2.9 2.5 2.5L5.6 12.9l-3.1.6.6-3.1zM9 4.5 11.5 7"/>"#
    Repair r#"<path d="M13.4 4.6a3.4 3.4 0 0 1-4.5 4.3l-4.4 4.4a1.27 1.27 0 0 1-1.8-1.8l4.4-4.4a3.4 3.4 0 0 1 4.3-4.5L9.5 4.5l.3 1.7 1.7.3z"/>"#
    Next r#"<path d="m6.25 3.5 4.5 4.5-4.5 4.5"/>"#
    Previous r#"<path d="M9.75 3.5 5.25 8l4.5 4.5"/>"#
    File r#"<path d="M9 2.25H4.75c-.8 0-1.5.7-1.5 1.5v8.5c0 .8.7 1.5 1.5 1.5h6.5c.8 0 1.5-.7 1.5-1.5V6zM9 2.25V6h3.75"/>"#
    Archive r#"<rect x="2" y="2.75" width="12" height="3" rx=".75"/><path d="M3.25 5.75v6.5c0 .55.45 1 1 1h7.5c.55 0 1-.45 1-1v-6.5M6.5 8.5h3"/>"#
    Clock r#"<circle cx="8" cy="8" r="5.75"/><path d="M8 4.75V8l2.25 1.5"/>"#
    Person r#"<circle cx="8" cy="5.25" r="2.75"/><path d="M2.75 13.5c.5-2.6 2.6-4 5.25-4s4.75 1.4 5.25 4"/>"#
    Key r#"<circle cx="5" cy="11" r="2.75"/><path d="m7 9 6-6M10.5 5.5l2 2"/>"#
}

/// One icon, as tall as a line of text.
pub fn icon(icon: Icon) -> AnyView {
    svg("icon", icon)
}

/// The 20 px size, for empty states and headers.
pub fn icon_large(icon: Icon) -> AnyView {
    svg("icon icon-lg", icon)
}

/// Turns slowly, for work that goes on. Stands still where the person prefers no motion.
pub fn icon_turning(icon: Icon) -> AnyView {
    svg("icon turning", icon)
}

fn svg(class: &'static str, icon: Icon) -> AnyView {
    view! {
        <svg
            class=class
            viewBox="0 0 16 16"
            fill="none"
            stroke="currentColor"
            stroke-width="1.5"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            inner_html=icon.drawing()
        ></svg>
    }
    .into_any()
}

/// The product's mark: a tuning fork on teal. `public/favicon.svg` is the same drawing.
pub fn mark() -> AnyView {
    view! {
        <svg
            class="mark"
            viewBox="0 0 24 24"
            fill="none"
            stroke-width="2"
            stroke-linecap="round"
            aria-hidden="true"
            inner_html=r#"<rect class="mark-ground" width="24" height="24" rx="6"/><path class="mark-fork" d="M8.5 5v5a3.5 3.5 0 0 0 7 0V5M12 13.5V19"/>"#
        ></svg>
    }
    .into_any()
}
