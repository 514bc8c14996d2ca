//! Every name that the kernel exports to modules: the one list of them.
//!
//! The kernel makes its table of names and addresses from it (`kernel/exports.rs`),
//! and the host tool `tocsin-ko` tells from the names whether a module would load:
//! so the two cannot disagree.
//!
//! To export a function, write it where its kind is (`kernel/compat/`,
//! `machine/cstring.rs`) and add a line here.
//!
//! # Invariants
//! - No name is listed twice.
//! - What stands behind `=>` is compiled in `kernel/exports.rs` only, and is seen
//!   there as the names that it imports.

/// Hands every function and every address to the macro `$take`.
macro_rules! kernel_exports {
    ($take:ident) => {
        $take! {
            functions {
                "LZ4_decompress_safe" => library::lz4_decompress_safe,
                "___ratelimit" => library::ratelimit,
                "__cond_resched" => kernel::cond_resched,
                "__crc32c_le" => cstring::__crc32c_le,
                "__crypto_memneq" => cstring::__crypto_memneq,
                "__crypto_xor" => cstring::__crypto_xor,
                "__dynamic_pr_debug" => varargs::__dynamic_pr_debug,
                "__get_random_u32_below" => library::get_random_u32_below,
                "__kmalloc" => heap::kmalloc,
                "__list_add_valid" => kernel::list_add_valid,
                "__list_del_entry_valid" => kernel::list_del_entry_valid,
                "__mutex_init" => kernel::mutex_init,
                "__register_nls" => registry::register::<{ Kind::Nls as u8 }>,
                "__stack_chk_fail" => kernel::stack_chk_fail,
                "__warn_printk" => varargs::__warn_printk,
                "_ctype" => library::CTYPE.as_ptr(),
                "_printk" => varargs::_printk,
                "_raw_spin_lock" => library::spin_lock,
                "_raw_spin_lock_bh" => library::spin_lock_bh,
                "_raw_spin_lock_irqsave" => library::spin_lock_irqsave,
                "_raw_spin_unlock" => library::spin_unlock,
                "_raw_spin_unlock_bh" => library::spin_unlock_bh,
                "_raw_spin_unlock_irqrestore" => library::spin_unlock_irqrestore,
                "chacha_block_generic" => library::chacha_block_generic,
                "cmdline_proc_show" => seq::cmdline_proc_show,
                "crc32_le" => cstring::crc32_le,
                "crypto_register_alg" => registry::register::<{ Kind::Cipher as u8 }>,
                "crypto_register_algs" => registry::register_all::<{ Kind::Cipher as u8 }>,
                "crypto_register_scomp" => registry::register::<{ Kind::Scomp as u8 }>,
                "crypto_register_shash" => registry::register::<{ Kind::Hash as u8 }>,
                "crypto_register_shashes" => registry::register_all::<{ Kind::Hash as u8 }>,
                "crypto_unregister_alg" => registry::unregister::<{ Kind::Cipher as u8 }>,
                "crypto_unregister_algs" => registry::unregister_all::<{ Kind::Cipher as u8 }>,
                "crypto_unregister_scomp" => registry::unregister::<{ Kind::Scomp as u8 }>,
                "crypto_unregister_shash" => registry::unregister::<{ Kind::Hash as u8 }>,
                "crypto_unregister_shashes" => registry::unregister_all::<{ Kind::Hash as u8 }>,
                "fips_enabled" => library::FIPS.as_ptr(),
                "fortify_panic" => kernel::fortify_panic,
                "get_random_bytes" => kernel::get_random_bytes,
                "get_random_u32" => library::get_random_u32,
                "get_random_u8" => library::get_random_u8,
                "i2c_transfer" => library::i2c_transfer,
                "ipv6_find_hdr" => packet::ipv6_find_hdr,
                "ipv6_skip_exthdr" => packet::ipv6_skip_exthdr,
                "kfree" => heap::kfree,
                "kfree_sensitive" => heap::kfree_sensitive,
                "klp_enable_patch" => livepatch::klp_enable_patch,
                "klp_get_prev_state" => livepatch::states::klp_get_prev_state,
                "klp_get_state" => livepatch::states::klp_get_state,
                "klp_shadow_alloc" => livepatch::shadow::klp_shadow_alloc,
                "klp_shadow_free" => livepatch::shadow::klp_shadow_free,
                "klp_shadow_free_all" => livepatch::shadow::klp_shadow_free_all,
                "klp_shadow_get" => livepatch::shadow::klp_shadow_get,
                "klp_shadow_get_or_alloc" => livepatch::shadow::klp_shadow_get_or_alloc,
                "kmalloc_large" => heap::kmalloc_large,
                "kmalloc_node_trace" => heap::kmalloc_node_trace,
                "kmalloc_trace" => heap::kmalloc_trace,
                "kmemdup" => heap::kmemdup,
                "krealloc" => heap::krealloc,
                "ksize" => heap::ksize,
                "kstrdup" => heap::kstrdup,
                "kvfree" => heap::kfree,
                "kvmalloc_node" => heap::kvmalloc_node,
                "load_nls" => registry::load_nls,
                "lowpan_nhc_add" => registry::register::<{ Kind::Nhc as u8 }>,
                "lowpan_nhc_del" => registry::unregister::<{ Kind::Nhc as u8 }>,
                "memchr" => cstring::memchr,
                "memchr_inv" => cstring::memchr_inv,
                "memcmp" => varargs::memcmp,
                "memcpy" => varargs::memcpy,
                "meminfo_proc_show" => seq::meminfo_proc_show,
                "memmove" => varargs::memmove,
                "memset" => varargs::memset,
                "msleep" => library::msleep,
                "msleep_interruptible" => library::msleep_interruptible,
                "mutex_lock" => kernel::mutex_lock,
                "mutex_lock_interruptible" => kernel::mutex_lock,
                "mutex_trylock" => kernel::mutex_trylock,
                "mutex_unlock" => kernel::mutex_unlock,
                "panic" => kernel::panic,
                "param_set_uint_minmax" => param::set_uint_minmax,
                "ppp_register_compressor" => registry::register::<{ Kind::Ppp as u8 }>,
                "ppp_unregister_compressor" => registry::unregister::<{ Kind::Ppp as u8 }>,
                "rc_map_register" => registry::register::<{ Kind::Keymap as u8 }>,
                "rc_map_unregister" => registry::unregister::<{ Kind::Keymap as u8 }>,
                "scnprintf" => varargs::scnprintf,
                "seq_printf" => varargs::seq_printf,
                "seq_write" => seq::seq_write,
                "skb_copy_bits" => packet::skb_copy_bits,
                "skb_ensure_writable" => packet::skb_ensure_writable,
                "skb_find_text" => search::skb_find_text,
                "skb_store_bits" => packet::skb_store_bits,
                "snprintf" => varargs::snprintf,
                "sprintf" => varargs::sprintf,
                "static_key_count" => tables::static_key_count,
                "static_key_disable" => tables::static_key_disable,
                "static_key_disable_cpuslocked" => tables::static_key_disable,
                "static_key_enable" => tables::static_key_enable,
                "static_key_enable_cpuslocked" => tables::static_key_enable,
                "static_key_slow_dec" => tables::static_key_slow_dec,
                "static_key_slow_dec_cpuslocked" => tables::static_key_slow_dec,
                "static_key_slow_inc" => tables::static_key_slow_inc,
                "static_key_slow_inc_cpuslocked" => tables::static_key_slow_inc,
                "strcasecmp" => cstring::strcasecmp,
                "strcat" => cstring::strcat,
                "strchr" => cstring::strchr,
                "strcmp" => cstring::strcmp,
                "strcpy" => cstring::strcpy,
                "strlcat" => cstring::strlcat,
                "strlcpy" => cstring::strlcpy,
                "strlen" => cstring::strlen,
                "strncasecmp" => cstring::strncasecmp,
                "strncmp" => cstring::strncmp,
                "strncpy" => cstring::strncpy,
                "strnlen" => cstring::strnlen,
                "strrchr" => cstring::strrchr,
                "strscpy" => cstring::strscpy,
                "strstr" => cstring::strstr,
                "tcf_em_register" => registry::register::<{ Kind::Ematch as u8 }>,
                "tcf_em_unregister" => registry::unregister::<{ Kind::Ematch as u8 }>,
                "textsearch_destroy" => search::textsearch_destroy,
                "textsearch_prepare" => search::textsearch_prepare,
                "textsearch_register" => registry::register::<{ Kind::Search as u8 }>,
                "textsearch_unregister" => registry::unregister::<{ Kind::Search as u8 }>,
                "udelay" => library::udelay,
                "unload_nls" => registry::unload_nls,
                "unregister_nls" => registry::unregister::<{ Kind::Nls as u8 }>,
                "usleep_range_state" => library::usleep_range_state,
                "utf32_to_utf8" => library::utf32_to_utf8,
                "utf8_to_utf32" => library::utf8_to_utf32,
                "vfree" => heap::kfree,
                "vmalloc" => heap::vmalloc,
                "vscnprintf" => print::vscnprintf,
                "vsnprintf" => print::vsnprintf,
                "vzalloc" => heap::vmalloc,
                "xt_register_match" => registry::register::<{ Kind::Match as u8 }>,
                "xt_register_matches" => registry::register_all::<{ Kind::Match as u8 }>,
                "xt_register_target" => registry::register::<{ Kind::Target as u8 }>,
                "xt_register_targets" => registry::register_all::<{ Kind::Target as u8 }>,
                "xt_unregister_match" => registry::unregister::<{ Kind::Match as u8 }>,
                "xt_unregister_matches" => registry::unregister_all::<{ Kind::Match as u8 }>,
                "xt_unregister_target" => registry::unregister::<{ Kind::Target as u8 }>,
                "xt_unregister_targets" => registry::unregister_all::<{ Kind::Target as u8 }>,
            }
            addresses {
                "_mcount" => hooks::mcount_address(),
                "jiffies" => kernel::jiffies_address(),
                "kmalloc_caches" => kernel::kmalloc_caches_address(),
            }
        }
    };
}
#[cfg(target_os = "none")]
pub(crate) use kernel_exports;

/// Types of parameters: the table that a module names in a parameter, and the two
/// functions in it, which operations of a module's own may call; empty for none
/// (`kernel/compat/param.rs`, `loader/params.rs`).
pub const PARAMETERS: [(&str, &str, &str); 16] = [
    ("param_ops_byte", "param_set_byte", "param_get_byte"),
    ("param_ops_short", "param_set_short", "param_get_short"),
    ("param_ops_ushort", "param_set_ushort", "param_get_ushort"),
    ("param_ops_int", "param_set_int", "param_get_int"),
    ("param_ops_uint", "param_set_uint", "param_get_uint"),
    ("param_ops_long", "param_set_long", "param_get_long"),
    ("param_ops_ulong", "param_set_ulong", "param_get_ulong"),
    ("param_ops_ullong", "param_set_ullong", "param_get_ullong"),
    ("param_ops_hexint", "param_set_hexint", "param_get_hexint"),
    ("param_ops_charp", "param_set_charp", "param_get_charp"),
    ("param_ops_bool", "param_set_bool", "param_get_bool"),
    ("param_ops_invbool", "param_set_invbool", "param_get_invbool"),
    ("param_ops_bool_enable_only", "param_set_bool_enable_only", ""),
    ("param_ops_bint", "param_set_bint", ""),
    ("param_ops_string", "param_set_copystring", "param_get_string"),
    ("param_array_ops", "", ""),
];

macro_rules! names {
    (functions { $($function:literal => $at_entry:expr,)* }
     addresses { $($data:literal => $at:expr,)* }) => {
        &[$($function,)* $($data,)*]
    };
}

/// Functions and data.
const OTHERS: &[&str] = kernel_exports!(names);

/// Every exported name.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    let parameters = PARAMETERS.iter().flat_map(|(table, set, get)| [*table, *set, *get]);
    OTHERS.iter().copied().chain(parameters.filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::params::ParamType;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_exported_twice() {
        let all: BTreeSet<_> = names().collect();
        assert_eq!(all.len(), names().count());
        assert!(all.contains("_printk") && all.contains("_mcount") && all.contains("jiffies"));
    }

    #[test]
    fn every_type_of_parameter_is_one_that_the_loader_stores() {
        for (name, _, _) in PARAMETERS {
            assert!(ParamType::of_export(name).is_some(), "{name}");
        }
    }
}
