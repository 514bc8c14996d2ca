//! IPv6 extension headers: from the fixed header to the one that is looked for.
//!
//! ```text
//!  kind 0 hop by hop, 43 routing, 60 options   next | length in 8s, less 8 | ...
//!  kind 44 fragment                            next | 0 | offset and flags | id
//!  kind 51 authentication                      next | length in 4s, less 8 | ...
//!  kind 59                                     nothing follows
//! ```
//!
//! Reference: RFC 8200, 4 (extension headers); RFC 4302, 2.2 (authentication).

/// The fixed header's bytes.
pub const FIXED: usize = 40;
/// Kinds that are named here.
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NOTHING: u8 = 59;

/// A header: what it is and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its kind: the number in its predecessor's `next` field.
    pub kind: u8,
    /// Where it begins.
    pub at: usize,
}

/// What an extension header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The header behind it.
    pub next: Header,
    /// Of a fragment header: offset (a multiple of 8) and flags.
    pub fragment: Option<u16>,
    /// Of a routing header: segments left.
    pub segments: Option<u8>,
}

impl Header {
    /// True if it is one that another may follow, or the mark that none does.
    #[must_use]
    pub const fn is_extension(self) -> bool {
        matches!(self.kind, 0 | ROUTING | FRAGMENT | AUTHENTICATION | NOTHING | 60)
    }

    /// True for an authentication header.
    #[must_use]
    pub const fn is_authentication(self) -> bool {
        self.kind == AUTHENTICATION
    }

    /// Reads it, if it is an extension and all there.
    #[must_use]
    pub fn read(self, packet: &[u8]) -> Option<Extension> {
        let bytes = packet.get(self.at..)?;
        let (next, len) = (*bytes.first()?, usize::from(*bytes.get(1)?));
        let len = match self.kind {
            FRAGMENT => 8,
            AUTHENTICATION => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        let fragment = match self.kind {
            FRAGMENT => Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
            _ => None,
        };
        let segments = if self.kind == ROUTING { Some(*bytes.get(3)?) } else { None };
        Some(Extension { next: Header { kind: next, at: self.at + len }, fragment, segments })
    }
}

/// Where a packet has its last header, and at which offset of the datagram its
/// payload begins: of a later fragment the first piece of payload counts as header.
///
/// `None` if the chain is cut off, or says that nothing follows. `first` is the
/// header behind the fixed one.
#[must_use]
pub fn last(packet: &[u8], mut header: Header) -> Option<(Header, u16)> {
    while header.is_extension() {
        if header.kind == NOTHING {
            return None;
        }
        let extension = header.read(packet)?;
        let offset = extension.fragment.unwrap_or(0) & !7;
        if offset != 0 {
            return Some((extension.next, offset));
        }
        header = extension.next;
    }
    Some((header, 0))
}

/// What [`find`] answers when it finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// There is no such header.
    Absent,
    /// The packet ends before.
    Cut,
}

/// What [`find`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The header.
    pub header: Header,
    /// Its fragment's offset, a multiple of 8.
    pub fragment: u16,
    /// It went through, or reached, a fragment header.
    pub fragmented: bool,
}

/// Searches for a header of a kind, or with `None` for the first that is no
/// extension. `skip_used_routing`: not a routing header without segments left;
/// `stop_at_authentication`: an authentication header ends the search for `None`.
///
/// # Errors
/// [`Lost`], as Linux's `ipv6_find_hdr` has -ENOENT and -EBADMSG.
pub fn find(
    packet: &[u8],
    mut header: Header,
    kind: Option<u8>,
    skip_used_routing: bool,
    stop_at_authentication: bool,
) -> Result<Found, Lost> {
    let mut fragmented = false;
    loop {
        let mut found = kind == Some(header.kind);
        if !header.is_extension() || header.kind == NOTHING {
            let done = found || kind.is_none();
            return done.then_some(Found { header, fragment: 0, fragmented }).ok_or(Lost::Absent);
        }
        let extension = header.read(packet).ok_or(Lost::Cut)?;
        if skip_used_routing && extension.segments == Some(0) {
            found = false;
        }
        if let Some(fragment) = extension.fragment {
            fragmented = true;
            let (fragment, next) = (fragment & !7, extension.next);
            let payload = !next.is_extension() || next.kind == NOTHING;
            if fragment != 0 {
                return match (found, kind) {
                    (true, _) => Ok(Found { header, fragment, fragmented }),
                    // What the first fragment began; it is not in this one.
                    (_, None) if payload => Ok(Found {
                        header: Header { kind: next.kind, ..header },
                        fragment,
                        fragmented,
                    }),
                    _ => Err(Lost::Absent),
                };
            }
        }
        if found || (stop_at_authentication && kind.is_none() && header.is_authentication()) {
            return Ok(Found { header, fragment: 0, fragmented });
        }
        header = extension.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hop by hop (16 bytes), routing (24, segments left as given), fragment, UDP.
    fn packet(segments: u8, fragment: u16) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes.extend([43, 1]);
        bytes.resize(FIXED + 16, 0);
        bytes.extend([44, 2, 0, segments]);
        bytes.resize(FIXED + 40, 0);
        bytes.extend([17, 0]);
        bytes.extend(fragment.to_be_bytes());
        bytes.resize(FIXED + 48 + 8, 0);
        bytes
    }

    const FIRST: Header = Header { kind: 0, at: FIXED };

    fn header(kind: u8, behind: usize) -> Header {
        Header { kind, at: FIXED + behind }
    }

    #[test]
    fn the_last_header_is_behind_all_extensions() {
        assert_eq!(last(&packet(1, 1), FIRST), Some((header(17, 48), 0)));
        assert_eq!(last(&packet(1, 0x19), FIRST), Some((header(17, 48), 0x18)));
        assert_eq!(last(&packet(1, 1)[..FIXED + 43], FIRST), None);
        assert_eq!(last(&[], Header { kind: 59, at: 40 }), None);
        assert_eq!(last(&[], Header { kind: 6, at: 40 }), Some((header(6, 0), 0)));
    }

    #[test]
    fn a_header_is_found_by_its_kind() {
        let find = |kind, skip| find(&packet(0, 1), FIRST, kind, skip, false);
        let at = |kind, behind| {
            Ok(Found { header: header(kind, behind), fragment: 0, fragmented: behind >= 40 })
        };
        assert_eq!(find(Some(0), false), at(0, 0));
        assert_eq!(find(Some(43), false), at(43, 16));
        assert_eq!(find(Some(43), true), Err(Lost::Absent));
        assert_eq!(find(Some(44), false), at(44, 40));
        assert_eq!(find(Some(17), false), at(17, 48));
        assert_eq!(find(None, false), at(17, 48));
        assert_eq!(find(Some(51), false), Err(Lost::Absent));
    }

    #[test]
    fn a_later_fragment_has_no_header_of_the_payload() {
        let find = |kind| find(&packet(1, 0x19), FIRST, kind, false, false);
        assert_eq!(find(Some(17)), Err(Lost::Absent));
        let there = |kind| Ok(Found { header: header(kind, 40), fragment: 0x18, fragmented: true });
        assert_eq!(find(Some(44)), there(44));
        assert_eq!(find(None), there(17));
    }

    #[test]
    fn a_packet_may_end_too_early() {
        let bytes = packet(1, 1);
        for (len, result) in [(FIXED + 1, Err(Lost::Cut)), (FIXED + 41, Err(Lost::Cut))] {
            assert_eq!(find(&bytes[..len], FIRST, Some(17), false, false), result);
        }
    }

    #[test]
    fn authentication_headers_count_in_fours() {
        let mut bytes = vec![0; FIXED + 24];
        (bytes[FIXED], bytes[FIXED + 1]) = (6, 4);
        let first = header(51, 0);
        assert_eq!(last(&bytes, first), Some((header(6, 24), 0)));
        let found = |stop| find(&bytes, first, None, false, stop).unwrap().header;
        assert_eq!((found(false), found(true)), (header(6, 24), first));
    }
}
