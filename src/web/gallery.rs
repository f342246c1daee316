//! All components on one page, to look at: `cargo test -p llm-tuner gallery` writes
//! `target/gallery/*.html`, which want `site.css` and `app.js` beside them.

use super::{
    components::*,
    icons::*,
    plot::smooth,
    render::render,
    shell::{document, *},
};
use crate::domain::{dataset::DatasetState, field::FieldError, job::JobState, time::Instant};
use leptos::prelude::*;

const LONG: &str = "a-name-of-two-hundred-characters-without-any-space-a-name-of-two-hundred-characters-without-any-space-a-name-of-two-hundred-characters-without-any-space-a-name-of-two-hundred-characters-without-any-";
const RTL: &str = "بيانات التدريب";
const STYLES: [&str; 3] = [
    include_str!("../../style/base.css"),
    include_str!("../../style/shell.css"),
    include_str!("../../style/components.css"),
];
const MINUTE: i64 = 60_000_000;

fn ctx(theme: Theme) -> PageCtx {
    PageCtx {
        theme,
        nonce: "gallery".into(),
        assets: Assets {
            css: "site.css".into(),
            app_js: "app.js".into(),
            favicon: "favicon.svg".into(),
            ..Assets::default()
        },
        user: Some(ShellUser {
            name: "Ada Lovelace".into(),
            email: "ada@example.org".into(),
            is_admin: true,
        }),
        active: Nav::Data,
        running_jobs: 2,
        breadcrumbs: vec![("Data".into(), "/data".into()), ("Sentences to commands".into(), String::new())],
        island: None,
        folded: false,
    }
}

fn buttons() -> impl IntoView {
    let kinds = [
        ("Primary", ButtonKind::Primary),
        ("Secondary", ButtonKind::Secondary),
        ("Quiet", ButtonKind::Quiet),
        ("Danger", ButtonKind::Danger),
    ];
    let rows = kinds
        .map(|(name, kind)| {
            view! {
                <div class="actions">
                    <Button kind=kind>{name}</Button>
                    <Button kind=kind icon=Icon::Play>"With icon"</Button>
                    <Button kind=kind icon=Icon::Download label="Icon only"/>
                    <Button kind=kind small=true>"Small"</Button>
                    <Button kind=kind disabled=true>"Disabled"</Button>
                    <Button kind=kind busy=true>"Busy"</Button>
                    <LinkButton kind=kind href="#">"Link"</LinkButton>
                </div>
            }
        })
        .into_iter()
        .collect_view();
    view! { <Card title="Buttons"><div class="stack">{rows}</div></Card> }
}

fn pills() -> impl IntoView {
    let jobs = JobState::ALL.map(|state| view! { <StatePill state=state/> }).into_iter().collect_view();
    let data = DatasetState::ALL.map(|state| view! { <StatePill state=state/> }).into_iter().collect_view();
    view! {
        <Card title="States">
            <div class="stack">
                <div class="actions">{jobs}</div>
                <div class="actions">{data}<StatePill state=DatasetState::Checking percent=Some(42)/></div>
                <div class="actions"><Pill>"GPT-2"</Pill><Pill icon=Icon::Clock tone=Tone::Warn>"expires soon"</Pill></div>
                <Progress label="Step 420 of 1,050" value=420 max=Some(1050) detail="1 min 20 s left"/>
                <Progress label="Reading the file"/>
            </div>
        </Card>
    }
}

fn fields() -> impl IntoView {
    let errors = vec![
        FieldError::new("learning_rate", "\"abc\" is not a number. Take one between 0.000001 and 0.1."),
        FieldError::new("epochs", "1,000,000,000 epochs would never end. Take 1 to 1,000."),
    ];
    let models = vec![
        RadioCard {
            value: "nano".into(),
            title: "nano".into(),
            detail: "A small GPT-2 from scratch. Learns narrow tasks in a minute.".into(),
            meta: "2.1 M parameters · fits in 180 MB".into(),
            disabled: false,
        },
        RadioCard {
            value: "long".into(),
            title: LONG.into(),
            detail: "A finished model of yours.".into(),
            meta: "124 M parameters · 1.2 GB".into(),
            disabled: false,
        },
        RadioCard {
            value: "large".into(),
            title: "gpt2-large".into(),
            detail: "Needs more memory than this machine has.".into(),
            meta: "774 M parameters · 12.4 GB".into(),
            disabled: true,
        },
    ];
    view! {
        <Card title="Fields">
            <form class="stack">
                <FormErrors errors=errors.clone()/>
                <div class="field-row">
                    <TextField label="Learning rate" name="learning_rate" value="abc" inputmode="decimal"
                        error=error_for(&errors, "learning_rate")/>
                    <TextField label="Epochs" name="epochs" value="3" unit="of 2,800 rows" hint="How often every row is seen"
                        error=error_for(&errors, "epochs")/>
                    <SelectField label="Schedule" name="schedule" selected="cosine"
                        options=vec![SelectOption::new("linear", "Linear"), SelectOption::new("cosine", "Cosine with warm-up")]/>
                    <TextField label="Disabled" name="disabled" value="2e-4" disabled=true/>
                </div>
                <RadioCards legend="Model" name="model" cards=models selected="nano" hint="What the training starts from"/>
                <TextArea label="Notes" name="notes" placeholder="What you want to find out"/>
                <Checkbox label="Stop early" name="early" checked=true hint="When the evaluation loss gets worse three times in a row"/>
                <details class="more"><summary>{icon(Icon::Next)}"More settings"</summary>
                    <TextField label="Seed" name="seed" value="42"/></details>
                <FileField label="Drop a file here, or choose one" name="file" accept=".jsonl,.csv,.txt" hint="JSONL, CSV, TSV or plain text, up to 2 GB"/>
                <div class="actions"><Button kind=ButtonKind::Primary icon=Icon::Play>"Start training"</Button><Button>"Save as draft"</Button></div>
            </form>
        </Card>
    }
}

fn table() -> impl IntoView {
    let now = Instant(1_790_000_000_000_000);
    let rows = [
        ("Sentences to commands", "prompt and completion", 2800, 61_234, DatasetState::Ready, 3),
        (LONG, "chat", 10_000, 1_234_567, DatasetState::NeedsFixing, 600),
        (RTL, "CSV", 1, 12, DatasetState::Checking, 100_000),
        ("empty.jsonl", "–", 0, 0, DatasetState::Refused, 0),
    ]
    .map(|(name, format, rows, tokens, state, age)| {
        view! {
            <tr>
                <NameCell name=name href="#"/>
                <td>{format}</td>
                <td class="figure">{super::format::integer(rows)}</td>
                <td class="figure">{super::format::integer(tokens)}</td>
                <td><StatePill state=state percent=(state == DatasetState::Checking).then_some(42)/></td>
                <td><RelativeTime at=Instant(now.micros() - age * MINUTE) now=now/></td>
                <td class="row-actions">
                    <Button kind=ButtonKind::Quiet icon=Icon::Trash label="Delete" small=true r#type="button" popovertarget="delete-1"/>
                </td>
            </tr>
        }
    })
    .into_iter()
    .collect_view();
    let columns = vec![
        Column::text("Name"),
        Column::text("Format"),
        Column::figure("Rows"),
        Column::figure("Tokens"),
        Column::text("State"),
        Column::text("Added"),
        Column::hidden("Actions"),
    ];
    view! {
        <div>
            <DataTable caption="Datasets" columns=columns>{rows}</DataTable>
            <Pagination showing="1–4 of 10,000" next=Some("#".to_owned())/>
        </div>
        <Dialog id="delete-1" title="Delete “Sentences to commands”?">
            <p class="muted">"Its three versions go with it. Models tuned on it stay. This can't be undone."</p>
            <form class="actions">
                <Button r#type="button" popovertarget="delete-1">"Keep it"</Button>
                <Button kind=ButtonKind::Danger>"Delete the dataset"</Button>
            </form>
        </Dialog>
    }
}

fn charts() -> impl IntoView {
    let raw: Vec<(f64, f64)> = (1..=1050)
        .map(|step| {
            let x = f64::from(step);
            (x, 6.2 * (-x / 180.0).exp() + 0.12 + 0.5 * (x * 12.9898).sin().abs() * (-x / 400.0).exp())
        })
        .collect();
    let eval = raw.iter().copied().skip(99).step_by(100).map(|(x, y)| (x, y + 0.15)).collect();
    let series = vec![
        Series { name: "Training".into(), kind: SeriesKind::Raw, points: raw.clone() },
        Series { name: "Smoothed".into(), kind: SeriesKind::Smooth, points: smooth(&raw, 0.95) },
        Series { name: "Evaluation".into(), kind: SeriesKind::Dotted, points: eval },
    ];
    let bins = (0..24).map(|at: u32| {
        let from = f64::from(at) * 32.0;
        (from, from + 32.0, (1000.0 * (-((f64::from(at) - 6.0) / 4.0).powi(2)).exp()) as u64)
    });
    view! {
        <Card title="Loss"><LineChart title="Loss" series=series/></Card>
        <Card title="Loss before the first step"><LineChart title="Loss" series=vec![]/></Card>
        <Card title="Length of the examples"><Histogram title="Length" unit="tokens" bins=bins.collect() mark=Some(512.0)/></Card>
    }
}

fn messages() -> impl IntoView {
    view! {
        <Notice title="This dataset was read as prompt and completion" cause="All 2,800 rows have both fields."/>
        <Notice severity=Severity::Good title="Training finished" cause="198 of 200 held-out rows were answered exactly.">
            <div class="actions"><Button kind=ButtonKind::Primary icon=Icon::Playground>"Talk to it"</Button>
            <Button icon=Icon::Download>"Download"</Button></div></Notice>
        <Notice severity=Severity::Warning title="12 % of the rows will be cut" cause="They are longer than 512 tokens." next_step="Raise the maximum length, or leave those rows out."/>
        <Notice severity=Severity::Error title="The file could not be read" cause="It is UTF-16; JSONL has to be UTF-8." next_step="Save it as UTF-8 and upload it again.">
            <div class="actions"><Button small=true icon=Icon::Retry>"Try again"</Button></div></Notice>
    }
}

fn text_blocks() -> impl IntoView {
    let lines = (1..40)
        .map(|seq| LogLine {
            seq,
            time: format!("12:04:{seq:02}"),
            text: format!("step {seq} loss {:.3} tokens/s 8,123", 6.0 / seq as f64),
            level: match seq {
                7 => LogLevel::Warning,
                9 => LogLevel::Error,
                _ => LogLevel::Info,
            },
        })
        .collect();
    view! {
        <div class="halves">
            <Card title="Log" flush=true><LogView id="log" lines=lines/></Card>
            <Card title="Files" flush=true>
                <FileRow name="model.safetensors" bytes=8_412_332 href="#" sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"/>
                <FileRow name=LONG bytes=1_204 href="#" sha256="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"/>
                <FileRow name="everything.zip" bytes=9_002_000 href="#" icon=Icon::Archive/>
            </Card>
            <Card title="Chat">
                <div class="chat">
                    <ChatBubble role=ChatRole::System text="You turn sentences into commands."/>
                    <ChatBubble role=ChatRole::User text="remind me to call Anna at 5 pm"/>
                    <ChatBubble role=ChatRole::Assistant who="nano-commands" text="{\"intent\": \"reminder\", \"what\": \"call Anna\", \"time\": \"17:00\"}">
                        <span class="figure">"212 tokens/s"</span>
                        <Button kind=ButtonKind::Quiet icon=Icon::Copy label="Copy" small=true/>
                        <Button kind=ButtonKind::Quiet icon=Icon::Retry label="Answer again" small=true/>
                    </ChatBubble>
                    <ChatBubble role=ChatRole::User text=RTL/>
                    <ChatBubble role=ChatRole::Assistant text="{\"intent\":" streaming=true/>
                </div>
            </Card>
            <Card title="Figures">
                <div class="stack">
                    <Stats>
                        <Stat label="Rows" value="2,800"/><Stat label="Tokens" value="61.2" unit="k"/>
                        <Stat label="Tokens/s" value="8,123"/><Stat label="Remaining" value="1 min 20 s"/>
                    </Stats>
                    <DefinitionList entries=vec![
                        ("Base".into(), "nano".into_any()),
                        ("SHA-256".into(), view! { <code>"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"</code> }.into_any()),
                        ("Name".into(), LONG.into_any()),
                    ]/>
                    <CodeBlock id="command" label="Command" text="llm-tuner train --dir ./job --and-a-long-option-that-scrolls sideways-because-it-is-so-long"/>
                </div>
            </Card>
        </div>
    }
}

fn first_run() -> impl IntoView {
    let steps = vec![
        Step {
            icon: Icon::Data,
            title: "Data",
            text: "Examples of what the model should do.".into(),
            done: true,
            current: false,
        },
        Step {
            icon: Icon::Training,
            title: "Train",
            text: "A minute on this machine for the sample.".into(),
            done: false,
            current: true,
        },
        Step {
            icon: Icon::Playground,
            title: "Talk",
            text: "Type a sentence and see the answer.".into(),
            done: false,
            current: false,
        },
    ];
    view! {
        <Card><Steps steps=steps/></Card>
        <Card><EmptyState icon=Icon::Data title="No data yet" text="Models learn from examples. Upload a file of them, or start with a sample.">
            <LinkButton kind=ButtonKind::Primary href="#">"Try it with sample data"</LinkButton>
            <LinkButton href="#" icon=Icon::Upload>"Upload my own"</LinkButton>
        </EmptyState></Card>
        <SkeletonTable rows=3/>
    }
}

fn icons_card() -> impl IntoView {
    let all = Icon::ALL
        .iter()
        .map(|drawing| view! { <span title=format!("{drawing:?}")>{icon_large(*drawing)}</span> })
        .collect_view();
    view! { <Card title="Icons"><div class="actions">{all}</div></Card> }
}

fn gallery(theme: Theme) -> AnyView {
    let tabs = vec![
        Tab::new("Preview", "#", true),
        Tab::new("Findings", "#", false).count(12),
        Tab::new("Statistics", "#", false),
        Tab::new("Versions", "#", false).count(3),
        Tab::new("Used by", "#", false),
    ];
    let actions = view! {
        <LinkButton href="#" icon=Icon::Download>"Download"</LinkButton>
        <LinkButton href="#" kind=ButtonKind::Primary icon=Icon::Training>"Train on this"</LinkButton>
    };
    let body = view! {
        <PageHeader title="Sentences to commands" lead="2,800 rows · prompt and completion · 61,234 tokens"
            beside=view! { <StatePill state=DatasetState::Ready/> }.into_any() actions=actions.into_any()/>
        <Tabs label="Dataset" tabs=tabs/>
        <div class="stack-lg">
            {first_run().into_any()} {table().into_any()} {charts().into_any()} {text_blocks().into_any()} {messages().into_any()}
            {buttons().into_any()} {pills().into_any()} {fields().into_any()} {icons_card().into_any()}
        </div>
    };
    document(&ctx(theme), "Gallery", (), body)
}

fn sign_in() -> AnyView {
    let body = view! {
        <form class="stack">
            <TextField label="E-mail" name="email" kind="email" autocomplete="username" autofocus=true/>
            <TextField label="Password" name="password" kind="password" autocomplete="current-password"/>
            <Button kind=ButtonKind::Primary wide=true>"Sign in"</Button>
            <p class="muted t-13">"New here? " <a href="#">"Create an account"</a></p>
        </form>
    };
    centred(&PageCtx { user: None, ..ctx(Theme::System) }, "Sign in", body)
}

/// Fails when a component panics, writes an inline style or handler, doubles an id, or has a class without style.
#[test]
fn gallery_renders_every_component() {
    let error = ErrorPage {
        status: 404,
        title: "There is no such dataset".into(),
        cause: "It may have been deleted, or it belongs to someone else.".into(),
        next_step: "Look for it in the list.".into(),
        way_out: ("Go to Data".into(), "/data".into()),
        request_id: "01JD3".into(),
    };
    let pages = [
        ("light", render(|| gallery(Theme::Light))),
        ("dark", render(|| gallery(Theme::Dark))),
        (
            "folded",
            render(|| document(&PageCtx { folded: true, ..ctx(Theme::Light) }, "Data", (), first_run())),
        ),
        ("sign-in", render(sign_in)),
        ("error", render(|| error_document(&ctx(Theme::System), &error))),
    ];
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gallery");
    std::fs::create_dir_all(&target).unwrap();
    for (name, html) in pages {
        assert!(!html.contains(" style="), "{name}");
        assert!(!html.contains(" onclick"), "{name}");
        let mut ids: Vec<&str> =
            html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}: an id is there twice");
        for class in html.split(" class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            for class in class.split_whitespace() {
                assert!(
                    STYLES.iter().any(|css| css.contains(&format!(".{class}"))),
                    "{name}: .{class} has no style"
                );
            }
        }
        std::fs::write(target.join(format!("{name}.html")), html).unwrap();
    }
}
