//! Which translation to run with: what the hypervisor offers, what is asked of
//! it, and what it agrees to.
//!
//! ```text
//!  /chosen ibm,arch-vec-5-platform-support --.
//!  cpu-version, PVR (where that is absent) --+--> Offer --> Kind
//!                         mmu= of bootargs --'               |
//!                                                            v
//!  /chosen ibm,architecture-vec-5 <-- firmware <-- request(kind): PVRs, vectors
//!           '--> granted: the Kind to run with
//! ```
//!
//! The request ("client architecture support") is bytes in this form; `length` is
//! that of what follows it, less one, and bytes of a vector count from 1:
//!
//! ```text
//!  mask, PVR | mask, PVR | ... | a pair that no processor fits
//!  vectors - 1 | length, vector 1 | length, vector 2 | ...
//! ```
//!
//! A hypervisor may have to start the guest again to grant it. It remembers what
//! was asked, and the same bytes, asked again, change nothing.
//!
//! The processor's own version register is no evidence if the hypervisor speaks:
//! a POWER9 that has to look like a POWER8 still says POWER9 there, and has only
//! hash.
//!
//! # References
//! LoPAPR appendix B, "ibm,client-architecture-support", "/chosen node"; "Root
//! node method", option vectors 1 to 5.

use core::fmt;

use crate::media;

/// Which translation the processor runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A radix tree, walked by the processor.
    Radix,
    /// A hash table, kept by the hypervisor.
    Hash,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Radix => "radix",
            Self::Hash => "hash",
        })
    }
}

/// What the boot arguments may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No translation: everything may be done everywhere.
    Off,
    /// This kind, if it is offered.
    Kind(Kind),
}

/// True for the word `cas`: the hypervisor is asked also where it would do without.
#[must_use]
pub fn insists(bootargs: &[u8]) -> bool {
    media::find(media::split(bootargs).0, b"cas").is_some()
}

impl Wanted {
    /// What the words in front of `--` ask for: `mmu=radix`, `hash` or `off`; the first counts.
    #[must_use]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn find(bootargs: &[u8]) -> Option<Self> {
        match media::value(bootargs, "mmu")? {
            b"radix" => Some(Self::Kind(Kind::Radix)),
            b"hash" => Some(Self::Kind(Kind::Hash)),
            b"off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// Byte of vector 5 that tells the translation, in its upper two bits.
const MMU: u8 = 24;
/// Byte of vector 5 that tells how radix is run.
const RADIX_HOW: u8 = 26;
const MMU_BITS: u8 = 0xc0;
const MMU_RADIX: u8 = 0x40;
/// The guest makes processors forget entries itself (`tlbie`).
const GUEST_INVALIDATES: u8 = 0x40;

/// Versions as hypervisors name the architecture: 2.07, 3.0, 3.1.
const ARCHITECTURES: [u32; 3] = [0x0f00_0004, ARCHITECTURE_3_0, 0x0f00_0006];
const ARCHITECTURE_3_0: u32 = 0x0f00_0005;
/// Upper half of the first PVR whose processor knows radix (POWER9).
const PVR_POWER9: u32 = 0x004e;

/// Which translations the hypervisor offers; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Radix, with invalidation by the guest; the only way this kernel has.
    pub radix: bool,
    /// Hash.
    pub hash: bool,
}

impl Offer {
    /// What `ibm,arch-vec-5-platform-support` says: pairs of a byte's number in
    /// vector 5 and its value. `None` if it does not speak of translation.
    #[must_use]
    pub fn of_hypervisor(support: &[u8]) -> Option<Self> {
        let (pairs, _) = support.as_chunks::<2>();
        let value = |number| pairs.iter().find(|pair| pair[0] == number).map(|pair| pair[1]);
        let mmu = value(MMU)? & MMU_BITS;
        let invalidates = value(RADIX_HOW).is_none_or(|how| how & GUEST_INVALIDATES != 0);
        // Neither bit: hash. The lower one: radix. The upper one, or both: either.
        Some(Self { radix: mmu != 0 && invalidates, hash: mmu != MMU_RADIX })
    }

    /// What hypervisors that do not say offer: `version` is the CPU node's
    /// `cpu-version`, older than the `pvr` while the processor has to look older.
    #[must_use]
    pub fn of_processor(version: Option<u32>, pvr: u32) -> Self {
        let version = version.unwrap_or(pvr);
        let radix = match version >> 24 {
            0x0f => version >= ARCHITECTURE_3_0,
            _ => version >> 16 >= PVR_POWER9,
        };
        Self { radix, hash: true }
    }

    /// The kind to ask for, `None` if this kernel can do nothing that is offered.
    /// Radix if nobody minds: it costs no hypercall a page.
    #[must_use]
    pub const fn choose(self, wanted: Option<Kind>) -> Option<Kind> {
        match (self.radix, self.hash, wanted) {
            (false, false, _) => None,
            (false, true, _) | (true, true, Some(Kind::Hash)) => Some(Kind::Hash),
            (true, ..) => Some(Kind::Radix),
        }
    }
}

/// Memory that the kernel wants where it boots: the smallest machine that it runs on.
const MEMORY_MIB: u32 = 256;

/// Bytes of [`request`].
pub const REQUEST_BYTES: usize = 8 * (ARCHITECTURES.len() + 2) + 1 + 4 + 34 + 3 + 3 + 27;

/// What to ask the firmware for on a processor with this `pvr`.
#[must_use]
pub fn request(kind: Kind, pvr: u32) -> [u8; REQUEST_BYTES] {
    let mut bytes = Bytes { bytes: [0; REQUEST_BYTES], len: 0 };
    // Processors: the one that runs, and every architecture that we know.
    bytes.words(&[0xffff_0000, pvr & 0xffff_0000]);
    for version in ARCHITECTURES {
        bytes.words(&[u32::MAX, version]);
    }
    // A bit under no mask: the end. To older firmware, all older architectures.
    bytes.words(&[0xffff_fffe, 0x0f00_0001]);
    bytes.push(&[5 - 1]);

    // 1, instruction sets: 2.00 to 2.07, 3.0 and 3.1.
    bytes.vector(&[0, 0xff, 0xc0]);
    // 2, Open Firmware: real mode; its base, size and load address as it likes;
    // 256 MiB of memory that real mode reaches, whatever share of all that is (with hash
    // the kernel has no other, and the image begins at 64); a hash table of up to 2^48 bytes.
    let mut firmware = [0xff; 33];
    firmware[..3].copy_from_slice(&[0x20, 0, 0]);
    firmware[23..27].copy_from_slice(&MEMORY_MIB.to_be_bytes());
    firmware[31..].copy_from_slice(&[0, 48]);
    bytes.vector(&firmware);
    // 3, floating point and vectors: modules may use them.
    bytes.vector(&[0, 0xc0]);
    // 4, the smallest share of a processor will do.
    bytes.vector(&[0, 1]);
    // 5, how partitions work: shared processors, memory that comes and goes; 256 CPUs.
    let mut platform = [0; 26];
    platform[1] = 0x80 | 0x40 | 0x20;
    platform[8..12].copy_from_slice(&256u32.to_be_bytes());
    if kind == Kind::Radix {
        platform[usize::from(MMU) - 1] = MMU_RADIX;
        platform[usize::from(RADIX_HOW) - 1] = GUEST_INVALIDATES;
    }
    bytes.vector(&platform);
    assert!(bytes.len == REQUEST_BYTES);
    bytes.bytes
}

/// What the firmware has agreed to: `vector` is `ibm,architecture-vec-5` after the
/// request, its length first. Zeros at its end may be left out.
#[must_use]
pub fn granted(vector: &[u8]) -> Kind {
    let mmu = vector.get(usize::from(MMU)).copied().unwrap_or(0);
    if mmu & MMU_BITS == MMU_RADIX { Kind::Radix } else { Kind::Hash }
}

/// The request while it is written.
struct Bytes {
    bytes: [u8; REQUEST_BYTES],
    len: usize,
}

impl Bytes {
    fn push(&mut self, more: &[u8]) {
        self.bytes[self.len..][..more.len()].copy_from_slice(more);
        self.len += more.len();
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.push(&word.to_be_bytes()));
    }

    fn vector(&mut self, contents: &[u8]) {
        self.push(&[contents.len() as u8 - 1]);
        self.push(contents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Offer = Offer { radix: true, hash: true };
    const HASH: Offer = Offer { radix: false, hash: true };
    const RADIX: Offer = Offer { radix: true, hash: false };
    const POWER8: u32 = 0x004d_0200;
    const POWER9: u32 = 0x004e_1200;

    /// The bytes that QEMU 7.2 gives, without and with `max-cpu-compat=power8`.
    #[test]
    fn qemus_offers_are_read_as_they_are_meant() {
        let power9 = [0x17, 0x80, 0x18, 0xc0, 0x19, 0x00, 0x1a, 0x40];
        let like_power8 = [0x17, 0x00, 0x18, 0x00, 0x19, 0x00, 0x1a, 0x00];
        assert_eq!(Offer::of_hypervisor(&power9), Some(BOTH));
        assert_eq!(Offer::of_hypervisor(&like_power8), Some(HASH));
        assert_eq!(Offer::of_hypervisor(&[0x18, 0x40, 0x1a, 0x40]), Some(RADIX));
        assert_eq!(Offer::of_hypervisor(&[0x18, 0x80]), Some(BOTH));
        // Pairs about something else, and half a pair.
        assert_eq!(Offer::of_hypervisor(&[0x17, 0x18, 0x18]), None);
    }

    #[test]
    fn radix_without_invalidation_by_the_guest_is_no_offer() {
        assert_eq!(Offer::of_hypervisor(&[0x18, 0xc0, 0x1a, 0x00]), Some(HASH));
        let neither = Offer::of_hypervisor(&[0x18, 0x40, 0x1a, 0x00]).unwrap();
        assert_eq!(neither.choose(None), None);
        assert_eq!(neither.choose(Some(Kind::Hash)), None);
    }

    #[test]
    fn without_an_offer_the_version_decides_then_the_processor() {
        assert_eq!(Offer::of_processor(Some(0x0f00_0004), POWER9), HASH);
        assert_eq!(Offer::of_processor(Some(0x0f00_0005), POWER9), BOTH);
        assert_eq!(Offer::of_processor(Some(POWER9), POWER9), BOTH);
        assert_eq!(Offer::of_processor(None, 0x004d_ffff), HASH);
        assert_eq!(Offer::of_processor(None, 0x004e_0000), BOTH);
    }

    #[test]
    fn a_wish_counts_if_there_is_a_choice() {
        for (offer, wanted, chosen) in [
            (BOTH, None, Kind::Radix),
            (BOTH, Some(Kind::Hash), Kind::Hash),
            (BOTH, Some(Kind::Radix), Kind::Radix),
            (HASH, Some(Kind::Radix), Kind::Hash),
            (RADIX, Some(Kind::Hash), Kind::Radix),
        ] {
            assert_eq!(offer.choose(wanted), Some(chosen), "{offer:?} {wanted:?}");
        }
    }

    /// Takes a request apart as the platform reference says it is built.
    fn taken_apart(request: &[u8]) -> (Vec<[u32; 2]>, Vec<&[u8]>) {
        let (mut pairs, mut at) = (Vec::new(), 0);
        loop {
            let pair =
                [at, at + 4].map(|at| u32::from_be_bytes(request[at..][..4].try_into().unwrap()));
            at += 8;
            if !pair[0] & pair[1] != 0 {
                break;
            }
            pairs.push(pair);
        }
        let count = usize::from(request[at]) + 1;
        at += 1;
        let mut vectors = Vec::new();
        for _ in 0..count {
            let len = usize::from(request[at]) + 1;
            vectors.push(&request[at + 1..][..len]);
            at += 1 + len;
        }
        assert_eq!(at, request.len());
        (pairs, vectors)
    }

    #[test]
    fn a_request_names_processors_and_exactly_one_translation() {
        for (kind, mmu, how) in [(Kind::Radix, 0x40, 0x40), (Kind::Hash, 0, 0)] {
            let bytes = request(kind, POWER9);
            let (pairs, vectors) = taken_apart(&bytes);
            assert!(pairs.iter().any(|[mask, pvr]| POWER9 & mask == pvr & mask));
            assert!(!pairs.iter().any(|[mask, pvr]| POWER8 & mask == pvr & mask));
            assert!(pairs.contains(&[u32::MAX, 0x0f00_0004]));
            assert_eq!(
                vectors.iter().map(|vector| vector.len()).collect::<Vec<_>>(),
                [3, 33, 2, 2, 26]
            );
            // Real mode reaches so much: image, firmware's 38 MiB, and RTAS of 37 MiB.
            assert_eq!(vectors[1][23..27], 256u32.to_be_bytes());
            // Instruction set 3.0: without it a hypervisor takes us for older.
            assert_eq!(vectors[0][2] & 0x80, 0x80);
            assert_eq!(
                (vectors[4][MMU as usize - 1], vectors[4][RADIX_HOW as usize - 1]),
                (mmu, how)
            );
        }
    }

    /// As QEMU 7.2 gives it after a request for radix, and after one for hash.
    #[test]
    fn what_is_granted_stands_in_the_tree() {
        let mut vector = [0; 27];
        vector[0] = 0x19;
        vector[2] = 0x20;
        assert_eq!(granted(&vector), Kind::Hash);
        (vector[24], vector[26]) = (0x40, 0x40);
        assert_eq!(granted(&vector), Kind::Radix);
        assert_eq!(granted(&vector[..25]), Kind::Radix);
        assert_eq!(granted(&vector[..24]), Kind::Hash);
        assert_eq!(granted(&[0x01, 0x00, 0x20]), Kind::Hash);
        assert_eq!(granted(&[]), Kind::Hash);
    }

    #[test]
    fn words_count_up_to_two_dashes() {
        assert_eq!(Wanted::find(b"interactive mmu=hash cas -- x"), Some(Wanted::Kind(Kind::Hash)));
        assert_eq!(Wanted::find(b"  mmu=off"), Some(Wanted::Off));
        assert_eq!(Wanted::find(b"mmu=hashes -- mmu=hash"), None);
        assert_eq!(Wanted::find(b"mmu=off mmu=hash mmu=radix"), Some(Wanted::Off));
        assert!(insists(b"mmu=hash cas -- x") && insists(b"cas"));
        assert!(!insists(b"mmu=hash -- cas") && !insists(b"case"));
    }
}
