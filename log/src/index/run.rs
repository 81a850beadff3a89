//! A run: what leads from the hashes of a block of entries to their indexes, in pages, sorted by hash.
//!
//! Hashes are uniform, so the page of one is known from its first bits, and one page is one read. A page is about 128
//! leads; a run of twice the length has twice the pages. The pages of a filter go with those of the run.
//!
//! In scope: bytes and bits. Out of scope: which runs there are, and when they are written.

use crate::{
    schema::{self, FormatError, Part},
    store::{Batch, Store, StoreError},
};

/// The length of the shortest runs, as a power of two: half a second of the heaviest load, and what opening reads at
/// most is a few of them. In the tests of this crate some entries, so that they merge.
const RUN_BITS: u8 = if cfg!(test) { 3 } else { 15 };
/// So many runs in a row become one: 8. Fewer would be merged more often, more would all be asked.
const FAN_BITS: u8 = 3;
/// Runs of this level, 2^30 entries, are not merged.
const TOP_LEVEL: u8 = 5;
/// Leads in a page, on the average: 128, a page of 1.5 KiB.
const PAGE_BITS: u8 = 7;
/// Filter blocks of a page: 10 bits for a lead, and a false answer in a hundred.
const PAGE_BLOCKS: u64 = 5;
/// Words of a filter block.
const BLOCK_WORDS: usize = 8;
/// Words of the filter of one page.
const PAGE_WORDS: usize = 40;
/// Pages whose filters are stored as one value of 40 KiB.
const CHUNK_PAGES: usize = 256;
/// Octets written at a time: a commit of the sequencer waits behind no more.
const WRITE_BYTES: usize = 256 << 10;
/// Odd numbers that make eight bits of one hash: those of Parquet's split block Bloom filters.
const SALTS: [u32; BLOCK_WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Which hash of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its leaf hash.
    Leaf,
    /// Its id, the SHA-256 of its octets.
    EntryId,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Leaf, Self::EntryId];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Leaf => "the index of leaf hashes",
            Self::EntryId => "the index of entry ids",
        }
    }
}

/// From the beginning of a hash to an entry. In the order of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lead {
    pub(crate) hash: u64,
    pub(crate) index: u64,
}

/// What a run knows of a hash.
pub(crate) fn short(hash: &[u8; 32]) -> u64 {
    let (first, _) = hash.as_chunks();
    // 32 bytes are four of these.
    first.first().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Which block of entries a run is over: block `number` of those with the length of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId {
    pub(crate) level: u8,
    pub(crate) number: u32,
}

impl RunId {
    /// The shortest run that an entry can be in.
    pub(crate) fn youngest(index: u64) -> Self {
        Self { level: 0, number: u32::try_from(index >> RUN_BITS).unwrap_or(u32::MAX) }
    }

    const fn bits(self) -> u8 {
        RUN_BITS + FAN_BITS * self.level
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
        (self.level < TOP_LEVEL).then_some(Self { level: self.level + 1, number: self.number >> FAN_BITS })
    }

    /// The runs that it is made of.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let level = self.level.checked_sub(1);
        let numbers = (self.number << FAN_BITS)..((self.number + 1) << FAN_BITS);
        level.into_iter().flat_map(move |level| numbers.clone().map(move |number| Self { level, number }))
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

    pub(crate) fn head_key(self) -> [u8; schema::PART_LEN] {
        schema::part_key(Part::Run, self.level, self.number, 0)
    }

    pub(crate) fn page_key(self, kind: Kind, page: u32) -> [u8; schema::PART_LEN] {
        let part = match kind {
            Kind::Leaf => Part::LeafPage,
            Kind::EntryId => Part::EntryIdPage,
        };
        schema::part_key(part, self.level, self.number, page)
    }

    fn filter_key(self, kind: Kind, chunk: u32) -> [u8; schema::PART_LEN] {
        let part = match kind {
            Kind::Leaf => Part::LeafFilter,
            Kind::EntryId => Part::EntryIdFilter,
        };
        schema::part_key(part, self.level, self.number, chunk)
    }

    fn chunks(self) -> u32 {
        // So few pages of a run are no more than so few of a `u32`.
        self.pages().div_ceil(u32::try_from(CHUNK_PAGES).unwrap_or(u32::MAX))
    }

    /// Every key of the run but its head's.
    pub(crate) fn part_keys(self) -> impl Iterator<Item = [u8; schema::PART_LEN]> {
        Kind::ALL.into_iter().flat_map(move |kind| {
            let filters = (0..self.chunks()).map(move |chunk| self.filter_key(kind, chunk));
            filters.chain((0..self.pages()).map(move |page| self.page_key(kind, page)))
        })
    }
}

/// The leads of one page.
pub(crate) fn page(store: &Store, run: RunId, kind: Kind, page: u32) -> Result<Vec<Lead>, StoreError> {
    decode(run, kind, &store.part(run, &run.page_key(kind, page))?)
}

/// The leads in the bytes of a page.
pub(crate) fn decode(run: RunId, kind: Kind, value: &[u8]) -> Result<Vec<Lead>, StoreError> {
    let leads = schema::decode_leads(kind.name(), value)?;
    Ok(leads.map(|(hash, offset)| Lead { hash, index: run.first() + u64::from(offset) }).collect())
}

/// The entries of a run whose hashes begin so.
pub(crate) fn find(store: &Store, run: RunId, kind: Kind, hash: u64) -> Result<Vec<u64>, StoreError> {
    let value = store.part(run, &run.page_key(kind, run.page_of(hash)))?;
    let leads = schema::decode_leads(kind.name(), &value)?;
    Ok(leads.filter(|(found, _)| *found == hash).map(|(_, offset)| run.first() + u64::from(offset)).collect())
}

/// Says which hashes are not in a run, with certainty, and which may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    run: RunId,
    words: Vec<u32>,
}

impl Filter {
    fn new(run: RunId) -> Self {
        Self { run, words: vec![0; run.pages() as usize * PAGE_WORDS] }
    }

    /// Reads a run's filter.
    pub(crate) fn read(store: &Store, run: RunId, kind: Kind) -> Result<Self, StoreError> {
        let mut words = Vec::with_capacity(run.pages() as usize * PAGE_WORDS);
        for chunk in 0..run.chunks() {
            let value = store.part(run, &run.filter_key(kind, chunk))?;
            words.extend(schema::decode_filter(&value)?);
        }
        if words.len() != run.pages() as usize * PAGE_WORDS {
            return Err(FormatError::Malformed { what: "a filter", why: "it has another length" }.into());
        }
        Ok(Self { run, words })
    }

    /// Where the block of a hash begins: in the part of its page, by the bits behind those of the page.
    fn block(&self, hash: u64) -> usize {
        let behind = (hash << self.run.page_bits()) >> 32;
        let block = u64::from(self.run.page_of(hash)) * PAGE_BLOCKS + ((behind * PAGE_BLOCKS) >> 32);
        usize::try_from(block).unwrap_or(0) * BLOCK_WORDS
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

    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let block = self.words.get(self.block(hash)..).unwrap_or_default();
        block.iter().zip(Self::bits(hash)).all(|(word, bit)| word & bit != 0)
    }
}

/// Writes the pages of a run, in order, some at a time.
pub(crate) struct Writer<'a> {
    store: &'a Store,
    run: RunId,
    kind: Kind,
    batch: Batch<'a>,
    bytes: usize,
    page: u32,
    filter: Filter,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(store: &'a Store, run: RunId, kind: Kind) -> Self {
        Self { store, run, kind, batch: store.batch(), bytes: 0, page: 0, filter: Filter::new(run) }
    }

    /// Adds sorted leads: all those of the next pages, up to but without page `end`.
    pub(crate) fn pages(&mut self, mut leads: &[Lead], end: u32) -> Result<(), StoreError> {
        while self.page < end {
            let count = leads.partition_point(|lead| self.run.page_of(lead.hash) <= self.page);
            let (now, later) = leads.split_at_checked(count).unwrap_or((leads, &[]));
            leads = later;
            for lead in now {
                self.filter.add(lead.hash);
            }
            let first = self.run.first();
            let offset = |lead: &Lead| u32::try_from(lead.index.saturating_sub(first)).unwrap_or(u32::MAX);
            let value = schema::encode_leads(now.iter().map(|lead| (lead.hash, offset(lead))));
            self.put(&self.run.page_key(self.kind, self.page), &value)?;
            self.page += 1;
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.batch.part(key, value);
        self.bytes += value.len();
        if self.bytes >= WRITE_BYTES {
            self.bytes = 0;
            std::mem::replace(&mut self.batch, self.store.batch()).commit()?;
        }
        Ok(())
    }

    /// Writes the filter and all that is left.
    pub(crate) fn finish(mut self) -> Result<Filter, StoreError> {
        let words = std::mem::take(&mut self.filter.words);
        for (chunk, words) in (0u32..).zip(words.chunks(CHUNK_PAGES * PAGE_WORDS)) {
            self.put(&self.run.filter_key(self.kind, chunk), &schema::encode_filter(words))?;
        }
        self.filter.words = words;
        if !self.batch.is_empty() {
            self.batch.commit()?;
        }
        Ok(self.filter)
    }
}
