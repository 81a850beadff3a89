//! Comparing what witnesses have cosigned: a log that shows two histories to two witnesses is caught when they compare.
//!
//! In scope: the latest cosigned checkpoints of several witnesses for one log, held against each other and against what
//! the log itself serves. Out of scope: following (a mirror does), asking again.
//!
//! Checkpoints of one size are compared by their roots. For two sizes the tiles of the log must show what the larger tree
//! begins with; where the log does not serve them, the two are *not compared*, which is reported and is no success.

use thiserror::Error;
use treering_tlog::note::VerifierKey;

use crate::{
    client::{CallError, WitnessClient},
    evidence::{Contradiction, Evidence},
    tiles::{LogClient, SignedCheckpoint, TilesError},
};

/// A witness whose view is asked for.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its key: an answer without its cosignature counts for nothing.
    pub key: VerifierKey,
    /// Where its monitoring resource is.
    pub client: WitnessClient,
}

/// A log.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its origin.
    pub origin: String,
    /// Its keys.
    pub keys: Vec<VerifierKey>,
    /// Where its tiles are, if they may be asked for.
    pub tiles: Option<LogClient>,
}

/// What was found for one log.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Every view there was: who, and the size.
    pub views: Vec<(String, u64)>,
    /// What proves that the log has forked.
    pub forks: Vec<Evidence>,
    /// What could not be compared, and why.
    pub open: Vec<Open>,
}

/// Something that was not compared.
#[derive(Debug, Error)]
#[error("{who}: {why}")]
pub struct Open {
    /// Whose view.
    pub who: String,
    /// Why not.
    pub why: OpenError,
}

/// Why a view was not compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The witness did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The witness has cosigned nothing of this log.
    #[error("has cosigned nothing of this log")]
    Nothing,
    /// The log's address is not configured.
    #[error("sizes differ, and no url of the log is configured")]
    NoTiles,
    /// The log's own view, or its tiles, or the checkpoint is not signed as it must be.
    #[error(transparent)]
    Tiles(#[from] TilesError),
}

/// A checkpoint and all who have it.
struct View {
    who: String,
    signed: SignedCheckpoint,
}

/// Asks all, and compares.
pub async fn compare(subject: &Subject, peers: &[Peer]) -> Comparison {
    let mut found = Comparison::default();
    let mut views: Vec<View> = Vec::new();
    for peer in peers {
        let who = peer.key.name().to_owned();
        match ask(subject, peer).await {
            Ok(signed) => add(&mut views, &mut found, who, signed),
            Err(why) => found.open.push(Open { who, why }),
        }
    }
    if let Some(tiles) = &subject.tiles {
        match tiles.checkpoint(&subject.origin, &subject.keys).await {
            Ok(signed) => add(&mut views, &mut found, LOG.to_owned(), signed),
            Err(why) => found.open.push(Open { who: LOG.to_owned(), why: why.into() }),
        }
    }
    // The largest first.
    views.sort_by_key(|view| std::cmp::Reverse(view.signed.checkpoint().size()));
    same_sizes(&views, &mut found);
    different_sizes(subject, &views, &mut found).await;
    found
}

async fn ask(subject: &Subject, peer: &Peer) -> Result<SignedCheckpoint, OpenError> {
    let note = peer.client.latest(&subject.origin).await?.ok_or(OpenError::Nothing)?;
    let signed = SignedCheckpoint::verify(&note, &subject.origin, &subject.keys)?;
    signed.note().verify(std::slice::from_ref(&peer.key)).map_err(TilesError::from)?;
    Ok(signed)
}

/// Equal views are one.
fn add(views: &mut Vec<View>, found: &mut Comparison, who: String, signed: SignedCheckpoint) {
    let new = signed.checkpoint();
    found.views.push((who.clone(), new.size()));
    let same = |view: &View| {
        let old = view.signed.checkpoint();
        (old.size(), old.root()) == (new.size(), new.root())
    };
    if !views.iter().any(same) {
        views.push(View { who, signed });
    }
}

/// Distinct views of one size have two roots.
fn same_sizes(views: &[View], found: &mut Comparison) {
    for pair in views.windows(2) {
        if let [first, second] = pair
            && first.signed.checkpoint().size() == second.signed.checkpoint().size()
        {
            found.forks.push(evidence(Contradiction::SameSize, first, second));
        }
    }
}

/// Holds every view against the largest tree whose tiles the log serves.
async fn different_sizes(subject: &Subject, views: &[View], found: &mut Comparison) {
    let open = |view: &View, why| Open { who: view.who.clone(), why };
    let Some((first, rest)) = views.split_first() else { return };
    let first_size = first.signed.checkpoint().size();
    let Some(tiles) = &subject.tiles else {
        let others = rest.iter().filter(|view| view.signed.checkpoint().size() != first_size);
        found.open.extend(others.map(|view| open(view, OpenError::NoTiles)));
        return;
    };
    for (place, anchor) in views.iter().enumerate() {
        let tree = anchor.signed.checkpoint();
        // A view that is alone needs no tiles.
        let smaller: Vec<&View> = views
            .iter()
            .skip(place + 1)
            .filter(|view| view.signed.checkpoint().size() < tree.size())
            .collect();
        if smaller.is_empty() {
            return;
        }
        // The log does not serve this tree: nothing can be held against it.
        if let Err(why) = tiles.prefix(tree.size(), tree).await {
            found.open.push(open(anchor, why.into()));
            continue;
        }
        for view in smaller {
            let smaller = view.signed.checkpoint();
            match tiles.prefix(smaller.size(), tree).await {
                Ok(prefix) if prefix.root == *smaller.root() => {}
                Ok(prefix) => {
                    let contradiction = Contradiction::Prefix { root: prefix.root, path: prefix.path };
                    found.forks.push(evidence(contradiction, view, anchor));
                }
                Err(why) => found.open.push(open(view, why.into())),
            }
        }
        return;
    }
}

fn evidence(contradiction: Contradiction, first: &View, second: &View) -> Evidence {
    Evidence::new(contradiction, first.signed.note().clone(), second.signed.note().clone())
}

/// Who the log itself is called.
const LOG: &str = "the log itself";
