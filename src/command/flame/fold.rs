//! From the text of `perf script` to stacks: one line for what was sampled, a line a frame, an
//! empty line. It names the service instead of the process, and gives functions the names that
//! people gave them; it judges no layer.

use std::path::Path;

use metrics_export::flame::Stacks;

use super::layers::KERNEL;

/// The fields that `perf script` is asked for; the text of any others is not understood here.
pub(super) const FIELDS: &str = "pid,ip,sym,dso";

/// Below whom a thread's own work stands. What starts a thread is the same for all, and unwound to
/// different depths.
const THREAD: &str = "std::sys::backtrace::__rust_begin_short_backtrace";

/// A frame whose function is not known.
const UNKNOWN: &str = "[unknown]";

/// What came of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) stacks: Stacks,
    /// Samples taken in the kernel, and those of them whose function has no name.
    pub(super) kernel: u64,
    pub(super) kernel_nameless: u64,
    /// Samples taken in the program itself, and those of them whose function has no name.
    pub(super) program: u64,
    pub(super) program_nameless: u64,
}

/// A frame as `perf` has it.
struct Frame<'a> {
    symbol: &'a str,
    object: &'a str,
}

impl Frame<'_> {
    /// Kernel code is in `[kernel.kallsyms]` or in a module, which has brackets too.
    fn in_kernel(&self) -> bool {
        self.object.starts_with('[') && !matches!(self.object, "[unknown]" | "[vdso]" | "[heap]")
    }

    fn is_nameless(&self) -> bool {
        self.symbol == UNKNOWN
    }

    fn name(&self) -> String {
        let name = match self.symbol {
            // Where it is tells more than that it is nowhere.
            UNKNOWN if self.object != UNKNOWN => {
                let file = Path::new(self.object).file_name().unwrap_or_default();
                format!("[{}]", file.to_string_lossy().trim_matches(['[', ']']))
            }
            symbol if self.in_kernel() => kernel_name(symbol).to_owned(),
            symbol => program_name(symbol),
        };
        let end = if self.in_kernel() { KERNEL } else { "" };
        // A semicolon would end the frame.
        format!("{}{end}", name.replace(';', ":"))
    }
}

impl Folded {
    /// Adds a recording. `services` are the processes with their names; `program` is the path of
    /// the program that they run.
    pub(super) fn add(&mut self, script: &str, services: &[(u32, String)], program: &str) {
        let mut lines = script.lines().filter(|line| !line.starts_with('#'));
        while let Some(head) = lines.next() {
            let frames: Vec<Frame<'_>> = lines
                .by_ref()
                .take_while(|line| !line.trim().is_empty())
                .filter_map(frame)
                .collect();
            let pid = head.trim().parse::<u32>().ok();
            let service = services.iter().find(|(known, _)| Some(*known) == pid);
            if let (Some((_, service)), Some(leaf)) = (service, frames.first()) {
                self.count(leaf, program);
                let named: Vec<String> = frames.iter().rev().map(Frame::name).collect();
                let from = outermost(&named);
                let named = named.into_iter().skip(from);
                let mut stack: Vec<String> =
                    std::iter::once(service.clone()).chain(named).collect();
                // A row of frames without a name says no more than one of them.
                stack.dedup_by(|a, b| a == b && a.starts_with('['));
                self.stacks.add(stack, 1);
            }
        }
    }

    fn count(&mut self, leaf: &Frame<'_>, program: &str) {
        let nameless = u64::from(leaf.is_nameless());
        if leaf.in_kernel() {
            self.kernel += 1;
            self.kernel_nameless += nameless;
        } else if leaf.object == program {
            self.program += 1;
            self.program_nameless += nameless;
        }
    }
}

/// The place of the first frame that is worth a box: behind what starts a thread, or behind frames
/// without a name, where an unwinding ended too early.
fn outermost(named: &[String]) -> usize {
    let thread = named.iter().rposition(|name| name == THREAD).map(|at| at + 1);
    thread.or_else(|| named.iter().position(|name| !name.starts_with('['))).unwrap_or(0)
}

/// `    7f3a2c name of a function (/path/of the/object)`
fn frame(line: &str) -> Option<Frame<'_>> {
    let (_address, rest) = line.trim().split_once(' ')?;
    let rest = rest.strip_suffix(')')?;
    // A name may hold brackets too; the object is a path, or has square ones.
    let at = rest.rfind("(/").max(rest.rfind("(["))?;
    let (symbol, object) = (rest[..at].trim(), &rest[at + 1..]);
    Some(Frame { symbol: if symbol.is_empty() { UNKNOWN } else { symbol }, object })
}

/// Without what the compiler appended when it split or copied the function.
fn kernel_name(symbol: &str) -> &str {
    match symbol.split_once('.') {
        Some((name, _)) if !name.is_empty() => name,
        _ => symbol,
    }
}

/// The path of a Rust function without its hash, as it stands in the source; other names as they
/// are. What ring calls its C functions has a version in it, which goes.
fn program_name(symbol: &str) -> String {
    let symbol = symbol.split(" [clone").next().unwrap_or(symbol);
    let symbol = symbol.split(".llvm.").next().unwrap_or(symbol);
    if let Some(rest) = symbol.strip_prefix("ring_core_") {
        return format!("ring_core::{}", rest.split_once("__").map_or(rest, |(_, name)| name));
    }
    let path = demangled(symbol).unwrap_or_else(|| symbol.to_owned());
    let path = match path.rsplit_once("::h") {
        Some((path, hash)) if is_hash(hash) => path.to_owned(),
        _ => path,
    };
    unescaped(&path)
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The segments of a legacy Rust symbol, `_ZN3abc3defE`, which `perf` leaves as it is where
/// something is appended to it.
fn demangled(symbol: &str) -> Option<String> {
    let mut rest = symbol.strip_prefix("_ZN")?;
    let mut path = Vec::new();
    while !rest.starts_with('E') {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let length = rest[..digits].parse::<usize>().ok()?;
        path.push(rest.get(digits..digits.checked_add(length)?)?);
        rest = &rest[digits + length..];
    }
    Some(path.join("::"))
}

/// How legacy symbols write what a symbol may not hold.
const ESCAPES: [(&str, &str); 16] = [
    ("$LT$", "<"),
    ("$GT$", ">"),
    ("$RF$", "&"),
    ("$BP$", "*"),
    ("$LP$", "("),
    ("$RP$", ")"),
    ("$C$", ","),
    ("$SP$", "@"),
    ("$u20$", " "),
    ("$u27$", "'"),
    ("$u2b$", "+"),
    ("$u3b$", ":"),
    ("$u5b$", "["),
    ("$u5d$", "]"),
    ("$u7b$", "{"),
    ("$u7d$", "}"),
];

fn unescaped(path: &str) -> String {
    if !path.contains(['$', '.']) {
        return path.to_owned();
    }
    // A segment that would begin with an escape has an underscore before it.
    let path = path.replace("::_$", "::$");
    let path = path.strip_prefix("_$").map_or(path.clone(), |rest| format!("${rest}"));
    let path = ESCAPES.iter().fold(path, |path, (from, to)| path.replace(from, to));
    path.replace("..", "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `perf script` prints, in small: two services and a stranger.
    const SCRIPT: &str = include_str!("../../../tests/data/perf-script.txt");

    fn folded(script: &str) -> Folded {
        let services = [(4711, "gateway".to_owned()), (4712, "orders".to_owned())];
        let mut folded = Folded::default();
        folded.add(script, &services, "/opt/toll gate/tollgate");
        folded
    }

    #[test]
    fn samples_become_stacks_of_services() {
        let folded = folded(SCRIPT);
        let lines = "\
gateway;<rustls::conn::Conn<T> as core::ops::Deref>::deref;ring_core::aes_gcm_enc 1
gateway;runtime::serve::work::{{closure}};[libc.so.6];__libc_send;\
entry_SYSCALL_64_after_hwframe_[k];tcp_sendmsg_[k];__alloc_skb_[k] 2
orders;[tollgate] 1
orders;[vdso] 1
orders;authn::jwt::verify;nft_do_chain_[k];[nf_tables]_[k] 1
";
        assert_eq!(folded.stacks.folded(), lines);
        assert_eq!((folded.kernel, folded.kernel_nameless), (3, 1));
        assert_eq!((folded.program, folded.program_nameless), (2, 1));
    }

    #[test]
    fn two_recordings_are_added() {
        let mut twice = folded(SCRIPT);
        twice.add(SCRIPT, &[(4712, "orders".to_owned())], "");
        assert_eq!(twice.stacks.total(), 9);
        assert_eq!((twice.kernel, twice.program), (4, 2));
    }

    #[test]
    fn text_that_is_no_profile_is_no_stack() {
        for script in
            ["", "\n\n", "4711\n", "4711\n\n\t12 f (x)\n", "# a\nx\n\ty\n\n", "\u{e4}(\n)"]
        {
            assert_eq!(folded(script), Folded::default(), "{script:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_source() {
        for (symbol, name) in [
            ("a::b::h0123456789abcdef", "a::b"),
            ("a::b::hello", "a::b::hello"),
            ("_ZN7runtime5serve4work17h748318f8cbf30f02E.llvm.112799", "runtime::serve::work"),
            (
                "_ZN8_$LT$a..B$u20$as$u20$c..D$GT$1e17h748318f8cbf30f02E",
                // A length that does not fit is left alone but for its escapes.
                "_ZN8_<a::B as c::D>1e17h748318f8cbf30f02E",
            ),
            ("_ZN29_$LT$a..B$u20$as$u20$c..D$GT$1e17h748318f8cbf30f02E", "<a::B as c::D>::e"),
            ("<a::B as c::D>::e::{{closure}}::h0123456789abcdef", "<a::B as c::D>::e::{{closure}}"),
            ("_$LT$a..B$GT$::e::h0123456789abcdef [clone .llvm.7]", "<a::B>::e"),
            ("ring_core_0_17_14__p256_point_mul", "ring_core::p256_point_mul"),
            ("__memmove_avx_unaligned_erms", "__memmove_avx_unaligned_erms"),
        ] {
            assert_eq!(program_name(symbol), name);
        }
        assert_eq!(kernel_name("tcp_rcv_established.isra.0"), "tcp_rcv_established");
    }
}
