//! Builds of tollgate that are compared: every variant with the servers of each, and what another
//! build costs more than the first under each profile.
//!
//! A run of two builds takes their slices within milliseconds of each other, where two runs have
//! the machine's drift between them. It refuses to know where a build's program is.

use metrics_export::run::Build;

use crate::plan::{PlannedCell, RoleOption, Variant};
use crate::stats::{self, Layer, Per};

/// A variant once for each build; itself where there are none.
pub(super) fn variants(variant: Variant, builds: &[Build], cell: &PlannedCell) -> Vec<Variant> {
    if builds.is_empty() {
        return vec![variant];
    }
    let names = builds.iter().filter_map(|build| RoleOption::new(&build.name));
    names.map(|name| variant.of_build(&name, cell)).collect()
}

/// What each further build costs more than the first, for every variant of a cell, per request and
/// where connections are measured per connection.
pub(super) fn layers<'a>(
    builds: &[Build],
    variants: impl Iterator<Item = &'a Variant> + Clone,
) -> Vec<Layer> {
    let Some(first) = builds.first() else { return Vec::new() };
    let reference = |own: &Variant| {
        let role = own.role.of_any_build();
        let is_reference = |other: &&Variant| {
            other.role.build() == Some(&first.name) && other.role.of_any_build() == role
        };
        variants.clone().find(is_reference)
    };
    let mut layers = Vec::new();
    for per in [Per::Request, Per::Connection] {
        let measured = variants.clone().filter(|own| per == Per::Request || own.connects);
        for own in measured.filter(|own| own.role.build() != Some(&first.name)) {
            layers.extend(reference(own).map(|reference| difference(own, reference, per)));
        }
    }
    layers
}

fn difference(own: &Variant, reference: &Variant, per: Per) -> Layer {
    let suffix = if per == Per::Connection { "-connection" } else { "" };
    let id = format!("{}{suffix}", own.role.id());
    let name = |variant: &Variant| variant.role.build().unwrap_or_default().to_owned();
    let profile = own.role.of_any_build().label();
    let label = format!("{profile}: {} - {}", name(own), name(reference));
    let layer = stats::difference(&id, &label, &own.role, &reference.role, per);
    Layer { formula: format!("{} - {}", own.label, reference.label), ..layer }
}

#[cfg(test)]
mod tests {
    use authn::Profile;

    use super::*;
    use crate::command::matrix::Matrix;
    use crate::plan::{Axes, Role};

    fn build(name: &str) -> Build {
        Build { name: name.into(), version: "0.1.0".into(), commit: None }
    }

    fn variants_of(builds: &[Build]) -> Vec<Variant> {
        let profiles = ["S4", "S0"].map(|name| Profile::parse(name).unwrap());
        Matrix::variants_of(&profiles, builds, &Axes::default().cells(&[]).unwrap())
    }

    #[test]
    fn every_form_of_every_profile_is_run_with_each_build() {
        let names: Vec<String> = variants_of(&["old", "new"].map(build))
            .iter()
            .map(|variant| format!("{} {} {}", variant.id, variant.role, variant.label))
            .collect();
        assert_eq!(
            names,
            [
                "s4-uncached-old s4-uncached@old S4 uncached old",
                "s4-uncached-new s4-uncached@new S4 uncached new",
                "s4-cached-old s4-cached@old S4 cached old",
                "s4-cached-new s4-cached@new S4 cached new",
                "s0-old s0@old S0 old",
                "s0-old-control s0@old-control S0 old control",
                "s0-new s0@new S0 new",
            ]
        );
        for variant in variants_of(&["old", "new"].map(build)) {
            assert_eq!(Role::from(variant.role.to_string().as_str()), variant.role);
        }
    }

    #[test]
    fn each_build_is_compared_with_the_first() {
        let builds = ["old", "new", "lto"].map(build);
        let variants = variants_of(&builds);
        let found: Vec<String> = layers(&builds, variants.iter())
            .iter()
            .map(|layer| format!("{}, {} = {}", layer.id, layer.label, layer.formula))
            .collect();
        assert_eq!(
            found,
            [
                "s4-uncached-new, S4 uncached: new - old = S4 uncached new - S4 uncached old",
                "s4-uncached-lto, S4 uncached: lto - old = S4 uncached lto - S4 uncached old",
                "s4-cached-new, S4 cached: new - old = S4 cached new - S4 cached old",
                "s4-cached-lto, S4 cached: lto - old = S4 cached lto - S4 cached old",
                "s0-new, S0: new - old = S0 new - S0 old",
                "s0-lto, S0: lto - old = S0 lto - S0 old",
                "s4-cached-new-connection, S4 cached: new - old = S4 cached new - S4 cached old",
                "s4-cached-lto-connection, S4 cached: lto - old = S4 cached lto - S4 cached old",
                "s0-new-connection, S0: new - old = S0 new - S0 old",
                "s0-lto-connection, S0: lto - old = S0 lto - S0 old",
            ]
        );
        assert!(layers(&[], variants.iter()).is_empty());
    }
}
