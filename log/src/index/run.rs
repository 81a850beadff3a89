//! A run: what leads from the leaf hashes of a block of entries to their indexes, in pages, sorted by hash.
//!
//! Hashes are uniform, so the page of one is known from its first bits, and one page is one read. A page is about 128
//! leads; a run of twice the length has twice the pages. Each page has a part of the filter.
//!
//! In scope: bytes and bits. Out of scope: which runs there are, and when they are written.

use std::ops::Range;

use treering_tlog::hash::Hash;

use super::Run;
use crate::{
    probe::{Point, Probed},
    schema::{self, Family, FormatError, PART_LEN, Part},
    store::{NewTable, Store, StoreError},
};

/// The length of the shortest runs, as a power of two: half a second of the heaviest load, and what opening reads at
/// most is a few of them. In the tests of this crate some entries, so that they merge; other tests ask for it
/// ([`Config`](crate::Config)). It is stored nowhere; a store whose runs are shorter would seem to cover more than it has,
/// and is refused.
pub(crate) const RUN_BITS: u8 = if cfg!(test) { 3 } else { 15 };
/// So many runs in a row become one: 8. Fewer would be merged more often, more would all be asked.
const FAN_BITS: u8 = 3;
/// Runs of this level, 2^30 entries, are not merged.
const TOP_LEVEL: u8 = 5;
/// Leads in a page, on the average: 128, a page of 1.5 KiB.
const PAGE_BITS: u8 = 7;
/// What the index is called where it is found damaged.
pub(crate) const INDEX: &str = "the index of leaf hashes";
/// Words of a filter block.
const BLOCK_WORDS: usize = 8;
/// Pages whose filters are stored as one value of at most 64 KiB.
const CHUNK_PAGES: usize = 256;
/// Odd numbers that make eight bits of one hash: those of Parquet's split block Bloom filters.
const SALTS: [u32; BLOCK_WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// From the beginning of a hash to an entry. In the order of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lead {
    pub(crate) hash: u64,
    pub(crate) index: u64,
}

/// What a run knows of a hash.
pub(crate) fn short(hash: &Hash) -> u64 {
    let (first, _) = hash.as_bytes().as_chunks();
    // 32 bytes are four of these.
    first.first().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Which block of entries a run is over: block `number` of those with the length of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId {
    /// The length of the runs of level 0, as a power of two: [`RUN_BITS`], and the same for all runs of a log.
    pub(crate) shortest: u8,
    pub(crate) level: u8,
    pub(crate) number: u32,
}

impl RunId {
    /// The shortest run that an entry can be in.
    pub(crate) fn youngest(shortest: u8, index: u64) -> Self {
        Self { shortest, level: 0, number: u32::try_from(index >> shortest).unwrap_or(u32::MAX) }
    }

    /// The run of the same length behind it.
    pub(crate) fn next(self) -> Self {
        Self { number: self.number.saturating_add(1), ..self }
    }

    const fn bits(self) -> u8 {
        self.shortest + FAN_BITS * self.level
    }

    /// Entries in it.
    pub(crate) const fn len(self) -> u64 {
        1 << self.bits()
    }

    pub(crate) fn first(self) -> u64 {
        u64::from(self.number) << self.bits()
    }

    pub(crate) fn end(self) -> u64 {
        self.first() + self.len()
    }

    /// The run that it becomes part of.
    pub(crate) fn parent(self) -> Option<Self> {
        let parent = || Self { level: self.level + 1, number: self.number >> FAN_BITS, ..self };
        (self.level < TOP_LEVEL).then(parent)
    }

    /// The runs that it is made of.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let level = self.level.checked_sub(1);
        let numbers = (self.number << FAN_BITS)..((self.number + 1) << FAN_BITS);
        level
            .into_iter()
            .flat_map(move |level| numbers.clone().map(move |number| Self { level, number, ..self }))
    }

    const fn page_bits(self) -> u8 {
        self.bits().saturating_sub(PAGE_BITS)
    }

    pub(crate) const fn pages(self) -> u32 {
        1 << self.page_bits()
    }

    /// The page of a hash: its first bits.
    pub(crate) fn page_of(self, hash: u64) -> u32 {
        u32::try_from(hash.checked_shr(64 - u32::from(self.page_bits())).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Its own key, which is its first, and one behind its last.
    pub(crate) fn keys(self) -> [[u8; PART_LEN]; 2] {
        schema::run_keys(self.level, self.number)
    }

    pub(crate) fn page_key(self, page: u32) -> [u8; PART_LEN] {
        schema::part_key(self.level, self.number, Part::Page, page)
    }

    pub(crate) fn filter_key(self, chunk: u32) -> [u8; PART_LEN] {
        schema::part_key(self.level, self.number, Part::Filter, chunk)
    }

    /// Filter blocks of a page: each is 2 bits for a lead, in memory. Every new entry is looked for in every run, so few
    /// answers may be wrong: one in a thousand, and in long runs, which are most of the memory, one in five hundred or in two hundred.
    const fn page_blocks(self) -> u16 {
        match self.level {
            0 | 1 => 8,
            2 => 7,
            _ => 6,
        }
    }

    fn missing(self) -> StoreError {
        StoreError::Inconsistent { what: INDEX, at: self.first(), why: "a part is missing" }
    }

    fn chunks(self) -> u32 {
        // So few pages of a run are no more than so few of a `u32`.
        self.pages().div_ceil(u32::try_from(CHUNK_PAGES).unwrap_or(u32::MAX))
    }
}

/// The leads of one page.
pub(crate) fn page(store: &Store, run: RunId, page: u32) -> Result<Vec<Lead>, StoreError> {
    decode(run, &part(store, run, &run.page_key(page))?)
}

/// The leads of each page, in order.
pub(crate) fn pages(
    store: &Store,
    run: RunId,
) -> Result<impl Iterator<Item = Result<Vec<Lead>, StoreError>>, StoreError> {
    let mut stored = store.from(Family::HashIndex, &run.page_key(0))?;
    Ok((0..run.pages()).map(move |page| match stored.next().transpose()? {
        Some((key, value)) if *key == run.page_key(page) => decode(run, &value),
        _ => Err(run.missing()),
    }))
}

/// The leads in the bytes of a page.
fn decode(run: RunId, value: &[u8]) -> Result<Vec<Lead>, StoreError> {
    let leads = schema::decode_leads(INDEX, value)?;
    Ok(leads.map(|(hash, offset)| Lead { hash, index: run.first() + u64::from(offset) }).collect())
}

/// The entries of a run whose hashes begin so.
pub(crate) fn find(store: &Store, run: RunId, hash: u64) -> Result<Vec<u64>, StoreError> {
    let value = part(store, run, &run.page_key(run.page_of(hash)))?;
    let leads = schema::decode_leads(INDEX, &value)?;
    Ok(leads.filter(|(found, _)| *found == hash).map(|(_, offset)| run.first() + u64::from(offset)).collect())
}

/// The value under a key of a run, which must be there.
fn part(store: &Store, run: RunId, key: &[u8]) -> Result<Vec<u8>, StoreError> {
    store.get(Family::HashIndex, key)?.ok_or_else(|| run.missing())
}

/// Says which hashes are not in a run, with certainty, and which may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    page_bits: u8,
    page_blocks: u16,
    words: Vec<u32>,
}

impl Filter {
    fn new(run: RunId) -> Self {
        let page_blocks = run.page_blocks();
        let words = vec![0; run.pages() as usize * usize::from(page_blocks) * BLOCK_WORDS];
        Self { page_bits: run.page_bits(), page_blocks, words }
    }

    /// Reads a run's filter.
    pub(crate) fn read(store: &Store, run: RunId) -> Result<Self, StoreError> {
        let mut filter = Self::new(run);
        let len = filter.words.len();
        filter.words.clear();
        for chunk in 0..run.chunks() {
            let value = part(store, run, &run.filter_key(chunk))?;
            filter.words.extend(schema::decode_filter(&value)?);
        }
        if filter.words.len() != len {
            return Err(FormatError::Malformed { what: "a filter", why: "it has another length" }.into());
        }
        Ok(filter)
    }

    /// Its words as they are stored.
    fn chunks(&self) -> impl Iterator<Item = &[u32]> {
        self.words.chunks(CHUNK_PAGES * usize::from(self.page_blocks) * BLOCK_WORDS)
    }

    /// Where the block of a hash begins: the first bits choose the page, those behind them one of its blocks.
    fn block(&self, hash: u64) -> usize {
        let page = hash.checked_shr(64 - u32::from(self.page_bits)).unwrap_or(0);
        let behind = (hash << self.page_bits) >> 32;
        let blocks = u64::from(self.page_blocks);
        usize::try_from(page * blocks + ((behind * blocks) >> 32)).unwrap_or(0) * BLOCK_WORDS
    }

    fn bits(hash: u64) -> [u32; BLOCK_WORDS] {
        let low = u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
        SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
    }

    fn add(&mut self, hash: u64) {
        let at = self.block(hash);
        let block = self.words.get_mut(at..).unwrap_or_default();
        for (word, bit) in block.iter_mut().zip(Self::bits(hash)) {
            *word |= bit;
        }
    }

    /// All words are looked at, whatever the first say: a branch on each would wait for memory before the next filter is
    /// asked.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let block = self.words.get(self.block(hash)..).unwrap_or_default();
        block.iter().zip(Self::bits(hash)).fold(0, |missing, (word, bit)| missing | (bit & !word)) == 0
    }
}

/// Writes a run: its pages, then its filter.
pub(crate) struct Writer<'a> {
    store: &'a Store,
    table: NewTable<'a>,
    run: RunId,
    filter: Filter,
    written: u64,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(store: &'a Store, run: RunId) -> Result<Self, StoreError> {
        let [own, _] = run.keys();
        let mut table = store.table()?;
        table.put(&own, &schema::encode_index(run.first()))?;
        Ok(Self { store, table, run, filter: Filter::new(run), written: 0 })
    }

    /// Adds the leads of some pages, sorted. Pages come in their order.
    pub(crate) fn pages(&mut self, pages: Range<u32>, leads: &[Lead]) -> Result<(), StoreError> {
        let (run, mut leads) = (self.run, leads);
        for page in pages {
            let count = leads.partition_point(|lead| run.page_of(lead.hash) <= page);
            let (now, later) = leads.split_at_checked(count).unwrap_or((leads, &[]));
            leads = later;
            for lead in now {
                self.filter.add(lead.hash);
            }
            self.written += now.len() as u64;
            let offset =
                |lead: &Lead| u32::try_from(lead.index.saturating_sub(run.first())).unwrap_or(u32::MAX);
            let value = schema::encode_leads(now.iter().map(|lead| (lead.hash, offset(lead))));
            self.table.put(&run.page_key(page), &value)?;
        }
        Ok(())
    }

    /// Writes the filter, and reads the pages back: what they were made of may go after this, and lookups find them in
    /// the system's page cache.
    pub(crate) fn finish(mut self, probe: &Probed) -> Result<Run, StoreError> {
        for (chunk, words) in (0..).zip(self.filter.chunks()) {
            self.table.put(&self.run.filter_key(chunk), &schema::encode_filter(words))?;
        }
        self.table.close()?;
        probe.pass(Point::RunWritten);
        self.table.take_in()?;
        probe.pass(Point::RunTaken);
        let mut read = 0;
        for page in pages(self.store, self.run)? {
            read += page?.len() as u64;
        }
        if read != self.written {
            return Err(self.run.missing());
        }
        Ok(Run { id: self.run, filter: self.filter })
    }
}
