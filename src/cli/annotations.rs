//! The flags that name a measurement in its record, which `run`, `capacity` and `matrix` share.

use super::flags::group;

macro_rules! annotation_flags {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            annotations: AnnotationArgs {
                /// name of this run in its outputs
                #[argh(option)]
                label: Option<String>,
                /// where it is run, such as staging or rack-7, for its record
                #[argh(option)]
                environment: Option<String>,
                /// a tag of its record as K=V, such as ticket=42; may be repeated
                #[argh(option)]
                tag: Vec<String>,
            }
        }
    };
}

annotation_flags! {
    group
    /// What was typed to name a measurement.
    #[derive(Clone, Debug, Default)]
}

pub(super) use annotation_flags;
