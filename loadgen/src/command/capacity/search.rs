//! Which load is tried next, from what came of those before. Sans-io: points come in, steps come
//! out. A rate fails when two slices of it do, because one may be bad luck; the number of steps is
//! bounded whatever the points say.
//!
//! ```text
//!                      no limit is asked for
//! Maximum ──▶ Curve ─────────────────────────────▶ over
//!               └──▶ Bracket ──▶ Confirm ──all kept──▶ over
//!                       │           │ ▲
//!                       │           └─┘ one did not: again, at a lower rate
//!                       └── no rate keeps it ──────▶ over
//! ```
//!
//! ```
//! use loadgen::command::capacity::{Load, Search, Settings};
//! let mut search = Search::new(Settings { closed_slices: 1, ..Settings::new(None) });
//! assert_eq!(search.next_step().unwrap().load, Load::Closed);
//! use metrics_export::run::LoadPoint;
//! search.take(LoadPoint { achieved_milli_per_s: 10_000_000, ..LoadPoint::default() });
//! // The curve begins at a tenth of the maximum.
//! assert_eq!(search.next_step().unwrap().load, Load::Open(1_000.0));
//! ```

use metrics_export::run::{Capacity, LoadPoint, SloResult};

use super::confidence::share_min;
use super::{ERROR_SHARE, Settings};

/// Rates that confirmation is tried at, each lower than the one before.
const ATTEMPTS_MAX: u32 = 5;

/// Rates beyond the closed-loop maximum that are tried when the limit was kept up to it.
const BEYOND: [f64; 2] = [1.0, 1.1];

/// Below this share of the maximum no rate is searched for.
const SHARE_MIN: f64 = 0.005;

/// Halvings of a bracket: more than any resolution that can be asked for needs.
const HALVINGS_MAX: u32 = 20;

/// How a slice is loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Every connection asks again at once.
    Closed,
    /// So many requests per second, whatever becomes of them.
    Open(f64),
}

/// Why a slice is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find the maximum.
    Maximum,
    /// For the curve of times against load.
    Curve,
    /// To find the highest rate that keeps the limit.
    Bracket,
    /// To be sure of it: which slice this is, of how many.
    Confirm(u64, u64),
}

/// The next slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchStep {
    /// How it is loaded.
    pub load: Load,
    /// Why it is taken.
    pub purpose: Purpose,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    settings: Settings,
    phase: SearchPhase,
    maximum: f64,
    closed: Vec<LoadPoint>,
    curve: Vec<LoadPoint>,
    /// The first slice of a rate that is measured again.
    first: Option<LoadPoint>,
    /// Lowest rate that failed, and highest one below it that did not.
    failed: Option<f64>,
    kept: f64,
    halvings: u32,
    attempts: u32,
    confirmations: Vec<LoadPoint>,
    /// A failed confirmation slice was disturbed and is taken again.
    again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SearchPhase {
    Maximum,
    /// At this place of the shares.
    Curve(usize),
    /// At this rate.
    Bracket(f64),
    Confirm(f64),
    Over,
}

impl Search {
    /// A search that has not begun.
    pub fn new(settings: Settings) -> Search {
        let mut search = Search {
            phase: SearchPhase::Maximum,
            maximum: 0.0,
            closed: Vec::new(),
            curve: Vec::new(),
            first: None,
            failed: None,
            kept: 0.0,
            halvings: 0,
            attempts: 0,
            confirmations: Vec::new(),
            again: false,
            settings,
        };
        if let Some(maximum) = search.settings.maximum_per_s {
            search.maximum = maximum;
            search.begin_curve();
        }
        search
    }

    /// The slice to be taken now; None when the answer is known.
    pub fn next_step(&self) -> Option<SearchStep> {
        let confirm =
            || Purpose::Confirm(self.confirmations.len() as u64 + 1, self.settings.confirm.max(1));
        let (load, purpose) = match self.phase {
            SearchPhase::Maximum => (Load::Closed, Purpose::Maximum),
            SearchPhase::Curve(at) => (Load::Open(self.share(at)), Purpose::Curve),
            SearchPhase::Bracket(rate) => (Load::Open(rate), Purpose::Bracket),
            SearchPhase::Confirm(rate) => (Load::Open(rate), confirm()),
            SearchPhase::Over => return None,
        };
        Some(SearchStep { load, purpose })
    }

    /// Takes in what came of the slice that [`Search::next_step`] asked for.
    pub fn take(&mut self, mut point: LoadPoint) {
        if let (Some(slo), false) = (self.settings.slo, self.phase == SearchPhase::Maximum) {
            let time_ns = u128::from(slo.quantile.of(&point.response));
            let within = point.response.count > 0 && time_ns <= slo.limit.as_nanos();
            point.kept = Some(within && point.breaches.is_empty());
        }
        if let SearchPhase::Confirm(rate) = self.phase {
            return self.confirmed(rate, point);
        }
        let Some(point) = self.settled(point) else { return };
        match self.phase {
            SearchPhase::Maximum => self.maximum_taken(point),
            SearchPhase::Curve(at) => self.curve_taken(at, point),
            SearchPhase::Bracket(rate) => self.bracket_taken(rate, point),
            SearchPhase::Confirm(_) | SearchPhase::Over => {}
        }
    }

    /// What there is. It is complete when no step was left.
    pub fn finish(mut self) -> Capacity {
        let complete = self.phase == SearchPhase::Over;
        self.curve.sort_by_key(|point| point.asked_milli_per_s);
        let slo = self.slo_result(complete);
        self.closed.append(&mut self.curve);
        Capacity { closed_loop_milli_per_s: milli(self.maximum), complete, slo, curve: self.closed }
    }

    /// The point that stands for its rate; None while that is to be measured again, once, because
    /// it failed or was disturbed.
    fn settled(&mut self, point: LoadPoint) -> Option<LoadPoint> {
        match self.first.take() {
            None if point.kept == Some(false) || !point.disturbances.is_empty() => {
                self.first = Some(point);
                None
            }
            Some(first) if first.disturbances.is_empty() && !point.disturbances.is_empty() => {
                Some(first)
            }
            _ => Some(point),
        }
    }

    fn maximum_taken(&mut self, point: LoadPoint) {
        self.closed.push(point);
        if self.closed.len() < self.settings.closed_slices.max(1) {
            return;
        }
        let mut rates: Vec<u64> =
            self.closed.iter().map(|point| point.achieved_milli_per_s).collect();
        rates.sort_unstable();
        self.maximum = rates[rates.len() / 2] as f64 / 1e3;
        self.begin_curve();
    }

    fn begin_curve(&mut self) {
        let nothing = self.maximum <= 0.0;
        self.phase = match self.settings.shares.is_empty() {
            _ if nothing => SearchPhase::Over,
            true => self.bracket(),
            false => SearchPhase::Curve(0),
        };
    }

    fn curve_taken(&mut self, at: usize, point: LoadPoint) {
        let keeps_up = point.breaches.is_empty();
        self.note(self.share(at), &point);
        self.curve.push(point);
        // Beyond a rate that the target cannot keep up with there is nothing to be seen.
        let more = keeps_up && at + 1 < self.settings.shares.len();
        self.phase = if more { SearchPhase::Curve(at + 1) } else { self.bracket() };
    }

    fn bracket_taken(&mut self, rate: f64, point: LoadPoint) {
        self.note(rate, &point);
        self.curve.push(point);
        self.halvings += 1;
        self.phase = self.bracket();
    }

    /// Notes whether a rate kept the limit. Below one that failed only lower ones count.
    fn note(&mut self, rate: f64, point: &LoadPoint) {
        match point.kept {
            Some(true) if self.failed.is_none_or(|failed| rate < failed) => {
                self.kept = self.kept.max(rate);
            }
            Some(false) => {
                let failed = self.failed.map_or(rate, |failed| failed.min(rate));
                self.failed = Some(failed);
                self.kept = self.highest_kept_below(failed);
            }
            _ => {}
        }
    }

    fn highest_kept_below(&self, rate: f64) -> f64 {
        let kept = self.curve.iter().filter(|point| point.kept == Some(true));
        let rates =
            kept.filter_map(|point| point.asked_milli_per_s).map(|milli| milli as f64 / 1e3);
        rates.filter(|kept| *kept < rate).fold(0.0, f64::max)
    }

    /// The next rate of the search, or what follows it.
    fn bracket(&self) -> SearchPhase {
        if self.settings.slo.is_none() {
            return SearchPhase::Over;
        }
        let Some(failed) = self.failed else {
            let beyond = BEYOND.into_iter().map(|share| rounded(share * self.maximum));
            return match beyond.into_iter().find(|rate| *rate > self.kept) {
                Some(rate) => SearchPhase::Bracket(rate),
                None => self.confirm(),
            };
        };
        let close = failed - self.kept <= self.settings.resolution * failed;
        if close || self.halvings >= HALVINGS_MAX {
            return self.confirm();
        }
        let middle = rounded((failed + self.kept) / 2.0);
        match middle {
            _ if self.kept == 0.0 && middle < SHARE_MIN * self.maximum => SearchPhase::Over,
            _ if middle <= self.kept || middle >= failed => self.confirm(),
            _ => SearchPhase::Bracket(middle),
        }
    }

    fn confirm(&self) -> SearchPhase {
        if self.kept > 0.0 { SearchPhase::Confirm(self.kept) } else { SearchPhase::Over }
    }

    fn confirmed(&mut self, rate: f64, point: LoadPoint) {
        if self.confirmations.is_empty() {
            self.attempts += u32::from(!self.again);
        }
        let kept = point.kept == Some(true);
        // What disturbed is not the target's failure: that slice is taken again, once.
        if !kept && !point.disturbances.is_empty() && !self.again {
            self.again = true;
            return;
        }
        self.again = false;
        self.confirmations.push(point);
        if kept {
            if self.confirmations.len() as u64 >= self.settings.confirm.max(1) {
                self.phase = SearchPhase::Over;
            }
            return;
        }
        self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        self.kept = 0.0;
        if self.attempts >= ATTEMPTS_MAX {
            self.phase = SearchPhase::Over;
            return;
        }
        // Each failure takes twice the step of the one before.
        let step = self.settings.resolution * f64::from(1 << (self.attempts - 1));
        let lower = rounded(rate * (1.0 - step.min(0.5)));
        self.kept = lower;
        self.phase = if lower > 0.0 { SearchPhase::Confirm(lower) } else { SearchPhase::Over };
        if self.phase != SearchPhase::Over {
            self.confirmations.clear();
        }
    }

    fn slo_result(&mut self, complete: bool) -> Option<SloResult> {
        let slo = self.settings.slo?;
        let confirmations = std::mem::take(&mut self.confirmations);
        let tried = confirmations.len() as u64;
        let kept = confirmations.iter().filter(|point| point.kept == Some(true)).count() as u64;
        let found = complete && self.kept > 0.0 && kept == tried && tried > 0;
        // Attempts at several rates are several chances to be wrong: each gets half of what is
        // left of the allowed error.
        let error = ERROR_SHARE * 0.5_f64.powi(self.attempts.max(1) as i32);
        Some(SloResult {
            quantile: slo.quantile,
            limit_ns: slo.limit.as_nanos() as u64,
            rate_milli_per_s: found.then(|| milli(self.kept)),
            confirmation_slices: tried,
            kept_slices: kept,
            slice_ns: self.settings.slice.as_nanos() as u64,
            attempts: self.attempts,
            confidence_milli: ((1.0 - ERROR_SHARE) * 1e3).round() as u32,
            kept_share_min_milli: (share_min(kept, tried, error) * 1e3).floor() as u32,
            next_failed_milli_per_s: self.failed.map(milli),
            confirmations,
        })
    }

    fn share(&self, at: usize) -> f64 {
        rounded(self.settings.shares.get(at).copied().unwrap_or(1.0) * self.maximum)
    }
}

/// Whole requests per second where a thousandth of the rate is more than that.
fn rounded(rate: f64) -> f64 {
    if rate >= 1e3 { rate.round() } else { (rate * 1e3).round() / 1e3 }
}

fn milli(rate: f64) -> u64 {
    (rate * 1e3).round() as u64
}

#[cfg(test)]
mod tests;
