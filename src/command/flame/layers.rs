//! Which layer a stack belongs to: a table of the beginnings of function names, and the rule by
//! which it is read.
//!
//! What runs is often nobody's own, such as a copy of memory or a multiplication of two points; it
//! belongs to whoever called it. So a stack is read from what ran towards its callers, and the
//! first frame that the table knows decides; where several beginnings fit, the longest does. The
//! kernel is asked first, on its own frames: what it does for a call is never the caller's.

/// The end of a kernel function's name, as flame graph tools have it.
pub(super) const KERNEL: &str = "_[k]";

/// What a request pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CpuLayer {
    KernelTcp,
    KernelWait,
    KernelOther,
    Handshake,
    Records,
    Jwt,
    Policy,
    Http,
    Services,
    Runtime,
    Crypto,
    Other,
}

impl CpuLayer {
    /// All of them, in the order of tables; the position is the colour.
    pub(super) const ALL: [CpuLayer; 12] = [
        CpuLayer::KernelTcp,
        CpuLayer::KernelWait,
        CpuLayer::KernelOther,
        CpuLayer::Handshake,
        CpuLayer::Records,
        CpuLayer::Jwt,
        CpuLayer::Policy,
        CpuLayer::Http,
        CpuLayer::Services,
        CpuLayer::Runtime,
        CpuLayer::Crypto,
        CpuLayer::Other,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            CpuLayer::KernelTcp => "kernel: TCP and sockets",
            CpuLayer::KernelWait => "kernel: waiting and waking",
            CpuLayer::KernelOther => "kernel: other",
            CpuLayer::Handshake => "TLS handshake",
            CpuLayer::Records => "TLS records",
            CpuLayer::Jwt => "JWT",
            CpuLayer::Policy => "policy",
            CpuLayer::Http => "HTTP",
            CpuLayer::Services => "services",
            CpuLayer::Runtime => "runtime",
            CpuLayer::Crypto => "crypto, caller unknown",
            CpuLayer::Other => "other",
        }
    }
}

/// The beginnings of names that belong to a layer, with spaces between them.
type Rule = (CpuLayer, &'static str);

/// Functions of the kernel.
const IN_KERNEL: [Rule; 3] = [
    (
        CpuLayer::KernelTcp,
        "tcp_ __tcp_ inet_ inet6_ __inet_ ip_ __ip_ ip6_ ipv4_ ipv6_ sock_ __sock_ sk_ __sk_ skb_ \
         __skb_ alloc_skb __alloc_skb kfree_skb __kfree_skb consume_skb napi_ __napi_ \
         net_rx_action net_tx_action netif_ __netif_ process_backlog enqueue_to_backlog dev_ \
         __dev_queue_xmit loopback_xmit nf_ nft_ ipt_ csum_ lock_sock release_sock __release_sock \
         __sys_accept __sys_connect __sys_recv __sys_send __sys_shutdown __sys_socket ____sys_ \
         ___sys_ __x64_sys_recv __x64_sys_send __arm64_sys_recv __arm64_sys_send io_recv io_send \
         simple_copy_to_iter",
    ),
    (
        CpuLayer::KernelWait,
        "ep_ epoll_ do_epoll_ __x64_sys_epoll_ __arm64_sys_epoll_ poll_ do_poll do_sys_poll io_ \
         __io_ __do_sys_io_uring __x64_sys_io_uring __arm64_sys_io_uring eventfd_ futex_ do_futex \
         schedule __schedule finish_task_switch try_to_wake_up ttwu_ select_task_rq \
         pick_next_task enqueue_task dequeue_task default_wake_function autoremove_wake_function",
    ),
    (CpuLayer::KernelOther, "sysvec_ asm_sysvec_ exc_ asm_exc_ irq_exit __irq_exit do_user_addr"),
];

/// Functions of programs, without the brackets and signs before their paths.
const IN_PROGRAM: [Rule; 7] = [
    (
        CpuLayer::Handshake,
        "rustls::server::hs rustls::server::tls1 rustls::server::handy rustls::client::hs \
         rustls::client::tls1 rustls::client::handy rustls::tls13 rustls::tls12 rustls::webpki \
         rustls::verify rustls::hash_hs rustls::msgs::handshake rustls::ticketer \
         rustls::crypto::ring::kx rustls::crypto::ring::sign rustls::crypto::ring::hash \
         rustls::crypto::ring::hmac rustls::crypto::ring::ticketer \
         rustls::crypto::ring::tls13::RingHkdf rustls::crypto::tls13 rustls::crypto::signer \
         rustls_pki_types webpki authn::tls runtime::server::connection::tls_handshake \
         runtime::io::stream::Stream::handshake",
    ),
    (
        CpuLayer::Records,
        "rustls rustls::server::tls13::ExpectTraffic rustls::server::tls12::ExpectTraffic \
         rustls::client::tls13::ExpectTraffic rustls::client::tls12::ExpectTraffic runtime::tls",
    ),
    (
        CpuLayer::Jwt,
        "authn::token authn::json services::edge::guard::Guard::access services::refresh::keys \
         services::refresh::watched services::transport::token",
    ),
    (CpuLayer::Policy, "authn services::edge::guard services::route"),
    (
        CpuLayer::Http,
        "proto_http httparse runtime::client runtime::io::inbox runtime::server::exchange \
         runtime::server::request runtime::server::response runtime::server::wire \
         services::gateway::fields",
    ),
    (CpuLayer::Services, "services"),
    (
        CpuLayer::Runtime,
        "runtime runtime::client::addresses runtime::client::connect runtime::client::pool monoio \
         io_uring mio",
    ),
];

/// What stays where no caller is known: ciphers are records, all else signs, verifies or agrees.
const LONELY: [Rule; 2] = [
    (CpuLayer::Crypto, "ring ecp_nistz256 __ecp_nistz256"),
    (
        CpuLayer::Records,
        "ring::aead ring_core::aes ring_core::gcm ring_core::vpaes ring_core::chacha20 \
         ring_core::poly1305",
    ),
];

/// The layer of a stack, whose frames go from the outermost caller to what ran.
pub(super) fn of_stack(frames: &[String]) -> CpuLayer {
    let from_leaf = || frames.iter().rev().map(String::as_str);
    if from_leaf().next().is_some_and(|leaf| leaf.ends_with(KERNEL)) {
        let kernel = from_leaf().take_while(|frame| frame.ends_with(KERNEL));
        return kernel.into_iter().find_map(of_frame).unwrap_or(CpuLayer::KernelOther);
    }
    from_leaf()
        .find_map(of_frame)
        .or_else(|| from_leaf().find_map(|frame| longest(&LONELY, bare(frame))))
        .unwrap_or(CpuLayer::Other)
}

/// The layer that a frame begins, if the table knows its name.
pub(super) fn of_frame(frame: &str) -> Option<CpuLayer> {
    match frame.strip_suffix(KERNEL) {
        Some(name) => longest(&IN_KERNEL, name),
        None => longest(&IN_PROGRAM, bare(frame)),
    }
}

/// A name without what stands before its path: `<&mut a::B as c::D>::e` begins with `a::B`.
fn bare(frame: &str) -> &str {
    let mut name = frame;
    loop {
        let less = name.trim_start_matches(['<', '&', '*', '(', '[']);
        let words = ["mut ", "const ", "dyn ", "impl "];
        let less = words.iter().fold(less, |name, word| name.strip_prefix(word).unwrap_or(name));
        if less.len() == name.len() {
            return name;
        }
        name = less;
    }
}

/// The rule with the longest beginning that fits.
fn longest(rules: &[Rule], name: &str) -> Option<CpuLayer> {
    let fit = |all: &str| {
        let fitting = all.split_ascii_whitespace().filter(|beginning| name.starts_with(beginning));
        fitting.map(str::len).max()
    };
    let fitting = rules.iter().filter_map(|(layer, all)| Some((fit(all)?, *layer)));
    fitting.max_by_key(|(length, _)| *length).map(|(_, layer)| layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(folded: &str) -> CpuLayer {
        let frames: Vec<String> = folded.split(';').map(str::to_owned).collect();
        of_stack(&frames)
    }

    #[test]
    fn a_position_is_a_layers_own() {
        for (index, layer) in CpuLayer::ALL.into_iter().enumerate() {
            assert_eq!(layer as usize, index);
        }
    }

    #[test]
    fn no_beginning_stands_twice() {
        for rules in [&IN_KERNEL[..], &IN_PROGRAM, &LONELY] {
            let mut all: Vec<&str> =
                rules.iter().flat_map(|(_, all)| all.split_ascii_whitespace()).collect();
            all.sort_unstable();
            let count = all.len();
            all.dedup();
            assert_eq!(all.len(), count, "{rules:?}");
        }
    }

    #[test]
    fn what_ran_belongs_to_its_nearest_known_caller() {
        for (folded, expected) in [
            (
                "gateway;runtime::server::connection::serve_requests;__send;tcp_sendmsg_[k];\
                 memcpy_[k]",
                CpuLayer::KernelTcp,
            ),
            ("gateway;monoio::park;epoll_wait;do_syscall_64_[k];ep_poll_[k]", CpuLayer::KernelWait),
            (
                "gateway;tcp_sendmsg_[k];sock_def_readable_[k];ep_poll_callback_[k]",
                CpuLayer::KernelWait,
            ),
            (
                "gateway;proto_http::http1::read;asm_exc_page_fault_[k];clear_page_[k]",
                CpuLayer::KernelOther,
            ),
            ("gateway;runtime::io::stream;entry_SYSCALL_64_[k]", CpuLayer::KernelOther),
            ("gateway;authn::token::jwt::verify;ring::ec;ring_core::p256_mul", CpuLayer::Jwt),
            ("gateway;rustls::server::hs::f;ring::ec;ring_core::p256_mul", CpuLayer::Handshake),
            ("gateway;rustls::conn::read;ring::aead;ring_core::aes_gcm_dec", CpuLayer::Records),
            (
                "gateway;<rustls::server::tls13::ExpectTraffic as rustls::S>::handle",
                CpuLayer::Records,
            ),
            (
                "gateway;<rustls::server::tls13::ExpectFinished as rustls::S>::handle",
                CpuLayer::Handshake,
            ),
            (
                "gateway;services::edge::guard::Guard::permit;authn::policy::authorize",
                CpuLayer::Policy,
            ),
            ("gateway;services::edge::guard::Guard::access;memcmp", CpuLayer::Jwt),
            (
                "gateway;services::gateway::ping;proto_http::http1::encode::f;memmove",
                CpuLayer::Http,
            ),
            (
                "orders;<services::orders::store::Store as core::ops::Drop>::drop",
                CpuLayer::Services,
            ),
            ("orders;<&mut runtime::client::pool::Pool as X>::y", CpuLayer::Runtime),
            ("orders;ring_core::p256_mul", CpuLayer::Crypto),
            ("orders;[unknown];ring_core::aes_gcm_enc", CpuLayer::Records),
            ("orders;[unknown];malloc", CpuLayer::Other),
            ("", CpuLayer::Other),
        ] {
            assert_eq!(layer(folded), expected, "{folded}");
        }
    }
}
