//! What a row says only beside another: whether cost and memory grow with the log, what the disk holds, whether every
//! answer was provable at once.

use serde_json::{Map, Value, json};

use super::aims::{Aim, at_least, at_most, number};
use super::growth::{SMALL, SMALL_ENTRIES, large_name};
use super::rows::{ONE, ONE_OF_THREE, SCRAPI};

/// A figure made of those of rows.
pub(super) struct Comparison {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) aim: Aim,
    /// The figures that it is made of, where it is a ratio.
    pub(super) of: String,
}

impl Comparison {
    pub(super) fn json(&self) -> Value {
        json!({ "name": self.name, "of": self.of, "aim": self.aim.json(self.value) })
    }
}

/// All of them, from the figures of the rows by their names.
pub(super) fn comparisons(figures: &Map<String, Value>, large: u64) -> Vec<Comparison> {
    let of = |row: &str, name: &str| figures.get(row).map_or(f64::NAN, |figures| number(figures, name));
    let large_row = large_name(large);
    let mib = |row: &str, name: &str| of(row, name) / f64::from(1 << 20);
    let ratio = |name: String, (upper, lower): (f64, f64), unit: &str, aim: Aim| Comparison {
        name,
        value: upper / lower,
        aim,
        of: format!("{upper:.2} / {lower:.2} {unit}"),
    };
    let plain = |name: String, value: f64, aim: Aim| Comparison { name, value, aim, of: String::new() };
    let pair = |name: &str| format!("{name}, log of {large} / of {SMALL_ENTRIES}");
    vec![
        ratio(
            pair("append rate"),
            (of(&large_row, "throughput_per_s"), of(SMALL, "throughput_per_s")),
            "1/s",
            at_least("ratio", 0.9),
        ),
        ratio(
            pair("memory at the end"),
            (mib(&large_row, "rss_end_bytes"), mib(SMALL, "rss_end_bytes")),
            "MiB",
            at_most("ratio", 1.1),
        ),
        ratio(
            pair("memory at most"),
            (mib(&large_row, "rss_peak_bytes"), mib(SMALL, "rss_peak_bytes")),
            "MiB",
            at_most("ratio", 1.1),
        ),
        plain(
            format!("opening the log of {large}, in a new process, ms"),
            of(&large_row, "open_ms"),
            at_most("open_ms", 1000.0),
        ),
        plain(
            "disk over the entry: tree and bundles, octets".to_owned(),
            of(&large_row, "disk_bytes_per_entry.tree"),
            at_most("disk_bytes_per_entry.tree", 40.0),
        ),
        plain(
            "disk over the entry: with every index, octets".to_owned(),
            of(&large_row, "disk_bytes_per_entry.all"),
            at_most("disk_bytes_per_entry.all", 130.0),
        ),
        ratio(
            "three in one append wait once: p50 / of one".to_owned(),
            (of(ONE_OF_THREE, "p50_ms"), of(ONE, "p50_ms")),
            "ms",
            at_most("ratio", 1.5),
        ),
        ratio(
            "SCRAPI answers provable at once, of those checked".to_owned(),
            (of(SCRAPI, "answers.passed"), of(SCRAPI, "answers.checked")),
            "answers",
            at_least("ratio", 1.0),
        ),
        plain(
            "SCRAPI answers refused (503, 429)".to_owned(),
            of(SCRAPI, "answers.refused"),
            at_most("answers.refused", 0.0),
        ),
        plain("SCRAPI errors".to_owned(), of(SCRAPI, "answers.errors"), at_most("answers.errors", 0.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_large_log_over_the_small_one() {
        let run = |rate: u64, end: u64| json!({ "throughput_per_s": rate, "rss_end_bytes": end << 20 });
        let figures = [(SMALL.to_owned(), run(100, 50)), (large_name(1_000_000), run(91, 60))];
        let all = comparisons(&figures.into_iter().collect(), 1_000_000);
        let [rate, memory, peak, ..] = all.as_slice() else { panic!("{}", all.len()) };
        assert_eq!((rate.value, rate.aim.bound.holds(rate.value)), (0.91, true));
        assert_eq!((memory.value, memory.aim.bound.holds(memory.value)), (1.2, false));
        assert!(!peak.aim.bound.holds(peak.value), "what was not measured does not hold");
    }
}
