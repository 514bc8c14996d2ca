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
                "__cond_resched" => kernel::cond_resched,
                "__crypto_memneq" => cstring::__crypto_memneq,
                "__dynamic_pr_debug" => varargs::__dynamic_pr_debug,
                "__kmalloc" => heap::kmalloc,
                "__list_add_valid" => kernel::list_add_valid,
                "__list_del_entry_valid" => kernel::list_del_entry_valid,
                "__mutex_init" => kernel::mutex_init,
                "__stack_chk_fail" => kernel::stack_chk_fail,
                "__warn_printk" => varargs::__warn_printk,
                "_printk" => varargs::_printk,
                "fortify_panic" => kernel::fortify_panic,
                "get_random_bytes" => kernel::get_random_bytes,
                "kfree" => heap::kfree,
                "kfree_sensitive" => heap::kfree_sensitive,
                "klp_enable_patch" => livepatch::klp_enable_patch,
                "kmalloc_large" => heap::kmalloc_large,
                "kmalloc_node_trace" => heap::kmalloc_node_trace,
                "kmalloc_trace" => heap::kmalloc_trace,
                "kmemdup" => heap::kmemdup,
                "krealloc" => heap::krealloc,
                "ksize" => heap::ksize,
                "kstrdup" => heap::kstrdup,
                "kvfree" => heap::kfree,
                "kvmalloc_node" => heap::kvmalloc_node,
                "memchr" => cstring::memchr,
                "memchr_inv" => cstring::memchr_inv,
                "memcmp" => varargs::memcmp,
                "memcpy" => varargs::memcpy,
                "memmove" => varargs::memmove,
                "memset" => varargs::memset,
                "mutex_lock" => kernel::mutex_lock,
                "mutex_lock_interruptible" => kernel::mutex_lock,
                "mutex_trylock" => kernel::mutex_trylock,
                "mutex_unlock" => kernel::mutex_unlock,
                "panic" => kernel::panic,
                "scnprintf" => varargs::scnprintf,
                "param_set_uint_minmax" => param::set_uint_minmax,
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
                "vfree" => heap::kfree,
                "vmalloc" => heap::vmalloc,
                "vscnprintf" => print::vscnprintf,
                "vsnprintf" => print::vsnprintf,
                "vzalloc" => heap::vmalloc,
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
    (functions { $($function:literal => $path:path,)* }
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
