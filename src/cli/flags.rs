//! Flags that several commands share are listed once, in a macro named after them, with help text,
//! type and default. From that one list come the flags of each command, the struct that the command
//! is handed, and the hand-over.
//!
//! argh cannot put one struct into another. Therefore `flattened!` writes two: a private one with
//! every flag side by side, which argh fills, and the command's own, with a member for each group.
//!
//! A list of flags is a macro that hands its flags on to the macro that it is given the name of,
//! behind whatever it is given with it, so that lists can be chained:
//!
//! ```text
//! request_flags! { bound_flags flattened /// Measure one URL. #[argh(..)] struct Run { .. } }
//! ```

/// Writes a command's struct: its own flags, and a member for each group of flags behind them.
// A type is matched as words: argh looks for `Option` and `Vec`, which it would not see in a `ty`.
macro_rules! flattened {
    (
        $(#[doc = $doc:literal])+
        #[argh($($argh:tt)*)]
        struct $name:ident {
            $( $(#[$own_meta:meta])* $own:ident: $own_type:ident $(<$own_of:ident>)?, )*
        }
        $( $group:ident: $group_type:ident {
            $( $(#[$meta:meta])* $flag:ident: $type:ident $(<$of:ident>)?, )*
        } )*
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name {
            $( pub(crate) $own: $own_type $(<$own_of>)?, )*
            $( pub(crate) $group: $crate::cli::$group_type, )*
        }

        const _: () = {
            $(#[doc = $doc])+
            #[derive(argh::FromArgs)]
            #[argh($($argh)*)]
            struct Flat {
                $( $(#[$own_meta])* $own: $own_type $(<$own_of>)?, )*
                $( $( $(#[$meta])* $flag: $type $(<$of>)?, )* )*
            }

            impl argh::FromArgs for $name {
                fn from_args(command: &[&str], words: &[&str]) -> Result<$name, argh::EarlyExit> {
                    let Flat { $($own,)* $( $($flag,)* )* } =
                        <Flat as argh::FromArgs>::from_args(command, words)?;
                    Ok($name { $($own,)* $( $group: $crate::cli::$group_type { $($flag,)* }, )* })
                }
            }

            impl argh::SubCommand for $name {
                const COMMAND: &'static argh::CommandInfo = <Flat as argh::SubCommand>::COMMAND;
            }
        };
    };
}

/// Writes the struct of a group of flags.
macro_rules! group {
    (
        $(#[$struct_meta:meta])*
        $group:ident: $name:ident {
            $( $(#[$meta:meta])* $flag:ident: $type:ident $(<$of:ident>)?, )*
        }
    ) => {
        $(#[$struct_meta])*
        pub(crate) struct $name { $( pub(crate) $flag: $type $(<$of>)?, )* }
    };
}

pub(super) use {flattened, group};
