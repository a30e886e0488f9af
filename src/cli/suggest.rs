//! What was probably meant by an argument that is not known: the nearest flag or command at the
//! same place. What there is to choose from is read from the help of that place, so that it is
//! listed nowhere else.

/// A text is near another when at most this many of its letters, and one more, are wrong: one in
/// four.
const LETTERS_A_MISTAKE: usize = 4;

/// Fewer letters than this are the beginning of too much.
const PREFIX_LETTERS_MIN: usize = 3;

/// The flag or command of a help text that is nearest to `given`, if one is near.
pub(super) fn nearest<'a>(given: &str, help: &'a str) -> Option<&'a str> {
    let name = |word: &'a str| word.trim_start_matches('-');
    let given = given.split('=').next().unwrap_or_default().trim_start_matches('-');
    let letters = given.chars().count();
    let distance = |word: &'a str| match name(word).starts_with(given) {
        true if letters >= PREFIX_LETTERS_MIN => 1,
        _ => distance(given, name(word)),
    };
    commands(help)
        .chain(flags(help))
        .map(|word| (distance(word), word))
        .filter(|(distance, _)| *distance <= 1 + letters / LETTERS_A_MISTAKE)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The commands that a help text lists.
pub(super) fn commands(help: &str) -> impl Iterator<Item = &str> {
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
    listed.lines().filter_map(entry).filter(|word| !word.starts_with('-'))
}

/// The long names of the flags that a help text lists.
fn flags(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().filter(|line| line.starts_with("  -"));
    lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")))
}

/// What a line introduces; further lines of its description stand further right.
fn entry(line: &str) -> Option<&str> {
    let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
    line.split(' ').next()
}

/// How many letters must be added, taken away, changed, or exchanged with their neighbour to make
/// one text of the other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let change = last[column] + usize::from(letter != against);
            let mut least = change.min(last[column + 1] + 1).min(next[column] + 1);
            let exchanged =
                row > 0 && column > 0 && *letter == other[column - 1] && one[row - 1] == *against;
            if exchanged {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Usage: a [--] <url>\n\nA tool with --odd text.\n\nOptions:\n  \
                        -c, --connections connections (default: 64)\n  --timeout         longest \
                        wait\n                    --wait for it\n  --wait            spin\n  \
                        -h, --help, help  display usage information\n\nCommands:\n  matrix        \
                        \u{20}   Measure\n                    it\n  run               Run";

    #[test]
    fn the_help_is_the_list() {
        assert_eq!(commands(HELP).collect::<Vec<_>>(), ["matrix", "run"]);
        let flags: Vec<&str> = flags(HELP).collect();
        assert_eq!(flags, ["--connections", "--timeout", "--wait", "--help"]);
    }

    #[test]
    fn slips_lead_to_the_nearest_and_nonsense_leads_nowhere() {
        for (given, meant) in [
            ("--conections", Some("--connections")),
            ("--connectoins", Some("--connections")),
            ("-connections", Some("--connections")),
            ("--conn", Some("--connections")),
            ("--timeuot=1s", Some("--timeout")),
            ("wait", Some("--wait")),
            ("matrx", Some("matrix")),
            ("urn", Some("run")),
            ("--nonsense", None),
            ("dance", None),
            ("--", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, HELP), meant, "{given}");
        }
    }

    #[test]
    fn a_distance_counts_mistakes() {
        for (one, other, count) in [
            ("", "", 0),
            ("a", "", 1),
            ("ab", "ba", 1),
            ("gatewy", "gateway", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(
                (distance(one, other), distance(other, one)),
                (count, count),
                "{one} {other}"
            );
        }
    }
}
