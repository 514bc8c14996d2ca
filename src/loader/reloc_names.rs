//! Relocation types by name, so that an error says `R_PPC64_TPREL16` and not
//! only 69. What each one does, where it is supported: [`super::relocate`].
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Relocation Types"; the numbers are also in binutils'
//! `include/elf/ppc64.h`, from which the test's expectations come.

use core::fmt;

/// A relocation type, shown by its name and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelocName(pub u32);

impl fmt::Display for RelocName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.binary_search_by_key(&self.0, |&(number, _)| number) {
            Ok(index) => write!(f, "R_PPC64_{} ({})", NAMES[index].1, self.0),
            Err(_) => write!(f, "relocation type {}", self.0),
        }
    }
}

/// Sorted by number.
#[rustfmt::skip]
const NAMES: &[(u32, &str)] = &[
    (0, "NONE"), (1, "ADDR32"), (2, "ADDR24"), (3, "ADDR16"), (4, "ADDR16_LO"),
    (5, "ADDR16_HI"), (6, "ADDR16_HA"), (7, "ADDR14"), (8, "ADDR14_BRTAKEN"),
    (9, "ADDR14_BRNTAKEN"), (10, "REL24"), (11, "REL14"), (12, "REL14_BRTAKEN"),
    (13, "REL14_BRNTAKEN"), (14, "GOT16"), (15, "GOT16_LO"), (16, "GOT16_HI"), (17, "GOT16_HA"),
    (19, "COPY"), (20, "GLOB_DAT"), (21, "JMP_SLOT"), (22, "RELATIVE"), (24, "UADDR32"),
    (25, "UADDR16"), (26, "REL32"), (27, "PLT32"), (28, "PLTREL32"), (29, "PLT16_LO"),
    (30, "PLT16_HI"), (31, "PLT16_HA"), (33, "SECTOFF"), (34, "SECTOFF_LO"), (35, "SECTOFF_HI"),
    (36, "SECTOFF_HA"), (37, "REL30"), (38, "ADDR64"), (39, "ADDR16_HIGHER"),
    (40, "ADDR16_HIGHERA"), (41, "ADDR16_HIGHEST"), (42, "ADDR16_HIGHESTA"), (43, "UADDR64"),
    (44, "REL64"), (45, "PLT64"), (46, "PLTREL64"), (47, "TOC16"), (48, "TOC16_LO"),
    (49, "TOC16_HI"), (50, "TOC16_HA"), (51, "TOC"), (52, "PLTGOT16"), (53, "PLTGOT16_LO"),
    (54, "PLTGOT16_HI"), (55, "PLTGOT16_HA"), (56, "ADDR16_DS"), (57, "ADDR16_LO_DS"),
    (58, "GOT16_DS"), (59, "GOT16_LO_DS"), (60, "PLT16_LO_DS"), (61, "SECTOFF_DS"),
    (62, "SECTOFF_LO_DS"), (63, "TOC16_DS"), (64, "TOC16_LO_DS"), (65, "PLTGOT16_DS"),
    (66, "PLTGOT16_LO_DS"), (67, "TLS"), (68, "DTPMOD64"), (69, "TPREL16"), (70, "TPREL16_LO"),
    (71, "TPREL16_HI"), (72, "TPREL16_HA"), (73, "TPREL64"), (74, "DTPREL16"),
    (75, "DTPREL16_LO"), (76, "DTPREL16_HI"), (77, "DTPREL16_HA"), (78, "DTPREL64"),
    (79, "GOT_TLSGD16"), (80, "GOT_TLSGD16_LO"), (81, "GOT_TLSGD16_HI"), (82, "GOT_TLSGD16_HA"),
    (83, "GOT_TLSLD16"), (84, "GOT_TLSLD16_LO"), (85, "GOT_TLSLD16_HI"), (86, "GOT_TLSLD16_HA"),
    (87, "GOT_TPREL16_DS"), (88, "GOT_TPREL16_LO_DS"), (89, "GOT_TPREL16_HI"),
    (90, "GOT_TPREL16_HA"), (91, "GOT_DTPREL16_DS"), (92, "GOT_DTPREL16_LO_DS"),
    (93, "GOT_DTPREL16_HI"), (94, "GOT_DTPREL16_HA"), (95, "TPREL16_DS"), (96, "TPREL16_LO_DS"),
    (97, "TPREL16_HIGHER"), (98, "TPREL16_HIGHERA"), (99, "TPREL16_HIGHEST"),
    (100, "TPREL16_HIGHESTA"), (101, "DTPREL16_DS"), (102, "DTPREL16_LO_DS"),
    (103, "DTPREL16_HIGHER"), (104, "DTPREL16_HIGHERA"), (105, "DTPREL16_HIGHEST"),
    (106, "DTPREL16_HIGHESTA"), (107, "TLSGD"), (108, "TLSLD"), (109, "TOCSAVE"),
    (110, "ADDR16_HIGH"), (111, "ADDR16_HIGHA"), (112, "TPREL16_HIGH"), (113, "TPREL16_HIGHA"),
    (114, "DTPREL16_HIGH"), (115, "DTPREL16_HIGHA"), (116, "REL24_NOTOC"),
    (117, "ADDR64_LOCAL"), (118, "ENTRY"), (119, "PLTSEQ"), (120, "PLTCALL"),
    (121, "PLTSEQ_NOTOC"), (122, "PLTCALL_NOTOC"), (123, "PCREL_OPT"), (124, "REL24_P9NOTOC"),
    (128, "D34"), (129, "D34_LO"), (130, "D34_HI30"), (131, "D34_HA30"), (132, "PCREL34"),
    (133, "GOT_PCREL34"), (134, "PLT_PCREL34"), (135, "PLT_PCREL34_NOTOC"),
    (136, "ADDR16_HIGHER34"), (137, "ADDR16_HIGHERA34"), (138, "ADDR16_HIGHEST34"),
    (139, "ADDR16_HIGHESTA34"), (140, "REL16_HIGHER34"), (141, "REL16_HIGHERA34"),
    (142, "REL16_HIGHEST34"), (143, "REL16_HIGHESTA34"), (144, "D28"), (145, "PCREL28"),
    (146, "TPREL34"), (147, "DTPREL34"), (148, "GOT_TLSGD_PCREL34"), (149, "GOT_TLSLD_PCREL34"),
    (150, "GOT_TPREL_PCREL34"), (151, "GOT_DTPREL_PCREL34"), (240, "REL16_HIGH"),
    (241, "REL16_HIGHA"), (242, "REL16_HIGHER"), (243, "REL16_HIGHERA"), (244, "REL16_HIGHEST"),
    (245, "REL16_HIGHESTA"), (246, "REL16DX_HA"), (247, "JMP_IREL"), (248, "IRELATIVE"),
    (249, "REL16"), (250, "REL16_LO"), (251, "REL16_HI"), (252, "REL16_HA"),
    (253, "GNU_VTINHERIT"), (254, "GNU_VTENTRY"),
];
