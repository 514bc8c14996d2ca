//! Whole words that need no operand, under the names that the assembler gives them.
//!
//! Each stands next to its assembly text, and [`ALL`] lists them: a test hands
//! the texts to GNU as, so that a wrong digit cannot stay (FreeBSD's tracer
//! once carried `bctr` as 4e800030).

use super::Insn;

macro_rules! well_known {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Insn = Insn($word);)*

        /// Every word of this file with its assembly text.
        pub const ALL: &[(Insn, &str)] = &[$(($name, $text)),*];
    };
}

well_known! {
    /// The preferred no-op: the only one that may be swapped on live text.
    NOP = 0x6000_0000, "nop";
    /// A no-op that the ABI also allows behind a call, for a later TOC restore.
    CROR_15 = 0x4def_7b82, "cror 15,15,15";
    /// The other one.
    CROR_31 = 0x4fff_fb82, "cror 31,31,31";
    /// r0 = return address: the first word of an `_mcount` call site.
    MFLR_R0 = 0x7c08_02a6, "mflr 0";
    /// Return address = r0.
    MTLR_R0 = 0x7c08_03a6, "mtlr 0";
    /// r12 = ctr.
    MFCTR_R12 = 0x7d89_02a6, "mfctr 12";
    /// ctr = r12: the callee's global entry, ready for `bctr`.
    MTCTR_R12 = 0x7d89_03a6, "mtctr 12";
    /// ctr = r11.
    MTCTR_R11 = 0x7d69_03a6, "mtctr 11";
    /// Jump to ctr.
    BCTR = 0x4e80_0420, "bctr";
    /// Call ctr.
    BCTRL = 0x4e80_0421, "bctrl";
    /// Return.
    BLR = 0x4e80_0020, "blr";
    /// Store the TOC pointer in the slot of the caller's frame that is for it.
    STD_R2_24_R1 = 0xf841_0018, "std 2,24(1)";
    /// Take it back, behind a call that left the module.
    LD_R2_24_R1 = 0xe841_0018, "ld 2,24(1)";
    /// Keep the return address in the caller's frame.
    STD_R0_16_R1 = 0xf801_0010, "std 0,16(1)";
    /// Take it back.
    LD_R0_16_R1 = 0xe801_0010, "ld 0,16(1)";
    /// Second word of a large-model global entry, `ld r2,x(r12)` before it.
    ADD_R2_R2_R12 = 0x7c42_6214, "add 2,2,12";
    /// r12 = r12 + r0.
    ADD_R12_R12_R0 = 0x7d8c_0214, "add 12,12,0";
    /// First word of a medium-model global entry, without its displacement.
    ADDIS_R2_R12 = 0x3c4c_0000, "addis 2,12,0";
    /// Second word of a medium-model global entry, without its displacement.
    ADDI_R2_R2 = 0x3842_0000, "addi 2,2,0";
    /// Unconditional trap: a program interrupt.
    TRAP = 0x7fe0_0008, "trap";
    /// The word that every version of the ISA promises to be illegal.
    ILLEGAL = 0x0000_0000, ".long 0";
}

const _: () = assert!(NOP.0 == Insn::NOP.0, "one nop under two names");
