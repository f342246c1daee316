//! Operands in the layouts of [`super::pack`], in buffers that grow and are used again, and the product of a tile.

use super::matrix::{Element, Mat, Threads, Write};
use super::pack::{self, BLOCK, Depth};
use super::tiles::{self, MOST_ROWS};
use crate::kernels::tier::Tier;
use rayon::prelude::*;
use std::ops::Range;

/// Words that begin on a line of the caches, as a tile's registers do.
#[derive(Default)]
struct Words(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

// SAFETY: sixteen words without a gap, and every pattern of bits is one.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Line {}

impl Words {
    /// Room for as many words. What they hold is left over from before.
    fn reserve(&mut self, words: usize) {
        let lines = words.div_ceil(16);
        if self.0.len() < lines {
            // A fresh allocation, so that old contents are not copied.
            self.0 = vec![Line([0; 16]); lines];
        }
    }

    fn all(&self) -> &[u32] {
        bytemuck::cast_slice(&self.0)
    }

    fn all_mut(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Sums or other values that tiles write, on lines of the caches.
#[derive(Default)]
pub struct Values(Words);

impl Values {
    /// The first `count` values, which hold what was left over.
    pub fn take(&mut self, count: usize) -> &mut [f32] {
        self.0.reserve(count);
        &mut bytemuck::cast_slice_mut(self.0.all_mut())[..count]
    }
}

/// A left operand: `[block of the depth][row][word]`.
pub struct Left {
    tier: Tier,
    depth: Depth,
    /// Rows with those that the last tile reaches beyond them. What these hold is read, but their sums are not used.
    padded: usize,
    words: Words,
}

impl Default for Left {
    fn default() -> Self {
        // A tier that every processor has.
        let tier = Tier::Scalar;
        Self { tier, depth: Depth::new(tier.precision(), 0), padded: 0, words: Words::default() }
    }
}

impl Left {
    /// Room for rows of a depth in values, for [`Left::words_mut`] to fill.
    ///
    /// # Panics
    /// If the processor lacks the tier.
    pub fn reserve(&mut self, tier: Tier, rows: usize, depth: usize) {
        assert!(tier.is_available(), "this processor has no {tier}");
        self.tier = tier;
        self.depth = Depth::new(tier.precision(), depth);
        self.padded = (rows + tiles::shape(tier).0).next_multiple_of(MOST_ROWS);
        self.words.reserve(self.padded * self.depth.row_words());
    }

    /// Packs a matrix.
    pub fn pack<E: Element>(&mut self, tier: Tier, a: Mat<'_, E>, threads: Threads) {
        self.reserve(tier, a.rows, a.cols);
        let (depth, stride, padded) = (self.depth, self.depth.stride(), self.padded);
        for (words, block) in depth.blocks().zip(self.words.all_mut().chunks_mut(padded * stride)) {
            let pack = |(i, out): (usize, &mut [u32])| {
                let first = i * MOST_ROWS;
                if first < a.rows {
                    pack::rows(a, first..(first + MOST_ROWS).min(a.rows), words.clone(), depth, out);
                }
            };
            let pieces = MOST_ROWS * stride;
            match threads {
                Threads::One => block.chunks_mut(pieces).enumerate().for_each(pack),
                Threads::Pool => block.par_chunks_mut(pieces).enumerate().with_min_len(4).for_each(pack),
            }
        }
    }

    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Where a row's word lies.
    #[inline(always)]
    fn place(&self, row: usize, word: usize) -> usize {
        let stride = self.depth.stride();
        (word / BLOCK * self.padded + row) * stride + word % BLOCK
    }

    /// Words of a row, all of one block of the depth.
    #[inline(always)]
    pub fn words_mut(&mut self, row: usize, words: Range<usize>) -> &mut [u32] {
        let at = self.place(row, words.start);
        &mut self.words.all_mut()[at..at + words.len()]
    }
}

/// A right operand, or some blocks of its depth: `[block of the depth][strip][word][column]`.
pub struct Right {
    depth: Depth,
    /// The words of the depth that are held: whole blocks.
    held: Range<usize>,
    strips: usize,
    wide: usize,
    words: Words,
}

impl Default for Right {
    fn default() -> Self {
        let depth = Depth::new(Tier::Scalar.precision(), 0);
        Self { depth, held: 0..0, strips: 0, wide: MOST_ROWS, words: Words::default() }
    }
}

impl Right {
    /// Room for columns of a depth in values, for [`Right::words_mut`] to fill.
    pub fn reserve(&mut self, tier: Tier, depth: usize, columns: usize) {
        let depth = Depth::new(tier.precision(), depth);
        self.hold(tier, depth, 0..depth.words(), columns);
    }

    fn hold(&mut self, tier: Tier, depth: Depth, held: Range<usize>, columns: usize) {
        self.wide = tiles::shape(tier).1;
        self.strips = columns.div_ceil(self.wide);
        self.words.reserve(self.strips * self.wide * held.len());
        (self.depth, self.held) = (depth, held);
    }

    /// Packs a matrix.
    pub fn pack<E: Element>(&mut self, tier: Tier, b: Mat<'_, E>) {
        let depth = Depth::new(tier.precision(), b.rows);
        self.pack_part(tier, b, 0..b.cols, 0..depth.words());
    }

    /// Packs some columns of a matrix, and of its depth the words `held`: whole blocks.
    pub fn pack_part<E: Element>(
        &mut self,
        tier: Tier,
        b: Mat<'_, E>,
        columns: Range<usize>,
        held: Range<usize>,
    ) {
        let depth = Depth::new(tier.precision(), b.rows);
        self.hold(tier, depth, held.clone(), columns.len());
        let width = self.strips * self.wide;
        for block in depth.blocks().filter(|block| held.contains(&block.start)) {
            let at = (block.start - held.start) * width;
            let out = &mut self.words.all_mut()[at..at + block.len() * width];
            pack::columns(b, columns.clone(), block, depth, self.wide, out);
        }
    }

    /// The words of the depth that are held.
    pub fn held(&self) -> Range<usize> {
        self.held.clone()
    }

    /// Where words of a strip lie, all of one block of the depth.
    #[inline(always)]
    fn place(&self, strip: usize, words: &Range<usize>) -> Range<usize> {
        let block = words.start / BLOCK * BLOCK;
        let length = BLOCK.min(self.held.end - block);
        let strips_before = (block - self.held.start) * self.strips;
        let at = (strips_before + strip * length + words.start - block) * self.wide;
        at..at + words.len() * self.wide
    }

    /// Words of a strip of columns `[word][column]`, all of one block of the depth.
    #[inline(always)]
    pub fn words_mut(&mut self, strip: usize, words: Range<usize>) -> &mut [u32] {
        let place = self.place(strip, &words);
        &mut self.words.all_mut()[place]
    }

    /// Makes all words zero.
    pub fn clear(&mut self) {
        let words = self.strips * self.wide * self.held.len();
        self.words.all_mut()[..words].fill(0);
    }
}

/// One tile of a product over some words of the depth: the rows from `row` on by a strip of columns. `sums` are
/// `[row][column]` of the tile's shape; they are written, or added to.
pub fn tile(
    (left, row): (&Left, usize),
    (right, strip): (&Right, usize),
    words: Range<usize>,
    mut write: Write,
    sums: &mut [f32],
) {
    let mut from = words.start;
    loop {
        let to = (from / BLOCK * BLOCK + BLOCK).min(words.end);
        let rows = &left.words.all()[left.place(row, from)..];
        let columns = &right.words.all()[right.place(strip, &(from..to))];
        tiles::tile(left.tier, left.depth.stride(), rows, columns, write, sums);
        if to == words.end {
            return;
        }
        (from, write) = (to, Write::Add);
    }
}
