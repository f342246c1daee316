//! One at a time on each upload: whoever comes to ask where it stands, or to end it, stops a piece that is still
//! being waited for. Its sender is gone, only the server does not know it yet.

use crate::domain::ids::DatasetId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone, Default)]
pub(super) struct Turns {
    taken: Arc<Mutex<HashMap<DatasetId, Holder>>>,
}

#[derive(Clone)]
struct Holder {
    asked_to_end: CancellationToken,
    over: CancellationToken,
}

/// Gives the upload free when dropped.
pub(super) struct Turn {
    turns: Turns,
    id: DatasetId,
    /// Somebody else waits for the turn.
    pub(super) asked_to_end: CancellationToken,
    _over: DropGuard,
}

impl Turns {
    /// `None` where somebody works on it.
    pub(super) fn take(&self, id: &DatasetId) -> Option<Turn> {
        self.try_take(id).ok()
    }

    /// Asks whoever works on it to end, and waits for that.
    pub(super) async fn wait(&self, id: &DatasetId) -> Turn {
        loop {
            match self.try_take(id) {
                Ok(turn) => return turn,
                Err(holder) => {
                    holder.asked_to_end.cancel();
                    holder.over.cancelled().await;
                }
            }
        }
    }

    fn try_take(&self, id: &DatasetId) -> Result<Turn, Holder> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = taken.get(id) {
            return Err(holder.clone());
        }
        let holder = Holder { asked_to_end: CancellationToken::new(), over: CancellationToken::new() };
        taken.insert(id.clone(), holder.clone());
        Ok(Turn {
            turns: self.clone(),
            id: id.clone(),
            asked_to_end: holder.asked_to_end,
            _over: holder.over.drop_guard(),
        })
    }
}

impl Drop for Turn {
    // The guard's own drop comes after this one: who waits finds the place free.
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
