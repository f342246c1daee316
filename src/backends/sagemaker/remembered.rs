//! Answers of a service that may be slow or down, kept for a while, so that no page waits for it.
//!
//! The first question waits a few seconds at most; the asking itself goes on behind it. What was known stays known while
//! a newer answer is on its way. After a failure nobody asks again for a minute, whatever the key.

use crate::domain::time::{Clock, Instant};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How long a question waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a failure is remembered.
const TROUBLE: Duration = Duration::from_secs(60);
/// More keys than anybody has a use for: then all is forgotten.
const KEYS: usize = 1_000;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<V> {
    /// The value, and when it was asked for.
    pub value: Option<(V, Instant)>,
    /// Why there is none, or none that is new.
    pub problem: Option<String>,
}

pub struct Remembered<V> {
    state: Arc<Mutex<State<V>>>,
    clock: Arc<dyn Clock>,
    keep: Duration,
    patience: Duration,
    /// What is asked, for the words of a problem: `AWS's price list`.
    service: &'static str,
}

struct State<V> {
    known: HashMap<String, (V, Instant)>,
    /// Questions under way: each ends when its sender is dropped.
    asked: HashMap<String, watch::Receiver<()>>,
    trouble: Option<(Instant, String)>,
}

impl<V: Clone + Send + 'static> Remembered<V> {
    pub fn new(service: &'static str, keep: Duration, clock: Arc<dyn Clock>) -> Self {
        let state = State { known: HashMap::new(), asked: HashMap::new(), trouble: None };
        Self { state: Arc::new(Mutex::new(state)), clock, keep, patience: PATIENCE, service }
    }

    /// What is known, else what `ask` answers.
    pub async fn get<F, A>(&self, key: &str, ask: F) -> Answer<V>
    where
        F: FnOnce() -> A,
        A: Future<Output = Result<V, String>> + Send + 'static,
    {
        let Some(mut asked) = self.begin(key, ask) else { return self.answer(key) };
        if tokio::time::timeout(self.patience, asked.changed()).await.is_err() {
            let why = format!("{} did not answer within {:?}.", self.service, self.patience);
            self.lock().trouble.get_or_insert((self.clock.now(), why));
        }
        self.answer(key)
    }

    /// Asks, unless that is not needed, already done, or of no use now. Where it is worth waiting: what to wait for.
    fn begin<F, A>(&self, key: &str, ask: F) -> Option<watch::Receiver<()>>
    where
        F: FnOnce() -> A,
        A: Future<Output = Result<V, String>> + Send + 'static,
    {
        let now = self.clock.now();
        let mut state = self.lock();
        state.trouble = state.trouble.take().filter(|(since, _)| now.since(*since) < TROUBLE);
        let known = state.known.get(key).map(|(_, at)| now.since(*at));
        if known.is_some_and(|age| age < self.keep) || state.trouble.is_some() {
            return None;
        }
        if let Some(asked) = state.asked.get(key).filter(|asked| asked.has_changed().is_ok()) {
            return known.is_none().then(|| asked.clone());
        }
        if state.known.len() + state.asked.len() > KEYS {
            state.known.clear();
            state.asked.clear();
        }
        let (done, asked) = watch::channel(());
        state.asked.insert(key.to_owned(), asked.clone());
        let (answer, shared, clock, key) = (ask(), self.state.clone(), self.clock.clone(), key.to_owned());
        let service = self.service;
        tokio::spawn(async move {
            let answer = answer.await;
            let now = clock.now();
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(value) => {
                    state.known.insert(key.clone(), (value, now));
                    state.trouble = None;
                }
                Err(why) => {
                    tracing::warn!(service, %key, %why, "no answer");
                    state.trouble = Some((now, why));
                }
            }
            state.asked.remove(&key);
            // Whoever waits finds the answer there.
            drop((state, done));
        });
        known.is_none().then_some(asked)
    }

    fn answer(&self, key: &str) -> Answer<V> {
        let now = self.clock.now();
        let state = self.lock();
        let value = state.known.get(key).cloned();
        let fresh = value.as_ref().is_some_and(|(_, at)| now.since(*at) < self.keep);
        let problem = state.trouble.as_ref().map(|(_, why)| why.clone()).filter(|_| !fresh);
        Answer { value, problem }
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Instant {
            Instant(self.0.load(Ordering::Relaxed))
        }
    }

    struct Case {
        clock: Arc<Hand>,
        remembered: Remembered<u32>,
        asked: Arc<AtomicUsize>,
    }

    impl Case {
        fn new() -> Self {
            let clock = Arc::new(Hand::default());
            let keep = Duration::from_secs(3600);
            let patience = Duration::from_millis(200);
            let remembered = Remembered { patience, ..Remembered::new("The list", keep, clock.clone()) };
            Self { clock, remembered, asked: Arc::default() }
        }
        fn later(&self, seconds: i64) {
            self.clock.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
        }
        async fn ask(&self, key: &str, answer: Result<u32, &str>) -> Answer<u32> {
            let answer = answer.map_err(str::to_owned);
            let asked = self.asked.clone();
            let ask = move || async move {
                asked.fetch_add(1, Ordering::Relaxed);
                answer
            };
            self.remembered.get(key, ask).await
        }
        fn count(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn known(value: u32, at: i64) -> Answer<u32> {
        Answer { value: Some((value, Instant(at * 1_000_000))), problem: None }
    }

    #[tokio::test]
    async fn an_answer_is_kept_and_then_asked_for_anew() {
        let case = Case::new();
        assert_eq!(case.ask("a", Ok(1)).await, known(1, 0));
        case.later(3_599);
        assert_eq!(case.ask("a", Ok(2)).await, known(1, 0));
        assert_eq!(case.count(), 1);
        case.later(1);
        // The old one is told at once; the new one comes behind it.
        assert_eq!(case.ask("a", Ok(2)).await, known(1, 0));
        while case.count() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(case.ask("a", Ok(3)).await, known(2, 3_600));
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_minute_and_hides_nothing_that_was_known() {
        let case = Case::new();
        case.ask("a", Ok(1)).await;
        case.later(4_000);
        assert_eq!(case.ask("b", Err("down")).await, Answer { value: None, problem: Some("down".into()) });
        assert_eq!(case.ask("c", Ok(9)).await, Answer { value: None, problem: Some("down".into()) });
        let old = case.ask("a", Ok(2)).await;
        assert_eq!(old, Answer { problem: Some("down".into()), ..known(1, 0) });
        assert_eq!(case.count(), 2, "nobody asks again");
        case.later(60);
        assert_eq!(case.ask("c", Ok(9)).await, known(9, 4_060));
    }

    #[tokio::test]
    async fn who_never_answers_is_waited_for_once() {
        let case = Case::new();
        let begun = std::time::Instant::now();
        let hangs = || std::future::pending::<Result<u32, String>>();
        let answer = case.remembered.get("a", hangs).await;
        assert_eq!(answer.problem.as_deref(), Some("The list did not answer within 200ms."));
        for key in ["a", "b", "c"] {
            assert_eq!(case.remembered.get(key, hangs).await.value, None);
        }
        let waited = begun.elapsed();
        assert!((200..700).contains(&waited.as_millis()), "the others did not wait: {waited:?}");
    }

    #[tokio::test]
    async fn what_comes_late_is_known_then() {
        let case = Case::new();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(7)
        };
        assert_eq!(case.remembered.get("a", slow).await.value, None);
        // Nobody asks again meanwhile: one that hangs would not hang less.
        while case.ask("a", Ok(8)).await != known(7, 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(case.count(), 0);
    }

    #[tokio::test]
    async fn many_at_once_ask_once() {
        let case = Case::new();
        let answers = futures::future::join_all((0..50).map(|_| case.ask("a", Ok(1)))).await;
        assert!(answers.iter().all(|answer| *answer == known(1, 0)), "{answers:?}");
        assert_eq!(case.count(), 1);
    }
}
