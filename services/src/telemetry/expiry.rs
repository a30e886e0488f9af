//! When what this service trusts, shows or refuses by comes to its end, for alarms before it does.
//!
//! It owns the names of these figures. It reads no file: what stands here was read at the start.

use std::time::Duration;

use authn::expiry::{next_update, not_after};
use metrics_export::prometheus::Page;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

/// The ends of certificates and revocation lists.
#[derive(Debug, Default)]
pub struct Expiry {
    /// The first end among the certificates of a use.
    certificates: Vec<(&'static str, UnixTime)>,
    /// The first end of a revocation list.
    lists: Option<UnixTime>,
}

impl Expiry {
    /// Notes the certificates of a use, such as `server`.
    pub fn note_certificates(&mut self, used_as: &'static str, all: &[CertificateDer<'_>]) {
        let first = all.iter().filter_map(not_after).min_by_key(UnixTime::as_secs);
        self.certificates.extend(first.map(|end| (used_as, end)));
    }

    /// Notes the revocation lists.
    pub fn note_lists(&mut self, all: &[CertificateRevocationListDer<'_>]) {
        self.lists = all.iter().filter_map(next_update).min_by_key(UnixTime::as_secs);
    }

    /// Adds the ends that are known, and how old the verification keys are.
    pub fn add(&self, keys_age: Option<Duration>, page: &mut Page) {
        if !self.certificates.is_empty() {
            let mut family = page.gauge(
                "tollgate_certificate_not_after_seconds",
                "End of the first certificate of a use to end, since the Unix epoch.",
            );
            for (used_as, end) in &self.certificates {
                family.value(&[("use", *used_as)], end.as_secs());
            }
        }
        if let Some(end) = self.lists {
            page.gauge(
                "tollgate_crl_not_after_seconds",
                "When the next revocation list is due and this one ends, since the Unix epoch.",
            )
            .value(&[], end.as_secs());
        }
        if let Some(age) = keys_age {
            page.gauge(
                "tollgate_keys_age_seconds",
                "Time since the verification keys were fetched, changed or not.",
            )
            .value(&[], age.as_secs_f64());
        }
    }
}
