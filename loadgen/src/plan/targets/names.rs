//! Names of targets: unique, with ids that a file name may have, and whom each is compared with.

use super::read::{Document, Entry};
use crate::plan::Role;

use super::{TargetSpec, Targets, TargetsError};

/// The longest name, in characters: it heads a row of a table.
const NAME_CHARS_MAX: usize = 40;

/// Gives each target its id and whom it is taken to.
pub(super) fn resolve(
    document: &Document<'_>,
    mut targets: Vec<TargetSpec>,
) -> Result<Targets, TargetsError> {
    for place in 0..targets.len() {
        targets[place].id = id(&targets[..place], &targets[place])?;
    }
    let find = |entry: &Entry<'_>| {
        let name = entry.text()?;
        targets.iter().position(|target| target.name == name).map_or_else(
            || {
                let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
                let known = names.join(", ");
                entry.refuse(format!("`{}`: no target {name:?}; there are {known}", entry.key))
            },
            Ok,
        )
    };
    let baseline = document.baseline.as_ref().map_or(Ok(0), find)?;
    let mut against = Vec::new();
    for (place, table) in document.targets.iter().enumerate() {
        let Some(entry) = table.entry("against") else {
            against.push((place != baseline).then_some(baseline));
            continue;
        };
        let other = find(entry)?;
        against.push(match (entry.is_default, place == baseline) {
            (true, true) => None,
            (false, true) => return entry.refuse("`against` has no effect on the baseline"),
            (true, false) if other == place => Some(baseline),
            (false, false) if other == place => {
                return entry.refuse("`against` names the target itself: name another");
            }
            _ => Some(other),
        });
    }
    for (target, against) in targets.iter_mut().zip(against) {
        target.against = against;
    }
    let label = document.label.as_ref().map(|label| label.text().map(String::from)).transpose()?;
    Ok(Targets { label, baseline, targets })
}

fn id(before: &[TargetSpec], target: &TargetSpec) -> Result<String, TargetsError> {
    let name = &target.name;
    let refuse = |sentence: String| Err(TargetsError { line: target.line, sentence });
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return refuse(format!(
            "`name` has at most {NAME_CHARS_MAX} characters, and none that cannot be printed"
        ));
    }
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if id.is_empty() {
        return refuse(format!("`name` {name:?} needs a letter or digit of ASCII for file names"));
    }
    let role = Role::from(id.as_str());
    let of_another = before.iter().any(|other| Role::target(&other.id) == role.baseline());
    // An older record would be read as if the former ending were a control whatever stood before.
    if role.control && (of_another || role.to_string() != id) {
        return refuse(format!(
            "`name` {name:?} is what the A/A control of a baseline is called: give another"
        ));
    }
    match before.iter().find(|other| other.id == id) {
        None => Ok(id),
        Some(other) => refuse(format!(
            "the targets {:?} of line {} and {name:?} would have the same files, {id}: give one \
             another `name`",
            other.name, other.line
        )),
    }
}
