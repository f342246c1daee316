//! Calls of the `tokenizers` crate, which panics on some files that nobody wrote by hand and on some text with them: on
//! an empty table of characters, or a decoder that strips more than there is.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work; a panic of the crate is an error like its others, and its own words are on stderr.
pub(super) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    // What a panic may leave half done is dropped by the caller, or is the crate's cache of words, which it refills.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the tokenizers library gave up on it".into()))
}
