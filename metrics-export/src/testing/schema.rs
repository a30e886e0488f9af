//! The published schema of the record, `docs/run.schema.json`, held against records: it must name
//! every key and nothing else. The validator knows the words that the schema uses and refuses
//! others, so that no rule of it is passed over.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{broken, full};

const SCHEMA: &str = include_str!("../../../docs/run.schema.json");

/// A record of a real run, as the end-to-end tests have it.
const REAL: &str = include_str!("../../../tests/data/run/run.json");

/// Members that version 3 has grown by, as their object and name: records of earlier builds have
/// none of them.
#[rustfmt::skip]
const ADDED: [(&str, &str); 9] = [
    ("Slice", "in_flight_first_milli"), ("Slice", "sent_in_window"), ("Slice", "queue_high_water"),
    ("Breach", "variant"), ("Breach", "scope"), ("Breach", "cause"), ("Breach", "measured"),
    ("Breach", "limit"), ("Breach", "detail"),
];

/// How the description of a member begins that is read and no longer written.
const EARLIER: &str = "Earlier builds";

/// Words of a schema that say something to people only.
const WORDS_FOR_PEOPLE: [&str; 4] = ["$schema", "$defs", "title", "description"];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn full_record() -> Value {
    serde_json::to_value(broken(full())).unwrap()
}

/// What was found while a value was held against the schema.
#[derive(Default)]
struct SchemaFaults {
    /// What does not fit, each with its place.
    faults: Vec<String>,
    /// The properties that occurred, as descriptions, which differ enough to name them.
    seen: BTreeSet<String>,
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut SchemaFaults) {
    let mut fault = |what: String| found.faults.push(format!("{place}: {what}"));
    let rules = schema.as_object().unwrap();
    for (word, rule) in rules {
        match word.as_str() {
            "type" if !type_fits(rule, value) => fault(format!("is not {rule}")),
            "const" if rule != value => fault(format!("is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => fault("is unknown".into()),
            "minimum" if value.as_f64() < rule.as_f64() && !value.is_null() => {
                fault(format!("is below {rule}"));
            }
            "type" | "const" | "enum" | "minimum" => {}
            "required" | "properties" | "additionalProperties" | "items" | "$ref" | "anyOf" => {}
            word if WORDS_FOR_PEOPLE.contains(&word) => {}
            word => fault(format!("the schema says {word:?}, which this test does not know")),
        }
    }
    for key in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
        if value.get(key.as_str().unwrap()).is_none() {
            fault(format!("has no {key}"));
        }
    }
    if let Some(reference) = rules.get("$ref") {
        let name = reference.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
        check(root, &root["$defs"][name], value, place, found);
    }
    if let Some(choices) = rules.get("anyOf").and_then(Value::as_array) {
        check_any(root, choices, value, place, found);
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &rules["items"], item, &format!("{place}[{at}]"), found);
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        check_key(root, rules, (key, item), place, found);
    }
}

fn check_any(
    root: &Value,
    choices: &[Value],
    value: &Value,
    place: &str,
    found: &mut SchemaFaults,
) {
    let tries: Vec<SchemaFaults> = choices
        .iter()
        .map(|choice| {
            let mut one = SchemaFaults::default();
            check(root, choice, value, place, &mut one);
            one
        })
        .collect();
    match tries.into_iter().find(|one| one.faults.is_empty()) {
        Some(fits) => found.seen.extend(fits.seen),
        None => found.faults.push(format!("{place}: fits none of the choices")),
    }
}

fn check_key(
    root: &Value,
    rules: &serde_json::Map<String, Value>,
    (key, item): (&String, &Value),
    place: &str,
    found: &mut SchemaFaults,
) {
    let place = format!("{place}.{key}");
    let other = rules.get("additionalProperties");
    match rules.get("properties").and_then(|properties| properties.get(key)) {
        Some(property) => {
            found.seen.insert(name_of(key, property));
            check(root, property, item, &place, found);
        }
        None if other.is_some_and(Value::is_object) => {
            check(root, &rules["additionalProperties"], item, &place, found);
        }
        // A reference is checked by the schema that it names.
        None if rules.contains_key("$ref") || rules.contains_key("anyOf") => {}
        None => found.faults.push(format!("{place}: is not in the schema")),
    }
}

fn name_of(key: &str, property: &Value) -> String {
    format!("{key}: {}", property["description"].as_str().unwrap_or_default())
}

fn type_fits(rule: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the schema names a type {other:?}"),
    };
    match rule {
        Value::Array(names) => names.iter().any(|name| one(name.as_str().unwrap())),
        name => one(name.as_str().unwrap()),
    }
}

fn held_against(value: &Value) -> SchemaFaults {
    let schema = schema();
    let mut found = SchemaFaults::default();
    check(&schema, &schema, value, "run", &mut found);
    found
}

/// Every object of the schema with properties, by its name: the record itself and its parts.
fn objects(schema: &Value) -> Vec<(&str, &serde_json::Map<String, Value>)> {
    let parts = schema["$defs"].as_object().unwrap().iter();
    let parts = parts.map(|(name, part)| (name.as_str(), part));
    let all = parts.chain([("Run", schema)]).map(|(name, part)| (name, part.as_object().unwrap()));
    all.filter(|(_, part)| part.contains_key("properties")).collect()
}

#[test]
fn records_fit_the_schema() {
    for record in [full_record(), serde_json::from_str(REAL).unwrap()] {
        assert_eq!(held_against(&record).faults, [""; 0]);
    }
}

#[test]
fn the_schema_names_no_key_that_a_record_has_not() {
    let seen = held_against(&full_record()).seen;
    for (_, object) in objects(&schema()) {
        for (key, property) in object["properties"].as_object().unwrap() {
            let earlier = property["description"].as_str().unwrap().starts_with(EARLIER);
            let named = seen.contains(&name_of(key, property));
            assert!(named != earlier, "{key} is in no record");
        }
    }
}

#[test]
fn every_member_is_required_described_and_has_a_unit() {
    for (name, object) in objects(&schema()) {
        assert_eq!(object["additionalProperties"], json!(false));
        let properties = object["properties"].as_object().unwrap();
        let required: BTreeSet<&str> = object["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect();
        let always = properties.keys().map(String::as_str);
        let always = always.filter(|key| !ADDED.contains(&(name, *key)));
        assert_eq!(required, always.collect());
        for (key, property) in properties {
            let described = property["description"].as_str().is_some_and(|text| text.len() > 3);
            assert!(described, "{key} has no description");
            let whole = property["type"].to_string().contains("integer");
            let unit = ["_ns", "_bytes", "_milli", "_milli_per_s"];
            if unit.iter().any(|unit| key.ends_with(unit)) {
                assert!(whole, "{key} is not whole");
            }
        }
    }
}

#[test]
fn a_record_that_does_not_fit_is_noticed() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("run.extra: is not in the schema", |run| run["extra"] = json!(1)),
        ("run.elapsed_ns: is not", |run| run["elapsed_ns"] = json!(1.5)),
        ("run.elapsed_ns: is below", |run| run["elapsed_ns"] = json!(-1)),
        ("run.slices[0].kind: is unknown", |run| run["slices"][0]["kind"] = json!("other")),
        ("run.schema_version: is not 3", |run| run["schema_version"] = json!(4)),
        ("run.plan: has no \"seed\"", |run| {
            run["plan"].as_object_mut().unwrap().remove("seed");
        }),
    ];
    for (expected, change) in cases {
        let mut record = full_record();
        change(&mut record);
        let faults = held_against(&record).faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}
