//! Special-purpose registers whose `mfspr` or `mtspr` has a name of its own.
//!
//! The mnemonic is `mf` or `mt` and the name: `mflr`, `mtsrr0`. Some can only be
//! read, and some have one name to read and another to write.
//!
//! # References
//! Power ISA Book III, "Move To/From System Register Instructions".

/// The register can be read under its name.
pub const READ: u8 = 1;
/// The register can be written under its name.
pub const WRITE: u8 = 2;

/// Longest name.
const NAME: usize = 9;

/// A number has so many bits.
const NUMBER: u32 = 10;

struct Spr {
    /// [`READ`] and [`WRITE`] above the number.
    word: u16,
    /// Zeros behind it.
    name: [u8; NAME],
}

const fn spr(number: u16, how: u8, name: &str) -> Spr {
    assert!(number >> NUMBER == 0, "the number does not fit");
    let mut spr = Spr { word: number | (how as u16) << NUMBER, name: [0; NAME] };
    let mut i = 0;
    while i < name.len() {
        spr.name[i] = name.as_bytes()[i];
        i += 1;
    }
    spr
}

/// The register's number: the field holds its two halves swapped.
pub const fn number(word: u32) -> u32 {
    (word >> 16 & 0x1f) | (word >> 11 & 0x1f) << 5
}

/// The register's name, to read or to write it.
pub fn name(number: u32, how: u8) -> Option<&'static str> {
    let is_it = |spr: &&Spr| {
        let word = u32::from(spr.word);
        word & ((1 << NUMBER) - 1) == number && word >> NUMBER & u32::from(how) != 0
    };
    let name = &SPRS.iter().find(is_it)?.name;
    core::str::from_utf8(name).ok().map(|name| name.trim_end_matches('\0'))
}

/// By number. SPRG0 to SPRG3 (272 on) are a row of their own.
#[rustfmt::skip]
static SPRS: &[Spr] = &[
    spr(1,    READ | WRITE, "xer"),
    spr(3,    READ | WRITE, "udscr"),
    spr(4,    READ,         "rtcu"),
    spr(5,    READ,         "rtcl"),
    spr(8,    READ | WRITE, "lr"),
    spr(9,    READ | WRITE, "ctr"),
    spr(13,   READ | WRITE, "uamr"),
    spr(17,   READ | WRITE, "dscr"),
    spr(18,   READ | WRITE, "dsisr"),
    spr(19,   READ | WRITE, "dar"),
    spr(20,   WRITE,        "rtcu"),
    spr(21,   WRITE,        "rtcl"),
    spr(22,   READ | WRITE, "dec"),
    spr(25,   READ | WRITE, "sdr1"),
    spr(26,   READ | WRITE, "srr0"),
    spr(27,   READ | WRITE, "srr1"),
    spr(28,   READ | WRITE, "cfar"),
    spr(29,   READ | WRITE, "amr"),
    spr(48,   READ | WRITE, "pidr"),
    spr(61,   READ | WRITE, "iamr"),
    spr(128,  WRITE,        "tfhar"),
    spr(129,  WRITE,        "tfiar"),
    spr(130,  WRITE,        "texasr"),
    spr(131,  WRITE,        "texasru"),
    spr(136,  READ,         "ctrl"),
    spr(152,  WRITE,        "ctrl"),
    spr(153,  READ | WRITE, "fscr"),
    spr(157,  READ | WRITE, "uamor"),
    spr(159,  READ | WRITE, "pspb"),
    spr(176,  READ | WRITE, "dpdes"),
    spr(180,  READ | WRITE, "dawr0"),
    spr(181,  READ | WRITE, "dawr1"),
    spr(186,  READ | WRITE, "rpr"),
    spr(187,  READ | WRITE, "ciabr"),
    spr(188,  READ | WRITE, "dawrx0"),
    spr(189,  READ | WRITE, "dawrx1"),
    spr(190,  READ | WRITE, "hfscr"),
    spr(256,  READ | WRITE, "vrsave"),
    spr(259,  READ,         "usprg3"),
    spr(268,  READ,         "tb"),
    spr(269,  READ,         "tbu"),
    spr(280,  READ | WRITE, "asr"),
    spr(282,  READ | WRITE, "ear"),
    spr(284,  WRITE,        "tbl"),
    spr(285,  WRITE,        "tbu"),
    spr(286,  WRITE,        "tbu40"),
    spr(287,  READ,         "pvr"),
    spr(304,  READ | WRITE, "hsprg0"),
    spr(305,  READ | WRITE, "hsprg1"),
    spr(306,  READ | WRITE, "hdisr"),
    spr(307,  READ | WRITE, "hdar"),
    spr(308,  READ | WRITE, "spurr"),
    spr(309,  READ | WRITE, "purr"),
    spr(310,  READ | WRITE, "hdec"),
    spr(313,  READ | WRITE, "hrmor"),
    spr(314,  READ | WRITE, "hsrr0"),
    spr(315,  READ | WRITE, "hsrr1"),
    spr(318,  READ | WRITE, "lpcr"),
    spr(319,  READ | WRITE, "lpidr"),
    spr(336,  READ | WRITE, "hmer"),
    spr(337,  READ | WRITE, "hmeer"),
    spr(338,  READ | WRITE, "pcr"),
    spr(339,  READ | WRITE, "heir"),
    spr(349,  READ | WRITE, "amor"),
    spr(446,  READ,         "tir"),
    spr(464,  READ | WRITE, "ptcr"),
    spr(496,  READ | WRITE, "usprg0"),
    spr(497,  READ | WRITE, "usprg1"),
    spr(505,  READ | WRITE, "urmor"),
    spr(506,  READ | WRITE, "usrr0"),
    spr(507,  READ | WRITE, "usrr1"),
    spr(511,  READ | WRITE, "smfctrl"),
    spr(736,  READ,         "usier2"),
    spr(737,  READ,         "usier3"),
    spr(738,  READ,         "ummcr3"),
    spr(752,  WRITE,        "sier2"),
    spr(753,  WRITE,        "sier3"),
    spr(754,  WRITE,        "mmcr3"),
    spr(768,  READ,         "usier"),
    spr(769,  READ | WRITE, "ummcr2"),
    spr(770,  READ | WRITE, "ummcra"),
    spr(771,  READ | WRITE, "upmc1"),
    spr(772,  READ | WRITE, "upmc2"),
    spr(773,  READ | WRITE, "upmc3"),
    spr(774,  READ | WRITE, "upmc4"),
    spr(775,  READ | WRITE, "upmc5"),
    spr(776,  READ | WRITE, "upmc6"),
    spr(779,  READ | WRITE, "ummcr0"),
    spr(780,  READ,         "usiar"),
    spr(781,  READ,         "usdar"),
    spr(782,  READ,         "ummcr1"),
    spr(784,  WRITE,        "sier"),
    spr(786,  WRITE,        "mmcra"),
    spr(787,  WRITE,        "pmc1"),
    spr(788,  WRITE,        "pmc2"),
    spr(789,  WRITE,        "pmc3"),
    spr(790,  WRITE,        "pmc4"),
    spr(791,  WRITE,        "pmc5"),
    spr(792,  WRITE,        "pmc6"),
    spr(795,  WRITE,        "mmcr0"),
    spr(796,  WRITE,        "siar"),
    spr(797,  WRITE,        "sdar"),
    spr(798,  WRITE,        "mmcr1"),
    spr(800,  READ | WRITE, "bescrs"),
    spr(801,  READ | WRITE, "bescrsu"),
    spr(802,  READ | WRITE, "bescrr"),
    spr(803,  READ | WRITE, "bescrru"),
    spr(804,  READ | WRITE, "ebbhr"),
    spr(805,  READ | WRITE, "ebbrr"),
    spr(806,  READ | WRITE, "bescr"),
    spr(815,  READ | WRITE, "tar"),
    spr(816,  READ | WRITE, "asdr"),
    spr(823,  READ | WRITE, "psscr"),
    spr(848,  READ | WRITE, "ic"),
    spr(849,  READ | WRITE, "vtb"),
    spr(855,  READ | WRITE, "hpsscr"),
    spr(896,  READ | WRITE, "ppr"),
    spr(898,  READ | WRITE, "ppr32"),
    spr(1023, READ,         "pir"),
];
