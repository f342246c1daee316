//! Prompts that were answered, with their keys and values: what a new prompt shares with one is not computed again.
//!
//! Only what was computed as a prompt is kept: a prompt's rows are multiplied together, an answer's one by one, which
//! rounds otherwise. So an answer is the same, bit for bit, whether its prompt's beginning was kept or not.

use std::sync::{Arc, Weak};

use crate::model::{KvCache, Model};

/// Bytes that are kept at most for one base and all adapters over it.
const MOST_BYTES: usize = 256 << 20;

/// Whose keys and values they are: a model with its adapter, or the base alone, whoever asks it.
pub(crate) type Owner<'a> = Option<&'a Arc<Model>>;

/// What is kept, the longest unused first.
#[derive(Debug, Default)]
pub(crate) struct Prefixes(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    /// Not the model itself, which ends when its last user does.
    owner: Option<Weak<Model>>,
    ids: Vec<u32>,
    cache: KvCache,
}

impl Kept {
    fn is_of(&self, owner: Owner<'_>) -> bool {
        match (&self.owner, owner) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => std::ptr::eq(ours.as_ptr(), Arc::as_ptr(theirs)),
            _ => false,
        }
    }

    fn shared_with(&self, ids: &[u32]) -> usize {
        self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count()
    }
}

impl Prefixes {
    /// A cache with as much of the prompt's beginning as is known. Two tokens are always left: a pass has to be made,
    /// and a single token would be multiplied in another way than among others.
    pub fn take(&mut self, owner: Owner<'_>, ids: &[u32]) -> Option<KvCache> {
        let most = ids.len().saturating_sub(2);
        let shared = |kept: &Kept| if kept.is_of(owner) { kept.shared_with(ids).min(most) } else { 0 };
        let (at, shared) = self
            .0
            .iter()
            .map(shared)
            .enumerate()
            .max_by_key(|(_, shared)| *shared)
            .filter(|(_, n)| *n > 0)?;
        let kept = self.0.remove(at);
        if shared == kept.ids.len() {
            // The longer prompt takes its place.
            return Some(kept.cache);
        }
        let beginning = kept.cache.beginning(shared);
        self.0.push(kept);
        Some(beginning)
    }

    /// Keeps a prompt that was answered, in place of its own beginnings.
    pub fn keep(&mut self, owner: Owner<'_>, ids: Vec<u32>, cache: KvCache) {
        let kept = Kept { owner: owner.map(Arc::downgrade), ids, cache };
        if kept.cache.len() != kept.ids.len() {
            return;
        }
        self.0.retain(|other| {
            let alive = other.owner.as_ref().is_none_or(|owner| owner.strong_count() > 0);
            let replaced = other.is_of(owner) && kept.ids.starts_with(&other.ids);
            alive && !replaced
        });
        self.0.push(kept);
        let mut bytes = self.bytes();
        while bytes > MOST_BYTES {
            bytes -= self.0.remove(0).cache.bytes();
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|kept| kept.cache.bytes()).sum()
    }
}
