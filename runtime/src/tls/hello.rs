//! The one thing of a ServerHello that rustls does not tell: whether a TLS 1.2 server agreed on the
//! extended master secret (RFC 7627). It is part of the first record, which is not encrypted.
//!
//! Decides nothing: rustls has checked the message before anybody asks what was found in it.

/// Type of a record that carries handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// Type of the message (RFC 8446 section 4).
const SERVER_HELLO: u8 = 2;
/// Number of the extension (RFC 7627 section 5.1).
const EXTENDED_MASTER_SECRET: [u8; 2] = [0, 23];
/// Header of a record and of a message, version and random.
const BEFORE_SESSION_ID_BYTES: usize = 5 + 4 + 2 + 32;

/// Whether the ServerHello at the begin of what the server sent has the extension; `None` until
/// its record is whole. What is no ServerHello in one record is taken to have it.
pub(super) fn has_extended_master_secret(records: &[u8]) -> Option<bool> {
    let [kind, _, _, high, low, message, ..] = records else { return None };
    if (*kind, *message) != (HANDSHAKE, SERVER_HELLO) {
        return Some(true);
    }
    let record = records.get(..5 + usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(extension_in(record).unwrap_or(true))
}

fn extension_in(record: &[u8]) -> Option<bool> {
    let (session_id, _) = record.get(BEFORE_SESSION_ID_BYTES..)?.split_first()?;
    // Cipher suite and compression follow the session id.
    let at = BEFORE_SESSION_ID_BYTES + 1 + usize::from(*session_id) + 2 + 1;
    // A server that has nothing to say ends its message here (RFC 5246 section 7.4.1.3).
    let Some(extensions) = record.get(at..).filter(|rest| !rest.is_empty()) else {
        return (record.len() == at).then_some(false);
    };
    let length = usize::from(u16::from_be_bytes(extensions.get(..2)?.try_into().ok()?));
    let mut rest = extensions.get(2..2 + length)?;
    while let [high, low, length_high, length_low, after @ ..] = rest {
        if [*high, *low] == EXTENDED_MASTER_SECRET {
            return Some(true);
        }
        rest = after.get(usize::from(u16::from_be_bytes([*length_high, *length_low]))..)?;
    }
    rest.is_empty().then_some(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(extensions: Option<&[u8]>) -> Vec<u8> {
        let mut message = vec![3, 3];
        message.extend([7; 32]);
        message.extend([2, 9, 9, 0xc0, 0x2b, 0]);
        if let Some(extensions) = extensions {
            message.extend((extensions.len() as u16).to_be_bytes());
            message.extend(extensions);
        }
        let body = [&[SERVER_HELLO, 0, 0, message.len() as u8][..], &message].concat();
        [&[HANDSHAKE, 3, 3, 0, body.len() as u8][..], &body].concat()
    }

    #[test]
    fn the_extension_is_found_where_it_is() {
        let table: [(Option<&[u8]>, bool); 5] = [
            (None, false),
            (Some(&[]), false),
            (Some(&[0xff, 1, 0, 1, 0]), false),
            (Some(&[0, 23, 0, 0]), true),
            (Some(&[0xff, 1, 0, 1, 0, 0, 23, 0, 0]), true),
        ];
        for (extensions, found) in table {
            let whole = hello(extensions);
            assert_eq!(has_extended_master_secret(&whole), Some(found), "{extensions:?}");
            // What follows in the same read changes nothing, and a part says nothing.
            let more = [&whole[..], &[HANDSHAKE, 3, 3, 0, 1, 11]].concat();
            assert_eq!(has_extended_master_secret(&more), Some(found));
            for part in 0..whole.len() {
                assert_eq!(has_extended_master_secret(&whole[..part]), None, "{part}");
            }
        }
        assert_eq!(has_extended_master_secret(&[21, 3, 3, 0, 2, 2, 40]), Some(true));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = has_extended_master_secret(&bytes);
            bytes.splice(0..0, [HANDSHAKE, 3, 3, 0, 100, SERVER_HELLO]);
            let _ = has_extended_master_secret(&bytes);
        }
    }
}
