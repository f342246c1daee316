//! One suite over every adapter of the object port. A case is a function that takes an empty storage; `cases!` runs
//! all of them on one adapter, each as a test of its own.
//!
//! Beside them: [`on_s3`] for what only a bucket has. What only a disk has stands with its adapter.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/bucket.rs"]
mod bucket;
#[path = "../support/moto.rs"]
mod moto;

mod cases;
mod on_s3;

use llm_tuner::storage::{Storage, disk::DiskStorage, s3::S3Storage};
use std::sync::Arc;

/// An empty storage, and what keeps it alive.
pub struct Fresh {
    pub storage: Arc<dyn Storage>,
    _held: Box<dyn std::any::Any + Send>,
}

async fn disk() -> Fresh {
    let root = tempfile::tempdir().unwrap();
    Fresh { storage: Arc::new(DiskStorage::open(root.path()).unwrap()), _held: Box::new(root) }
}

async fn s3() -> Fresh {
    let moto = moto::Moto::start();
    let storage = S3Storage::new(&moto.config().await, bucket::fresh(&moto).await, "some/prefix");
    Fresh { storage: Arc::new(storage), _held: Box::new(moto) }
}

macro_rules! cases {
    ($adapter:ident: $($case:ident),* $(,)?) => {
        mod $adapter {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fresh = super::$adapter().await;
                    crate::cases::$case(&*fresh.storage).await;
                }
            )*
        }
    };
    ($($adapter:ident),*) => {
        $(cases! { $adapter:
            what_was_put_is_got_with_its_checksum, ranges_are_cut_at_the_end, nothing_is_an_object_too,
            an_upload_that_breaks_off_or_grows_too_large_leaves_nothing, a_failed_overwrite_keeps_the_old_object,
            files_go_in_and_come_out_as_copies, deleting_takes_what_is_below_and_nothing_beside,
            what_is_below_a_prefix_is_listed, keys_that_lead_elsewhere_are_refused, large_objects_are_whole, pieces_become_an_object,
            large_pieces_become_an_object, abandoned_pieces_are_gone, any_pieces_make_the_same_object,
        })*
    };
}

cases!(disk, s3);
