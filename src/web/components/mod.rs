//! The design system's pieces: server-only views without state. A page is made of these and of layout
//! utilities; it holds no colour and no size of its own. `web::gallery` shows all of them.
//!
//! Attributes beyond the props go on with `attr:`, for instance `<Button attr:hx-get="/-/jobs">`.

mod button;
mod card;
mod chart;
mod chat;
mod choice;
mod dialog;
mod field;
mod files;
mod form;
mod notice;
mod pill;
mod progress;
mod stat;
mod table;
mod tabs;
mod text;
mod time;

pub use button::{Button, ButtonKind, LinkButton};
pub use card::{Card, EmptyState, PageHeader, Step, Steps};
pub use chart::{Histogram, LineChart, Series, SeriesKind};
pub use chat::{ChatBubble, ChatRole};
pub use choice::{Checkbox, RadioCard, RadioCards};
pub use dialog::Dialog;
pub use field::{FileField, SelectField, SelectOption, TextArea, TextField};
pub use files::{CodeBlock, FileRow, LogLevel, LogLine, LogLines, LogView};
pub use form::{FormErrors, error_for};
pub use notice::{Notice, Severity};
pub use pill::{Mark, Pill, StatePill, Tone};
pub use progress::{Progress, Skeleton, SkeletonTable};
pub use stat::{DefinitionList, Stat, Stats};
pub use table::{Column, DataTable, NameCell};
pub use tabs::{Pagination, Tab, Tabs};
pub use text::MaybeText;
pub use time::RelativeTime;

pub use super::plot::{Axis, smooth, thin};
