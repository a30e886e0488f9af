//! The published schema of the record, `docs/run.schema.json`, held against records: it must name
//! every member and nothing else. Readers ignore members that they do not know, so that the schema
//! allows others; here they are faults, or no one would notice a member without a description.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{broken, full};
use crate::run::{Build, Run};

const SCHEMA: &str = include_str!("../../../docs/run.schema.json");

/// A record of a real run of this version, as the end-to-end tests have it.
const REAL: &str = include_str!("../../../tests/data/run-v3/run.json");

/// Members that a record has where there is something to say.
#[rustfmt::skip]
const OPTIONAL: [(&str, &str); 16] = [
    ("Bounds", "idle_cpu_share_max"), ("VariantResult", "idle_cpu_ns_per_s"),
    ("VariantResult", "undisturbed_cpu_ns_per_request"), ("Cost", "undisturbed_ns"),
    ("Run", "interleaving"), ("Run", "service_times"),
    ("Plan", "builds"),
    ("Slice", "blocks"), ("Cell", "block_ns"),
    ("Slice", "in_flight_first_milli"), ("Slice", "sent_in_window"), ("Slice", "queue_high_water"),
    ("Breach", "cause"), ("Breach", "measured"), ("Breach", "limit"), ("Breach", "detail"),
];

/// The schema, with a change of each object that has properties: the record and its parts.
fn changed(mut change: impl FnMut(&str, &mut Map<String, Value>)) -> Value {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (name, part) in schema["$defs"].as_object_mut().unwrap() {
        if part.get("properties").is_some() {
            change(name, part.as_object_mut().unwrap());
        }
    }
    change("Run", schema.as_object_mut().unwrap());
    schema
}

fn strict() -> Value {
    changed(|_, part| _ = part.insert("additionalProperties".into(), json!(false)))
}

/// A run that has every member.
fn full_run() -> Run {
    let mut run = broken(full());
    run.plan.builds =
        vec![Build { name: "old".into(), version: "0.1.0".into(), commit: Some("0123456".into()) }];
    run
}

fn full_record() -> Value {
    serde_json::to_value(full_run()).unwrap()
}

/// What does not fit, each with its place.
fn faults(schema: &Value, record: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let found = validator.iter_errors(record);
    found.map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[test]
fn records_fit_the_schema() {
    let strict = strict();
    for record in [full_record(), serde_json::from_str(REAL).unwrap()] {
        assert_eq!(faults(&strict, &record), [""; 0]);
    }
}

#[test]
fn the_schema_names_no_member_that_a_record_has_not() {
    let mut members = Vec::new();
    changed(|name, part| {
        let properties = part["properties"].as_object().unwrap();
        members.extend(properties.keys().map(|key| (name.to_owned(), key.clone())));
    });
    let (record, schema) = (full_record(), strict());
    for (name, key) in members {
        let mut without = schema.clone();
        let part = if name == "Run" { &mut without } else { &mut without["$defs"][&name] };
        part["properties"].as_object_mut().unwrap().remove(&key);
        part["required"].as_array_mut().unwrap().retain(|required| *required != key);
        let validator = jsonschema::validator_for(&without).unwrap();
        assert!(!validator.is_valid(&record), "{name}.{key} is in no record");
    }
}

#[test]
fn every_member_is_required_described_and_has_a_unit() {
    changed(|name, part| {
        assert!(!part.contains_key("additionalProperties"), "{name} refuses later members");
        let properties = part["properties"].as_object().unwrap();
        let required = part["required"].as_array().unwrap();
        let required: BTreeSet<&str> = required.iter().map(|key| key.as_str().unwrap()).collect();
        let always = properties.keys().map(String::as_str);
        let always = always.filter(|key| !OPTIONAL.contains(&(name, *key)));
        assert_eq!(required, always.collect(), "{name}");
        for (key, property) in properties {
            let described = property["description"].as_str().is_some_and(|text| text.len() > 3);
            assert!(described, "{key} has no description");
            let whole = property["type"].to_string().contains("integer");
            let unit = ["_ns", "_bytes", "_milli", "_milli_per_s"];
            if unit.iter().any(|unit| key.ends_with(unit)) {
                assert!(whole, "{key} is not whole");
            }
        }
    });
}

#[test]
fn a_record_that_does_not_fit_is_noticed() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        (": Additional properties are not allowed ('extra'", |run| run["extra"] = json!(1)),
        ("/elapsed_ns: 1.5 is not of type", |run| run["elapsed_ns"] = json!(1.5)),
        ("/elapsed_ns: -1 is less than", |run| run["elapsed_ns"] = json!(-1)),
        ("/slices/0/kind: \"other\" is not one of", |run| {
            run["slices"][0]["kind"] = json!("other")
        }),
        ("/schema_version: 3 was expected", |run| run["schema_version"] = json!(4)),
        ("/plan: \"seed\" is a required", |run| {
            run["plan"].as_object_mut().unwrap().remove("seed");
        }),
    ];
    let strict = strict();
    for (expected, change) in cases {
        let mut record = full_record();
        change(&mut record);
        let found = faults(&strict, &record);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn members_of_later_builds_are_allowed_and_ignored() {
    let mut record = full_record();
    record["extra"] = json!(1);
    record["plan"]["extra"] = json!({"a": [null]});
    let published: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(faults(&published, &record), [""; 0]);
    assert_eq!(Run::from_json(&record.to_string()).unwrap(), full_run());
}
