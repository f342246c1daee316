//! Which datasets somebody works on right now, so that nothing is done twice at the same time.

use crate::domain::ids::DatasetId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Clone, Default)]
pub(super) struct Busy {
    taken: Arc<Mutex<HashSet<DatasetId>>>,
}

/// Gives the dataset free when dropped, also by a panic.
pub(super) struct Taken {
    busy: Busy,
    pub(super) id: DatasetId,
}

impl Busy {
    /// `None` where it is taken already.
    pub(super) fn take(&self, id: &DatasetId) -> Option<Taken> {
        let fresh = self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        fresh.then(|| Taken { busy: self.clone(), id: id.clone() })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.busy.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
