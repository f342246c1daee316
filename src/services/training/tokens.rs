//! How many tokens each row of some datasets has, by the tokenizer that training will use. Counted once and kept.

use super::bases::words;
use crate::{
    domain::dataset::Dataset,
    services::{
        context::Environment,
        datasets::report_of,
        error::{ServiceError, ServiceResult},
    },
    storage::{Storage, blocking_reader},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use llm_tuner_dataset::{Example, Role as DatasetRole};
use llm_tuner_engine::{
    data::{
        rows::{Kind, Message, Role, Row},
        template::Template,
        tokens::encode,
    },
    tokenizer::Tokenizer,
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Text that is tokenised for a count; of larger data the beginning is taken and the rest inferred from it.
const SAMPLE_BYTES: usize = 8 << 20;
/// Counts kept.
const KEPT: usize = 32;

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    pub kind: Kind,
    /// Tokens of each row that was counted; of each sequence, where the base's chat template makes several of a row.
    pub lengths: Vec<u32>,
    /// All rows of the data, or sequences.
    pub rows: u64,
    pub vocabulary: usize,
}

impl Counts {
    /// How many times more rows there are than were counted.
    pub fn factor(&self) -> f64 {
        if self.lengths.is_empty() { 0.0 } else { self.rows as f64 / self.lengths.len() as f64 }
    }
}

/// What a count depends on: the data, the tokenizer and the day, which a chat template may write.
type Key = (Vec<String>, Option<PathBuf>, Date);

pub struct Counter {
    env: Environment,
    kept: Mutex<Vec<(Key, Arc<Counts>)>>,
    /// One count at a time: each takes all cores.
    counting: tokio::sync::Mutex<()>,
}

impl Counter {
    pub fn new(env: Environment) -> Self {
        Self { env, kept: Mutex::default(), counting: tokio::sync::Mutex::new(()) }
    }

    /// Counts with the tokenizer and the chat template in this directory, or with a tokenizer trained on the data
    /// itself, as nano does.
    pub async fn count(
        &self,
        storage: &Arc<dyn Storage>,
        datasets: &[Dataset],
        tokenizer: Option<PathBuf>,
    ) -> ServiceResult<Arc<Counts>> {
        let data = datasets.iter().map(|one| format!("{}{:?}", one.sha256, one.mapping)).collect();
        let now = Timestamp::from_microsecond(self.env.now().micros()).unwrap_or_default();
        let today = now.to_zoned(TimeZone::UTC).date();
        let key: Key = (data, tokenizer, today);
        if let Some(counts) = self.look(&key) {
            return Ok(counts);
        }
        let _one = self.counting.lock().await;
        if let Some(counts) = self.look(&key) {
            return Ok(counts);
        }
        let mut sources = Vec::new();
        for dataset in datasets {
            let schema = report_of(dataset)?.and_then(|report| report.schema);
            let schema = schema
                .ok_or_else(|| ServiceError::invalid("dataset", "This dataset was not checked yet."))?;
            sources.push((blocking_reader(storage.get(&dataset.object_key, None).await?), schema));
        }
        let rows: u64 = datasets.iter().map(|dataset| dataset.rows).sum();
        let directory = key.1.clone();
        let work = move || -> ServiceResult<Counts> {
            let data = |why: String| ServiceError::invalid("dataset", why);
            let sample = read(sources).map_err(data)?;
            let kind = sample.first().map_or(Kind::Text, Row::kind);
            let (tokenizer, template) = match &directory {
                Some(directory) => {
                    let base = |why: String| ServiceError::invalid("base_model", why);
                    let tokenizer =
                        Tokenizer::load(directory).map_err(|error| base(words(directory, &error)))?;
                    let template = Template::of_base(kind, directory, Some(today), &tokenizer)
                        .map_err(|error| base(words(directory, &error)))?;
                    (tokenizer, template)
                }
                None => {
                    let texts: Vec<&str> = sample.iter().flat_map(Row::texts).collect();
                    let template = Template::for_kind(kind);
                    let tokenizer =
                        Tokenizer::for_data(&texts, &template).map_err(|error| data(error.to_string()))?;
                    (tokenizer, template)
                }
            };
            let mut lengths = Vec::with_capacity(sample.len());
            for row in &sample {
                // The base's chat template may refuse a row; its words name the template's file.
                let sequences = encode(row, &tokenizer, &template).map_err(|error| match &directory {
                    Some(directory) => data(words(directory, &error)),
                    None => data(error.to_string()),
                })?;
                lengths.extend(sequences.iter().map(|(ids, _)| u32::try_from(ids.len()).unwrap_or(u32::MAX)));
            }
            let rows = rows * lengths.len() as u64 / (sample.len() as u64).max(1);
            Ok(Counts { kind, lengths, rows, vocabulary: tokenizer.vocab_size() })
        };
        let counts = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| ServiceError::Internal(error.to_string()))??;
        let counts = Arc::new(counts);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, Arc::clone(&counts)));
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
        Ok(counts)
    }

    fn look(&self, key: &Key) -> Option<Arc<Counts>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, counts)| Arc::clone(counts))
    }
}

/// The first rows of the sources, up to [`SAMPLE_BYTES`] of text.
fn read<R: std::io::Read>(sources: Vec<(R, llm_tuner_dataset::Schema)>) -> Result<Vec<Row>, String> {
    let mut sample: Vec<Row> = Vec::new();
    let mut bytes = 0;
    for (reader, schema) in sources {
        for row in llm_tuner_dataset::rows(reader, &schema).map_err(|error| error.to_string())? {
            let row = to_engine(row.map_err(|error| error.to_string())?.example);
            if let Some(first) = sample.first()
                && first.kind() != row.kind()
            {
                return Err("These datasets are of different kinds (text, prompts, chats). Train on one kind at a time.".to_owned());
            }
            bytes += row.texts().iter().map(|text| text.len()).sum::<usize>();
            sample.push(row);
            if bytes > SAMPLE_BYTES {
                return Ok(sample);
            }
        }
    }
    Ok(sample)
}

fn to_engine(example: Example<'_>) -> Row {
    match example {
        Example::Text { text } => Row::Text(text.into_owned()),
        Example::Completion { prompt, completion } => {
            Row::Completion { prompt: prompt.into_owned(), completion: completion.into_owned() }
        }
        Example::Chat { messages } => Row::Chat(
            messages
                .into_iter()
                .map(|message| Message {
                    role: match message.role {
                        DatasetRole::System => Role::System,
                        DatasetRole::User => Role::User,
                        DatasetRole::Assistant => Role::Assistant,
                        DatasetRole::Tool => Role::Tool,
                    },
                    content: message.content.into_owned(),
                    weight: message.weight,
                })
                .collect(),
        ),
    }
}
