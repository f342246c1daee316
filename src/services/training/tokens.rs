//! How many tokens each row of some datasets has, by the tokenizer that training will use. Counted once and kept.

use super::bases::words;
use crate::{
    domain::dataset::Dataset,
    services::{
        datasets::report_of,
        error::{ServiceError, ServiceResult},
    },
    storage::{Storage, blocking_reader},
};
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
    /// Tokens of each row that was counted.
    pub lengths: Vec<u32>,
    /// All rows of the data.
    pub rows: u64,
    pub vocabulary: usize,
}

impl Counts {
    /// How many times more rows there are than were counted.
    pub fn factor(&self) -> f64 {
        if self.lengths.is_empty() { 0.0 } else { self.rows as f64 / self.lengths.len() as f64 }
    }
}

/// What a count depends on: the data and the tokenizer.
type Key = (Vec<String>, Option<PathBuf>);

#[derive(Default)]
pub struct Counter {
    kept: Mutex<Vec<(Key, Arc<Counts>)>>,
    /// One count at a time: each takes all cores.
    counting: tokio::sync::Mutex<()>,
}

impl Counter {
    /// Counts with the tokenizer in this directory, or with one trained on the data itself, as nano does.
    pub async fn count(
        &self,
        storage: &Arc<dyn Storage>,
        datasets: &[Dataset],
        tokenizer: Option<PathBuf>,
    ) -> ServiceResult<Arc<Counts>> {
        let key: Key =
            (datasets.iter().map(|one| format!("{}{:?}", one.sha256, one.mapping)).collect(), tokenizer);
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
            let template = Template::for_kind(kind);
            let tokenizer = match &directory {
                Some(directory) => Tokenizer::load(directory)
                    .map_err(|error| ServiceError::invalid("base_model", words(directory, &error)))?,
                None => {
                    let texts: Vec<&str> = sample.iter().flat_map(Row::texts).collect();
                    Tokenizer::for_data(&texts, &template).map_err(|error| data(error.to_string()))?
                }
            };
            let mut lengths = Vec::with_capacity(sample.len());
            for row in &sample {
                let (ids, _) = encode(row, &tokenizer, &template).map_err(|error| data(error.to_string()))?;
                lengths.push(u32::try_from(ids.len()).unwrap_or(u32::MAX));
            }
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
