//! Pages that are right, and pages that are each wrong in one way.

use super::*;
use crate::plan::Axes;
use crate::traffic::record::TlsProof;

struct Case {
    version: &'static str,
    handshake: &'static str,
    certificate: &'static str,
    cache: &'static str,
    decision: &'static str,
    count: u64,
}

fn page(case: &Case, times: u64) -> Scrape {
    let Case { version, handshake, certificate, cache, decision, count } = case;
    let count = count * times;
    let tokens = if cache.is_empty() { 0 } else { count };
    let of = |kind: &str| if *cache == kind { tokens } else { 0 };
    let (hit, miss, off) = (of("hit"), of("miss"), of("off"));
    let text = format!(
        "{CONNECTIONS}{{tls_version=\"{version}\",handshake=\"{handshake}\",\
         client_certificate=\"{certificate}\"}} 64\n\
         {TOKENS}{{result=\"ok\",cache=\"hit\"}} {hit}\n\
         {TOKENS}{{result=\"ok\",cache=\"miss\"}} {miss}\n\
         {TOKENS}{{result=\"ok\",cache=\"off\"}} {off}\n\
         {DECISIONS}{{decision=\"{decision}\"}} {count}\n\
         {REQUESTS}{{http_route=\"/api/orders\"}} {count}\n"
    );
    Scrape::parse(&text).unwrap()
}

fn failures(variant: &Variant, case: &Case) -> Vec<&'static str> {
    let mut record = SliceRecord::empty();
    (record.requests_asked, record.requests_sent, record.requests_answered) = (100, 100, 100);
    if !variant.subject.is_plain() {
        record.tls.push(TlsProof {
            version: TLS_VERSION,
            suite: "TLS13_AES_128_GCM_SHA256",
            group: "X25519",
            resumed: false,
            extended_master_secret: true,
            connections: 64,
        });
    }
    let pages =
        vec![Pages { service: "gateway".into(), before: page(case, 1), after: page(case, 2) }];
    let cell = Axes::default().cells(&[]).unwrap().remove(0);
    let path = &["gateway"];
    let sent = Sent { variant, cell: &cell, kind: SliceKind::Open, record: &record, path };
    let proofs = proofs(&sent, &pages).into_iter();
    proofs.filter(|check| !check.holds).map(|check| check.claim).collect()
}

fn variant(profile: &str, place: usize) -> Variant {
    let cell = Axes::default().cells(&[]).unwrap().remove(0);
    Variant::of(Profile::parse(profile).unwrap(), 0, &cell).swap_remove(place)
}

const GOOD: Case = Case {
    version: TLS_VERSION,
    handshake: "full",
    certificate: "named",
    cache: "hit",
    decision: "enforced",
    count: 100,
};

#[test]
fn slices_that_match_their_label_pass_every_proof() {
    let none = failures(&variant("S5", 1), &GOOD);
    assert_eq!(none, [""; 0]);
    assert_eq!(failures(&variant("S5", 0), &Case { cache: "off", ..GOOD }), [""; 0]);
    let plain = Case {
        version: "none",
        handshake: "none",
        certificate: "none",
        cache: "",
        decision: "open",
        count: 100,
    };
    assert_eq!(failures(&variant("S0", 0), &plain), [""; 0]);
}

/// Each way of not being what the label says fails its own claim.
#[test]
fn every_kind_of_impostor_is_found() {
    let repeat = variant("S5", 1);
    let transport = "every service's connections are the profile's";
    let cached = "every token was verified before and found in the cache";
    let enforced = "token, scope and caller were checked";
    for (case, claims) in [
        (Case { version: "TLSv1.2", ..GOOD }, vec![transport]),
        (Case { handshake: "resumed", ..GOOD }, vec![transport]),
        (Case { certificate: "none", ..GOOD }, vec![transport]),
        (Case { cache: "miss", ..GOOD }, vec![cached]),
        (Case { cache: "off", ..GOOD }, vec![cached]),
        (Case { cache: "", ..GOOD }, vec![cached]),
        (Case { decision: "token_verified", ..GOOD }, vec![enforced]),
        (
            Case { count: 60, ..GOOD },
            vec!["as many requests arrived as were sent", cached, enforced],
        ),
    ] {
        assert_eq!(failures(&repeat, &case), claims);
    }
    let first = variant("S5", 0);
    let verified = "every token was verified, none from a cache";
    assert_eq!(failures(&first, &GOOD), [verified]);
}

#[test]
fn a_page_without_counters_fails_every_proof() {
    let record = SliceRecord::empty();
    let variant = variant("S0", 0);
    let empty =
        Pages { service: "gateway".into(), before: Scrape::default(), after: Scrape::default() };
    let cell = Axes::default().cells(&[]).unwrap().remove(0);
    let (kind, path) = (SliceKind::Open, &["gateway"]);
    let sent = Sent { variant: &variant, cell: &cell, kind, record: &record, path };
    let failed = proofs(&sent, &[empty]).iter().filter(|check| !check.holds).count();
    assert_eq!(failed, 4);
}
