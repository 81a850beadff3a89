//! What evidence calls for, from the caller, from what is kept, or from the vendor: in that order. Of what a vendor
//! issues anew, such as a list of revoked certificates, the caller's is not the last word: what is kept goes along with
//! it, and the Verifier takes the newest that is genuine.
//!
//! Nothing here fails an appraisal. Where a vendor cannot be asked, what is kept is used however old it is, and the
//! Verifier says by the policy whether that will do; where there is nothing, it refuses and says what is missing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::fetch::{Fetcher, Outcome};
use super::store::{Entry, Store, StoreError};
use crate::verifier::{
    self, Collateral, CollateralError, Edition, Evidence, MAX_CERTIFICATES, MAX_CRLS, MAX_DOCUMENTS, Wanted,
};

/// Snapshots kept in memory, of a few KiB each: a chip is one.
const MAX_KEPT: usize = 4096;

/// Seconds for which nothing newer is asked for although what is kept has ended: the vendor just said that it has none.
const SOON_S: u64 = 300;

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Seconds after which a vendor is asked whether it has something newer.
    pub refresh_s: u64,
}

/// A snapshot in memory.
#[derive(Debug, Clone)]
struct Kept {
    entry: Entry,
    snapshot: Arc<Collateral>,
    /// When its lists and answers end, by their own word.
    until: Option<u64>,
}

impl Kept {
    fn new(entry: Entry, snapshot: Arc<Collateral>) -> Self {
        let until = verifier::current_until(&snapshot);
        Self { entry, snapshot, until }
    }

    /// Whether there is no point in asking for something newer.
    fn is_fresh(&self, rules: Rules, now: u64) -> bool {
        let ended = self.until.is_some_and(|until| until < now);
        let pause = if ended { SOON_S.min(rules.refresh_s) } else { rules.refresh_s };
        now < self.entry.as_of.saturating_add(pause)
    }
}

/// Collateral at hand.
#[derive(Debug)]
pub struct Collaterals {
    store: Option<Store>,
    fetcher: Option<Fetcher>,
    rules: Rules,
    kept: Mutex<HashMap<String, Kept>>,
    // One at a time asks vendors: the second of two that want the same finds it kept.
    asking: tokio::sync::Mutex<()>,
}

impl Collaterals {
    /// What is kept in this store, and what vendors have, if they may be asked.
    pub fn new(store: Store, fetcher: Option<Fetcher>, rules: Rules) -> Self {
        Self {
            store: Some(store),
            fetcher,
            rules,
            kept: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Nothing but what comes with the evidence.
    pub fn none() -> Self {
        let rules = Rules { refresh_s: u64::MAX };
        Self {
            store: None,
            fetcher: None,
            rules,
            kept: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What came with the evidence, completed. What is issued anew is looked for although one came, so that nobody holds
    /// back what revokes him by giving an older list. What came is left out only where both are more than one snapshot
    /// takes: what there is something as new of, and beyond that what there is no room for.
    pub async fn complete(&self, evidence: &Evidence, given: &Collateral, now: u64) -> Collateral {
        let mut found = Collateral::default();
        let mut all = verifier::wanted(evidence);
        // Lists, answers and documents first: none is left out because of too many certificates.
        all.sort_by_key(|wanted| !wanted.is_reissued());
        for wanted in all {
            if !wanted.is_reissued() && wanted.is_among(given) {
                continue;
            }
            let Some(one) = self.find(&wanted, now).await else { continue };
            if let Ok(merged) = found.clone().merged((*one).clone()) {
                found = merged;
            }
        }
        together(given, found, now)
    }

    /// The newest snapshot of something that can be had.
    async fn find(&self, wanted: &Wanted, now: u64) -> Option<Arc<Collateral>> {
        let name = wanted.name();
        let kept = self.kept(wanted);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(self.rules, now)) {
            return Some(Arc::clone(&kept.snapshot));
        }
        let Some(fetcher) = &self.fetcher else { return kept.map(|kept| kept.snapshot) };
        let _asking = self.asking.lock().await;
        let kept = self.kept(wanted);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(self.rules, now)) {
            return Some(Arc::clone(&kept.snapshot));
        }
        let etag = kept.as_ref().and_then(|kept| kept.entry.etag.clone());
        let outcome = fetcher.fetch(wanted, etag.as_deref(), now).await;
        let store = self.store.as_ref()?;
        let noted = match (outcome, &kept) {
            (Outcome::New(fetched), _) => {
                let from = (fetched.url.as_str(), fetched.etag.as_deref());
                match (store.put_newer(&name, &fetched.collateral, now, now, from), &kept) {
                    (Ok(None), Some(kept)) => {
                        tracing::warn!(name, "the vendor served something older than what is kept");
                        store.confirm(&kept.entry, now).map(|entry| Kept { entry, ..kept.clone() })
                    }
                    (Ok(Some(entry)), _) => Ok(Kept::new(entry, Arc::new(fetched.collateral))),
                    // Kept by another since: it is found there.
                    (Ok(None), None) => return Some(Arc::new(fetched.collateral)),
                    (Err(error), _) => Err(error),
                }
            }
            (Outcome::Unchanged, Some(kept)) => {
                let entry = store.confirm(&kept.entry, now);
                entry.map(|entry| Kept { entry, ..kept.clone() })
            }
            (outcome, _) => {
                tracing::debug!(name, ?outcome, "collateral as it is kept");
                return kept.map(|kept| kept.snapshot);
            }
        };
        match noted {
            Ok(noted) => {
                let snapshot = Arc::clone(&noted.snapshot);
                self.keep(name, noted);
                Some(snapshot)
            }
            Err(error) => {
                // It can be used all the same; it will be fetched again.
                tracing::warn!(%error, "collateral could not be kept");
                kept.map(|kept| kept.snapshot)
            }
        }
    }

    /// From memory, or else from the store.
    fn kept(&self, wanted: &Wanted) -> Option<Kept> {
        let name = wanted.name();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if kept.is_some() {
            return kept;
        }
        match self.load(wanted) {
            Ok(found) => found.inspect(|found| self.keep(name, found.clone())),
            Err(error) => {
                tracing::warn!(%error, "kept collateral cannot be used");
                None
            }
        }
    }

    fn load(&self, wanted: &Wanted) -> Result<Option<Kept>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some(entry) = store.entry_of(wanted)? else { return Ok(None) };
        let snapshot = store.snapshot(&entry)?;
        Ok(Some(Kept::new(entry, Arc::new(snapshot))))
    }

    fn keep(&self, name: String, one: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            // Rare, and the store has everything: begin again.
            kept.clear();
        }
        kept.insert(name, one);
    }
}

/// Both in one snapshot. Where that is more than one takes, all that was found is in it, and of what came along as much as
/// there is room for of what nothing as new was found of: nobody keeps what is known here away by giving much.
fn together(given: &Collateral, found: Collateral, now: u64) -> Collateral {
    if let Ok(all) = given.clone().merged(found.clone()) {
        return all;
    }
    let places: Vec<(String, Edition)> = verifier::named(&found)
        .into_iter()
        .map(|(name, part)| (name, verifier::edition(&part)))
        // As for the Verifier, what is dated in the future takes no place.
        .filter(|(_, edition)| edition.issued <= now)
        .collect();
    let is_news = |piece: Result<Collateral, CollateralError>| {
        let named = piece.map(|piece| verifier::named(&piece)).unwrap_or_default();
        !named.iter().any(|(name, part)| {
            let edition = verifier::edition(part);
            places.iter().any(|(place, found)| place == name && *found >= edition)
        })
    };
    let certificates = filled(found.certificates(), given.certificates(), MAX_CERTIFICATES, |_| true);
    let crls = filled(found.crls(), given.crls(), MAX_CRLS, |der| {
        is_news(Collateral::new(Vec::new(), vec![der.clone()]))
    });
    let documents = filled(found.documents(), given.documents(), MAX_DOCUMENTS, |document| {
        is_news(Collateral::default().with_documents(vec![document.clone()]))
    });
    let all = Collateral::new(certificates, crls).and_then(|all| all.with_documents(documents));
    all.unwrap_or(found)
}

/// What was found, and what came along beside it that counts, up to so many.
fn filled<T: Clone + PartialEq>(found: &[T], given: &[T], max: usize, counts: impl Fn(&T) -> bool) -> Vec<T> {
    let more = given.iter().filter(|one| !found.contains(one) && counts(one));
    found.iter().chain(more).take(max).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::attester::Attester as _;
    use crate::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
    use crate::attester::simulated::{Launch, Platform, Processor};
    use crate::collateral::{Get, GetError, Question, Response, Vendors};

    use crate::attester::simulated::intel::{IntelModel, IntelPlatform, Td};
    use crate::verifier::Document;

    const NOW: u64 = 1_780_000_000;
    const DAY: u64 = 86_400;

    /// A vendor with one VCEK, that may be down.
    struct Vendor {
        vcek: Vec<u8>,
        up: AtomicBool,
        asked: AtomicU32,
    }

    impl Get for Arc<Vendor> {
        fn get<'a>(
            &'a self,
            question: &'a Question,
        ) -> Pin<Box<dyn Future<Output = Result<Response, GetError>> + Send + 'a>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                if !self.up.load(Ordering::SeqCst) {
                    return Err(GetError("down".to_owned()));
                }
                Ok(match (question.url.contains("/crl"), &question.etag) {
                    (true, _) => Response { status: 404, ..Response::default() },
                    (false, Some(_)) => Response { status: 304, ..Response::default() },
                    (false, None) => Response {
                        status: 200,
                        body: self.vcek.clone(),
                        etag: Some("\"1\"".to_owned()),
                        ..Response::default()
                    },
                })
            })
        }
    }

    struct Scene {
        _dir: tempfile::TempDir,
        vendor: Arc<Vendor>,
        store: Store,
        evidence: Evidence,
        vcek: Collateral,
    }

    fn scene() -> Scene {
        let platform =
            Arc::new(Platform::generate(Processor::Milan, Processor::Milan.ordinary_tcb(), NOW).unwrap());
        let attestation = platform.guest(Launch::of([1; 48])).unwrap().report(&[0; 64]).unwrap();
        let vcek = platform.certificates()[2].clone();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let vendor = Vendor { vcek: vcek.clone(), up: AtomicBool::new(true), asked: AtomicU32::new(0) };
        let evidence = Evidence::new(attestation.items()).unwrap();
        Scene {
            _dir: dir,
            vendor: Arc::new(vendor),
            store,
            evidence,
            vcek: Collateral::from_der([vcek]).unwrap(),
        }
    }

    impl Scene {
        fn collaterals(&self) -> Collaterals {
            let fetcher = Fetcher::new(Arc::new(Arc::clone(&self.vendor)), Vendors::default(), 100);
            Collaterals::new(self.store.clone(), Some(fetcher), Rules { refresh_s: DAY })
        }

        fn asked(&self) -> u32 {
            self.vendor.asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_vendor_is_asked_once_a_day_and_by_etag_then() {
        let scene = scene();
        let collaterals = scene.collaterals();
        for now in [NOW, NOW + 1, NOW + DAY - 1] {
            assert_eq!(collaterals.complete(&scene.evidence, &Collateral::default(), now).await, scene.vcek);
        }
        let first = scene.asked();
        // Another process, the same store: nothing is asked for again but what there was none of.
        assert_eq!(
            scene.collaterals().complete(&scene.evidence, &Collateral::default(), NOW + 2).await,
            scene.vcek
        );
        let wanted = verifier::wanted(&scene.evidence);
        let vcek = scene.store.entry(&wanted[1].name()).unwrap().unwrap();
        assert_eq!(vcek.as_of, NOW);
        collaterals.complete(&scene.evidence, &Collateral::default(), NOW + DAY).await;
        assert!(scene.asked() > first);
        assert_eq!(scene.store.entry(&wanted[1].name()).unwrap().unwrap().as_of, NOW + DAY);
    }

    #[tokio::test]
    async fn what_is_kept_outlives_an_outage() {
        let scene = scene();
        let collaterals = scene.collaterals();
        collaterals.complete(&scene.evidence, &Collateral::default(), NOW).await;
        scene.vendor.up.store(false, Ordering::SeqCst);
        for now in [NOW + DAY, NOW + 100 * DAY] {
            assert_eq!(collaterals.complete(&scene.evidence, &Collateral::default(), now).await, scene.vcek);
        }
    }

    #[tokio::test]
    async fn an_outage_from_the_start_gives_what_came_along() {
        let scene = scene();
        scene.vendor.up.store(false, Ordering::SeqCst);
        let empty = Collateral::default();
        assert_eq!(scene.collaterals().complete(&scene.evidence, &empty, NOW).await, empty);
        assert_eq!(Collaterals::none().complete(&scene.evidence, &empty, NOW).await, empty);
    }

    /// A list of one's own that is older holds back neither the one that is kept nor the asking for it.
    #[tokio::test]
    async fn an_older_list_that_came_along_suppresses_nothing() {
        let nitro = Arc::new(NitroPlatform::generate(NOW).unwrap());
        let list = |from| nitro.crl(0, false, from, NOW + 9 * DAY).unwrap();
        let (older, newer) = (list(NOW - DAY), list(NOW));
        let vendor = Arc::new(Lists { lists: Mutex::new(vec![newer.clone()]), asked: AtomicU32::new(0) });
        let document = nitro.enclave(EnclaveImage::of(b"image"), NOW).report(&[0; 64]).unwrap();
        let evidence = Evidence::new(document.items()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(Arc::new(Arc::clone(&vendor)), Vendors::default(), 100);
        let store = Store::open(dir.path()).unwrap();
        let collaterals = Collaterals::new(store, Some(fetcher), Rules { refresh_s: DAY });
        let given = |lists: &[&Vec<u8>]| {
            Collateral::new(vec![], lists.iter().map(|one| (*one).clone()).collect()).unwrap()
        };
        for _ in 0..2 {
            let all = collaterals.complete(&evidence, &given(&[&older]), NOW).await;
            assert_eq!(all, given(&[&older, &newer]), "the Verifier takes the newer one");
            assert_eq!(vendor.asked.load(Ordering::SeqCst), 1);
        }
        let all = collaterals.complete(&evidence, &given(&[&newer]), NOW).await;
        assert_eq!(all, given(&[&newer]));
        // As much as a snapshot takes, and all of it his: what is known here is in it, whatever is left out.
        let many: Vec<Vec<u8>> = (0..MAX_CRLS as u64).map(|age| list(NOW - DAY - age)).collect();
        let all = collaterals.complete(&evidence, &Collateral::new(vec![], many).unwrap(), NOW).await;
        assert_eq!(all, given(&[&newer]));
    }

    /// Where both are too much, what nothing as new is known of stays: a list of another authority, a newer one, a document.
    #[tokio::test]
    async fn of_too_much_only_what_is_known_as_new_is_left_out() {
        let nitro = Arc::new(NitroPlatform::generate(NOW).unwrap());
        let list = |authority, from| nitro.crl(authority, false, from, NOW + 9 * DAY).unwrap();
        let (found, newer, other) = (list(0, NOW - 60), list(0, NOW - 30), list(1, NOW - DAY));
        let older = (0..).map(|age| list(0, NOW - DAY - age));
        let lists: Vec<Vec<u8>> = [newer, other].into_iter().chain(older).take(MAX_CRLS).collect();
        let answer = Document { media_type: verifier::OCSP_RESPONSE.to_owned(), bytes: vec![0x30, 0] };
        let given = Collateral::new(scene().vcek.certificates().to_vec(), lists.clone()).unwrap();
        let given = given.with_documents(vec![answer]).unwrap();
        let both = |found: &[Vec<u8>]| {
            let want = Collateral::new(given.certificates().to_vec(), [&lists[..2], found].concat()).unwrap();
            want.with_documents(given.documents().to_vec()).unwrap()
        };
        let known = Collateral::new(vec![], vec![found.clone()]).unwrap();
        assert_eq!(together(&given, known, NOW), both(&[found]));
        // What is known is of the future: it takes no place, and there is room for seven of those that came.
        let future = Collateral::new(vec![], vec![list(0, NOW + 60)]).unwrap();
        let all = together(&given, future.clone(), NOW);
        assert!(all.crls().contains(&future.crls()[0]));
        assert_eq!((all.crls().len(), all.documents().len()), (MAX_CRLS, 1));
        // Certificates likewise: what is found is in it, and as many of the others as there is room for.
        assert_eq!(filled(&[1], &[1, 2, 3], 2, |_| true), [1, 2]);
    }

    /// A document with its signer's certificate is looked for before the certificates of chips, however many they are.
    #[tokio::test]
    async fn certificates_push_nothing_out_that_is_issued_anew() {
        let scene = scene();
        let intel = Arc::new(IntelPlatform::generate(IntelModel::default(), NOW).unwrap());
        let quote = intel.guest(Td::of([1; 48])).report(&[0; 64]).unwrap();
        let chip = scene.evidence.items().iter();
        let chip = chip.map(|item| (item.media_type().to_owned(), item.bytes().to_vec()));
        let td = quote.items().map(|(media_type, octets)| (media_type.to_owned(), octets));
        let evidence = Evidence::new(chip.chain(td)).unwrap();
        let wanted = verifier::wanted(&evidence);
        let of = |name: &str| wanted.iter().map(Wanted::name).find(|one| one.starts_with(name)).unwrap();
        let chips = (0..MAX_CERTIFICATES / 4).flat_map(|_| {
            let others = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
            [others.chain().as_slice(), &[others.signer()]]
                .concat()
                .into_iter()
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        });
        let chips = Collateral::from_der(chips).unwrap();
        assert_eq!(chips.certificates().len(), MAX_CERTIFICATES);
        scene.store.put(&of("amd/milan/vcek/"), &chips, NOW, "chips", None).unwrap();
        let document = Document { media_type: verifier::TCB_INFO_TYPE.to_owned(), bytes: b"{}".to_vec() };
        let signed = Collateral::from_der([intel.signer().to_vec()]).unwrap();
        let signed = signed.with_documents(vec![document.clone()]).unwrap();
        scene.store.put(&of("intel/tdx/tcb/"), &signed, NOW, "levels", None).unwrap();
        let collaterals = Collaterals::new(scene.store.clone(), None, Rules { refresh_s: DAY });
        let all = collaterals.complete(&evidence, &Collateral::default(), NOW).await;
        assert_eq!(all.documents(), [document]);
    }

    #[tokio::test]
    async fn what_came_along_is_not_asked_for() {
        let scene = scene();
        let completed = scene.collaterals().complete(&scene.evidence, &scene.vcek, NOW).await;
        assert_eq!(completed, scene.vcek);
        assert_eq!(scene.asked(), 1, "the CRL alone");
    }

    /// A vendor of revocation lists, each one the next of them.
    struct Lists {
        lists: Mutex<Vec<Vec<u8>>>,
        asked: AtomicU32,
    }

    impl Get for Arc<Lists> {
        fn get<'a>(
            &'a self,
            question: &'a Question,
        ) -> Pin<Box<dyn Future<Output = Result<Response, GetError>> + Send + 'a>> {
            // One list: the region's is not published here.
            let body = question.url.contains("0001.crl").then(|| self.lists.lock().unwrap().remove(0));
            self.asked.fetch_add(u32::from(body.is_some()), Ordering::SeqCst);
            let status = if body.is_some() { 200 } else { 404 };
            Box::pin(
                async move { Ok(Response { status, body: body.unwrap_or_default(), ..Response::default() }) },
            )
        }
    }

    #[tokio::test]
    async fn a_list_that_has_ended_is_asked_for_before_the_day_is_over() {
        let nitro = Arc::new(NitroPlatform::generate(NOW).unwrap());
        let list = |from, until| nitro.crl(0, false, from, until).unwrap();
        // The second is published late, and the vendor still has the first for a while.
        let first = list(NOW, NOW + 1000);
        let lists = vec![first.clone(), first.clone(), list(NOW + 1000, NOW + 9000)];
        let vendor = Arc::new(Lists { lists: Mutex::new(lists), asked: AtomicU32::new(0) });
        let document = nitro.enclave(EnclaveImage::of(b"image"), NOW).report(&[0; 64]).unwrap();
        let evidence = Evidence::new(document.items()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(Arc::new(Arc::clone(&vendor)), Vendors::default(), 100);
        let store = Store::open(dir.path()).unwrap();
        let collaterals = Collaterals::new(store.clone(), Some(fetcher), Rules { refresh_s: DAY });
        for (now, asked) in [(0, 1), (1000, 1), (1001, 2), (1300, 2), (1301, 3), (8999, 3)] {
            let all = collaterals.complete(&evidence, &Collateral::default(), NOW + now).await;
            assert_eq!((all.crls().len(), vendor.asked.load(Ordering::SeqCst)), (1, asked), "{now}");
        }
        // What is imported is under the authority's name, and counts where it is newer.
        let wanted = verifier::wanted(&evidence).remove(0);
        let imported = Collateral::new(vec![], vec![list(NOW + 8000, NOW + 20_000)]).unwrap();
        store.put(&wanted.of().unwrap(), &imported, NOW + 8999, "carried.crl", None).unwrap();
        let entry = store.entry_of(&wanted).unwrap().unwrap();
        assert_eq!((entry.source.as_str(), store.snapshot(&entry).unwrap()), ("carried.crl", imported));
        store.put(&wanted.of().unwrap(), &Collateral::default(), NOW, "older.crl", None).unwrap();
        assert!(store.entry_of(&wanted).unwrap().unwrap().source.starts_with("https://"));
    }
}
