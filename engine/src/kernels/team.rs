//! A team of threads for many small pieces of work in a row, as one token of an answer is.
//!
//! Waking a sleeping thread costs as long as one small product. Here the pool's other threads are called once, and
//! look for the next piece until the leader has none left. The leader waits for nobody but who holds a piece: threads
//! that are busy elsewhere, or come late, cost nothing but their help.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Looks for work before a thread lets others have its processor for a moment.
const LOOKS: u32 = 4096;

/// The work whose pieces are handed out, and how many there are.
#[derive(Clone, Copy)]
struct Job {
    piece: *const (dyn Fn(usize) + Sync),
    pieces: usize,
}

struct Team {
    /// Written by the leader alone, while no piece is unclaimed or unfinished.
    job: UnsafeCell<Option<Job>>,
    unclaimed: AtomicUsize,
    finished: AtomicUsize,
    over: AtomicBool,
}

// SAFETY: `job` is read only by who has claimed a piece; the claim comes after the leader's writing, and the leader
// writes again only after the piece is finished. What it points to may be called by any thread (`Sync`).
unsafe impl Sync for Team {}

/// Counts a piece as finished, even where it panics.
struct Finished<'a>(&'a AtomicUsize);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Team {
    /// Does one piece, if there is one that nobody has.
    fn help_once(&self) -> bool {
        let claim = |left: usize| left.checked_sub(1);
        let Ok(left) = self.unclaimed.fetch_update(Ordering::Acquire, Ordering::Relaxed, claim) else {
            return false;
        };
        let _finished = Finished(&self.finished);
        // SAFETY: this thread holds a piece, so the leader does not write.
        let Some(job) = (unsafe { *self.job.get() }) else { return true };
        // SAFETY: the leader keeps the closure until all pieces are finished, see `Leader::for_each`.
        let piece = unsafe { &*job.piece };
        piece(job.pieces - left);
        true
    }

    fn help(&self) {
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            if self.help_once() {
                looks = 0;
            } else {
                pause(&mut looks);
            }
        }
    }
}

/// A moment of waiting; a longer one once it has taken a while.
fn pause(looks: &mut u32) {
    *looks = looks.saturating_add(1);
    if *looks < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// Waits until no piece is held by anyone, on every way out.
struct Settled<'a> {
    team: &'a Team,
    pieces: usize,
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        // Some are left only where the leader panicked.
        let claimed = self.pieces - self.team.unclaimed.swap(0, Ordering::Acquire);
        let mut looks = 0;
        while self.team.finished.load(Ordering::Acquire) < claimed {
            pause(&mut looks);
        }
    }
}

/// Sends the team home, on every way out.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Hands out the work. There is one for a team, and it does not leave its thread.
pub struct Leader<'a> {
    team: &'a Team,
    here: PhantomData<*const ()>,
}

/// Does the work with the pool's threads as a team: the leader here, and whoever of the others is free.
pub fn lead<R: Send>(work: impl FnOnce(&mut Leader<'_>) -> R + Send) -> R {
    let team = Team {
        job: UnsafeCell::new(None),
        unclaimed: AtomicUsize::new(0),
        finished: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    rayon::scope(|scope| {
        let _over = Over(&team.over);
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| team.help());
        }
        work(&mut Leader { team: &team, here: PhantomData })
    })
}

impl Leader<'_> {
    /// Calls `piece` with each number below `pieces`, each once, and returns when all have returned.
    pub fn for_each(&mut self, pieces: usize, piece: &(dyn Fn(usize) + Sync)) {
        if pieces < 2 {
            return (0..pieces).for_each(piece);
        }
        // SAFETY: only the lifetime changes; `settled` waits before the borrow ends.
        let piece: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(piece) };
        // SAFETY: no piece is unclaimed or unfinished: the last call waited for that, and `&mut self` admits one.
        unsafe { *self.team.job.get() = Some(Job { piece, pieces }) };
        self.team.finished.store(0, Ordering::Relaxed);
        let settled = Settled { team: self.team, pieces };
        self.team.unclaimed.store(pieces, Ordering::Release);
        while self.team.help_once() {}
        drop(settled);
    }

    /// Calls `piece` with each chunk of this size, the last one as long as what is left, and its number.
    pub fn for_each_chunk(
        &mut self,
        values: &mut [f32],
        size: usize,
        piece: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        struct Chunks {
            start: *mut f32,
            length: usize,
            size: usize,
        }
        // SAFETY: chunks do not overlap, and each number is handed out once.
        unsafe impl Sync for Chunks {}
        impl Chunks {
            /// # Safety
            /// The values are borrowed, and nothing else uses the chunk meanwhile.
            #[allow(clippy::mut_from_ref, reason = "chunks of different numbers do not overlap")]
            unsafe fn at(&self, i: usize) -> &mut [f32] {
                let first = i * self.size;
                // SAFETY: inside the values for a number below their count of chunks.
                unsafe {
                    std::slice::from_raw_parts_mut(self.start.add(first), self.size.min(self.length - first))
                }
            }
        }
        let size = size.max(1);
        let chunks = Chunks { start: values.as_mut_ptr(), length: values.len(), size };
        self.for_each(values.len().div_ceil(size), &|i| {
            // SAFETY: `values` is borrowed for this call, and this number is handed out once.
            piece(i, unsafe { chunks.at(i) });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::ThreadPoolBuilder;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn pool(threads: usize) -> rayon::ThreadPool {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_piece_is_done_once_before_the_next_work_begins() {
        for threads in [1, 2, 5] {
            let totals = pool(threads).install(|| {
                lead(|leader| {
                    let mut values = vec![0.0; 1003];
                    for round in 1..200u32 {
                        leader.for_each_chunk(&mut values, 10, |i, chunk| {
                            assert_eq!(chunk.len(), if i == 100 { 3 } else { 10 });
                            chunk.iter_mut().for_each(|value| *value += round as f32);
                        });
                    }
                    values
                })
            });
            assert!(totals.iter().all(|&value| value == (199 * 200 / 2) as f32), "{threads} threads");
        }
    }

    #[test]
    fn teams_side_by_side_and_teams_within_other_work_end() {
        pool(2).scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|_| {
                    let count = AtomicUsize::new(0);
                    lead(|leader| {
                        for _ in 0..50 {
                            leader.for_each(7, &|_| {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                        }
                    });
                    assert_eq!(count.into_inner(), 350);
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_piece_reaches_the_caller() {
        for threads in [1, 3] {
            let broken = || {
                lead(|leader| leader.for_each(100, &|i| assert!(i != 40, "piece {i}")));
            };
            assert!(catch_unwind(AssertUnwindSafe(|| pool(threads).install(broken))).is_err());
        }
    }
}
