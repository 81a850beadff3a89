//! What was aimed at, beside what was measured. A fact to print, never an exit status: figures belong to their machine.

use serde_json::{Value, json};

/// A figure of a row, and what was aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Aim {
    /// Its name in the JSON; a dot leads into an object.
    pub(super) figure: &'static str,
    pub(super) bound: Bound,
}

/// On which side of a number a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// At least so much of a figure.
pub(super) const fn at_least(figure: &'static str, bound: f64) -> Aim {
    Aim { figure, bound: Bound::AtLeast(bound) }
}

/// At most so much of a figure.
pub(super) const fn at_most(figure: &'static str, bound: f64) -> Aim {
    Aim { figure, bound: Bound::AtMost(bound) }
}

impl Bound {
    /// A figure that was not measured holds nothing.
    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

impl Aim {
    /// For the column of aims: `p50 <= 2`.
    pub(super) fn text(&self) -> String {
        let name = match self.figure {
            "throughput_per_s" => "1/s",
            "server_cpu_us_each" => "server us",
            other => other.trim_end_matches("_ms"),
        };
        format!("{name} {}", self.bound.text())
    }

    /// The aim beside its figure.
    pub(super) fn json(&self, value: f64) -> Value {
        let (side, bound) = match self.bound {
            Bound::AtLeast(bound) => ("at_least", bound),
            Bound::AtMost(bound) => ("at_most", bound),
        };
        json!({ "figure": self.figure, "value": value, side: bound, "holds": self.bound.holds(value) })
    }
}

/// A figure by its name; not a number where there is none.
pub(super) fn number(figures: &Value, name: &str) -> f64 {
    let found = name.split('.').try_fold(figures, |value, part| value.get(part));
    found.and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The last column: what all of these come to.
pub(super) fn verdict(aims: &[Aim], figures: &Value) -> String {
    let missed: Vec<_> = aims
        .iter()
        .filter(|aim| !aim.bound.holds(number(figures, aim.figure)))
        .map(|aim| aim.text().split(' ').next().unwrap_or_default().to_owned())
        .collect();
    match (aims.is_empty(), missed.is_empty()) {
        (true, _) => String::new(),
        (false, true) => "holds".to_owned(),
        (false, false) => format!("misses {}", missed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_holds_on_its_side_of_the_bound_and_never_without_a_figure() {
        let figures = json!({ "p50_ms": 2.0, "answers": { "passed": 7 } });
        for (aim, holds) in [
            (at_most("p50_ms", 2.0), true),
            (at_most("p50_ms", 1.9), false),
            (at_least("p50_ms", 2.0), true),
            (at_least("p50_ms", 2.1), false),
            (at_least("answers.passed", 7.0), true),
            (at_least("answers.failed", 0.0), false),
            (at_most("nothing", 1e9), false),
        ] {
            assert_eq!(aim.bound.holds(number(&figures, aim.figure)), holds, "{aim:?}");
        }
    }

    #[test]
    fn a_verdict_names_what_misses() {
        let figures = json!({ "p50_ms": 1.0, "p99_ms": 9.0, "throughput_per_s": 3.0 });
        let aims = [at_most("p50_ms", 2.0), at_most("p99_ms", 8.0), at_least("throughput_per_s", 4.0)];
        assert_eq!(verdict(&aims, &figures), "misses p99, 1/s");
        assert_eq!(verdict(&aims[..1], &figures), "holds");
        assert_eq!(verdict(&[], &figures), "");
    }
}
